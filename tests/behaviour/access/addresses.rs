//! Who is let in by where they come from, and whose word about that is taken.

use super::*;

fn site() -> Site {
    Site::of(&[("a", b"alpha"), ("admin/b", b"beta"), ("inner/c", b"")])
}

pub(crate) fn lists_of_addresses_keep_out(engine: Engine) {
    let (site, keys) = (site(), Keys::new());
    let flags = lines(
        "--allow=/admin/** 127.0.0.2 10.0.0.0/8
         --deny=/** 127.0.1.0/24
         --deny=/inner/** any",
    );
    let server = keys.server(engine, &site, &flags);
    for (source, statuses) in [
        ("127.0.0.1", [200, 403, 403, 404]),
        ("127.0.0.2", [200, 200, 403, 404]),
        ("127.0.1.7", [403, 403, 403, 403]),
    ] {
        let mut client = connect_from(source, server.address());
        let paths = ["/a", "/admin/b", "/inner/c", "/none"];
        for (path, status) in paths.into_iter().zip(statuses) {
            let what = format!("{path} from {source}");
            assert_eq!(client.say("GET", path, &[]).status, status, "{what}");
            let hit = client.say("HEAD", path, &[]);
            assert_eq!(hit.status, status, "{what}");
            let encoded = format!("/%{:02x}{}", path.as_bytes()[1], &path[2..]);
            assert_eq!(client.say("GET", &encoded, &[]).status, status, "{what}");
            // Nobody's word is taken.
            let claims = [
                ("X-Forwarded-For", "127.0.0.2"),
                ("Forwarded", "for=127.0.0.2"),
                ("X-Real-IP", "127.0.0.2"),
            ];
            assert_eq!(client.say("GET", path, &claims).status, status, "{what}");
        }
    }
    for (name, mut wire) in all_ways(&server, &keys) {
        assert_eq!(wire.say("GET", "/a", &[]).status, 200, "{name}");
        let refused = wire.say("GET", "/admin/b", &[]);
        assert_eq!(refused.status, 403, "{name}");
        assert_ne!(refused.body, b"beta");
    }
}

#[test]
fn a_trusted_proxy_says_who_comes() {
    let site = site();
    let log = site.outside("access.log");
    let log = log.to_str().unwrap();
    for (by, flags) in [
        ("x-forwarded-for", &[][..]),
        ("forwarded", &["--forwarded-by", "forwarded"]),
    ] {
        std::fs::write(log, "").unwrap();
        let own = [
            "--trusted-proxies",
            "127.0.0.1, 10.0.0.0/8",
            "--allow",
            "/admin/** 192.0.2.0/24 2001:db8::/32",
            "--access-log",
            "json",
            "--log-file",
            log,
        ];
        let server = Server::of(ENGINE, &site, &[&own[..], flags].concat());
        let field = |addresses: &str| match by {
            "forwarded" => addresses
                .split(", ")
                .map(|address| match address.contains(':') {
                    true => format!("for=\"[{address}]:4711\";proto=https"),
                    false => format!("For={address}"),
                })
                .collect::<Vec<_>>()
                .join(", "),
            _ => addresses.to_owned(),
        };
        let mut expected = Vec::new();
        let mut ask = |source: &str, addresses: &str, client: &str, status: u16| {
            let value = field(addresses);
            let mut wire = connect_from(source, server.address());
            let got = wire.say("GET", "/admin/b", &[(by, &value)]);
            assert_eq!(got.status, status, "{by} {addresses} from {source}");
            expected.push(client.to_owned());
        };
        ask("127.0.0.1", "192.0.2.7", "192.0.2.7", 200);
        ask("127.0.0.1", "192.0.2.7, 10.0.0.3", "192.0.2.7", 200);
        ask("127.0.0.1", "2001:db8::7", "2001:db8::7", 200);
        // Only what the nearest proxies have put behind it counts.
        ask("127.0.0.1", "192.0.2.7, 198.51.100.1", "198.51.100.1", 403);
        ask("127.0.0.1", "192.0.2.7, unknown", "127.0.0.1", 403);
        ask("127.0.0.2", "192.0.2.7", "127.0.0.2", 403);
        let other = match by {
            "forwarded" => ("X-Forwarded-For", "192.0.2.7"),
            _ => ("Forwarded", "for=192.0.2.7"),
        };
        let mut wire = server.connect();
        assert_eq!(wire.say("GET", "/admin/b", &[other]).status, 403);
        expected.push("127.0.0.1".to_owned());
        // Each request of one connection, over each protocol, is its own client's.
        for (_, mut wire) in both_ways(&server) {
            for (address, status) in [("192.0.2.1", 200), ("198.51.100.1", 403)] {
                let value = field(address);
                assert_eq!(wire.say("GET", "/admin/b", &[(by, &value)]).status, status);
                expected.push(address.to_owned());
            }
        }
        crate::rig::eventually("all lines", || json_lines(log).len() == expected.len());
        let lines = json_lines(log);
        let addresses: Vec<&str> = lines
            .iter()
            .filter_map(|line| line["address"].as_str())
            .collect();
        assert_eq!(addresses, expected, "{by}");
    }
}

/// A listener for both sees IPv4 clients inside of IPv6 addresses.
#[test]
fn an_ipv4_client_of_an_ipv6_listener_is_one() {
    if std::net::TcpListener::bind("[::1]:0").is_err() {
        return; // There is no IPv6 here.
    }
    let site = site();
    let log = site.outside("access.log");
    let log = log.to_str().unwrap();
    let mut command = serve(binary(), ENGINE);
    let flags = format!(
        "--listen=[::]:0
         --deny=/admin/** 127.0.0.0/8
         --deny=/inner/** ::1
         --access-log=json
         --log-file={log}"
    );
    let server = Server::start(command.args(lines(&flags)).arg(site.root()));
    let port = server.address().port();
    for (address, statuses) in [("127.0.0.1", [403, 200]), ("::1", [200, 403])] {
        let mut client = connect_from(address, SocketAddr::new(address.parse().unwrap(), port));
        for (path, status) in ["/admin/b", "/inner/c"].into_iter().zip(statuses) {
            let got = client.say("GET", path, &[]).status;
            assert_eq!(got, status, "{path} from {address}");
        }
    }
    crate::rig::eventually("all lines", || json_lines(log).len() == 4);
    let lines = json_lines(log);
    assert_eq!(
        (&lines[0]["address"], &lines[2]["address"]),
        (&"127.0.0.1".into(), &"::1".into())
    );
}

#[test]
fn wrong_networks_are_told_at_the_start() {
    let site = site();
    for (flag, text) in [
        ("--allow", "/a/**"),
        ("--deny", "10.0.0.1/8"),
        ("--deny", "localhost"),
        ("--trusted-proxies", "10.0.0.0/33"),
    ] {
        let said = refusal(&site, &[flag, text]);
        assert!(said.contains(&format!("{flag} does not take")), "{said}");
    }
}
