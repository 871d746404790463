//! Flag over environment over file over default, key by key.

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
