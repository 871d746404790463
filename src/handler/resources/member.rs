//! Names of new members: sortable by the time at which they were made, and served as what they were
//! sent as.

use crate::http::media_type::essence;

/// Media types that members are sent as, with the ending that they are served by.
const ENDINGS: &[(&str, &str)] = &[
    ("application/json", "json"),
    ("application/gzip", "gz"),
    ("application/ld+json", "jsonld"),
    ("application/pdf", "pdf"),
    ("application/toml", "toml"),
    ("application/wasm", "wasm"),
    ("application/yaml", "yaml"),
    ("application/zip", "zip"),
    ("audio/mpeg", "mp3"),
    ("audio/ogg", "oga"),
    ("image/avif", "avif"),
    ("image/gif", "gif"),
    ("image/jpeg", "jpg"),
    ("image/png", "png"),
    ("image/svg+xml", "svg"),
    ("image/webp", "webp"),
    ("text/calendar", "ics"),
    ("text/css", "css"),
    ("text/csv", "csv"),
    ("text/html", "html"),
    ("text/javascript", "js"),
    ("text/markdown", "md"),
    ("text/plain", "txt"),
    ("text/xml", "xml"),
    ("application/xml", "xml"),
    ("video/mp4", "mp4"),
    ("video/webm", "webm"),
];

/// A fresh name (RFC 9562 §5.7) for content of this type. What is of no known type has no ending,
/// and is served as bytes.
pub(super) fn fresh_name(content_type: Option<&[u8]>) -> String {
    let id = uuid::Uuid::now_v7();
    match ending(content_type.unwrap_or_default()) {
        Some(ending) => format!("{id}.{ending}"),
        None => id.to_string(),
    }
}

fn ending(content_type: &[u8]) -> Option<&'static str> {
    let media_type = essence(std::str::from_utf8(content_type).ok()?).to_ascii_lowercase();
    let known = ENDINGS.iter().find(|(known, _)| *known == media_type);
    match known {
        Some((_, ending)) => Some(ending),
        // Of a format of its own that is JSON all the same (RFC 6839 §3.1).
        None => media_type.ends_with("+json").then_some("json"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::media_type::of_file_name;

    #[test]
    fn a_member_is_served_as_what_it_was_sent_as() {
        for (media_type, ending) in ENDINGS {
            let name = fresh_name(Some(media_type.as_bytes()));
            assert!(name.ends_with(&format!(".{ending}")));
            let served = of_file_name(name.as_bytes());
            let served = essence(&served);
            let is_same = served == *media_type || (*ending == "xml" && served == "text/xml");
            assert!(is_same, "{media_type} is served as {served}");
        }
        for (content_type, ending) in [
            ("Application/JSON; charset=utf-8", Some("json")),
            ("application/vnd.api+json", Some("json")),
            ("application/octet-stream", None),
            ("application/x-unknown", None),
            ("../../x", None),
            ("", None),
        ] {
            assert_eq!(
                super::ending(content_type.as_bytes()),
                ending,
                "{content_type}"
            );
        }
    }

    #[test]
    fn names_sort_as_they_were_made() {
        let names: Vec<String> = (0..1000).map(|_| fresh_name(None)).collect();
        assert!(names.is_sorted());
        assert!(names.windows(2).all(|two| two[0] != two[1]));
    }
}
