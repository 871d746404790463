//! What is sent of a resource, rendered once: its representations, or one fixed page.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use crate::engine::named::NamedFile;
use crate::engine::operation::SharedFile;
use crate::http::{Coding, CodingSet, HeadTemplate, ResponseHead, Validators};

/// Where the bytes of a representation are.
#[derive(Clone, Debug)]
pub enum Content {
    /// In memory; counted by the budget until the last sender is done.
    Memory(Bytes),
    /// In an open file, which is sent from the page cache.
    File(SharedFile),
    /// In a small file that is read, by its name, for each answer.
    Named(Arc<NamedFile>),
}

/// One representation, in parts that fit every request for it.
#[derive(Debug)]
pub struct Representation {
    /// The head of a 200 answer.
    pub full: HeadTemplate,
    /// The head of a 304 answer.
    pub not_modified: HeadTemplate,
    /// What the answers that are made for one request (206) say of it.
    pub about: About,
    /// What conditions and ranges are compared with.
    pub validators: Validators,
    /// Bytes of the content.
    pub len: u64,
    /// The content.
    pub content: Content,
    /// Codings that could be made of it and are not there yet.
    pub makes: CodingSet,
    /// The head of a 206 answer with one part, but for the fields that describe the part; rendered
    /// when the first is asked for.
    pub partial: OnceLock<HeadTemplate>,
}

/// The metadata of a representation (RFC 9110 §8).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// The value of `Content-Type`.
    pub media_type: Cow<'static, str>,
    /// The value of `Content-Encoding`, where it is one.
    pub coding: Coding,
    /// The value of `Content-Language`, by its position among the site's languages.
    pub language: Option<u16>,
    /// The file that it is a form of, by its position among those of the resource.
    pub variant: u8,
    /// The state of that file, or of the compressed one beside it, by its position among those that
    /// the entry was made from.
    pub state: u8,
}

/// Request fields that choose among the representations of a resource (RFC 9110 §12.5.5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Vary {
    pub accept: bool,
    pub encoding: bool,
    pub language: bool,
}

impl Vary {
    /// The value of `Vary`, if any field chooses.
    pub fn value(self) -> Option<&'static str> {
        Some(match (self.accept, self.encoding, self.language) {
            (false, false, false) => return None,
            (true, false, false) => "Accept",
            (false, true, false) => "Accept-Encoding",
            (false, false, true) => "Accept-Language",
            (true, true, false) => "Accept, Accept-Encoding",
            (true, false, true) => "Accept, Accept-Language",
            (false, true, true) => "Accept-Encoding, Accept-Language",
            (true, true, true) => "Accept, Accept-Encoding, Accept-Language",
        })
    }
}

/// A resource with its representations, at least one.
#[derive(Debug)]
pub struct Resource {
    /// Sent to who asks for nothing in particular.
    pub first: Representation,
    /// The others, in order of preference.
    pub others: Box<[Representation]>,
    /// What chooses among them.
    pub vary: Vary,
    /// The query of a request is looked at, too (a listing's order and format).
    pub by_query: bool,
}

impl Resource {
    /// All representations.
    pub fn all(&self) -> impl Iterator<Item = &Representation> {
        std::iter::once(&self.first).chain(&self.others)
    }
}

/// A fixed answer: a redirect or an error, whatever the conditions of a request.
#[derive(Clone, Debug)]
pub struct Page {
    /// The head, with the length of the body.
    pub head: HeadTemplate,
    /// The body; left out for HEAD.
    pub body: Bytes,
    /// For a redirect that takes the request's query along: its head without `Location`, and
    /// where it leads.
    pub location: Option<Arc<(ResponseHead, Vec<u8>)>>,
}

/// What a path leads to.
#[derive(Debug)]
pub enum Outcome {
    /// A resource.
    Resource(Box<Resource>),
    /// A fixed answer.
    Page(Page),
    /// What is in no template: it is decided for each request anew, in the slow lane.
    PerRequest,
}

impl Outcome {
    /// Bytes of its heads, and of its bodies in memory.
    pub fn weights(&self) -> (usize, usize) {
        let mut heads = 0;
        let mut bodies = 0;
        match self {
            Outcome::Resource(resource) => {
                for one in resource.all() {
                    heads += size_of::<Representation>();
                    heads += one.full.weight() + one.not_modified.weight();
                    if let Content::Memory(bytes) = &one.content {
                        bodies += bytes.len();
                    }
                }
            }
            // Its body is mostly shared with others.
            Outcome::Page(page) => heads += page.head.weight(),
            Outcome::PerRequest => {}
        }
        (heads, bodies)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vary_names_each_field_that_chooses() {
        for bits in 0..8 {
            let vary = Vary {
                accept: bits & 1 != 0,
                encoding: bits & 2 != 0,
                language: bits & 4 != 0,
            };
            let value = vary.value().unwrap_or_default();
            let has = |name: &str| value.split(", ").any(|member| member == name);
            assert_eq!(has("Accept"), vary.accept);
            assert_eq!(has("Accept-Encoding"), vary.encoding);
            assert_eq!(has("Accept-Language"), vary.language);
        }
    }
}
