//! Flags and environment → one checked, immutable [`Config`].
//!
//! Everything is parsed once into types that cannot be wrong; nothing behind it checks again.
//! The room reads no clock and opens no socket; of the machine it knows what [`Machine`] tells it.
//!
//! ```text
//! command line + environment --args--> ServeArgs --checked--> Config
//!                               \--usage--> StartError          \--> StartError
//! ```

pub mod args;
pub mod checked;
pub mod cpus;
pub mod error;
pub mod listen;
pub mod precompress_args;
pub mod quantity;
pub mod root;
pub mod tls;
pub mod tls_args;
pub mod usage;

pub use args::{Command, ServeArgs};
pub use checked::{CacheConfig, Config, Limits, LogConfig, Machine, Timeouts};
pub use error::StartError;
pub use listen::Listen;
pub use precompress_args::PrecompressArgs;
pub use tls::{Http2Config, TlsConfig};
pub use tls_args::HttpsRedirect;
