//! The PROXY protocol, and how many connections one address may have.

use std::thread::sleep;
use std::time::Duration;

use super::*;
use crate::client::{End, connect_tcp};
use crate::rig::eventually;
use crate::tls_client::stream;

const ALLOW: &str = "/admin/** 192.0.2.0/24 2001:db8::/32";

fn site() -> Site {
    Site::of(&[("a", b"alpha"), ("admin/b", b"beta")])
}

/// A header of version 2.
fn v2(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
    header.extend_from_slice(&[command, family]);
    header.extend_from_slice(&(block.len() as u16).to_be_bytes());
    header.extend_from_slice(block);
    header
}

/// From 192.0.2.7 and with something behind the addresses.
fn v2_of_v4() -> Vec<u8> {
    let addresses = [192, 0, 2, 7, 127, 0, 0, 1, 0x12, 0x34, 0, 80];
    v2(0x21, 0x11, &[&addresses[..], &[0x04, 0, 2, 1, 2]].concat())
}

fn v2_of_v6() -> Vec<u8> {
    let mut block = [0; 36];
    block[..4].copy_from_slice(&[0x20, 0x01, 0x0d, 0xb8]);
    block[15] = 7;
    v2(0x21, 0x21, &block)
}

const V1: &[u8] = b"PROXY TCP4 192.0.2.7 127.0.0.1 4711 80\r\n";
const V1_OF_V6: &[u8] = b"PROXY TCP6 2001:db8::7 ::1 4711 80\r\n";
const V1_OF_ANOTHER: &[u8] = b"PROXY TCP4 198.51.100.1 127.0.0.1 4711 80\r\n";

/// Nine requests behind this header, over every protocol.
fn ask_behind(header: &[u8], server: &Server, keys: &Keys, status: u16) {
    let open = |address| {
        let mut socket = connect_tcp(address);
        socket.write_all(header).unwrap();
        socket
    };
    let secure = |protocol| {
        let config = keys.config(&rustls::version::TLS13, protocol);
        stream(&config, open(server.tls_address()))
    };
    // In one write with what follows, and alone.
    let mut joined = server.connect();
    joined.send([header, b"GET /admin/b HTTP/1.1\r\nHost: a\r\n\r\n"].concat());
    assert_eq!(joined.answer().status, status, "{}", header.escape_ascii());
    let mut clear = Client::new(open(server.address()));
    sleep(Duration::from_millis(20));
    let mut streams = Http2::begin(open(server.address()), &[]);
    let mut http1 = Client::new(secure("http/1.1"));
    let mut http2 = Http2::begin(secure("h2"), &[]);
    let wires: [&mut dyn Speaks; 4] = [&mut clear, &mut http1, &mut streams, &mut http2];
    for wire in wires {
        for _ in 0..2 {
            let answer = wire.say("GET", "/admin/b", &[]);
            assert_eq!(answer.status, status, "{}", header.escape_ascii());
        }
    }
}

pub(crate) fn a_header_before_everything_says_who_comes(engine: Engine) {
    let (site, keys) = (site(), Keys::new());
    let log = site.outside("access.log");
    let log = log.to_str().unwrap();
    let flags = format!(
        "--proxy-protocol
         --allow={ALLOW}
         --access-log=json
         --log-file={log}"
    );
    let server = keys.server(engine, &site, &lines(&flags));
    let headers: [(&[u8], &str, u16); 6] = [
        (V1, "192.0.2.7", 200),
        (V1_OF_V6, "2001:db8::7", 200),
        (V1_OF_ANOTHER, "198.51.100.1", 403),
        (b"PROXY UNKNOWN\r\n", "127.0.0.1", 403),
        (&v2_of_v4(), "192.0.2.7", 200),
        (&v2_of_v6(), "2001:db8::7", 200),
    ];
    let mut expected = Vec::new();
    for (header, address, status) in headers {
        ask_behind(header, &server, &keys, status);
        expected.extend(std::iter::repeat_n(address, 9));
    }
    // In any pieces.
    for header in [V1, &v2_of_v4()] {
        let mut client = server.connect();
        for byte in header {
            client.send([*byte]);
            sleep(Duration::from_millis(1));
        }
        assert_eq!(client.say("GET", "/admin/b", &[]).status, 200);
        expected.push("192.0.2.7");
    }
    eventually("all lines", || json_lines(log).len() >= expected.len());
    let lines = json_lines(log);
    let addresses = lines.iter().filter_map(|line| line["address"].as_str());
    let mut addresses: Vec<&str> = addresses.collect();
    addresses.sort_unstable();
    expected.sort_unstable();
    assert_eq!(addresses, expected);
}

#[test]
fn what_is_no_header_ends_the_connection() {
    let (site, keys) = (site(), Keys::new());
    let flags = lines(
        "--proxy-protocol
         --header-timeout=1s
         --handshake-timeout=1s",
    );
    let server = keys.server(ENGINE, &site, &flags);
    let long = [&b"PROXY TCP4 "[..], &[b'1'; 200]].concat();
    let hostile: [Vec<u8>; 12] = [
        b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
        b"PROXY TCP4 192.0.2.7 127.0.0.1 4711\r\n".to_vec(),
        b"PROXY TCP4 192.0.2.7 127.0.0.1 4711 80 1\r\n".to_vec(),
        b"PROXY TCP4 2001:db8::7 ::1 4711 80\r\n".to_vec(),
        b"PROXY TCP4 192.0.2.7 127.0.0.1 4711 80\nGET /a HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
        b"PROXY TCP4 192.0.2.7\r\nX: y 127.0.0.1 4711 80\r\n".to_vec(),
        b"proxy TCP4 192.0.2.7 127.0.0.1 4711 80\r\n".to_vec(),
        long,
        v2(0x31, 0x11, &[0; 12]),
        v2(0x22, 0x11, &[0; 12]),
        v2(0x21, 0x11, &[0; 4]),
        v2(0x21, 0x41, &[0; 12]),
    ];
    for bytes in &hostile {
        for address in [server.address(), server.tls_address()] {
            let mut client = Client::connect(address);
            client.send(bytes);
            let ended = client.end();
            let is_silent = matches!(ended, End::Closed(0) | End::Reset);
            assert!(is_silent, "{ended:?} to {}", bytes.escape_ascii());
        }
    }
    // A header that never ends has a deadline, and so has one that never begins.
    let begun: [&[u8]; 3] = [
        b"",
        b"PROXY TCP4 192.0.2.7",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c",
    ];
    let began = Instant::now();
    let waiting: Vec<Client> = [server.address(), server.tls_address()]
        .into_iter()
        .flat_map(|address| begun.map(|bytes| (address, bytes)))
        .map(|(address, bytes)| {
            let mut client = Client::connect(address);
            client.send(bytes);
            client
        })
        .collect();
    for mut client in waiting {
        let ended = client.end();
        assert!(matches!(ended, End::Closed(_) | End::Reset), "{ended:?}");
    }
    assert!(
        began.elapsed() < Duration::from_secs(8),
        "{:?}",
        began.elapsed()
    );
    // A second header is a request like any other nonsense.
    let mut client = server.connect();
    client.send([V1, V1, b"\r\n"].concat());
    assert_eq!(client.answer().status, 400);
}

/// Where proxies are named, nobody else may say whose a connection is.
#[test]
fn a_header_of_a_stranger_is_not_believed() {
    let site = site();
    let flags = format!(
        "--proxy-protocol
         --trusted-proxies=127.0.0.9
         --allow={ALLOW}"
    );
    let flags = lines(&flags);
    let server = Server::of(ENGINE, &site, &flags);
    let mut proxy = connect_from("127.0.0.9", server.address());
    proxy.send(V1);
    assert_eq!(proxy.say("GET", "/admin/b", &[]).status, 200);
    let mut stranger = server.connect();
    stranger.try_send(V1);
    assert!(matches!(stranger.end(), End::Closed(0) | End::Reset));
}

#[test]
fn an_address_has_so_many_connections_and_no_more() {
    const MAX: usize = 5;
    let site = site();
    let flags = ["--max-connections-per-address", "5", "--workers", "2"];
    let server = Server::of(ENGINE, &site, &flags);
    for round in 0..3 {
        let mut held: Vec<Client> = (0..MAX)
            .map(|number| {
                let mut client = server.connect();
                let answer = client.try_answer_to("/a");
                assert_eq!(answer, Some(200), "{round} {number}");
                client
            })
            .collect();
        for _ in 0..3 {
            assert_eq!(server.connect().try_answer_to("/a"), None);
        }
        let mut other = connect_from("127.0.0.2", server.address());
        assert_eq!(other.say("GET", "/a", &[]).status, 200);
        for client in &mut held {
            assert_eq!(client.say("GET", "/a", &[]).status, 200);
        }
        // One that has gone makes room for one.
        drop(held.pop());
        eventually("room", || {
            let mut client = server.connect();
            let is_let_in = client.try_answer_to("/a") == Some(200);
            if is_let_in {
                held.push(client);
            }
            is_let_in
        });
        assert_eq!(server.connect().try_answer_to("/a"), None);
        drop(held);
        eventually("room for all", || {
            let clients = (0..MAX).map(|_| server.connect());
            let mut clients: Vec<Client> = clients.collect();
            clients
                .iter_mut()
                .all(|client| client.try_answer_to("/a") == Some(200))
        });
        eventually("all have gone", || {
            server.connect().try_answer_to("/a") == Some(200)
        });
        sleep(Duration::from_millis(200));
    }
}

/// Behind a proxy, each client has so many, and not the proxy.
#[test]
fn connections_of_one_client_are_counted_behind_a_proxy() {
    let site = site();
    let flags = ["--max-connections-per-address", "2", "--proxy-protocol"];
    let server = Server::of(ENGINE, &site, &flags);
    let mut held = Vec::new();
    for client in ["192.0.2.1", "192.0.2.2", "2001:db8::1"] {
        for number in 0..3 {
            let mut wire = server.connect();
            let family = if client.contains(':') { "TCP6" } else { "TCP4" };
            let to = if client.contains(':') {
                "::1"
            } else {
                "127.0.0.1"
            };
            wire.try_send(format!("PROXY {family} {client} {to} 4711 80\r\n"));
            let expected = (number < 2).then_some(200);
            assert_eq!(wire.try_answer_to("/a"), expected, "{client} {number}");
            held.push(wire);
        }
    }
}

impl Client {
    /// The status of an answer, if there is one.
    fn try_answer_to(&mut self, path: &str) -> Option<u16> {
        self.try_send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
        self.try_answer().ok().map(|answer| answer.status)
    }
}
