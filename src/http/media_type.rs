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

/// A media type without its parameters.
pub fn essence(media_type: &str) -> &str {
    let end = media_type.find(';').unwrap_or(media_type.len());
    media_type[..end].trim_matches([' ', '\t'])
}

/// Types outside of `text/` that are text all the same, or hold plain tables, outlines or pixels.
const COMPRESSIBLE: &[&str] = &[
    "application/ecmascript",
    "application/font-sfnt",
    "application/graphql",
    "application/javascript",
    "application/json",
    "application/json5",
    "application/jsonl",
    "application/postscript",
    "application/rtf",
    "application/sql",
    "application/toml",
    "application/typescript",
    "application/vnd.apple.mpegurl",
    "application/vnd.ms-fontobject",
    "application/wasm",
    "application/x-font-opentype",
    "application/x-font-otf",
    "application/x-font-truetype",
    "application/x-font-ttf",
    "application/x-httpd-php",
    "application/x-javascript",
    "application/x-latex",
    "application/x-mpegurl",
    "application/x-ndjson",
    "application/x-perl",
    "application/x-sh",
    "application/x-sql",
    "application/x-subrip",
    "application/x-tcl",
    "application/x-tex",
    "application/x-yaml",
    "application/xml",
    "application/xml-dtd",
    "application/yaml",
    "audio/mpegurl",
    "audio/x-mpegurl",
    "font/collection",
    "font/otf",
    "font/sfnt",
    "font/ttf",
    "image/bmp",
    "image/vnd.microsoft.icon",
    "image/x-icon",
    "image/x-ms-bmp",
];

/// Syntaxes that a subtype may end in (RFC 6839, RFC 9512), all of them text.
const COMPRESSIBLE_SUFFIXES: &[&str] = &["+json", "+xml", "+yaml"];

/// True for a type whose files become much smaller by a content coding. Not so what is compressed
/// by itself: pictures, sound and films, WOFF, archives, and PDF, whose streams are deflated.
/// Neither are types that say nothing (`application/octet-stream`): most of what has them are
/// downloads, which are compressed, and a coding would take their ranges of bytes away from
/// clients that resume.
pub fn is_compressible(media_type: &str) -> bool {
    let essence = essence(media_type);
    let starts_with = |prefix: &str| {
        let start = essence.as_bytes().get(..prefix.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()))
    };
    let ends_with = |suffix: &&str| {
        let start = essence.len().checked_sub(suffix.len());
        start.is_some_and(|start| {
            essence.as_bytes()[start..].eq_ignore_ascii_case(suffix.as_bytes())
        })
    };
    starts_with("text/")
        || COMPRESSIBLE_SUFFIXES.iter().any(ends_with)
        || COMPRESSIBLE
            .iter()
            .any(|other| essence.eq_ignore_ascii_case(other))
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
    fn types_without_their_parameters() {
        let rows = [
            ("text/html; charset=utf-8", "text/html"),
            ("text/html \t; a=b; c=d", "text/html"),
            ("image/png", "image/png"),
            ("", ""),
            (";", ""),
        ];
        for (media_type, expected) in rows {
            assert_eq!(essence(media_type), expected);
        }
    }

    #[test]
    fn what_becomes_smaller() {
        let smaller = [
            "a.html",
            "a.css",
            "a.js",
            "a.mjs",
            "a.json",
            "a.js.map",
            "a.webmanifest",
            "a.wasm",
            "a.ttf",
            "a.otf",
            "a.eot",
            "a.ttc",
            "a.svg",
            "a.ico",
            "a.bmp",
            "a.md",
            "a.txt",
            "a.csv",
            "a.xml",
            "a.vtt",
            "a.rss",
            "a.atom",
            "a.xhtml",
            "a.ics",
            "a.yaml",
            "a.toml",
            "a.jsonld",
            "a.geojson",
            "a.m3u8",
            "a.mpd",
            "a.rtf",
            "a.sh",
        ];
        for name in smaller {
            let media_type = of_file_name(name.as_bytes());
            assert!(is_compressible(&media_type), "{name}: {media_type}");
        }
        let not = [
            "a.png", "a.jpg", "a.gif", "a.webp", "a.avif", "a.mp4", "a.webm", "a.mp3", "a.ogg",
            "a.woff", "a.woff2", "a.zip", "a.gz", "a.br", "a.zst", "a.7z", "a.pdf", "a.tar",
            "a.ts", "a.docx", "a.epub", "a.jar", "a.iso", "a.exe", "README",
        ];
        for name in not {
            let media_type = of_file_name(name.as_bytes());
            assert!(!is_compressible(&media_type), "{name}: {media_type}");
        }
        let rows = [
            ("TEXT/Plain", true),
            ("application/LD+JSON ; profile=x", true),
            ("application/x-ndjson", true),
            ("application/jsonx", false),
            ("image/svg+xml; charset=utf-8", true),
            ("texts/html", false),
            ("text", false),
            ("+json", true),
            ("\u{e4}\u{e4}\u{e4}", false),
            ("", false),
        ];
        for (media_type, expected) in rows {
            assert_eq!(is_compressible(media_type), expected, "{media_type}");
        }
        assert!(COMPRESSIBLE.is_sorted());
    }

    #[test]
    fn own_types_are_lower_case_and_unique() {
        for (position, (extension, _)) in OWN.iter().enumerate() {
            assert_eq!(*extension, extension.to_lowercase());
            assert!(OWN[..position].iter().all(|(other, _)| other != extension));
        }
    }
}
