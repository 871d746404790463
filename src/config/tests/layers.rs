//! Flag over environment over file over default, key by key.

use super::keys::Form;
use super::*;

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
            "jwt-audience" | "jwt-issuer" => "jwt-key = 'k'",
            "forward-auth-copy" => "forward-auth = 'http://a'",
            "writable" => "access = 'write=user:ada'",
            _ => "",
        };
        // What is not a site's own stands above, for there to be something to hold it against.
        let above = match key {
            "client-cert-users" => "tls-listen = ':443'; self-signed = true; tls-client-ca = 'ca'",
            _ => "",
        };
        let above = above.replace("; ", "\n");
        let text = format!("[[site]]\n{key} = {value}\n{further}\n");
        let scratch = place(&format!("{above}\n{text}"));
        let (asked, config) = check_with(scratch.path(), &[]).unwrap();
        let line = 3 + above.matches('\n').count();
        let settings = &asked.file.as_ref().unwrap().sites[0].settings;
        let setting = settings.get(flag.get_id().as_str()).unwrap();
        assert_eq!(setting.origin.line(), Some(line), "{key}");
        let plain = check(&format!("[[site]]\n{further}\n")).unwrap();
        let shown = |config: &Config| format!("{:?}", (&config.sites, &config.access));
        assert_ne!(shown(&config), shown(&plain), "{key} means nothing");
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
fn every_key_can_be_said_in_every_way_that_its_flag_can() {
    let serve = serve();
    for flag in keys::keys(&serve) {
        let (key, id) = (keys::name(flag), flag.get_id().as_str());
        for form in keys::forms(flag) {
            let (value, expected) = match &form {
                Form::Boolean => ("true".to_owned(), "true"),
                Form::Count => ("64".to_owned(), "64"),
                Form::Port => ("8080".to_owned(), "8080"),
                Form::Size => ("\"4K\"".to_owned(), "4K"),
                Form::Word(word) => (format!("{word:?}"), word.as_str()),
                Form::Time | Form::Path | Form::Text => continue, // As the samples say them.
            };
            let scratch = place(&format!("{key} = [\n{value},\n{value}]"));
            let asked = below(scratch.path(), &[]);
            if !keys::is_list(flag) {
                let told = asked.unwrap_err().to_string();
                assert!(told.contains("not a list"), "{told}");
                let scratch = place(&format!("{key} = {value}"));
                let settings = below(scratch.path(), &[]).unwrap().settings;
                assert_eq!(texts(&settings, id), [expected], "{key}");
                continue;
            }
            let settings = asked.unwrap().settings;
            assert_eq!(texts(&settings, id), [expected, expected], "{key}");
            assert_eq!(settings.get(id).unwrap().lines, [2, 3], "{key}");
        }
    }
}

#[test]
fn numbers_are_written_as_in_toml() {
    for (value, id, text) in [
        ("max-connections = 0x40", "max_connections", "64"),
        ("max-connections = 1_000", "max_connections", "1000"),
        ("max-connections = 0b1000000", "max_connections", "64"),
        ("max-connections = \"64\"", "max_connections", "64"),
        ("tls-min-version = 1.3", "tls_min_version", "1.3"),
        ("unknown-host = 421", "unknown_host", "421"),
        ("cache-size = 65536", "cache_size", "65536"),
    ] {
        let settings = below(place(value).path(), &[]).unwrap().settings;
        assert_eq!(texts(&settings, id), [text], "{value}");
    }
}

#[test]
fn the_environment_stands_between_flag_and_file() {
    let (flag, environment) = (Origin::Flag, Origin::Environment);
    let scratch = place("workers = 3\nindex = [\"c\", \"d\"]\n");
    for (said, workers) in [
        (&[("workers", flag, &["1"][..])][..], 1),
        (&[("workers", environment, &["2"])], 2),
        (&[("workers", Origin::Default, &["auto"])], 3),
        (&[], 3),
    ] {
        let asked = below(scratch.path(), said).unwrap();
        assert_eq!(asked.args.workers.0, Some(workers), "{said:?}");
    }
    // A list is replaced as a whole.
    for (said, index) in [
        (&[("index", flag, &["a"][..])][..], &["a"][..]),
        (&[("index", environment, &["b", "e"])], &["b", "e"]),
        (&[("index", Origin::Default, &["index.html"])], &["c", "d"]),
        (&[], &["c", "d"]),
    ] {
        let settings = below(scratch.path(), said).unwrap().settings;
        assert_eq!(texts(&settings, "index"), index, "{said:?}");
    }
}

#[test]
fn who_says_one_flag_of_a_group_has_said_them_all() {
    let (flag, environment) = (Origin::Flag, Origin::Environment);
    let text = "port = 80\ntry = \"$path =404\"\ntls-cert = \"c\"\ntls-key = \"k\"\n";
    let scratch = place(text);
    let left = |said: &[(&str, Origin, &[&str])]| {
        let settings = below(scratch.path(), said).unwrap().settings;
        let group = "listen port self_signed spa tls_cert tls_key tries".split(' ');
        let left: Vec<&str> = group.filter(|id| settings.get(id).is_some()).collect();
        left.join(" ")
    };
    for (said, expected) in [
        (&[][..], "port tls_cert tls_key tries"),
        (
            &[("listen", flag, &["[::]:1"][..])][..],
            "listen tls_cert tls_key tries",
        ),
        (
            &[("port", flag, &["1"]), ("listen", environment, &["fd:3"])],
            "port tls_cert tls_key tries",
        ),
        (
            &[("port", flag, &["1"]), ("listen", flag, &["fd:3"])],
            "listen port tls_cert tls_key tries",
        ),
        (
            &[("spa", environment, &["true"])],
            "port spa tls_cert tls_key",
        ),
        (&[("tls_cert", flag, &["d"])], "port tls_cert tries"),
        (
            &[("self_signed", flag, &["true"])],
            "port self_signed tries",
        ),
        // What is switched off replaces nothing, and neither does a default.
        (
            &[("self_signed", flag, &["false"]), ("spa", flag, &["false"])],
            "port self_signed spa tls_cert tls_key tries",
        ),
        (
            &[("spa", Origin::Default, &["true"])],
            "port spa tls_cert tls_key tries",
        ),
    ] {
        assert_eq!(left(said), expected, "{said:?}");
    }
}

#[test]
fn groups_need_no_file() {
    let mut said = Settings::default();
    let mut set = |id: &str, origin, text: &str| {
        said.set(id, Setting::new(vec![text.into()], origin));
    };
    set("spa", Origin::Environment, "true");
    set("tries", Origin::Flag, "$path =404");
    let settings = Asked::new(&said, None).unwrap().settings;
    assert!(settings.get("spa").is_none());
    assert_eq!(texts(&settings, "tries"), ["$path =404"]);
}

#[test]
fn paths_begin_at_the_file() {
    let text = "root = 'www'\nmount = ['/a=app', '/b=/abs']\nlisten = ['unix:d.sock', 'fd:3']\n\
                tls-cert = '../c.pem'\ncompress-dir = 'z'\nmaintenance-when = 'off'\n\
                users = 'u'\njwt-key = ['k']\nlog-file = 'l'\nstate-dir = 's'\n";
    let scratch = place(text);
    let settings = below(scratch.path(), &[]).unwrap().settings;
    let at = |path: &str| scratch.path().join(path).display().to_string();
    for (id, expected) in [
        ("root", &[at("www")][..]),
        (
            "mount",
            &[format!("/a={}", at("app")), "/b=/abs".to_owned()],
        ),
        (
            "listen",
            &[format!("unix:{}", at("d.sock")), "fd:3".to_owned()],
        ),
        ("tls_cert", &[at("../c.pem")]),
        ("compress_dir", &[at("z")]),
        ("maintenance_when", &[at("off")]),
        ("users", &[at("u")]),
        ("jwt_key", &[at("k")]),
        ("log_file", &[at("l")]),
        ("state_dir", &[at("s")]),
    ] {
        assert_eq!(texts(&settings, id), expected, "{id}");
    }
}
