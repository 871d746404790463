//! What is wrong with a file is told with its line, all at once.

use super::*;

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
