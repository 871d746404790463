//! Fuzz bodies for TLS: each takes any bytes and checks what must hold for all of them.

use std::sync::{Arc, OnceLock};

use rustls::ClientConfig;
use rustls::version::{TLS12, TLS13};

use super::peer::{NOW, Peer, Served, client_config};
use super::{ClientAuth, LeastVersion, Session, TlsServer, TlsSettings, UnknownName, self_signed};

/// A server with clients that trust it, made once.
struct Stage {
    server: TlsServer,
    clients: [Arc<ClientConfig>; 2],
}

fn stage() -> &'static Stage {
    static STAGE: OnceLock<Stage> = OnceLock::new();
    STAGE.get_or_init(|| {
        let made = self_signed(&["localhost".to_owned()], NOW).expect("a name of ours");
        let settings = TlsSettings {
            http2: true,
            least_version: LeastVersion::Tls12,
            client_auth: ClientAuth::Optional,
            unknown_name: UnknownName::Default,
            key_log: None,
        };
        let clients =
            [&TLS13, &TLS12].map(|version| Arc::new(client_config(&made.certificate, version)));
        Stage {
            server: TlsServer::new(settings, made.credentials(), NOW).expect("they fit"),
            clients,
        }
    })
}

/// What a server says at most to a client that has not proven anything: its part of a handshake.
const FLIGHT_BYTES_MAX: usize = 4096;
/// What one key update, the only thing that is answered later, is answered with.
const ANSWER_BYTES_MAX: usize = 64;

/// First messages of real clients, to begin with.
pub fn hellos() -> Vec<Vec<u8>> {
    let mut hellos = Vec::new();
    for config in &stage().clients {
        let hello = Peer::new(config, "localhost").output();
        // In front: how it is cut (see the bodies).
        hellos.push([&[0, 0][..], &hello].concat());
        hellos.push([&[7, 3][..], &hello].concat());
    }
    hellos
}

/// Any first bytes: no panic, little output, a little left over, and the same verdict however they
/// are cut. The first byte says how.
pub fn fuzz_records(input: &[u8]) {
    let Some((cut, bytes)) = input.split_first() else {
        return;
    };
    let whole = hear(bytes, usize::MAX);
    let in_pieces = hear(bytes, usize::from(*cut) + 1);
    assert_eq!(whole, in_pieces);
}

fn hear(bytes: &[u8], piece: usize) -> Option<String> {
    let mut served = Served::new(Session::new(&stage().server));
    let verdict = served.give(bytes, piece);
    assert!(served.out.len() <= FLIGHT_BYTES_MAX, "{}", served.out.len());
    assert!(served.plain.is_empty(), "nobody has proven anything");
    if verdict.is_err() {
        let said = served.out.len();
        assert!(served.give(b"\x16\x03\x01\0\x01\x01", 6).is_err());
        served.session.close_notify(&mut served.out);
        assert_eq!(served.out.len(), said, "nothing follows the alert");
    } else if !served.closed {
        assert!(served.unread.len() < 5 + 16 * 1024 + 2048);
    }
    verdict.err().map(|fault| fault.to_string())
}

/// A good hello in records of any size (RFC 8446 §5.1), delivered in pieces of any size,
/// is answered. The input says where it is cut.
pub fn fuzz_fragments(input: &[u8]) {
    let config = &stage().clients[usize::from(input.first().is_some_and(|first| first % 2 == 1))];
    let hello = Peer::new(config, "localhost").output();
    let (header, mut message) = hello.split_at(5);
    let mut sizes = input.iter().cycle();
    let mut wire = Vec::new();
    while !message.is_empty() {
        let size = sizes
            .next()
            .map_or(usize::MAX, |size| usize::from(*size) + 1);
        let (fragment, rest) = message.split_at(size.min(message.len()));
        wire.extend_from_slice(&header[..3]);
        wire.extend_from_slice(&(fragment.len() as u16).to_be_bytes());
        wire.extend_from_slice(fragment);
        message = rest;
    }
    let piece = usize::from(input.last().copied().unwrap_or(u8::MAX)) + 1;
    let mut served = Served::new(Session::new(&stage().server));
    served.give(&wire, piece).expect("a good hello");
    assert!(served.out.len() > 100 && served.out.len() <= FLIGHT_BYTES_MAX);
    assert!(served.unread.is_empty());
}

/// A conversation after the handshake, which the input directs: what is said arrives, in order and
/// once, until a byte is changed on the way; from then on nothing arrives.
pub fn fuzz_conversation(input: &[u8]) {
    let Some((first, mut script)) = input.split_first() else {
        return;
    };
    let mut peer = Peer::new(&stage().clients[usize::from(first % 2)], "localhost");
    let mut served = Served::new(Session::new(&stage().server));
    served
        .converse(&mut peer)
        .expect("the client trusts us")
        .expect("a good handshake");
    let mut talk = Talk {
        peer,
        served,
        wire: Vec::new(),
        to_server: Vec::new(),
        to_client: Vec::new(),
        is_honest: true,
    };
    while let Some(([act, size], rest)) = script.split_first_chunk::<2>() {
        script = rest;
        if !talk.act(act % 8, usize::from(*size)) {
            return;
        }
    }
}

struct Talk {
    peer: Peer,
    served: Served,
    /// Sent by the client and not yet delivered.
    wire: Vec<u8>,
    to_server: Vec<u8>,
    to_client: Vec<u8>,
    is_honest: bool,
}

impl Talk {
    /// False when it is over.
    fn act(&mut self, act: u8, size: usize) -> bool {
        match act {
            0 | 1 => {
                let bytes = vec![size as u8; size * 60];
                self.peer.say(&bytes);
                self.to_server.extend_from_slice(&bytes);
                self.wire.extend(self.peer.output());
            }
            2 => {
                // TLS 1.2 has none.
                let _ = self.peer.tls.refresh_traffic_keys();
                self.wire.extend(self.peer.output());
            }
            3 if !self.wire.is_empty() => {
                let at = size % self.wire.len();
                self.wire[at] ^= 1 << (size % 8);
                self.is_honest = false;
            }
            4 => {
                self.wire
                    .extend(std::iter::repeat_n(size as u8, 1 + size / 8));
                self.is_honest = false;
            }
            5 => return self.answer(size),
            6 => {
                self.peer.tls.send_close_notify();
                self.wire.extend(self.peer.output());
                self.deliver(size);
                return false;
            }
            _ => return self.deliver(size),
        }
        true
    }

    fn deliver(&mut self, size: usize) -> bool {
        let wire = std::mem::take(&mut self.wire);
        let (said, room) = (self.served.out.len(), ANSWER_BYTES_MAX + wire.len());
        let heard = self.served.give(&wire, size * 40 + 1);
        assert!(self.served.out.len() - said <= room);
        assert!(self.to_server.starts_with(&self.served.plain));
        if self.is_honest {
            assert_eq!(heard, Ok(()));
            assert_eq!(self.served.plain, self.to_server);
        }
        heard.is_ok() && self.is_honest
    }

    fn answer(&mut self, size: usize) -> bool {
        let pieces = [vec![1; size], vec![2; size * 100], vec![3; 7]];
        let served = &mut self.served;
        let pieces = pieces.iter().map(Vec::as_slice);
        let before = served.out.len();
        served
            .session
            .write(pieces.clone(), &mut served.out)
            .expect("the handshake is complete");
        let plain: usize = pieces.clone().map(<[u8]>::len).sum();
        assert!(served.out.len() - before <= plain + 64 + plain / 256);
        pieces.for_each(|piece| self.to_client.extend_from_slice(piece));
        let sent = std::mem::take(&mut served.out);
        self.peer
            .take(&sent)
            .expect("what the server says is right");
        assert_eq!(self.peer.heard, self.to_client);
        true
    }
}
