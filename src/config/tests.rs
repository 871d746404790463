//! The file: each key, each way to be wrong, and what is shown of it.

use std::num::NonZeroUsize;
use std::path::Path;

use proptest::prelude::*;
use tempfile::TempDir;
use toml::de::{DeTable, DeValue};

use super::asked::{serve, site};
use super::schema::{Json, schema};
use super::*;
use crate::route::site::{CleanUrls, TrailingSlash};

/// A directory with a configuration and what it names.
fn place(text: &str) -> TempDir {
    let scratch = tempfile::tempdir().unwrap();
    for name in ["www", "app", "manual"] {
        std::fs::create_dir(scratch.path().join(name)).unwrap();
    }
    std::fs::write(scratch.path().join("d.toml"), text).unwrap();
    scratch
}

fn check_with(scratch: &Path, words: &[&str]) -> Result<(Box<Asked>, Config), StartError> {
    let machine = Machine {
        cpus: vec![0, 1],
        cpus_paid: NonZeroUsize::MIN,
        descriptors_max: 20_000,
        somaxconn: None,
    };
    let path = scratch.join("d.toml");
    let line = ["downpour", "serve", "--config", path.to_str().unwrap()];
    let line = line.iter().chain(words).map(std::ffi::OsString::from);
    let asked = match args::read(line) {
        Ok(Command::Serve(asked)) => asked,
        Err(usage::Refusal::Wrong(error)) => return Err(error),
        other => panic!("{other:?}"),
    };
    let config = Config::check(&asked, &machine)?.config;
    Ok((asked, config))
}

fn check(text: &str) -> Result<Config, StartError> {
    check_with(place(text).path(), &[]).map(|(_, config)| config)
}

/// What is wrong with a file, without the path in front.
fn wrong(text: &str) -> Vec<String> {
    let scratch = place(text);
    let error = check_with(scratch.path(), &[]).unwrap_err();
    assert_eq!(error.exit_code, 2, "{error}");
    let start = format!("{}:", scratch.path().join("d.toml").display());
    let sentences = error.sentences().map(|sentence| {
        let behind = sentence.strip_prefix(&start).map(str::to_owned);
        behind.unwrap_or_else(|| panic!("no place in {sentence:?}"))
    });
    sentences.collect()
}

/// A value for each key, other than its default.
const SAMPLES: &[(&str, &str)] = &[
    ("root", "\"www\""),
    ("index", "[\"a.html\", \"b.html\"]"),
    ("spa", "\"/app.html\""),
    ("try", "[\"$path\", \"$path.html =404\"]"),
    ("clean-urls", "\"redirect\""),
    ("trailing-slash", "\"ignore\""),
    ("mount", "[\"/docs=manual\"]"),
    ("hidden", "true"),
    ("follow-symlinks", "true"),
    ("list", "true"),
    ("keep-removed", "\"10m\""),
    ("precompressed", "false"),
    ("compress", "false"),
    ("compress-dir", "\"cache\""),
    ("language", "[\"en\", \"pt-BR\"]"),
    ("media-variants", "true"),
    ("not-acceptable", "406"),
    ("header", "[\"X-A: b\", \"*.css !ETag\"]"),
    ("cache-control", "[\"auto\", \"/a/** max-age=1\"]"),
    ("security-headers", "true"),
    ("redirect", "[\"/a /b 308\"]"),
    ("rewrite", "[\"/a/* /b\"]"),
    ("error-page", "[\"404=/404.html\"]"),
    ("maintenance", "[\"/a/**\"]"),
    ("maintenance-page", "\"/m.html\""),
    ("maintenance-when", "\"flag\""),
    ("retry-after", "\"10m\""),
    ("country-header", "\"X-Country\""),
    ("rule-files", "false"),
    ("listen", "[\"127.0.0.1:80\", \"unix:d.sock\"]"),
    ("port", "[81, 82]"),
    ("backlog", "64"),
    ("cache-files", "1000"),
    ("max-connections", "100"),
    ("unknown-host", "\"default\""),
    ("tls-listen", "[\"[::]:443\"]"),
    ("tls-cert", "[\"a.pem\"]"),
    ("tls-key", "[\"a.key\"]"),
    ("self-signed", "true"),
    ("tls-sni-strict", "true"),
    ("tls-min-version", "1.3"),
    ("tls-client-ca", "\"ca.pem\""),
    ("tls-client-auth", "\"optional\""),
    ("tls-ticket-keys", "[\"t.keys\"]"),
    ("tls-keylog", "\"k.log\""),
    ("handshake-timeout", "\"3s\""),
    ("max-handshakes", "7"),
    ("https-redirect", "8443"),
    ("hsts", "\"8760h\""),
    ("http2", "false"),
    ("http2-max-streams", "9"),
    ("workers", "2"),
    ("cpus", "\"0-1\""),
    ("engine", "\"epoll\""),
    ("cache-size", "\"1M\""),
    ("cache-entry-max", "\"1K\""),
    ("sendfile-min", "1024"),
    ("watch", "\"off\""),
    ("keepalive-timeout", "\"3s\""),
    ("header-timeout", "\"3s\""),
    ("send-timeout", "\"3s\""),
    ("grace-period", "\"3s\""),
    ("max-head-bytes", "\"8K\""),
    ("ring-entries", "64"),
    ("recv-buffers", "64"),
    ("recv-buffer-bytes", "\"8K\""),
    ("zero-copy-min", "\"8K\""),
    ("busy-poll", "\"50us\""),
    ("sqpoll", "\"10ms\""),
    ("log-level", "\"debug\""),
    ("quiet", "true"),
];

#[test]
fn every_flag_is_a_key_of_the_file() {
    let serve = serve();
    let known: Vec<&str> = keys::keys(&serve).map(keys::name).collect();
    let sampled: Vec<&str> = SAMPLES.iter().map(|(key, _)| *key).collect();
    let missing = |one: &[&str], of: &[&str]| {
        let missing = of.iter().filter(|key| !one.contains(key));
        missing.map(|key| (*key).to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(missing(&sampled, &known), [""; 0], "a key without sample");
    assert_eq!(missing(&known, &sampled), [""; 0]);
    for (key, value) in SAMPLES {
        let scratch = place(&format!("\n{key} = {value}\n"));
        let asked = Asked::of_file(&scratch.path().join("d.toml"));
        let asked = asked.unwrap_or_else(|error| panic!("{error}"));
        let flag = keys::keys(&serve).find(|flag| keys::name(flag) == *key);
        let setting = asked.settings.get(flag.unwrap().get_id().as_str()).unwrap();
        assert_eq!(setting.origin.line(), Some(2), "{key}");
        let shown = show::show(&asked);
        let line = shown
            .lines()
            .find(|line| line.starts_with(&format!("{key} =")));
        let line = line.unwrap_or_else(|| panic!("{key} is not shown"));
        assert!(line.ends_with("d.toml:2"), "{line}");
    }
}

#[test]
fn every_flag_of_a_site_is_a_key_of_its_table() {
    for flag in keys::keys(&site()) {
        let key = keys::name(flag);
        let (_, value) = SAMPLES.iter().find(|(sample, _)| *sample == key).unwrap();
        // Without maintenance, what is shown during it means nothing.
        let further = match key {
            "maintenance-page" | "retry-after" => "maintenance = true",
            _ => "",
        };
        let scratch = place(&format!("[[site]]\n{key} = {value}\n{further}\n"));
        let (asked, config) = check_with(scratch.path(), &[]).unwrap();
        let settings = &asked.file.as_ref().unwrap().sites[0].settings;
        let setting = settings.get(flag.get_id().as_str()).unwrap();
        assert_eq!(setting.origin.line(), Some(2), "{key}");
        let plain = check(&format!("[[site]]\n{further}\n")).unwrap();
        let plain = format!("{:?}", plain.sites);
        assert_ne!(format!("{:?}", config.sites), plain, "{key} means nothing");
    }
}

#[test]
fn a_flag_wins_over_the_file_and_that_over_the_default() {
    let text = "cache-size = \"1M\"\nworkers = 2\nlisten = [\"127.0.0.1:80\"]\nspa = true\n";
    let scratch = place(text);
    let words = ["--workers", "3", "-p", "81", "--try", "$path =410"];
    let (asked, config) = check_with(scratch.path(), &words).unwrap();
    assert_eq!(config.workers.get(), 3);
    assert_eq!(config.cache.bytes_max, 1 << 20);
    assert_eq!(config.backlog, 4096);
    // The higher layer replaces what speaks of the same thing.
    assert_eq!(config.listen, [Listen::Everywhere { port: 81 }]);
    assert_eq!(config.sites[0].finding.try_files.0.len(), 2);
    assert!(asked.settings.get("spa").is_none());
    assert_eq!(config.config_file, Some(scratch.path().join("d.toml")));
}

#[test]
fn what_stands_above_the_sites_holds_where_they_say_nothing_else() {
    let text = "root = \"www\"\nindex = [\"a.html\"]\nheader = [\"X-A: b\"]\nspa = true\n\
                [[rule]]\npath = \"/a/**\"\nheaders = { X-B = \"c\" }\nredirect = \"/x\"\n\
                [[site]]\nnames = [\"A.Example\"]\ntry = \"$path\"\n\
                [[site]]\nroot = \"app\"\nheader = []\nclean-urls = \"serve\"\n\
                trailing-slash = \"remove\"\nindex = \"b.html\"\n\
                [[site.rule]]\npath = \"/a/*\"\nredirect = \"/y/:splat\"\nstatus = 308\n\
                cache-control = \"immutable\"\nerror-page = { 404 = \"/404.html\" }\n\
                maintenance = true\n";
    let scratch = place(text);
    let (_, config) = check_with(scratch.path(), &["--list"]).unwrap();
    let [one, two] = &config.sites[..] else {
        panic!("{:?}", config.sites);
    };
    assert_eq!(config.default_site, Some(1), "the one without names");
    assert_eq!(one.names, ["a.example"]);
    assert_eq!(one.root, Some(scratch.path().join("www")));
    assert_eq!(two.root, Some(scratch.path().join("app")));
    assert_eq!(one.finding.index_names, ["a.html"]);
    assert_eq!(two.finding.index_names, ["b.html"]);
    assert_eq!(one.finding.try_files.0.len(), 1, "its own --try");
    assert_eq!(two.finding.try_files.0.len(), 3, "--spa of all");
    assert_eq!(two.finding.clean_urls, CleanUrls::Serve);
    assert_eq!(two.finding.trailing_slash, TrailingSlash::Remove);
    assert!(one.listing.is_some() && two.listing.is_some());
    let texts = |rules: &[crate::route::FieldRule]| {
        rules.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let (first, second) = (one.rules.settings(), two.rules.settings());
    assert_eq!(texts(&first.fields), ["X-A: b", "/a/** X-B: c"]);
    assert_eq!(texts(&second.fields), ["/a/** X-B: c"]);
    let redirects: Vec<String> = second.redirects.iter().map(ToString::to_string).collect();
    assert_eq!(
        redirects,
        ["/a/* /y/:splat 308", "/a/* /x"],
        "its own first"
    );
    assert_eq!(second.cache.len() + second.error_pages.len(), 2);
    assert_eq!(second.maintenance.len(), 1);
    assert_eq!(first.maintenance.len(), 0);
}

#[test]
fn each_fault_is_told_with_its_line() {
    for (text, expected) in [
        (
            "cach-size = \"1G\"",
            "1: there is no key \"cach-size\"; perhaps cache-size is meant",
        ),
        (
            "cache_size = 1",
            "1: there is no key \"cache_size\"; perhaps cache-size is meant",
        ),
        (
            "\n\nzzz = 1",
            "3: there is no key \"zzz\"; downpour config --schema names them all",
        ),
        (
            "config = \"a\"",
            "1: there is no key \"config\"; a configuration is one file",
        ),
        (
            "names = [\"a\"]",
            "1: names belongs to a site; write [[site]] above it",
        ),
        (
            "[[site]]\nworkers = 1",
            "2: workers is for all sites at once; write it above the",
        ),
        (
            "[[site]]\nname = \"a\"",
            "2: there is no key \"name\"; perhaps names is meant",
        ),
        (
            "[site]\nroot = \"www\"",
            "1: there may be several of site; write [[site]] above each",
        ),
        (
            "cache-size = [\"1M\"]",
            "1: cache-size takes a size such as \"256M\", not a list",
        ),
        (
            "cache-size = true",
            "1: cache-size takes a size such as \"256M\", not true or false",
        ),
        (
            "quiet = \"yes\"",
            "1: quiet takes true or false, not a text",
        ),
        ("quiet = 1", "1: quiet takes true or false, not a number"),
        (
            "workers = \"2.0\"",
            "1: workers does not take \"2.0\"; it is a whole number",
        ),
        (
            "workers = 1.5",
            "1: workers takes a number such as 4 or \"auto\", not a fraction",
        ),
        (
            "backlog = \"4\"",
            "1: backlog takes a number such as 4, not a text",
        ),
        (
            "port = [80,\n\"x\"]",
            "2: port takes a port such as 8080, or a list of such, not a text",
        ),
        (
            "grace-period = 5",
            "1: grace-period takes a time such as \"30s\", not a number",
        ),
        (
            "grace-period = {}",
            "1: grace-period takes a time such as \"30s\", not a table",
        ),
        (
            "watch = 2020-01-01",
            "1: watch takes \"auto\" or \"off\", not a date",
        ),
        (
            "watch = \"on\"",
            "1: watch does not take \"on\"; say auto or off",
        ),
        (
            "cache-size = \"1.5G\"",
            "1: cache-size does not take \"1.5G\"; sizes are whole numbers",
        ),
        (
            "listen = [\n\"localhost:80\"]",
            "2: listen does not take \"localhost:80\"; ",
        ),
        (
            "index = []",
            "1: index is an empty list; leave the key out or name a value",
        ),
        (
            "index = \"a/b\"",
            "1: index does not take \"a/b\"; it is the name of a file",
        ),
        ("root = \"\"", "1: root does not take \"\"; it is empty"),
        ("header = \"X\"", "1: header does not take \"X\"; "),
        (
            "language = \"de_DE\"",
            "1: language does not take \"de_DE\"; a language is a tag",
        ),
        (
            "language = [\"de\", \"DE\"]",
            "1: --language names de twice",
        ),
        (
            "mount = \"/a\"",
            "1: mount does not take \"/a\"; say /PREFIX=DIR",
        ),
        (
            "mount = [\"/a=www\",\n\"/a/=app\"]",
            "2: --mount names /a twice (line 1)",
        ),
        ("mount = \"/a=gone\"", "1: the directory "),
        ("root = \"gone\"", "1: the directory "),
        ("root = \"d.toml\"", "1: "),
        (
            "spa = true\ntry = \"$path\"",
            "1: --spa and --try are two ways",
        ),
        (
            "quiet = true\nquiet = true",
            "2: quiet stands here a second time; say it once",
        ),
        ("quiet = ", "1: this is not TOML: "),
        ("quiet", "1: this is not TOML: "),
        (
            "cache-size = \"1M\"\ncache-entry-max = \"2M\"",
            "2: --cache-entry-max 2M is larger",
        ),
        (
            "\ntls-cert = \"a\"",
            "2: --tls-cert means nothing without --tls-listen",
        ),
        ("port = [80]\nlisten = [\"[::]:80\"]", "1: "),
        (
            "unknown-host = \"421\"",
            "1: --unknown-host 421 means nothing without sites",
        ),
        (
            "unknown-host = 421\n[[site]]",
            "2: this is the default site, which no request would get",
        ),
        (
            "[[site]]\n[[site]]\n",
            "2: this is a second default site, beside that of line 1",
        ),
        (
            "[[site]]\nnames = [\"a.b\"]\n[[site]]\nnames = [\"c\",\n\"A.B.\"]",
            "5: a.b stands in line 2, too; give it to one site, once",
        ),
        (
            "[[site]]\nnames = [\"a b\"]",
            "2: names does not take \"a b\"; ",
        ),
        (
            "[[site]]\nnames = 1",
            "2: names takes a text in quotes, or a list of such, not a number",
        ),
        (
            "[[site]]\ndefault = 1",
            "2: default takes true or false, not a number",
        ),
        ("[[site]]\nroot = \"gone\"", "2: the directory "),
        (
            "[[rule]]\nheader = \"A: b\"",
            "1: this rule has no path; say which paths it is for",
        ),
        (
            "[[rule]]\npath = \"a b\"\nheader = \"A: b\"",
            "2: path does not take \"a b\"; it begins",
        ),
        (
            "[[rule]]\npath = \"/**\"",
            "1: the rule for /** says nothing; add a key to it",
        ),
        (
            "[[rule]]\npath = \"/a\"\nheder = \"A: b\"",
            "3: there is no key \"heder\"; perhaps header",
        ),
        (
            "[[rule]]\npath = \"/a\"\nheaders = { Date = \"x\" }",
            "3: header does not take \"Date: x\"",
        ),
        (
            "[[rule]]\npath = \"/a\"\nheaders = { A = 1 }",
            "3: A takes a text in quotes",
        ),
        (
            "[[rule]]\npath = \"/a\"\nheader = \"A: b\"\nstatus = 301",
            "4: status means nothing here",
        ),
        (
            "[[rule]]\npath = \"/a\"\nredirect = \"/b\"\nstatus = \"x\"",
            "4: status takes a status",
        ),
        (
            "[[rule]]\npath = \"/a\"\nredirect = \"b\"",
            "3: redirect does not take \"b\"; ",
        ),
        (
            "[[rule]]\npath = \"/a\"\nerror-page = { 200 = \"/b\" }",
            "3: error-page does not take",
        ),
        (
            "[[rule]]\npath = \"/a\"\nmaintenance = \"x\"",
            "3: maintenance takes true or false",
        ),
    ] {
        let found = wrong(text);
        assert!(found[0].starts_with(expected), "{text:?} gave {found:?}");
        assert_eq!(found.len(), 1, "{text:?} gave {found:?}");
    }
}

#[test]
fn all_that_is_wrong_is_told_at_once() {
    let text = "rot = 1\nquiet = 1\ncache-size = \"x\"\n[[site]]\nspa = 1\n[[rule]]\npath = 1\n";
    let found = wrong(text);
    let lines: Vec<&str> = found
        .iter()
        .map(|one| one.split(':').next().unwrap())
        .collect();
    assert_eq!(lines, ["1", "2", "3", "5", "7"], "{found:?}");
    // What is right by itself, and not together.
    let text = "tls-cert = \"a\"\n[[site]]\nroot = \"gone\"\nspa = true\ntry = \"$path\"\n";
    let found = wrong(text);
    let lines: Vec<&str> = found
        .iter()
        .map(|one| one.split(':').next().unwrap())
        .collect();
    assert_eq!(lines, ["3", "4", "1"], "{found:?}");
}

#[test]
fn a_file_that_cannot_be_read_is_told() {
    let scratch = place("");
    let error = Asked::of_file(&scratch.path().join("gone")).unwrap_err();
    assert!(error.to_string().contains("cannot be read"), "{error}");
    std::fs::write(scratch.path().join("d.toml"), b"quiet = true\n# \xff\n").unwrap();
    let error = check_with(scratch.path(), &[]).unwrap_err();
    assert!(
        error.to_string().contains("d.toml:2: that is not UTF-8"),
        "{error}"
    );
    let long = "#".repeat(crate::base::limits::CONFIG_BYTES_MAX as usize + 1);
    std::fs::write(scratch.path().join("d.toml"), long).unwrap();
    let error = check_with(scratch.path(), &[]).unwrap_err();
    assert!(error.to_string().contains("is larger than"), "{error}");
}

#[test]
fn careful_sites_say_hsts_over_tls() {
    let tls = "tls-listen = \":443\"\nself-signed = true\n";
    let hsts = |more: &str| {
        let config = check(&format!("{tls}{more}")).unwrap();
        config.tls.unwrap().hsts
    };
    let year = Some("max-age=31536000".to_owned());
    assert_eq!(hsts(""), None);
    assert_eq!(hsts("security-headers = true"), year);
    let said = hsts("security-headers = true\nhsts = \"1h\"");
    assert_eq!(said.as_deref(), Some("max-age=3600"));
    let some = "[[site]]\nsecurity-headers = true\n[[site]]\nnames = \"a\"\n";
    assert_eq!(
        hsts(some),
        None,
        "a host that did not ask may not be able to"
    );
    assert!(check("security-headers = true").unwrap().tls.is_none());
}

/// The example of the guide.
fn example() -> String {
    let guide = include_str!("../../docs/configuration.md");
    let (_, example) = guide.split_once("```toml\n").unwrap();
    example.split_once("```").unwrap().0.to_owned()
}

#[test]
fn the_example_of_the_guide_is_right() {
    let config = check(&example()).unwrap();
    assert_eq!(config.sites.len(), 2);
    assert_eq!(config.default_site, None);
    assert!(config.tls.unwrap().hsts.is_some(), "security-headers");
    let rules = config.sites[0].rules.settings();
    assert_eq!((rules.redirects.len(), rules.fields.len()), (1, 3));
}

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

#[test]
fn the_schema_has_every_key_and_no_other() {
    let schema = schema();
    let keys_of = |schema: &Json| match schema.get("properties").unwrap() {
        Json::Object(members) => members
            .iter()
            .map(|(key, _)| key.clone())
            .collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    let serve = serve();
    let mut known: Vec<&str> = keys::keys(&serve).map(keys::name).collect();
    known.extend(["site", "rule"]);
    assert_eq!(keys_of(&schema), known);
    let items = |schema: &Json, key: &str| {
        let properties = schema.get("properties").unwrap();
        properties.get(key).unwrap().get("items").unwrap().clone()
    };
    let (of_site, rule) = (items(&schema, "site"), items(&schema, "rule"));
    let (site, mut rule_keys) = (site(), keys_of(&rule));
    let mut known: Vec<&str> = keys::keys(&site).map(keys::name).collect();
    known.extend(["names", "default", "rule"]);
    assert_eq!(keys_of(&of_site), known);
    let mut known: Vec<&str> = rule_table::KEYS.iter().map(|(key, _)| *key).collect();
    known.extend(rule_table::OWN_KEYS);
    known.sort_unstable();
    rule_keys.sort_unstable();
    assert_eq!(rule_keys, known);
}

#[test]
fn the_schema_takes_what_the_file_takes() {
    let schema = schema();
    let conforms = |text: &str| {
        let table = DeTable::parse(text).unwrap();
        fits(&DeValue::Table(table.into_inner()), &schema)
    };
    assert!(conforms(&example()));
    for (key, value) in SAMPLES {
        assert!(conforms(&format!("{key} = {value}")), "{key} = {value}");
    }
    for text in [
        "zzz = 1",
        "quiet = 1",
        "backlog = \"x\"",
        "backlog = -1",
        "watch = \"on\"",
        "root = [\"a\"]",
        "[[site]]\nworkers = 1",
        "[[rule]]\nheader = \"A: b\"",
    ] {
        assert!(!conforms(text), "{text}");
    }
}

/// As much of a validator as the schema needs; patterns are not looked at.
fn fits(value: &DeValue<'_>, schema: &Json) -> bool {
    let type_fits = match schema.get("type") {
        None => true,
        Some(Json::String(name)) => match value {
            DeValue::Integer(_) => name == "integer",
            DeValue::Table(_) => name == "object",
            other => name == other.type_str(),
        },
        other => panic!("{other:?}"),
    };
    let any_fits = match schema.get("anyOf") {
        Some(Json::Array(ways)) => ways.iter().any(|way| fits(value, way)),
        _ => true,
    };
    let enum_fits = match schema.get("enum") {
        Some(Json::Array(words)) => words.iter().any(|word| match (word, value) {
            (Json::String(word), DeValue::String(text)) => word == text,
            (Json::Number(word), DeValue::Integer(text)) => word.to_string() == text.as_str(),
            (Json::Fraction(word), DeValue::Float(text)) => word == text.as_str(),
            _ => false,
        }),
        _ => true,
    };
    let const_fits = schema.get("const").is_none() || value.as_bool() == Some(false);
    let least_fits = schema.get("minimum").is_none()
        || value
            .as_integer()
            .is_none_or(|number| !number.as_str().starts_with('-'));
    let items_fit = match (schema.get("items"), value) {
        (Some(items), DeValue::Array(array)) => array.iter().all(|one| fits(one.get_ref(), items)),
        _ => true,
    };
    let members_fit = value.as_table().is_none_or(|table| {
        let further = schema.get("additionalProperties");
        let fits_further = |value: &DeValue<'_>| match further {
            Some(Json::Boolean(allowed)) => *allowed,
            Some(schema) => fits(value, schema),
            None => true,
        };
        let has_all = match schema.get("required") {
            Some(Json::Array(names)) => names.iter().all(|name| match name {
                Json::String(name) => table.iter().any(|(key, _)| key.get_ref() == name),
                other => panic!("{other:?}"),
            }),
            _ => true,
        };
        let known = schema.get("properties");
        has_all
            && table.iter().all(|(key, value)| {
                match known.and_then(|known| known.get(key.get_ref())) {
                    Some(schema) => fits(value.get_ref(), schema),
                    None => fits_further(value.get_ref()),
                }
            })
    });
    type_fits && any_fits && enum_fits && const_fits && least_fits && items_fit && members_fit
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
