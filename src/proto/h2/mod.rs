//! HTTP/2 (RFC 9113) without I/O, the server's side: frames and answers in, events and frames out.
//!
//! An [`H2Connection`] never sees a socket or a clock. Its owner feeds it what has come, acts on
//! the events, and sends what was appended to the output:
//!
//! ```
//! use downpour::base::Millis;
//! use downpour::proto::h2::{Event, FieldList, H2Connection, H2Settings, HeadStorage};
//!
//! /// The owner's queued bodies: a text and how much of it was sent.
//! type Body = (&'static [u8], usize);
//!
//! /// Takes in `input`; returns how much of it must be kept for the next call.
//! fn receive(
//!     connection: &mut H2Connection<Body>,
//!     list: &mut FieldList,
//!     input: &[u8],
//!     out: &mut Vec<u8>,
//! ) -> usize {
//!     let mut used = 0;
//!     loop {
//!         let mut storage = HeadStorage::new();
//!         let step = connection.step(&input[used..], list, &mut storage, Millis(0), out);
//!         used += step.consumed;
//!         match step.event {
//!             Some(Event::Request { stream, head, .. }) => {
//!                 assert_eq!(head.path, b"/");
//!                 let body = b"hello";
//!                 let parts: [&[u8]; 1] = [b"\x88"]; // `:status: 200`, encoded once for all.
//!                 connection.respond(stream, &parts, false, out);
//!                 if connection.room_now(stream) >= body.len() {
//!                     connection.write_data(stream, body.len(), true, out);
//!                     out.extend_from_slice(body);
//!                 } else {
//!                     connection.queue_body(stream, (body, 0), body.len() as u64);
//!                 }
//!             }
//!             Some(Event::Content { stream, flow, .. }) => connection.release(stream, flow, out),
//!             Some(_) => {}
//!             None => break,
//!         }
//!     }
//!     input.len() - used
//! }
//!
//! /// Writes what windows allow of queued bodies.
//! fn send(connection: &mut H2Connection<Body>, out: &mut Vec<u8>) {
//!     while let Some(turn) = connection.next_turn() {
//!         let (stream, max) = (turn.stream, turn.max);
//!         let (text, sent) = turn.body;
//!         let bytes = &text[*sent..*sent + max];
//!         *sent += max;
//!         let end = *sent == text.len();
//!         connection.write_data(stream, max, end, out);
//!         out.extend_from_slice(bytes);
//!     }
//! }
//!
//! let mut out = Vec::new();
//! let mut connection = H2Connection::new(&H2Settings::default(), Millis(0), &mut out);
//! let mut list = FieldList::new(16 * 1024);
//! let mut input = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
//! input.extend_from_slice(b"\0\0\0\x04\0\0\0\0\0"); // SETTINGS
//! input.extend_from_slice(b"\0\0\x06\x01\x05\0\0\0\x01\x82\x84\x86\x41\x01a"); // HEADERS
//! assert_eq!(receive(&mut connection, &mut list, &input, &mut out), 0);
//! send(&mut connection, &mut out);
//! assert!(out.ends_with(b"\0\0\x05\0\x01\0\0\0\x01hello"));
//! assert_eq!(connection.open_streams(), 0);
//! ```
//!
//! What is refused, and how: a broken connection ends with GOAWAY and [`Event::Closed`]; a broken
//! stream with RST_STREAM, which needs no action unless its request was handed on before
//! ([`Event::Reset`]); a request that is whole but not acceptable is answered ([`Event::Refused`]).

mod abuse;
mod connection;
mod content;
mod error;
mod flow;
mod frame;
#[doc(hidden)]
pub mod fuzz;
pub mod hpack;
mod receive;
mod request;
mod schedule;
mod send;
mod settings;
mod streams;

#[cfg(test)]
mod tests;

pub use connection::{Event, H2Connection, Step};
pub use error::{ErrorCode, Failure};
pub use frame::PREFACE;
pub use hpack::FieldList;
pub use request::HeadStorage;
pub use schedule::Priority;
pub use send::Turn;
pub use settings::H2Settings;
pub use streams::{StreamId, UNKNOWN_LENGTH};
