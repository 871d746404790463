//! What is shown of a configuration is the same configuration.

use proptest::prelude::*;

use super::*;

#[test]
fn what_is_shown_is_the_same_configuration() {
    let awkward = "header = [\"X-A: \\\"b\\\\\\tc\"]\nmaintenance = [true, \"/a/**\"]\n\
                   listen = \"unix:d.sock\"\nhttps-redirect = false\n";
    for text in [&example(), awkward, ""] {
        let scratch = place(text);
        let (asked, config) = check_with(scratch.path(), &["--workers=2"]).unwrap();
        let shown = show::show(&asked);
        assert!(shown.contains("\nworkers = 2 # flag\n"), "{shown}");
        assert!(shown.contains("\nbacklog = 4096 # default\n"), "{shown}");
        std::fs::write(scratch.path().join("d.toml"), &shown).unwrap();
        let (again, same) = check_with(scratch.path(), &[]).unwrap();
        assert_eq!(format!("{same:?}"), format!("{config:?}"), "{shown}");
        let values = |page: &str| {
            let values = page
                .lines()
                .map(|line| line.rsplit_once(" # ").map(|(value, _)| value));
            values
                .map(|value| value.unwrap_or("").to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(values(&show::show(&again)), values(&shown));
    }
}

/// Flags and variables are said in more ways than the file knows.
#[test]
fn whichever_way_a_value_was_said_it_is_shown_as_the_file_takes_it() {
    let here = std::path::absolute(".").unwrap();
    let at = |path: &str| format!("{}/{path}", here.display());
    for (id, said, shown) in [
        ("quiet", "yes", "quiet = true"),
        ("http2", "off", "http2 = false"),
        ("list", "1", "list = true"),
        ("https_redirect", "no", "https-redirect = false"),
        ("https_redirect", "08443", "https-redirect = 8443"),
        ("max_connections", "007", "max-connections = 7"),
        ("cache_size", "065536", "cache-size = 65536"),
        ("sendfile_min", "64kib", "sendfile-min = \"64kib\""),
        ("log_level", "warning", "log-level = \"warning\""),
        ("clean_urls", "true", "clean-urls = \"true\""),
        ("spa", "true", "spa = true"),
        // A page and a host that are called so.
        ("spa", "on", "spa = \"on\""),
        ("spa", "1", "spa = \"1\""),
        ("self_signed", "no", "self-signed = [\"no\"]"),
        ("self_signed", "false", "self-signed = [false]"),
        ("log_file", "-", "log-file = \"-\""),
        ("log_file", "l", &format!("log-file = \"{}\"", at("l"))),
        ("proxy_protocol", "on", "proxy-protocol = true"),
        ("request_id", "on", "request-id = true"),
        ("max_in_flight", "010", "max-in-flight = 10"),
        ("limit", "/a 1/s by=path", "limit = [\"/a 1/s by=path\"]"),
        ("tls_key", "k", &format!("tls-key = [\"{}\"]", at("k"))),
        ("mount", "/a=b", &format!("mount = [\"/a={}\"]", at("b"))),
        (
            "listen",
            "unix:s",
            &format!("listen = [\"unix:{}\"]", at("s")),
        ),
    ] {
        let scratch = place("");
        let asked = below(scratch.path(), &[(id, Origin::Environment, &[said])]).unwrap();
        let page = show::show(&asked);
        let line = format!("{shown} # environment");
        assert!(page.lines().any(|one| one == line), "{line}");
        std::fs::write(scratch.path().join("d.toml"), &page).unwrap();
        let again = below(scratch.path(), &[]).unwrap();
        let args = |asked: &Asked| format!("{:?}", asked.args).replace(&at(""), "");
        assert_eq!(args(&again), args(&asked), "{shown}");
    }
}

const ODD_VALUES: &str =
    "[\"a-z0-9:/=.,\\[\\] $*]{0,12}|true|-?[0-9]{1,20}|\"[ -~]{0,9}\"|\\[\"[!-~]{0,9}\"\\]";

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_file_is_answered_without_a_panic(
        lines in proptest::collection::vec(
            prop_oneof![
                (0..SAMPLES.len(), ODD_VALUES)
                    .prop_map(|(index, value)| format!("{} = {value}", SAMPLES[index].0)),
                (0..SAMPLES.len())
                    .prop_map(|index| format!("{} = {}", SAMPLES[index].0, SAMPLES[index].1)),
                Just("[[site]]".to_owned()),
                Just("[[rule]]\npath = \"/a/**\"".to_owned()),
                Just("[[site.rule]]\npath = \"*.css\"\nmaintenance = true".to_owned()),
                "\\PC{0,24}",
            ],
            0..8,
        ),
    ) {
        let scratch = place(&lines.join("\n"));
        if let Ok((asked, config)) = check_with(scratch.path(), &[]) {
            std::fs::write(scratch.path().join("d.toml"), show::show(&asked)).unwrap();
            let (_, same) = check_with(scratch.path(), &[]).unwrap();
            prop_assert_eq!(format!("{same:?}"), format!("{config:?}"));
        }
    }
}
