//! What names of one resource have in common.

/// The name up to its first dot; a dot that begins it counts as a letter.
pub fn stem(name: &[u8]) -> &[u8] {
    match name.iter().skip(1).position(|byte| *byte == b'.') {
        Some(before) => &name[..=before],
        None => name,
    }
}

/// True for the name of a compressed form beside its file: `page.html.br`.
pub fn is_form(name: &[u8]) -> bool {
    let endings: [&[u8]; 3] = [b".br", b".zst", b".gz"];
    endings.iter().any(|ending| name.ends_with(ending))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_of_one_resource_have_one_stem() {
        for (name, expected) in [
            ("page", "page"),
            ("page.html", "page"),
            ("page.de.html", "page"),
            ("page.html.br", "page"),
            ("app.3f2a.js.map", "app"),
            (".well-known", ".well-known"),
            (".htaccess.bak", ".htaccess"),
            ("..", "."),
            (".", "."),
            ("a.", "a"),
            ("", ""),
            ("_headers", "_headers"),
        ] {
            assert_eq!(stem(name.as_bytes()), expected.as_bytes(), "{name}");
        }
    }

    #[test]
    fn forms_are_told_by_their_endings() {
        for name in ["page.html.br", "app.js.zst", ".gz", "a.tar.gz"] {
            assert!(is_form(name.as_bytes()), "{name}");
        }
        for name in ["page.br.html", "gz", "page.html", ""] {
            assert!(!is_form(name.as_bytes()), "{name}");
        }
    }

    proptest! {
        #[test]
        fn what_stands_behind_a_dot_changes_no_stem(
            name in prop::collection::vec(any::<u8>(), 1..20),
            behind in prop::collection::vec(any::<u8>(), 0..20),
        ) {
            let longer = [&name[..], b".", &behind[..]].concat();
            prop_assert_eq!(stem(&longer), stem(&name));
            prop_assert!(name.starts_with(stem(&name)));
        }
    }
}
