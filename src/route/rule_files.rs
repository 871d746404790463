//! `_headers` and `_redirects`, as Netlify and Cloudflare Pages read them.
//!
//! A line that says nothing we can do is skipped and complained about; the others hold.

use std::fmt;

use crate::base::limits::{
    COMPLAINTS_MAX, RULE_FILE_BYTES_MAX, RULE_LINE_BYTES_MAX, RULES_PER_FILE_MAX,
};

use super::field_blocks::FieldBlock;
use super::fields::FieldEdit;
use super::pattern::{Pattern, strip_scheme};
use super::redirect::RedirectRule;

/// The name of the file of fields.
pub const HEADERS: &str = "_headers";
/// The name of the file of redirects.
pub const REDIRECTS: &str = "_redirects";

/// What is wrong with a line of a rule file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaint {
    /// [`HEADERS`] or [`REDIRECTS`].
    pub file: &'static str,
    /// Counted from 1.
    pub line: usize,
    /// A sentence for the operator.
    pub text: String,
}

impl fmt::Display for Complaint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}: {}", self.file, self.line, self.text)
    }
}

/// Reads `_headers`: a pattern on a line of its own, and below it its fields.
pub fn parse_headers(file: &[u8]) -> (Vec<FieldBlock>, Vec<Complaint>) {
    let mut complaints = Complaints::new(HEADERS);
    let mut blocks: Vec<FieldBlock> = Vec::new();
    let mut heading = Heading::Missing;
    let mut rules = 0;
    for (line, text) in lines(file, &mut complaints) {
        if text.starts_with('/') || strip_scheme(text).is_some() {
            match Pattern::parse(text) {
                Ok(pattern) => {
                    let edits = Vec::new();
                    blocks.push(FieldBlock { pattern, edits });
                    heading = Heading::Read;
                }
                Err(why) => {
                    complaints.add(line, why);
                    heading = Heading::Refused;
                }
            }
            continue;
        }
        rules += 1;
        if rules > RULES_PER_FILE_MAX || blocks.len() > RULES_PER_FILE_MAX {
            complaints.add(line, too_many());
            break;
        }
        match (&heading, FieldEdit::parse(text)) {
            (Heading::Missing, _) => {
                let why = "a field stands below the path that it is for, and there is none";
                complaints.add(line, why.to_owned());
            }
            // The heading has been complained about.
            (Heading::Refused, _) => {}
            (Heading::Read, Err(why)) => complaints.add(line, why),
            (Heading::Read, Ok(edit)) => {
                let block = blocks
                    .last_mut()
                    .expect("a heading that was read opened a block");
                block.edits.push(edit);
            }
        }
    }
    blocks.retain(|block| !block.edits.is_empty());
    (blocks, complaints.list)
}

/// What stands above the fields.
enum Heading {
    Missing,
    Refused,
    Read,
}

/// Reads `_redirects`: a rule on each line.
pub fn parse_redirects(file: &[u8]) -> (Vec<RedirectRule>, Vec<Complaint>) {
    let mut complaints = Complaints::new(REDIRECTS);
    let mut rules = Vec::new();
    for (line, text) in lines(file, &mut complaints) {
        if rules.len() == RULES_PER_FILE_MAX {
            complaints.add(line, too_many());
            break;
        }
        match RedirectRule::parse_line(text) {
            Ok(rule) => rules.push(rule),
            Err(why) => complaints.add(line, why),
        }
    }
    (rules, complaints.list)
}

fn too_many() -> String {
    format!("more than {RULES_PER_FILE_MAX} rules: this one and those behind it are not read")
}

/// The lines that say something, with their numbers.
fn lines<'a>(file: &'a [u8], complaints: &mut Complaints) -> Vec<(usize, &'a str)> {
    let mut rest = file.strip_prefix(b"\xef\xbb\xbf").unwrap_or(file);
    let cut = rest.len() > RULE_FILE_BYTES_MAX;
    if cut {
        rest = &rest[..RULE_FILE_BYTES_MAX];
        // The last line may have lost its end.
        rest = &rest[..memchr::memrchr(b'\n', rest).unwrap_or(0)];
    }
    let mut found = Vec::new();
    let mut last = 0;
    for (position, line) in rest.split(|byte| *byte == b'\n').enumerate() {
        last = position + 1;
        let line = line.trim_ascii();
        if line.is_empty() || line.starts_with(b"#") {
            continue;
        }
        if line.len() > RULE_LINE_BYTES_MAX {
            let why = format!("longer than {RULE_LINE_BYTES_MAX} bytes: it is not read");
            complaints.add(last, why);
            continue;
        }
        match std::str::from_utf8(line) {
            Ok(text) => found.push((last, text)),
            Err(_) => complaints.add(last, "not UTF-8: it is not read".to_owned()),
        }
    }
    if cut {
        let why = format!("what follows lies beyond {RULE_FILE_BYTES_MAX} bytes: it is not read");
        complaints.add(last + 1, why);
    }
    found
}

struct Complaints {
    file: &'static str,
    list: Vec<Complaint>,
}

impl Complaints {
    fn new(file: &'static str) -> Complaints {
        let list = Vec::new();
        Complaints { file, list }
    }

    fn add(&mut self, line: usize, text: String) {
        let text = match self.list.len() {
            0..COMPLAINTS_MAX => text,
            COMPLAINTS_MAX => "there are more faults, which are not told one by one".to_owned(),
            _ => return,
        };
        let file = self.file;
        self.list.push(Complaint { file, line, text });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn said(complaints: &[Complaint]) -> Vec<String> {
        complaints.iter().map(Complaint::to_string).collect()
    }

    #[test]
    fn headers_are_read_block_by_block() {
        let file = b"\xef\xbb\xbf# comment\r\n/a/*\r\n  X-A: 1\r\n\r\n  # more\r\n  ! Server\r\n\
            https://b.example/:x\n\tX-B: :x\n/empty\n/c\nX-C: no indent\n";
        let (blocks, complaints) = parse_headers(file);
        assert_eq!(said(&complaints), [""; 0]);
        let edits = |index: usize| {
            let edits = blocks[index].edits.iter();
            edits
                .map(|edit| (edit.name(), edit.value()))
                .collect::<Vec<_>>()
        };
        assert_eq!(blocks.len(), 3);
        assert_eq!(edits(0), [("X-A", Some("1")), ("Server", None)]);
        assert_eq!(edits(1), [("X-B", Some(":x"))]);
        assert_eq!(edits(2), [("X-C", Some("no indent"))]);
    }

    #[test]
    fn bad_lines_of_headers_are_skipped_and_told() {
        let file = b"X-A: 1\n/a\n  nothing\n  Content-Length: 1\n  X-A: 2\n  X-B:\n\
            /*/*\n  X-C: 3\n/d\n  X-\xff: 1\n  X-D: 4";
        let (blocks, complaints) = parse_headers(file);
        assert_eq!(blocks.len(), 2);
        assert_eq!((blocks[0].edits.len(), blocks[1].edits.len()), (1, 1));
        let lines: Vec<usize> = complaints.iter().map(|complaint| complaint.line).collect();
        assert_eq!(lines, [10, 1, 3, 4, 6, 7]);
        let texts = said(&complaints).join("\n");
        for says in [
            "_headers:10: not UTF-8",
            "below the path",
            "belongs to the server",
            "no value",
        ] {
            assert!(texts.contains(says), "{texts}");
        }
    }

    /// The examples of Netlify's and Cloudflare's documentation.
    #[test]
    fn redirects_are_read_as_they_are_documented() {
        let file = "\
# Redirects from what the browser requests to what we serve
/home              /
/blog/my-post.php  /blog/my-post # ads
/news              /blog
/cuties            https://www.petsofnetlify.com
/authors/c%C3%A9line  /authors/about-c%C3%A9line
/my-redirect       /              302
/pass-through      /index.html    200
/ecommerce         /store-closed  404
/app/*  /app/index.html  200!
/news/*  /blog/:splat
/news/:month/:date/:year/:slug  /blog/:year/:month/:date/:slug
/store id=:id  /blog/:id  301
/articles id=:id tag=:tag /posts/:tag/:id 301
/china/*  /:splat  302  Country=cn,hk,tw
/      /anz     302  Country=au,nz
/israel/*  /israel/he/:splat  302  Country=il Language=he
/*  /preview/:splat  302  Cookie=preview
/admin/*  200!  Role=admin
http://blog.yoursite.com/*  https://www.yoursite.com/blog/:splat  301!
/en/*  /en/404.html  404
/querystrings /?query=string 301
/page/ /page2/#fragment 301
/products/:code/:name /products?code=:code&name=:name
/blog/* https://blog.my.domain/:splat
/*  /index.html  200
";
        let (rules, complaints) = parse_redirects(file.as_bytes());
        assert_eq!(said(&complaints), [""; 0]);
        assert_eq!(rules.len(), file.lines().count() - 1);
        assert_eq!(rules.iter().filter(|rule| rule.is_forced()).count(), 3);
    }

    #[test]
    fn bad_lines_of_redirects_are_skipped_and_told() {
        let file = b"/a\n/b /c\n/api/* https://api.example/:splat 200\n/d /e 600\n";
        let (rules, complaints) = parse_redirects(file);
        assert_eq!(rules.len(), 1);
        let texts = said(&complaints);
        assert!(
            texts[0].starts_with("_redirects:1: /a leads nowhere"),
            "{texts:?}"
        );
        assert!(
            texts[1].starts_with("_redirects:3: ") && texts[1].contains("proxy"),
            "{texts:?}"
        );
        assert!(texts[2].starts_with("_redirects:4: "), "{texts:?}");
    }

    #[test]
    fn files_lines_rules_and_complaints_have_bounds() {
        let long = format!("/a /{}\n/b /c", "x".repeat(RULE_LINE_BYTES_MAX));
        let (rules, complaints) = parse_redirects(long.as_bytes());
        assert_eq!((rules.len(), complaints.len()), (1, 1));

        let many = "/a /b\n".repeat(RULES_PER_FILE_MAX + 2);
        let (rules, complaints) = parse_redirects(many.as_bytes());
        assert_eq!((rules.len(), complaints.len()), (RULES_PER_FILE_MAX, 1));
        assert_eq!(complaints[0].line, RULES_PER_FILE_MAX + 1);
        let many = format!("/a\n{}", " A: b\n".repeat(RULES_PER_FILE_MAX + 2));
        let (blocks, complaints) = parse_headers(many.as_bytes());
        assert_eq!(
            (blocks[0].edits.len(), complaints.len()),
            (RULES_PER_FILE_MAX, 1)
        );

        let faults = "x\n".repeat(COMPLAINTS_MAX + 10);
        let (_, complaints) = parse_redirects(faults.as_bytes());
        assert_eq!(complaints.len(), COMPLAINTS_MAX + 1);
        assert!(complaints[COMPLAINTS_MAX].text.contains("more faults"));

        let big = format!("/a /b\n#{}\n/c /d\n", "x".repeat(RULE_FILE_BYTES_MAX));
        let (rules, complaints) = parse_redirects(big.as_bytes());
        assert_eq!(
            (rules.len(), complaints.len(), complaints[0].line),
            (1, 1, 2)
        );
    }

    proptest! {
        #[test]
        fn any_file_is_read_without_a_panic(
            file in proptest::collection::vec(any::<u8>(), 0..256),
        ) {
            parse_headers(&file);
            parse_redirects(&file);
        }
    }
}
