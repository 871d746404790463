//! Fields that an answer gets besides its own, rendered for the protocol that it goes out on.

use super::hpack_block;

/// How fields are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldForm {
    /// Lines of HTTP/1, each with its CRLF.
    H1,
    /// Fields of an HPACK block, for HTTP/2.
    H2,
}

/// Appends fields in one form.
#[derive(Debug)]
pub struct FieldWriter<'a> {
    out: &'a mut Vec<u8>,
    form: FieldForm,
}

impl FieldWriter<'_> {
    /// Appends to `out`.
    pub fn new(out: &mut Vec<u8>, form: FieldForm) -> FieldWriter<'_> {
        FieldWriter { out, form }
    }

    /// Appends a field; a value with CR, LF or NUL, which no caller should have, is left out.
    #[inline]
    pub fn field(&mut self, name: &str, value: &[u8]) {
        let breaks_out = memchr::memchr3(b'\r', b'\n', 0, value).is_some();
        debug_assert!(!breaks_out, "field injection");
        if breaks_out {
            return;
        }
        match self.form {
            FieldForm::H1 => {
                self.out.reserve(name.len() + value.len() + 4);
                for piece in [name.as_bytes(), b": ", value, b"\r\n"] {
                    self.out.extend_from_slice(piece);
                }
            }
            FieldForm::H2 => hpack_block::field(self.out, name, value),
        }
    }

    /// Appends fields that were rendered before.
    #[inline]
    pub fn rendered(&mut self, fields: &RenderedFields) {
        self.out.extend_from_slice(match self.form {
            FieldForm::H1 => &fields.h1,
            FieldForm::H2 => &fields.h2,
        });
    }
}

/// Fields that many answers get, rendered once in each form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RenderedFields {
    h1: Box<[u8]>,
    h2: Box<[u8]>,
}

impl RenderedFields {
    /// Renders `fields`.
    pub fn new(fields: &[(&str, &str)]) -> RenderedFields {
        let render = |form| {
            let mut out = Vec::new();
            let mut writer = FieldWriter::new(&mut out, form);
            for (name, value) in fields {
                writer.field(name, value.as_bytes());
            }
            out.into_boxed_slice()
        };
        RenderedFields {
            h1: render(FieldForm::H1),
            h2: render(FieldForm::H2),
        }
    }

    /// The fields in one form.
    #[inline]
    pub fn get(&self, form: FieldForm) -> &[u8] {
        match form {
            FieldForm::H1 => &self.h1,
            FieldForm::H2 => &self.h2,
        }
    }
}

/// Appends a number in digits.
#[inline]
pub fn push_decimal(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20];
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            return out.extend_from_slice(&digits[start..]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_rendered_before_is_what_would_be_written() {
        let fields = RenderedFields::new(&[("X-A", "1"), ("Vary", "Origin")]);
        for form in [FieldForm::H1, FieldForm::H2] {
            let (mut written, mut copied) = (Vec::new(), Vec::new());
            let mut writer = FieldWriter::new(&mut written, form);
            writer.field("X-A", b"1");
            writer.field("Vary", b"Origin");
            FieldWriter::new(&mut copied, form).rendered(&fields);
            assert_eq!(written, copied);
            assert_eq!(fields.get(form), written);
        }
        assert_eq!(fields.get(FieldForm::H1), b"X-A: 1\r\nVary: Origin\r\n");
    }

    #[test]
    #[cfg_attr(debug_assertions, should_panic(expected = "field injection"))]
    fn a_value_does_not_break_out() {
        let mut out = Vec::new();
        FieldWriter::new(&mut out, FieldForm::H1).field("X-A", b"1\r\nX-B: 2");
        assert_eq!(out, b"");
    }
}
