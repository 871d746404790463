//! downpour, an io_uring web server for Linux.
//!
//! Start with ARCHITECTURE.md: the journey of a request, the rooms and who may know whom.

pub mod access;
pub mod base;
pub mod cache;
pub mod cold;
pub mod compress;
pub mod config;
pub mod conn;
pub mod doctor;
pub mod engine;
pub mod exchange;
pub mod handler;
pub mod http;
pub mod listing;
pub mod log;
pub mod precompress;
pub mod proto;
pub mod record;
pub mod route;
pub mod task;
pub mod tls;
pub mod watch;
pub mod worker;
