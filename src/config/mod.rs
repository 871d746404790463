//! Flags and environment → one checked, immutable [`Config`].
//!
//! Everything is parsed once into types that cannot be wrong; nothing behind it checks again.
//! The room reads no clock and opens no socket; of the machine it knows what [`Machine`] tells it.
//!
//! ```text
//! command line + environment --args--> Asked --checked--> Config
//! file           --file---------'   \                \--> StartError, with all problems of a file
//!                                    \--show--> the same as a file
//! ```

pub mod args;
pub mod checked;
pub mod cpus;
pub mod error;
pub mod file;
mod file_rules;
mod keys;
pub mod listen;
pub mod precompress_args;
mod problems;
pub mod quantity;
pub mod root;
pub mod rule_table;
pub mod rules;
pub mod schema;
pub mod serve_args;
pub mod settings;
pub mod show;
pub mod site_args;
mod site_values;
mod sites;
pub mod tls;
pub mod tls_args;
pub mod usage;
mod values;

pub use args::{Asked, Command};
pub use checked::{CacheConfig, Config, Limits, LogConfig, Machine, Timeouts};
pub use error::StartError;
pub use listen::Listen;
pub use precompress_args::PrecompressArgs;
pub use serve_args::ServeArgs;
pub use tls::{Http2Config, TlsConfig};
pub use tls_args::HttpsRedirect;
