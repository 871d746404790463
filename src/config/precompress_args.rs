//! The flags of `downpour precompress`. They have no environment variables: it is run by hand or by
//! a script, once for each deploy.

use std::path::PathBuf;

use clap::{ArgAction, Args};

use super::quantity::{OrAuto, count};
use super::values::{boolean, within};
use crate::base::limits::PRECOMPRESS_JOBS_MAX;
use crate::http::Coding;

/// What `downpour precompress` is asked to do, each flag right by itself.
#[derive(Clone, Debug, Args)]
pub struct PrecompressArgs {
    /// The directory whose files get compressed forms beside them
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,

    /// Which forms to make: br, zst, gz, separated by commas
    #[arg(
        long,
        value_name = "LIST",
        value_delimiter = ',',
        default_value = "br,zst,gz"
    )]
    #[arg(value_parser = coding)]
    pub codings: Vec<Coding>,

    /// Files that are compressed at a time; auto: one for each processor
    #[arg(long, value_name = "COUNT|auto", default_value = "auto", value_parser = jobs)]
    pub jobs: OrAuto<usize>,

    /// Look into directories and at files whose names begin with a dot, too
    #[arg(long, value_name = "BOOL", default_value = "false", value_parser = boolean)]
    #[arg(action = ArgAction::Set, num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "true", hide_default_value = true)]
    pub hidden: bool,

    /// Make what is current anew, too
    #[arg(long, value_name = "BOOL", default_value = "false", value_parser = boolean)]
    #[arg(action = ArgAction::Set, num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "true", hide_default_value = true)]
    pub force: bool,

    /// Remove compressed forms whose source is gone, as page.html.br without page.html
    #[arg(long, value_name = "BOOL", default_value = "false", value_parser = boolean)]
    #[arg(action = ArgAction::Set, num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "true", hide_default_value = true)]
    pub remove: bool,

    /// Say what would be done, and do nothing
    #[arg(long, value_name = "BOOL", default_value = "false", value_parser = boolean)]
    #[arg(action = ArgAction::Set, num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "true", hide_default_value = true)]
    pub dry_run: bool,
}

/// A coding by the ending of its files, or by its name.
fn coding(text: &str) -> Result<Coding, String> {
    match text {
        "br" | "brotli" => Ok(Coding::Brotli),
        "zst" | "zstd" => Ok(Coding::Zstd),
        "gz" | "gzip" => Ok(Coding::Gzip),
        _ => Err("it is a list of br, zst and gz, as in br,gz".to_owned()),
    }
}

fn jobs(text: &str) -> Result<OrAuto<usize>, String> {
    let most = PRECOMPRESS_JOBS_MAX;
    OrAuto::parse(text, |text| {
        let jobs = usize::try_from(count(text)?).unwrap_or(usize::MAX);
        within(jobs, 1, most, &format!("it is at most {most}"))
    })
}

#[cfg(test)]
mod tests {
    use super::super::args::{Command, definition, read};
    use super::super::usage::Refusal;
    use super::*;
    use std::ffi::OsString;

    fn parse(words: &[&str]) -> Result<PrecompressArgs, String> {
        let words = ["downpour", "precompress"].iter().chain(words);
        match read(words.map(OsString::from)) {
            Ok(Command::Precompress(args)) => Ok(args),
            Err(Refusal::Wrong(error)) => Err(error.to_string()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_left_out_has_its_default() {
        let args = parse(&["public"]).unwrap();
        assert_eq!(args.directory, PathBuf::from("public"));
        assert_eq!(args.codings, [Coding::Brotli, Coding::Zstd, Coding::Gzip]);
        assert_eq!(args.jobs, OrAuto(None));
        assert!(!(args.hidden || args.force || args.remove || args.dry_run));
    }

    #[test]
    fn every_flag_is_heard() {
        let words = "public --codings br,gzip --codings=zstd --jobs 3 --hidden --force true \
                     --remove=true --dry-run";
        let args = parse(&words.split_whitespace().collect::<Vec<_>>()).unwrap();
        assert_eq!(args.codings, [Coding::Brotli, Coding::Gzip, Coding::Zstd]);
        assert_eq!(args.jobs, OrAuto(Some(3)));
        assert!(args.hidden && args.force && args.remove && args.dry_run);
    }

    #[test]
    fn wrong_values_name_the_flag_and_the_way_out() {
        for (words, parts) in [
            (
                &["d", "--codings", "br,deflate"][..],
                ["--codings", "br,gz"],
            ),
            (&["d", "--jobs", "0"], ["--jobs", "at least 1"]),
            (&["d", "--jobs", "5000"], ["--jobs", "at most 1024"]),
            (&["d", "--force=perhaps"], ["--force", "true or false"]),
            (&["d", "--jbos", "1"], ["--jbos", "--jobs"]),
        ] {
            let sentence = parse(words).unwrap_err();
            for part in parts {
                assert!(sentence.contains(part), "{words:?} gave {sentence:?}");
            }
        }
        assert!(parse(&[]).is_err());
    }

    #[test]
    fn every_flag_is_in_its_document() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/precompress.md");
        let document = std::fs::read_to_string(path).unwrap();
        let definition = definition();
        let precompress = definition.find_subcommand("precompress").unwrap();
        for long in precompress.get_arguments().filter_map(clap::Arg::get_long) {
            assert!(document.contains(&format!("`--{long}")), "--{long}");
        }
    }
}
