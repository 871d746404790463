//! Directory listings: pages for people and JSON for programs, made in pieces.
//!
//! [`read`](read::read) looks at a directory once and may wait for a disk; all else is pure. A
//! [`Renderer`] walks over shared [`Entries`] and yields piece after piece, so that a listing of
//! 100,000 files costs a stream no more memory than one of ten. Knows nothing of requests but
//! their query: whether a directory is shown at all, and as what, is for the handlers to say.

pub mod entries;
pub mod escape;
pub mod figures;
#[doc(hidden)]
pub mod fuzz;
pub mod html;
pub mod json;
pub mod natural;
pub mod order;
pub mod query;
pub mod read;
pub mod render;

pub use entries::{Entries, EntriesBuilder, Entry, EntryKind};
pub use html::CONTENT_SECURITY_POLICY;
pub use order::{Order, OrderBy};
pub use query::{Format, ListingQuery};
pub use read::{DRAFT_NAME, Links, Showing, is_draft, read};
pub use render::{PageFacts, Renderer};
