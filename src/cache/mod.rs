//! Complete representations, ready to be sent, and the rules by which they come and go.
//!
//! ```text
//! worker 1: Index (raw path bytes -> entry) --+
//! worker 2: Index                           --+--> Store (canonical path -> entry), Budget
//! worker n: Index                           --+
//! ```
//!
//! The [`Index`] belongs to one worker and is asked on the fast lane: no lock, no allocation. The
//! [`Store`] is shared by all workers and asked by the slow lane only; it bounds the bytes, evicts,
//! and lets many requests for one cold file load it once. Both hold the same [`Entry`].
//!
//! This room knows no path rules, no request and no disk: what an entry is made of comes from
//! `handler/`, which also compares it with the disk again when its time has come.

pub mod budget;
pub mod entry;
pub mod forms;
pub mod index;
pub mod representation;
pub mod shared_bodies;
pub mod store;

pub use budget::{Budget, PaidBody, Permit};
pub use entry::{Entry, Freshness, Hold, Origin, Refresh};
pub use forms::{Forms, Made};
pub use index::Index;
pub use representation::{About, Content, Outcome, Page, Representation, Resource, Vary};
pub use shared_bodies::BodyKey;
pub use store::{Lookup, Place, Store, StoreSettings, Ticket, Wanted};

#[cfg(test)]
mod tests;
