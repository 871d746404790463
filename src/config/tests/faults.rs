//! What is wrong with a file is told with its line, all at once.

use proptest::prelude::*;

use super::*;
use crate::base::limits;

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
        (
            "[[rule]]\npath = \"/a\"\nlimit = \"x\"",
            "3: limit does not take \"x\"; say how many",
        ),
        (
            "[[rule]]\npath = \"/a\"\ncors = [\"*\",\n\"*; credentials\"]",
            "4: cors does not take \"*; credentials\"; ",
        ),
        (
            "[[rule]]\npath = \"/a\"\nwritable = \"/b\"",
            "3: writable takes true or false, not a text",
        ),
        (
            "[[site]]\ntrusted-proxies = \"::1\"",
            "2: trusted-proxies is for all sites at once",
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
    let long = "#".repeat(limits::CONFIG_BYTES_MAX as usize + 1);
    std::fs::write(scratch.path().join("d.toml"), long).unwrap();
    let error = check_with(scratch.path(), &[]).unwrap_err();
    assert!(error.to_string().contains("is larger than"), "{error}");
}

/// What is wrong with a file: each line, and a part of its sentence.
#[track_caller]
fn assert_told(text: &str, expected: &[(usize, &str)]) {
    let told = wrong(text);
    assert_eq!(told.len(), expected.len(), "{text:?} gave {told:#?}");
    for (sentence, (line, part)) in told.iter().zip(expected) {
        let is_there = sentence.starts_with(&format!("{line}: ")) && sentence.contains(part);
        assert!(is_there, "{text:?} gave {told:#?}");
        assert!(!sentence.contains('\n'), "{sentence:?}");
    }
}

#[test]
fn what_contradicts_itself_has_its_line_too() {
    for (text, line, part) in [
        (
            "root = 'www'\nspa = true\ntry = '$path'",
            2,
            "two ways to say what is tried (lines 2 and 3)",
        ),
        ("\nroot = 'nowhere'", 2, "nowhere does not exist"),
        ("mount = [\n'/a=www',\n'/b=gone']", 3, "gone does not exist"),
        ("mount = [\n'/a=www',\n'/a=app']", 3, "twice (line 2)"),
        ("try = [\n'$path =404',\n'$path']", 2, "stands last"),
        ("\ntls-listen = ':443'", 2, "needs a certificate"),
        (
            "engine = 'epoll'\nsqpoll = '10ms'",
            2,
            "--sqpoll means nothing",
        ),
        ("\ncpus = '9'", 2, "--cpus names processor 9"),
    ] {
        assert_told(text, &[(line, part)]);
    }
}

#[test]
fn a_contradiction_of_flags_has_no_line() {
    let scratch = place("quiet = true");
    let error = check_with(scratch.path(), &["--tls-cert", "a"]).unwrap_err();
    assert!(error.to_string().starts_with("--tls-cert means"), "{error}");
}

#[test]
fn faults_of_a_site_have_the_lines_of_their_keys() {
    assert_told(
        "mount = ['/m=gone', '/n=lost']\n[[site]]\nnames = 'a'\nroot = 'nowhere'\n[[site]]\n\
         spa = true\ntry = '$path'\n[[site]]\nnames = 'b'\n\
         mount = ['/m=www',\n'/m=app',\n'/n=gone']\n[[site]]\nnames = 'c'",
        &[
            // What is wrong for all sites is told once.
            (1, "gone does not exist"),
            (1, "lost does not exist"),
            (4, "nowhere does not exist"),
            (6, "(lines 6 and 7)"),
            (11, "--mount names /m twice (line 10)"),
            (12, "gone does not exist"),
        ],
    );
}

#[test]
fn all_faults_are_told_in_the_order_of_their_lines() {
    assert_told(
        "[[rule]]\npath = '/a'\nheader = 'x'\n[[site]]\nxyzzy = 1\nroot = 2\n\
         [[site]]\nindex = '/'\n[[site.rule]]\nheader = 'A: b'",
        &[
            (3, "header"),
            (5, "xyzzy"),
            (6, "root"),
            (8, "index"),
            (9, "no path"),
        ],
    );
    // A key that stands there twice does not hide the rest.
    assert_told(
        "quiet = 1\nport = 1\nport = 2",
        &[(1, "quiet takes"), (3, "second time")],
    );
}

#[test]
fn values_are_refused_where_they_stand() {
    for (text, line, part) in [
        ("Quiet = true", 1, "perhaps quiet is meant"),
        ("default = true", 1, "write [[site]] above it"),
        ("[tls]\ncert = 'a'", 1, "no key \"tls\""),
        ("workers = true", 1, "or \"auto\", not true or false"),
        ("header = { A = 'b' }", 1, "not a table"),
        ("index = [['a']]", 1, "not a list"),
        ("root = 1", 1, "a path in quotes, not a number"),
        ("backlog = -1", 1, "backlog does not take \"-1\""),
        ("site = 1", 1, "write [[site]] above each"),
        ("rule = ['a']", 1, "write [[rule]] above each"),
        ("[[site]]\nnames = [\n'a b']", 3, "names does not take"),
        ("\n\nlisten = 'a", 3, "this is not TOML"),
        ("= 1", 1, "this is not TOML"),
    ] {
        assert_told(text, &[(line, part)]);
    }
    for (key, part) in [
        ("header = ''", "header does not take"),
        ("cache-control = ''", "cache-control does not take"),
        ("redirect = ''", "redirect does not take"),
        ("headers = 1", "headers takes a table"),
        ("headers.A = true", "or false to take the field away"),
        ("error-page = { 404 = 1 }", "404 takes a page"),
        ("redirect = '/b'\nstatus = 999", "redirect does not take"),
    ] {
        assert_told(&format!("[[rule]]\npath = '/a'\n{key}"), &[(3, part)]);
    }
}

#[test]
fn more_than_there_may_be_is_told() {
    let sites = |count: usize| -> String {
        let site = |number| format!("[[site]]\nnames = '{number}.example'\n");
        (0..count).map(site).collect()
    };
    let most = place(&sites(limits::SITES_MAX));
    below(most.path(), &[]).unwrap();
    assert_told(
        &sites(limits::SITES_MAX + 1),
        &[(1, "there are more than 1024 sites")],
    );
    let list = |count: usize, text: &str| vec![format!("'{text}'"); count].join(",");
    let names = list(limits::SITE_NAMES_MAX + 1, "a");
    assert!(wrong(&format!("[[site]]\nnames = [{names}]"))[0].contains("more than 256 hosts"));
    let tags: Vec<String> = (0..=limits::LANGUAGES_MAX)
        .map(|number| format!("'de-{number}'"))
        .collect();
    let languages = format!("[[site]]\nlanguage = [{}]", tags.join(","));
    assert_told(&languages, &[(2, "--language names more than 64")]);
    // Of rules that no flag holds, the last are too many.
    let fields = list(limits::SITE_RULES_MAX, "A: b");
    let rule = |fields: &str| format!("[[site.rule]]\npath = '/**'\nheader = [{fields}]\n");
    let one = rule("'A: b'");
    assert_told(
        &format!("[[site]]\n{}{one}[[site]]\nnames = 'a'", rule(&fields)),
        &[(7, "--header is said 16385 times for one site")],
    );
    let said = format!("header = [{fields}]\n[[site]]\n{one}");
    assert_told(&said, &[(1, "--header is said 16385 times for one site")]);
}

/// Pieces that files are made of, and some that they are not.
const PIECES: &[&str] = &[
    "[[site]]",
    "[[rule]]",
    "[[site.rule]]",
    "[site]",
    "\n",
    "\n",
    "\n",
    " = ",
    " = ",
    "names",
    "root",
    "path",
    "header",
    "headers",
    "status",
    "error-page",
    "maintenance",
    "spa",
    "try",
    "mount",
    "port",
    "index",
    "workers",
    "'a'",
    "'/a'",
    "''",
    "\"*.a\"",
    "'/a=b'",
    "'A: b'",
    "1",
    "-1",
    "0x7fffffffffffffff",
    "1e9",
    "true",
    "false",
    "[",
    "]",
    "{",
    "}",
    ",",
    ".",
    "# é\n",
    "'",
    "\"",
    "\"\"\"",
    "404",
    "1979-05-27",
    "\u{0}",
    "\r",
    "=",
];

fn pieces() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(PIECES);
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn any_text_is_fine_or_wrong_in_a_line_that_it_has(
        text in prop_oneof![pieces(), "\\PC{0,64}".boxed()],
    ) {
        let scratch = place(&text);
        if let Err(error) = check_with(scratch.path(), &[]) {
            prop_assert_eq!(error.exit_code, 2);
            let lines = 1 + text.matches('\n').count();
            for sentence in error.sentences() {
                let place = sentence.split("d.toml:").nth(1);
                let line = place.and_then(|place| place.split(':').next());
                let line: Option<usize> = line.and_then(|line| line.parse().ok());
                let is_there = line.is_some_and(|line| (1..=lines).contains(&line));
                prop_assert!(is_there, "{}", sentence);
            }
        }
    }

    #[test]
    fn any_bytes_are_answered_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let scratch = place("");
        std::fs::write(scratch.path().join("d.toml"), bytes).unwrap();
        let _ = check_with(scratch.path(), &[]);
    }
}
