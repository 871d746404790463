//! TLS 1.2 and 1.3: ciphertext in, plaintext out, and the other way round.
//!
//! rustls does the protocol and aws-lc-rs the cryptography. This room decides what they are allowed
//! to do, keeps certificates and ticket keys, and gives a connection a [`Session`] that takes bytes
//! and gives bytes. It knows no socket, no engine and no clock: time is an argument. Files are read
//! in `certificates.rs` and `pem.rs` alone, at the start and by the cold thread.
//!
//! ```text
//! Sources (paths) --load--> Credentials --TlsServer::new, replace--> TlsServer (shared, atomic)
//! TlsServer --Session::new--> Session: read (records -> plaintext), write (plaintext -> records)
//! ```

mod certificates;
mod client_auth;
mod error;
pub mod fuzz;
mod key_log;
mod names;
mod peer;
mod pem;
mod plain_http;
mod preference;
mod self_signed;
mod server;
mod session;
mod ticket_keys;
mod tickets;

#[cfg(test)]
mod tests;

pub use certificates::{Credentials, PairFiles, Sources, load};
pub use error::{TlsError, TlsFault};
pub use plain_http::looks_like_plain_http;
pub use self_signed::{SelfSigned, self_signed};
pub use server::{ClientAuth, LeastVersion, TlsServer, TlsSettings, UnknownName};
pub use session::{Agreed, Read, Session};
