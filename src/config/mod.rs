//! Flags, environment and file → one checked, immutable [`Config`].
//!
//! Everything is parsed once into types that cannot be wrong; nothing behind it checks again.
//! The room reads no clock and opens no socket, and no file but the one that `--config` names; of
//! the machine it knows what [`Machine`] tells it. A password is no flag: it is asked for.
//!
//! ```text
//! command line + environment --args--> Settings --\
//!                               \--usage           asked--> Asked --checked, sites--> Config
//!                 file --file, file_rules--> ConfigFile --/      \--show--> a file
//! ```

pub mod access;
pub mod access_args;
mod access_texts;
mod access_values;
pub mod args;
pub mod asked;
pub mod checked;
pub mod cpus;
pub mod credential_args;
pub mod error;
pub mod file;
mod file_rules;
mod keys;
pub mod listen;
pub mod precompress_args;
mod problems;
mod prompt;
pub mod quantity;
pub mod record;
pub mod record_args;
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
pub mod writing;
pub mod writing_args;

#[cfg(test)]
mod tests;

pub use access::{AccessTexts, CredentialTexts, ServerAccess};
pub use args::Command;
pub use asked::Asked;
pub use checked::{CacheConfig, Config, Limits, LogConfig, Machine, Timeouts};
pub use credential_args::{HashPasswordArgs, HashTokenArgs};
pub use error::StartError;
pub use listen::Listen;
pub use precompress_args::PrecompressArgs;
pub use record::{AccessLog, MetricsPlace, RecordConfig};
pub use rules::RuleTexts;
pub use serve_args::{ServeArgs, UnknownHost};
pub use tls::{Http2Config, TlsConfig};
pub use tls_args::HttpsRedirect;
pub use writing::{IdempotencyConfig, SiteWriting, WritingConfig};
