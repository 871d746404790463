//! Who may do what, how often, and what is told of it: origins, credentials, permissions,
//! addresses, limits, errors, the access log, counters.
//!
//! What stands in the way of every request runs on every engine and over every protocol. What only
//! a rule or a file decides is the same on all engines, and runs once.

mod addresses;
mod certificates;
mod cors;
mod credentials;
mod flight;
mod forward;
mod limits;
mod log;
mod metrics;
mod permissions;
mod problems;
mod proxies;
mod tokens;

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr};
use std::process::Stdio;
use std::time::Instant;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use socket2::{Domain, Socket, Type};

pub(crate) use addresses::lists_of_addresses_keep_out;
pub(crate) use cors::{every_answer_says_who_may_read_it, preflights_touch_nothing};
pub(crate) use flight::{too_many_slow_answers_are_refused, what_is_sent_is_paced};
pub(crate) use forward::another_server_decides;
pub(crate) use limits::beyond_the_limit_is_429;
pub(crate) use log::{every_request_has_one_line, the_log_is_opened_again};
pub(crate) use metrics::{counters_count_what_was_asked, health_ends_before_the_server};
pub(crate) use permissions::what_is_guarded_is_guarded_in_every_way;
pub(crate) use problems::errors_come_in_the_form_that_is_wanted;
pub(crate) use proxies::a_header_before_everything_says_who_comes;

use crate::client::{Answer, Client};
use crate::http2_client::Http2;
use crate::rig::{Engine, PATIENCE, Server, Site, binary, serve};
use crate::tls_client::Keys;

/// For what is the same on all.
const ENGINE: Engine = "io-uring";

/// The password of every user, and the token of every robot.
const PASSWORD: &str = "correct horse";
const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// Fields of a request.
type Fields<'a> = &'a [(&'a str, &'a str)];

/// A connection that requests without content are sent over, whatever it speaks.
trait Speaks {
    fn say(&mut self, method: &str, path: &str, fields: Fields<'_>) -> Answer;
}

impl<S: Read + Write> Speaks for Client<S> {
    #[track_caller]
    fn say(&mut self, method: &str, path: &str, fields: Fields<'_>) -> Answer {
        let lines = fields.iter();
        let lines = lines.map(|(name, value)| format!("{name}: {value}\r\n"));
        let lines: String = lines.collect();
        self.send(format!(
            "{method} {path} HTTP/1.1\r\nHost: a\r\n{lines}\r\n"
        ));
        match method {
            "HEAD" => self.answer_to_head(),
            _ => self.answer(),
        }
    }
}

impl<S: Read + Write> Speaks for Http2<S> {
    #[track_caller]
    fn say(&mut self, method: &str, path: &str, fields: Fields<'_>) -> Answer {
        let lower = |(name, value): &(&str, &str)| (name.to_ascii_lowercase(), (*value).to_owned());
        let fields: Vec<(String, String)> = fields.iter().map(lower).collect();
        let fields = fields.iter().map(|(name, value)| (&**name, &**value));
        let id = self.ask(method, path, &fields.collect::<Vec<_>>());
        self.answer(id)
    }
}

/// Flags that stand in lines.
fn lines(text: &str) -> Vec<&str> {
    text.lines().map(str::trim).collect()
}

/// One connection for each protocol, clear and over TLS, with its name.
fn all_ways(server: &Server, keys: &Keys) -> [(&'static str, Box<dyn Speaks>); 4] {
    [
        ("HTTP/1.1", Box::new(server.connect())),
        ("HTTP/2", Box::new(Http2::connect(server.address()))),
        ("HTTP/1.1 over TLS", Box::new(keys.http1(server))),
        ("HTTP/2 over TLS", Box::new(keys.http2(server))),
    ]
}

/// The same without TLS.
fn both_ways(server: &Server) -> [(&'static str, Box<dyn Speaks>); 2] {
    [
        ("HTTP/1.1", Box::new(server.connect())),
        ("HTTP/2", Box::new(Http2::connect(server.address()))),
    ]
}

/// A connection from an address of the loopback network.
fn connect_from(source: &str, address: SocketAddr) -> Client {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
    let source: IpAddr = source.parse().unwrap();
    socket.bind(&SocketAddr::new(source, 0).into()).unwrap();
    socket.connect_timeout(&address.into(), PATIENCE).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.set_write_timeout(Some(PATIENCE)).unwrap();
    socket.set_tcp_nodelay(true).unwrap();
    Client::new(socket.into())
}

/// A file beside the root, where no request leads; its path.
fn secret(site: &Site, name: &str, text: impl AsRef<[u8]>) -> String {
    let path = site.outside(name);
    // Moved into its place whole, as an editor does.
    let fresh = site.outside("fresh");
    std::fs::write(&fresh, text).unwrap();
    std::fs::rename(fresh, &path).unwrap();
    path.to_str().unwrap().to_owned()
}

/// A file with these users, all with `PASSWORD`, which is hashed as fast as can be.
fn users(site: &Site, names: &[&str]) -> String {
    let hash = bcrypt::hash(PASSWORD, 4).unwrap();
    let lines: String = names
        .iter()
        .map(|name| format!("{name}:{hash}\n"))
        .collect();
    secret(site, "users", lines)
}

/// A file with the token of a robot.
fn tokens(site: &Site, name: &str, scope: &str) -> String {
    let digest = digest(&SHA256, TOKEN.as_bytes());
    let hex: String = digest
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    secret(site, "tokens", format!("{name}:sha256:{hex} {scope}\n"))
}

fn basic(name: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{name}:{password}")))
}

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

/// The lines of a log in JSON, whole ones.
fn json_lines(path: &str) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let lines = whole.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap_or_else(|why| panic!("{why}: {line}")))
        .collect()
}

/// What a server says that does not start with these flags.
fn refusal(site: &Site, flags: &[&str]) -> String {
    let mut command = serve(binary(), ENGINE);
    command.args(["--listen", "127.0.0.1:0"]).args(flags);
    let child = command.arg(site.root()).stderr(Stdio::piped()).spawn();
    let mut child = child.unwrap();
    let mut said = String::new();
    let deadline = Instant::now() + PATIENCE;
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > deadline {
            child.kill().unwrap();
            panic!("it starts with {flags:?}");
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let mut stderr = child.stderr.take().unwrap();
    stderr.read_to_string(&mut said).unwrap();
    assert!(!child.wait().unwrap().success());
    said
}
