//! Paths of requests as paths below a root.
//!
//! A raw path is decoded and normalised here once, into a type that cannot leave its root. Knows no
//! file system: whether the name exists, and what a symbolic link does, is for the kernel to say.

use std::ffi::CString;

use crate::base::limits::PATH_BYTES_MAX;

/// Why a raw path is no [`SafePath`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathError {
    /// It breaks the grammar or leaves the root: 400, with the reason.
    BadRequest(&'static str),
    /// No file can have this name: 404.
    NotFound,
}

/// A path below a root: no leading slash, no empty, `.` or `..` segment, no NUL. Any other byte may
/// stand in it, valid UTF-8 or not, as in names of files.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SafePath {
    /// Segments with a slash between them; empty for the root itself.
    bytes: Vec<u8>,
    ends_in_slash: bool,
    hidden: bool,
}

impl SafePath {
    /// Decodes and normalises the path of a request (RFC 3986 §2.1, §5.2.4).
    ///
    /// Empty segments are merged away, since `a//b` and `a/b` name one file. A path that climbs
    /// above its root is refused, not clamped as RFC 3986 would: no honest client sends one.
    pub fn parse(raw: &[u8]) -> Result<SafePath, PathError> {
        let Some(raw) = raw.strip_prefix(b"/") else {
            return Err(PathError::BadRequest(
                "the path does not start with a slash",
            ));
        };
        let mut bytes = Vec::with_capacity(raw.len());
        let mut ends_in_slash = true;
        for segment in raw.split(|byte| *byte == b'/') {
            let start = bytes.len();
            if start > 0 {
                bytes.push(b'/');
            }
            let name_start = bytes.len();
            decode(segment, &mut bytes)?;
            ends_in_slash = true;
            match &bytes[name_start..] {
                b"" | b"." => bytes.truncate(start),
                b".." => {
                    bytes.truncate(start);
                    remove_last_segment(&mut bytes)?;
                }
                _ => ends_in_slash = false,
            }
        }
        if bytes.len() > PATH_BYTES_MAX {
            return Err(PathError::NotFound);
        }
        let hidden = is_hidden(&bytes);
        Ok(SafePath {
            bytes,
            ends_in_slash,
            hidden,
        })
    }

    /// The root itself.
    pub fn root() -> SafePath {
        SafePath {
            bytes: Vec::new(),
            ends_in_slash: true,
            hidden: false,
        }
    }

    /// The path relative to its root, without slashes at its ends; empty for the root.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The path for a system call.
    pub fn to_c_string(&self) -> CString {
        CString::new(self.bytes.clone()).expect("a safe path holds no NUL")
    }

    /// The last segment; empty for the root.
    pub fn file_name(&self) -> &[u8] {
        let start = memchr::memrchr(b'/', &self.bytes).map_or(0, |slash| slash + 1);
        &self.bytes[start..]
    }

    /// True when the path asked for a directory: it ended in a slash or in a dot segment.
    pub fn ends_in_slash(&self) -> bool {
        self.ends_in_slash
    }

    /// True when a segment starts with a dot; a leading `.well-known` (RFC 8615) does not count.
    pub fn is_hidden(&self) -> bool {
        self.hidden
    }

    /// True for a name that may stand as one segment of a safe path.
    pub fn is_segment(name: &[u8]) -> bool {
        !matches!(name, b"" | b"." | b"..") && !name.iter().any(|byte| matches!(byte, b'/' | 0))
    }

    /// The directory that holds the last segment, without a slash at its end; empty for the root.
    pub fn parent(&self) -> &[u8] {
        self.bytes[..self.bytes.len() - self.file_name().len()]
            .strip_suffix(b"/")
            .unwrap_or_default()
    }

    /// What is left of the path behind a prefix of `prefix_len` bytes that ends at a segment.
    #[must_use]
    pub fn below(&self, prefix_len: usize) -> SafePath {
        let rest = &self.bytes[prefix_len..];
        SafePath {
            bytes: rest.strip_prefix(b"/").unwrap_or(rest).to_vec(),
            ends_in_slash: self.ends_in_slash,
            hidden: self.hidden,
        }
    }

    /// The path with `suffix` behind its last segment, naming a file. The suffix comes from the
    /// configuration or from a table: no slash, no NUL.
    #[must_use]
    pub fn with_suffix(&self, suffix: &str) -> SafePath {
        assert!(!suffix.contains(['/', '\0']), "not the end of a segment");
        let mut bytes = self.bytes.clone();
        bytes.extend_from_slice(suffix.as_bytes());
        SafePath {
            bytes,
            ends_in_slash: false,
            hidden: self.hidden,
        }
    }

    /// The path with another last segment, naming a file.
    #[must_use]
    pub fn with_file_name(&self, name: &[u8]) -> SafePath {
        assert!(SafePath::is_segment(name), "not one segment");
        let mut bytes = self.bytes[..self.bytes.len() - self.file_name().len()].to_vec();
        bytes.extend_from_slice(name);
        SafePath {
            bytes,
            ends_in_slash: false,
            hidden: self.hidden,
        }
    }

    /// The same path, asking for a directory or not.
    #[must_use]
    pub fn with_final_slash(&self, ends_in_slash: bool) -> SafePath {
        SafePath {
            bytes: self.bytes.clone(),
            ends_in_slash,
            hidden: self.hidden,
        }
    }

    /// A path that is decoded already, with its leading slash: from the configuration, or made of a
    /// request's own decoded parts.
    pub fn from_decoded(decoded: &[u8]) -> Option<SafePath> {
        let rest = decoded.strip_prefix(b"/")?;
        let mut bytes = Vec::with_capacity(rest.len());
        for segment in rest.split(|byte| *byte == b'/') {
            match segment {
                b"" | b"." => continue,
                b".." => return None,
                _ if segment.contains(&0) => return None,
                _ => {}
            }
            if !bytes.is_empty() {
                bytes.push(b'/');
            }
            bytes.extend_from_slice(segment);
        }
        if bytes.len() > PATH_BYTES_MAX {
            return None;
        }
        Some(SafePath {
            hidden: is_hidden(&bytes),
            ends_in_slash: rest.is_empty() || rest.ends_with(b"/"),
            bytes,
        })
    }

    /// The decoded path with its leading slash, and its final one, as rules look at it.
    pub fn to_decoded(&self) -> Vec<u8> {
        let slash: &[u8] = if self.ends_in_slash && !self.bytes.is_empty() {
            b"/"
        } else {
            b""
        };
        [b"/", &self.bytes[..], slash].concat()
    }

    /// The file `name` in the directory that this path names. `name` comes from the configuration,
    /// which has asked [`SafePath::is_segment`].
    pub fn join_index(&self, name: &str) -> SafePath {
        assert!(SafePath::is_segment(name.as_bytes()), "not one segment");
        let mut bytes = Vec::with_capacity(self.bytes.len() + 1 + name.len());
        bytes.extend_from_slice(&self.bytes);
        if !bytes.is_empty() {
            bytes.push(b'/');
        }
        bytes.extend_from_slice(name.as_bytes());
        SafePath {
            bytes,
            ends_in_slash: false,
            hidden: self.hidden,
        }
    }
}

/// Appends a segment with its escapes decoded.
fn decode(segment: &[u8], bytes: &mut Vec<u8>) -> Result<(), PathError> {
    let mut rest = segment;
    while let Some((byte, after)) = rest.split_first() {
        let (decoded, after) = match (byte, after) {
            (b'%', [high, low, after @ ..]) => (decode_escape(*high, *low)?, after),
            (b'%', _) => return Err(BAD_ESCAPE),
            _ => (*byte, after),
        };
        match decoded {
            0 => return Err(PathError::BadRequest("the path holds a NUL")),
            // An encoded slash is data, not a separator, and no name of a file can hold it.
            b'/' => return Err(PathError::NotFound),
            _ => bytes.push(decoded),
        }
        rest = after;
    }
    Ok(())
}

const BAD_ESCAPE: PathError = PathError::BadRequest("a percent sign without two hex digits");

fn decode_escape(high: u8, low: u8) -> Result<u8, PathError> {
    let digit = |byte: u8| char::from(byte).to_digit(16).ok_or(BAD_ESCAPE);
    Ok((digit(high)? * 16 + digit(low)?) as u8)
}

fn remove_last_segment(bytes: &mut Vec<u8>) -> Result<(), PathError> {
    if bytes.is_empty() {
        return Err(PathError::BadRequest("the path leaves the root"));
    }
    bytes.truncate(memchr::memrchr(b'/', bytes).unwrap_or(0));
    Ok(())
}

fn is_hidden(bytes: &[u8]) -> bool {
    bytes
        .split(|byte| *byte == b'/')
        .enumerate()
        .any(|(position, segment)| {
            segment.starts_with(b".") && !(position == 0 && segment == b".well-known")
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(raw: &str) -> Result<(String, bool), PathError> {
        let path = SafePath::parse(raw.as_bytes())?;
        let text = String::from_utf8_lossy(path.as_bytes()).into_owned();
        Ok((text, path.ends_in_slash()))
    }

    fn is(raw: &str, path: &str, ends_in_slash: bool) {
        assert_eq!(parse(raw), Ok((path.to_owned(), ends_in_slash)), "{raw}");
    }

    #[test]
    fn parts_and_neighbours_of_a_path() {
        let path = SafePath::parse(b"/a/b/c.html").unwrap();
        assert_eq!(
            (path.parent(), path.file_name()),
            (&b"a/b"[..], &b"c.html"[..])
        );
        assert_eq!(path.below(1).as_bytes(), b"b/c.html");
        assert_eq!(path.below(0).as_bytes(), b"a/b/c.html");
        assert_eq!(path.with_suffix(".br").as_bytes(), b"a/b/c.html.br");
        assert_eq!(path.with_file_name(b"d").as_bytes(), b"a/b/d");
        assert_eq!(path.with_final_slash(true).to_decoded(), b"/a/b/c.html/");
        let root = SafePath::parse(b"/").unwrap();
        assert_eq!(
            (root.parent(), root.to_decoded()),
            (&b""[..], b"/".to_vec())
        );
        let top = SafePath::parse(b"/a").unwrap();
        assert_eq!((top.parent(), top.file_name()), (&b""[..], &b"a"[..]));
        for decoded in [&b"/a/b/c.html"[..], b"/", b"/a/", b"/.well-known/x", b"/.a"] {
            let path = SafePath::from_decoded(decoded).unwrap();
            assert_eq!(path.to_decoded(), decoded);
            assert_eq!(SafePath::parse(decoded), Ok(path));
        }
        for refused in [&b"a"[..], b"", b"/a/../b", b"/a\0"] {
            assert_eq!(SafePath::from_decoded(refused), None);
        }
    }

    /// RFC 3986 §5.2.4, §6.2.2
    #[test]
    fn paths_are_decoded_and_normalised() {
        is("/", "", true);
        is("/a", "a", false);
        is("/a/", "a", true);
        is("/a/b.css", "a/b.css", false);
        is("//a///b//", "a/b", true);
        is("/a/./b/.", "a/b", true);
        is("/a/../b", "b", false);
        is("/a/b/..", "a", true);
        is("/a/..", "", true);
        is("/a//../b", "b", false);
        is("/%61%2Fb".replace("%2F", "/").as_str(), "a/b", false);
        is("/a%20b%3f%23", "a b?#", false);
        is("/a/%2e%2E/b/%2e", "b", true);
        is("/a/.%2e/b", "b", false);
        is("/...", "...", false);
        is("/a%5c..%5cb", "a\\..\\b", false);
        is("/a%252e", "a%2e", false);
        is("/a+b", "a+b", false);
    }

    #[test]
    fn what_cannot_be_a_path_is_refused() {
        for raw in ["", "a", "*"] {
            assert!(matches!(parse(raw), Err(PathError::BadRequest(_))), "{raw}");
        }
        for raw in [
            "/..",
            "/a/../..",
            "/%2e%2e/etc",
            "/a/../../b",
            "//..",
            "/.%2e/",
        ] {
            let refused = PathError::BadRequest("the path leaves the root");
            assert_eq!(parse(raw), Err(refused), "{raw}");
        }
        for raw in ["/%", "/%4", "/a%g0", "/a%0g/b", "/%+1", "/%%41"] {
            assert_eq!(parse(raw), Err(BAD_ESCAPE), "{raw}");
        }
        for raw in ["/%00", "/a/b%00.html", "/\0"] {
            let refused = PathError::BadRequest("the path holds a NUL");
            assert_eq!(parse(raw), Err(refused), "{raw}");
        }
        for raw in ["/a%2fb", "/..%2F..%2fetc", "/%2F"] {
            assert_eq!(parse(raw), Err(PathError::NotFound), "{raw}");
        }
    }

    #[test]
    fn long_paths_are_not_found() {
        let longest = format!("/{}", "a".repeat(PATH_BYTES_MAX));
        assert!(parse(&longest).is_ok());
        assert_eq!(parse(&format!("{longest}a")), Err(PathError::NotFound));
    }

    #[test]
    fn dotfiles_are_hidden_but_not_well_known() {
        let hidden = |raw: &str| SafePath::parse(raw.as_bytes()).unwrap().is_hidden();
        assert!(hidden("/.git/config") && hidden("/a/.htaccess") && hidden("/%2egit"));
        assert!(hidden("/.well-known/.secret") && hidden("/a/.well-known/x"));
        assert!(hidden("/.well-known2") && hidden("/..."));
        assert!(!hidden("/.well-known/acme-challenge/x") && !hidden("/a.b/c") && !hidden("/"));
    }

    #[test]
    fn invalid_utf8_is_a_name_too() {
        let path = SafePath::parse(b"/%ff\xfe/x").unwrap();
        assert_eq!(path.as_bytes(), b"\xff\xfe/x");
        assert_eq!(path.file_name(), b"x");
        assert_eq!(path.to_c_string().as_bytes(), b"\xff\xfe/x");
    }

    #[test]
    fn an_index_is_joined() {
        let join = |raw: &str| {
            SafePath::parse(raw.as_bytes())
                .unwrap()
                .join_index("i.html")
        };
        assert_eq!(join("/").as_bytes(), b"i.html");
        assert_eq!(join("/a/").as_bytes(), b"a/i.html");
        assert!(!join("/a/").ends_in_slash());
        for name in ["", ".", "..", "a/b", "a\0"] {
            assert!(!SafePath::is_segment(name.as_bytes()));
        }
    }

    fn hostile_path() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            Just(b"/".to_vec()),
            Just(b"..".to_vec()),
            Just(b".".to_vec()),
            Just(b"%2e".to_vec()),
            Just(b"%2F".to_vec()),
            Just(b"%00".to_vec()),
            Just(b"%".to_vec()),
            Just(b"a".to_vec()),
            any::<u8>().prop_map(|byte| vec![byte]),
        ];
        proptest::collection::vec(piece, 0..24).prop_map(|pieces| {
            let mut path = b"/".to_vec();
            path.extend(pieces.concat());
            path
        })
    }

    proptest! {
        #[test]
        fn a_safe_path_is_safe_whatever_it_came_from(raw in hostile_path()) {
            if let Ok(path) = SafePath::parse(&raw) {
                let bytes = path.as_bytes();
                if !bytes.is_empty() {
                    for segment in bytes.split(|byte| *byte == b'/') {
                        prop_assert!(SafePath::is_segment(segment), "{:?}", bytes);
                    }
                }
                prop_assert!(bytes.len() <= PATH_BYTES_MAX);
                path.to_c_string();
            }
        }
    }
}
