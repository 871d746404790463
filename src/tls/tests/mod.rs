//! TLS against a client in memory.

mod clients;
mod conversation;
mod files;
mod handshake;
mod hostile;
mod maker;
mod records;
mod resumption;
