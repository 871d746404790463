//! The site that is served when no directory is named: a few pages inside the binary.
//!
//! They are made into the same entries as files are, once at start, and are never stale.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;

use crate::base::Millis;
use crate::cache::{About, Content, Entry, Hold, Origin, Outcome, Resource, Vary};
use crate::handler::files::{Dress, representation};
use crate::http::{Coding, EntityTag, Validators, media_type};
use crate::route::Rules;

const INDEX: &str = include_str!("index.html");
const PAGES: &[(&str, &str)] = &[
    ("index.html", INDEX),
    ("favicon.svg", include_str!("favicon.svg")),
    ("hello.txt", include_str!("hello.txt")),
];

/// The pages by their canonical path.
#[derive(Debug)]
pub struct Welcome {
    pages: HashMap<&'static str, Arc<Entry>>,
}

impl Welcome {
    /// The pages, with the name of the engine that runs.
    pub fn new(engine: &str) -> Welcome {
        let render = |(name, text): &(&'static str, &str)| {
            let text = text
                .replace("{{engine}}", &escape_html(engine))
                .replace("{{version}}", env!("CARGO_PKG_VERSION"));
            (*name, Arc::new(entry(name, text)))
        };
        let mut pages: HashMap<_, _> = PAGES.iter().map(render).collect();
        pages.insert("/", Arc::clone(&pages["index.html"]));
        Welcome { pages }
    }

    /// The page with the key that a store would know it by.
    pub(super) fn page(&self, key: &[u8]) -> Option<Arc<Entry>> {
        let key = std::str::from_utf8(key).ok()?;
        self.pages.get(key).cloned()
    }
}

fn entry(name: &str, text: String) -> Entry {
    let validators = Validators {
        etag: EntityTag::parse(format!("\"{:x}\"", fnv(text.as_bytes())).as_bytes()),
        last_modified_unix: None, // The binary does not know when its pages were written.
    };
    let (media_type, len) = (media_type::of_file_name(name.as_bytes()), text.len() as u64);
    let content = Content::Memory(Bytes::from(text));
    let dress = Dress {
        rules: &Rules::default(),
        host: None,
        languages: &[],
        path: name.as_bytes(),
        file_name: name.as_bytes(),
        vary: Vary::default(),
        vary_names: "",
        security_policy: None,
    };
    let about = About {
        media_type,
        coding: Coding::Identity,
        language: None,
        variant: 0,
        state: 0,
    };
    let resource = Resource {
        first: representation(&dress, about, validators, len, content),
        others: Box::default(),
        vary: Vary::default(),
        by_query: false,
    };
    let outcome = Outcome::Resource(Box::new(resource));
    let (hold, never_checked) = (Hold::default(), Millis::default());
    Entry::new(
        name.as_bytes().into(),
        outcome,
        Origin::Embedded,
        hold,
        never_checked,
    )
}

/// FNV-1a: the same text has the same tag in every process, which a seeded hash would not give.
fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

fn escape_html(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}
