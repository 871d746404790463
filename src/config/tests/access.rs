//! Access, writing and the record: what sites and the server are given, and what contradicts.

use std::time::Duration;

use super::*;

#[test]
fn without_flags_nothing_is_said_about_access() {
    let config = check("").unwrap();
    let [site] = &config.access[..] else {
        panic!("{:?}", config.access);
    };
    let plain = AccessTexts {
        credentials: CredentialTexts {
            jwt_leeway: Duration::from_secs(60),
            jwt_user_claim: "sub".to_owned(),
            realm: "downpour".to_owned(),
            ..CredentialTexts::default()
        },
        writing: SiteWriting {
            body_bytes_max: 16 << 20,
            patch_bytes_max: 1 << 20,
            ..SiteWriting::default()
        },
        ..AccessTexts::default()
    };
    assert_eq!(*site, plain);
    assert_eq!(config.record, RecordConfig::default());
    assert_eq!(config.writing, WritingConfig::default());
    let server = &config.server_access;
    assert!(server.trusted_proxies.is_empty() && !server.has_proxy_protocol);
    assert_eq!(server.requests_in_flight_max, None);
    assert_eq!(server.limit_bytes_max, 64 << 20);
    assert_eq!(config.timeouts.body, Duration::from_secs(30));
}

#[test]
fn rules_of_access_stand_in_the_order_in_which_the_last_counts() {
    let text = "limit = '1/s'\ncors = 'https://top.example'\nallow = '10.0.0.0/8'\n\
                allow-anonymous-writes = true\n\
                [[rule]]\npath = '/a/**'\nlimit = ['2/s', '3/s by=user']\nwritable = true\n\
                access = 'read=user:ada'\nforward-auth = 'http://a'\n\
                [[site]]\nnames = 'a.example'\ncors = []\nwritable = '/n/**'\n\
                [[site.rule]]\npath = '*'\nlimit = '4/s'\ndeny = '::1 ::2'\ncors = '*'\n\
                [[site.rule]]\npath = '/w'\nwritable = true\n\
                [[site]]\n";
    let config = check(text).unwrap();
    let [one, two] = &config.access[..] else {
        panic!("{:?}", config.access);
    };
    assert_eq!(config.sites.len(), 2, "in the same order");
    assert_eq!(
        one.limits,
        ["1/s", "/a/** 2/s", "/a/** 3/s by=user", "** 4/s"]
    );
    assert_eq!(two.limits, ["1/s", "/a/** 2/s", "/a/** 3/s by=user"]);
    assert_eq!(one.cors, ["** *"], "an asterisk alone is an origin");
    assert_eq!(two.cors, ["https://top.example"]);
    assert_eq!(one.deny, ["** ::1 ::2"]);
    assert_eq!(one.allow, ["10.0.0.0/8"]);
    assert_eq!(one.writing.writable, ["/n/**", "/a/**", "/w"]);
    assert_eq!(two.writing.writable, ["/a/**"]);
    assert_eq!(one.access, ["/a/** read=user:ada"]);
    assert_eq!(one.forward_auth, ["/a/** http://a"]);
}

#[test]
fn who_writes_is_said_one_way_or_the_other() {
    let writable = "root = 'www'\nwritable = '/notes/**'\n";
    let told = wrong(writable);
    assert_eq!(told.len(), 1);
    for part in ["2: --writable", "--access", "--allow-anonymous-writes"] {
        assert!(told[0].contains(part), "{told:?}");
    }
    // Reading says nothing about it.
    assert!(wrong(&format!("{writable}access = 'read=user:ada'"))[0].starts_with("2: --writable"));
    for right in [
        "access = 'write=user:ada'",
        "allow-anonymous-writes = true",
        "[[rule]]\npath = '/notes/**'\naccess = 'read=anyone write=user:ada'",
    ] {
        check(&format!("{writable}{right}")).unwrap();
    }
    // Of tables, the line of the last that says it.
    let tables = "[[site]]\n[[site.rule]]\npath = '/a'\nwritable = true\n\
                  [[site]]\nnames = 'b'\naccess = 'write=user:ada'\nwritable = '/a'\n";
    let told = wrong(tables);
    assert!(
        told.len() == 1 && told[0].starts_with("4: --writable"),
        "{told:?}"
    );
    let scratch = place("");
    let error = check_with(scratch.path(), &["--writable", "/a"]).unwrap_err();
    assert!(error.to_string().starts_with("--writable lets"), "{error}");
}

#[test]
fn what_means_nothing_is_told_with_its_line() {
    for (text, expected) in [
        (
            "\njwt-audience = 'a'",
            "2: --jwt-audience means nothing without --jwt-key",
        ),
        (
            "[[site]]\njwt-issuer = 'a'",
            "2: --jwt-issuer means nothing without --jwt-key",
        ),
        (
            "forward-auth-copy = 'X-User'",
            "1: --forward-auth-copy means nothing without --forward-auth",
        ),
        (
            "client-cert-users = true",
            "1: --client-cert-users means nothing without --tls-client-ca",
        ),
        (
            "log-file = 'a'",
            "1: --log-file means nothing without --access-log",
        ),
        (
            "idempotency-time = '1h'",
            "1: --idempotency-time means nothing without --state-dir",
        ),
        (
            "\nidempotency-size = '1M'",
            "2: --idempotency-size means nothing without --state-dir",
        ),
        (
            "port = 9090\nmetrics = ':9090/metrics'",
            "2: --metrics is at [::]:9090, where requests are taken",
        ),
    ] {
        let told = wrong(text);
        assert!(
            told.len() == 1 && told[0].starts_with(expected),
            "{text:?} gave {told:?}"
        );
    }
    // What holds for all sites may mean nothing to some of them.
    let some = "jwt-audience = 'a'\n[[site]]\njwt-key = 'k'\n[[site]]\nnames = 'b'\n";
    check(some).unwrap();
    check("log-file = '-'").unwrap();
}

#[test]
fn the_server_is_given_what_is_for_all_sites() {
    let text = "trusted-proxies = ['10.0.0.0/8, ::1', 'fe80::/10']\nproxy-protocol = 'on'\n\
                max-in-flight = 9\nmax-connections-per-address = 8\nsend-rate = '1M'\n\
                limit-memory = '8M'\nbody-timeout = '3s'\naccess-log = 'combined'\n\
                log-file = 'a.log'\nmetrics = '127.0.0.1:9090/m'\nhealth = '/h'\n\
                request-id = true\nstate-dir = 'state'\nidempotency-size = '1M'\n";
    let scratch = place(text);
    let (_, config) = check_with(scratch.path(), &[]).unwrap();
    let expected = ServerAccess {
        forwarded_by: crate::access::address::ForwardedBy::XForwardedFor,
        trusted_proxies: ["10.0.0.0/8", "::1", "fe80::/10"].map(str::to_owned).into(),
        has_proxy_protocol: true,
        requests_in_flight_max: Some(9),
        connections_per_address_max: Some(8),
        send_bytes_max: Some(1 << 20),
        limit_bytes_max: 8 << 20,
    };
    assert_eq!(config.server_access, expected);
    assert_eq!(config.timeouts.body, Duration::from_secs(3));
    let record = RecordConfig {
        access_log: AccessLog::Combined,
        log_file: Some(scratch.path().join("a.log")),
        metrics: Some(MetricsPlace {
            listen: "127.0.0.1:9090".parse().unwrap(),
            path: "/m".to_owned(),
        }),
        health: Some("/h".to_owned()),
        says_request_id: true,
    };
    assert_eq!(config.record, record);
    let kept = IdempotencyConfig {
        directory: scratch.path().join("state"),
        time: Duration::from_secs(24 * 60 * 60),
        bytes_max: 1 << 20,
    };
    assert_eq!(config.writing.idempotency, Some(kept));
}

#[test]
fn switches_and_files_are_said_on_the_command_line() {
    let scratch = place("");
    for (words, expected) in [
        (&["--proxy-protocol"][..], true),
        (&["--proxy-protocol", "on"], true),
        (&["--proxy-protocol", "off"], false),
        (&["--proxy-protocol=true"], true),
        (&["--proxy-protocol", "false"], false),
        (&[], false),
    ] {
        let (_, config) = check_with(scratch.path(), words).unwrap();
        assert_eq!(
            config.server_access.has_proxy_protocol, expected,
            "{words:?}"
        );
    }
    let words = [
        "--users",
        "u",
        "--tokens",
        "t",
        "--jwt-key",
        "a",
        "--jwt-key=b",
    ];
    let (_, config) = check_with(scratch.path(), &words).unwrap();
    let here = std::path::absolute(".").unwrap();
    let credentials = &config.access[0].credentials;
    assert_eq!(credentials.users, Some(here.join("u")));
    assert_eq!(credentials.tokens, Some(here.join("t")));
    assert_eq!(credentials.jwt_keys, [here.join("a"), here.join("b")]);
}

#[test]
fn more_rules_of_access_than_there_may_be_are_told() {
    let many = vec!["'1/s'"; crate::base::limits::SITE_RULES_MAX + 1].join(",");
    let told = wrong(&format!("limit = [{many}]"));
    assert_eq!(told.len(), 1);
    assert!(
        told[0].starts_with("1: --limit is said 16385 times for one site"),
        "{told:?}"
    );
}

#[test]
fn what_is_shown_of_access_is_the_same_configuration() {
    let text = "access-log = 'json'\nlog-file = 'l'\nstate-dir = 's'\nproxy-protocol = 'on'\n\
                [[rule]]\npath = '*'\ncors = ['*', 'https://a.example; max-age=5m']\n\
                writable = true\naccess = 'write=user:ada'\n\
                [[site]]\nusers = 'u'\nrealm = 'R'\n\
                [[site.rule]]\npath = '/a/**'\nallow = ['::1', '::2']\nlimit = '1/s by=path'\n";
    let scratch = place(text);
    let (asked, config) = check_with(scratch.path(), &[]).unwrap();
    let shown = show::show(&asked);
    assert_eq!(shown.matches("\n# Access\n").count(), 1, "{shown}");
    assert!(shown.contains("\nwritable = true # "), "{shown}");
    std::fs::write(scratch.path().join("d.toml"), &shown).unwrap();
    let (_, same) = check_with(scratch.path(), &[]).unwrap();
    assert_eq!(format!("{same:?}"), format!("{config:?}"), "{shown}");
}
