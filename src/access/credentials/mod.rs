//! Who a request says it comes from, and whether that is true.
//!
//! Passwords (Basic, RFC 7617), tokens (Bearer, RFC 6750: listed ones and JWTs) and certificates
//! of clients become an [`Identity`], or a [`Wrong`] that says how to ask again. Everything is
//! answered from memory but a password that was not seen lately: hashing it is [`Costly`], for a
//! thread that nobody waits for. Files are read elsewhere, and what an identity may do is said by
//! `permission`.

mod authenticator;
mod authorization;
#[doc(hidden)]
pub mod fuzz;
mod guard;
pub mod hash_password;
mod identity;
mod jwt;
mod jwt_keys;
mod memo;
mod remembered;
mod settings;
mod tokens;
mod users;
mod wrong;

#[cfg(test)]
mod tests;

pub use authenticator::{Authenticator, Costly, Credential};
pub use guard::Guard;
pub use identity::{Identity, Source};
pub use memo::CredentialMemo;
pub use settings::{AuthFile, AuthSettings, check_name_claim, check_realm, check_value};
pub use wrong::{Scheme, Wrong};
