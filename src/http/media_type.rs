//! The media type of a file, by its name (RFC 9110 §8.3).

use std::borrow::Cow;

/// What is served when the name says nothing.
pub const UNKNOWN: &str = "application/octet-stream";

/// Where the database is silent or behind the registry, and the types asked for most.
const OWN: &[(&str, &str)] = &[
    ("html", "text/html; charset=utf-8"),
    ("htm", "text/html; charset=utf-8"),
    ("css", "text/css; charset=utf-8"),
    ("js", "text/javascript; charset=utf-8"), // RFC 9239
    ("mjs", "text/javascript; charset=utf-8"),
    ("cjs", "text/javascript; charset=utf-8"),
    ("txt", "text/plain; charset=utf-8"),
    ("map", "application/json"),  // source maps
    ("m4a", "audio/mp4"),         // RFC 4337
    ("woff", "font/woff"),        // RFC 8081
    ("ts", "video/mp2t"),         // RFC 3555
    ("toml", "application/toml"), // registered 2024
    ("yaml", "application/yaml"), // RFC 9512
    ("yml", "application/yaml"),
    ("zst", "application/zstd"), // RFC 8878
];

/// The value of `Content-Type` for a file of this name. Text gets `charset=utf-8`; JSON has no such
/// parameter (RFC 8259 §11), and neither has any other type.
pub fn of_file_name(name: &[u8]) -> Cow<'static, str> {
    let Some(extension) = extension(name) else {
        return Cow::Borrowed(UNKNOWN);
    };
    let own = OWN
        .iter()
        .find(|(own, _)| extension.eq_ignore_ascii_case(own));
    if let Some((_, media_type)) = own {
        return Cow::Borrowed(media_type);
    }
    match mime_guess::from_ext(extension).first_raw() {
        Some(text) if text.starts_with("text/") => Cow::Owned(format!("{text}; charset=utf-8")),
        Some(media_type) => Cow::Borrowed(media_type),
        None => Cow::Borrowed(UNKNOWN),
    }
}

pub fn is_compressible(media_type: &str) -> bool {
    media_type.starts_with("text/")
}

/// What follows the last dot of the last segment, unless that dot is its first byte.
fn extension(name: &[u8]) -> Option<&str> {
    let start = memchr::memrchr(b'/', name).map_or(0, |slash| slash + 1);
    let name = &name[start..];
    let dot = memchr::memrchr(b'.', name).filter(|dot| *dot > 0)?;
    std::str::from_utf8(&name[dot + 1..]).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_by_name() {
        let rows = [
            ("index.html", "text/html; charset=utf-8"),
            ("a/b/INDEX.HTM", "text/html; charset=utf-8"),
            ("a.css", "text/css; charset=utf-8"),
            ("a.min.js", "text/javascript; charset=utf-8"),
            ("a.mjs", "text/javascript; charset=utf-8"),
            ("a.json", "application/json"),
            ("a.js.map", "application/json"),
            ("a.webmanifest", "application/manifest+json"),
            ("a.wasm", "application/wasm"),
            ("a.woff2", "font/woff2"),
            ("a.woff", "font/woff"),
            ("a.ttf", "font/ttf"),
            ("a.avif", "image/avif"),
            ("a.webp", "image/webp"),
            ("a.svg", "image/svg+xml"),
            ("a.png", "image/png"),
            ("a.jpg", "image/jpeg"),
            ("a.ico", "image/x-icon"),
            ("a.md", "text/markdown; charset=utf-8"),
            ("a.txt", "text/plain; charset=utf-8"),
            ("a.csv", "text/csv; charset=utf-8"),
            ("a.xml", "text/xml; charset=utf-8"),
            ("a.vtt", "text/vtt; charset=utf-8"),
            ("a.pdf", "application/pdf"),
            ("a.mp4", "video/mp4"),
            ("a.webm", "video/webm"),
            ("a.gz", "application/gzip"),
            ("a.yaml", "application/yaml"),
            ("a.html.unheard-of", UNKNOWN),
            ("README", UNKNOWN),
            ("a.", UNKNOWN),
            (".html", UNKNOWN),
            ("a.html/b", UNKNOWN),
            ("", UNKNOWN),
        ];
        for (name, expected) in rows {
            assert_eq!(of_file_name(name.as_bytes()), expected, "{name}");
        }
        assert_eq!(of_file_name(b"a.\xff\xfe"), UNKNOWN);
    }

    #[test]
    fn own_types_are_lower_case_and_unique() {
        for (position, (extension, _)) in OWN.iter().enumerate() {
            assert_eq!(*extension, extension.to_lowercase());
            assert!(OWN[..position].iter().all(|(other, _)| other != extension));
        }
    }
}
