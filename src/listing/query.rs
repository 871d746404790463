//! What the query of a request asks of a listing.
//!
//! `?sort=name|size|modified`, `&order=asc|desc`, `&format=html|json`. Whatever else stands there
//! is ignored, so that no query is an error and all queries together make few variants: a cache
//! that keeps them cannot be flooded.

use super::order::{Order, OrderBy};

/// How a listing is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// A page for people.
    Html,
    /// For programs.
    Json,
}

impl Format {
    /// The value of `Content-Type`. JSON has no charset (RFC 8259 §11).
    pub fn content_type(self) -> &'static str {
        match self {
            Format::Html => "text/html; charset=utf-8",
            Format::Json => "application/json",
        }
    }
}

/// What a query asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ListingQuery {
    /// The order of the entries.
    pub order: Order,
    /// The format, when the query names one; otherwise `Accept` decides.
    pub format: Option<Format>,
}

impl ListingQuery {
    /// Numbers that [`ListingQuery::variant`] stays below.
    pub const VARIANTS: u8 = 18;

    /// Reads a query, without its question mark. Of what is said twice the last counts.
    pub fn parse(query: Option<&[u8]>) -> ListingQuery {
        let mut parsed = ListingQuery::default();
        for parameter in query.unwrap_or_default().split(|byte| *byte == b'&') {
            match parameter {
                b"sort=name" => parsed.order.by = OrderBy::Name,
                b"sort=size" => parsed.order.by = OrderBy::Size,
                b"sort=modified" => parsed.order.by = OrderBy::Modified,
                b"order=asc" => parsed.order.descending = false,
                b"order=desc" => parsed.order.descending = true,
                b"format=html" => parsed.format = Some(Format::Html),
                b"format=json" => parsed.format = Some(Format::Json),
                _ => {}
            }
        }
        parsed
    }

    /// A number for this query, the same for all that ask for the same: part of a cache's key.
    pub fn variant(self) -> u8 {
        let by = match self.order.by {
            OrderBy::Name => 0,
            OrderBy::Size => 1,
            OrderBy::Modified => 2,
        };
        let format = match self.format {
            None => 0,
            Some(Format::Html) => 1,
            Some(Format::Json) => 2,
        };
        by + 3 * (format + 3 * u8::from(self.order.descending))
    }
}

/// The query of a link to this order.
pub(super) fn of_order(order: Order) -> &'static str {
    match (order.by, order.descending) {
        (OrderBy::Name, false) => "sort=name&order=asc",
        (OrderBy::Name, true) => "sort=name&order=desc",
        (OrderBy::Size, false) => "sort=size&order=asc",
        (OrderBy::Size, true) => "sort=size&order=desc",
        (OrderBy::Modified, false) => "sort=modified&order=asc",
        (OrderBy::Modified, true) => "sort=modified&order=desc",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn queries_are_read_and_noise_is_ignored() {
        use Format::{Html, Json};
        use OrderBy::{Modified, Name, Size};
        let rows: &[(&[u8], OrderBy, bool, Option<Format>)] = &[
            (b"", Name, false, None),
            (b"sort=name", Name, false, None),
            (b"sort=size&order=desc", Size, true, None),
            (b"order=desc&sort=modified", Modified, true, None),
            (b"order=desc", Name, true, None),
            (b"format=json", Name, false, Some(Json)),
            (
                b"utm_source=x&format=html&&sort=size&",
                Size,
                false,
                Some(Html),
            ),
            (b"sort=size&sort=modified", Modified, false, None),
            (b"sort=size&sort=", Size, false, None),
            (b"SORT=size&sort=Size&sort=%73ize&sort", Name, false, None),
            (b"C=M;O=D", Name, false, None),
            (b"\xff&=&format=xml&order=down", Name, false, None),
        ];
        for (query, by, descending, format) in rows {
            let order = Order {
                by: *by,
                descending: *descending,
            };
            let expected = ListingQuery {
                order,
                format: *format,
            };
            assert_eq!(ListingQuery::parse(Some(query)), expected, "{query:?}");
        }
        assert_eq!(ListingQuery::parse(None), ListingQuery::default());
    }

    #[test]
    fn each_variant_has_its_number() {
        let mut seen = HashSet::new();
        for by in [OrderBy::Name, OrderBy::Size, OrderBy::Modified] {
            for descending in [false, true] {
                let order = Order { by, descending };
                assert_eq!(
                    ListingQuery::parse(Some(of_order(order).as_bytes())).order,
                    order
                );
                for format in [None, Some(Format::Html), Some(Format::Json)] {
                    let variant = ListingQuery { order, format }.variant();
                    assert!(variant < ListingQuery::VARIANTS && seen.insert(variant));
                }
            }
        }
        assert_eq!(seen.len(), usize::from(ListingQuery::VARIANTS));
    }
}
