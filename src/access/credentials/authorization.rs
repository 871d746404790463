//! The `Authorization` field (RFC 9110 §11.6.2), as Basic and Bearer use it.

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use zeroize::Zeroizing;

use super::wrong::{Scheme, Wrong};
use crate::base::limits::{PASSWORD_BYTES_MAX, TOKEN_BYTES_MAX, USER_NAME_BYTES_MAX};

/// With padding or without: some clients leave it out.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);
const BASIC_BYTES_MAX: usize = (USER_NAME_BYTES_MAX + 1 + PASSWORD_BYTES_MAX).div_ceil(3) * 4;

/// What a request presents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Presented<'a> {
    /// Name and password in base64.
    Basic(&'a [u8]),
    /// A token.
    Bearer(&'a [u8]),
    /// Something else, or one of the two without anything behind it.
    Other(Wrong),
}

/// Reads the value of the field. The name of a scheme is told in any case of letters.
pub(super) fn presented(value: &[u8]) -> Presented<'_> {
    let value = value.trim_ascii();
    let name_end = memchr::memchr(b' ', value).unwrap_or(value.len());
    let (name, rest) = value.split_at(name_end);
    let scheme = match name {
        name if name.eq_ignore_ascii_case(b"Basic") => Scheme::Basic,
        name if name.eq_ignore_ascii_case(b"Bearer") => Scheme::Bearer,
        _ => return Presented::Other(Wrong::UnknownScheme),
    };
    let token = rest.trim_ascii_start();
    match scheme {
        _ if !is_token68(token) => Presented::Other(Wrong::Malformed(scheme)),
        Scheme::Basic if token.len() <= BASIC_BYTES_MAX => Presented::Basic(token),
        Scheme::Bearer if token.len() <= TOKEN_BYTES_MAX => Presented::Bearer(token),
        _ => Presented::Other(Wrong::Malformed(scheme)),
    }
}

/// RFC 9110 §11.2.
fn is_token68(token: &[u8]) -> bool {
    let padding = token.iter().rev().take_while(|byte| **byte == b'=').count();
    let body = &token[..token.len() - padding];
    let is_letter = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~+/".contains(byte);
    !body.is_empty() && body.iter().all(is_letter)
}

/// A name and a password, wiped when they are dropped.
pub(super) struct UserPass {
    bytes: Zeroizing<Vec<u8>>,
    colon: usize,
}

impl UserPass {
    /// Decodes what stands behind `Basic` (RFC 7617 §2). `None` for what no client may send.
    pub(super) fn decode(token: &[u8]) -> Option<UserPass> {
        let mut bytes = Zeroizing::new(vec![0; base64::decoded_len_estimate(token.len())]);
        let len = BASE64.decode_slice(token, &mut bytes).ok()?;
        bytes.truncate(len);
        let colon = memchr::memchr(b':', &bytes)?;
        // "The user-id and password MUST NOT contain any control characters."
        let is_text = str::from_utf8(&bytes[..colon]).is_ok();
        let fits = colon <= USER_NAME_BYTES_MAX && bytes.len() - colon - 1 <= PASSWORD_BYTES_MAX;
        let is_plain = !bytes.iter().any(u8::is_ascii_control);
        (is_text && fits && is_plain).then_some(UserPass { bytes, colon })
    }

    pub(super) fn name(&self) -> &str {
        str::from_utf8(&self.bytes[..self.colon]).expect("it was looked at when it was decoded")
    }

    pub(super) fn password(&self) -> &[u8] {
        &self.bytes[self.colon + 1..]
    }

    /// Both with the colon between them, which no name holds.
    pub(super) fn whole(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(token: &str) -> Option<(String, Vec<u8>)> {
        let both = UserPass::decode(token.as_bytes())?;
        Some((both.name().to_owned(), both.password().to_vec()))
    }

    #[test]
    fn the_examples_of_rfc_7617_are_read() {
        let first = presented(b"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        assert_eq!(first, Presented::Basic(b"QWxhZGRpbjpvcGVuIHNlc2FtZQ=="));
        let aladdin = ("Aladdin".to_owned(), b"open sesame".to_vec());
        assert_eq!(decoded("QWxhZGRpbjpvcGVuIHNlc2FtZQ=="), Some(aladdin));
        let test = ("test".to_owned(), "123£".as_bytes().to_vec());
        assert_eq!(decoded("dGVzdDoxMjPCow=="), Some(test.clone()));
        assert_eq!(decoded("dGVzdDoxMjPCow"), Some(test), "without padding");
    }

    #[test]
    fn schemes_are_told_by_their_names() {
        use Presented::*;
        for (value, expected) in [
            (&b"bearer a.b-c~d+e/f=="[..], Bearer(b"a.b-c~d+e/f==")),
            (b" BASIC   YTpi ", Basic(b"YTpi")),
            (b"Basic", Other(Wrong::Malformed(Scheme::Basic))),
            (b"Basic ", Other(Wrong::Malformed(Scheme::Basic))),
            (b"Bearer a b", Other(Wrong::Malformed(Scheme::Bearer))),
            (b"Bearer =", Other(Wrong::Malformed(Scheme::Bearer))),
            (b"Bearer a=b", Other(Wrong::Malformed(Scheme::Bearer))),
            (b"Bearer \xff", Other(Wrong::Malformed(Scheme::Bearer))),
            (b"Basic\tYTpi", Other(Wrong::UnknownScheme)),
            (b"Digest username=a", Other(Wrong::UnknownScheme)),
            (b"", Other(Wrong::UnknownScheme)),
        ] {
            assert_eq!(presented(value), expected, "{}", value.escape_ascii());
        }
        let long = [&b"Bearer "[..], &vec![b'a'; TOKEN_BYTES_MAX + 1]].concat();
        assert_eq!(presented(&long), Other(Wrong::Malformed(Scheme::Bearer)));
    }

    #[test]
    fn what_no_client_may_send_is_no_password() {
        let encode = |bytes: &[u8]| BASE64.encode(bytes);
        for bytes in [
            &b"no colon"[..],
            b"a:b\n",
            b"a\0:b",
            b"a:b\x7f",
            b"\xff:b",
            &[b"a:", &[b'x'; 1025][..]].concat(),
            &[&[b'x'; 257][..], b":a"].concat(),
        ] {
            assert_eq!(decoded(&encode(bytes)), None, "{}", bytes.escape_ascii());
        }
        assert_eq!(decoded("YTpi-_"), None, "another alphabet");
        assert_eq!(decoded("YTpiY"), None, "a letter too many");
        let no_name = (String::new(), b"b:c".to_vec());
        assert_eq!(decoded(&encode(b":b:c")), Some(no_name));
        let latin = ("a".to_owned(), b"\xfc".to_vec());
        assert_eq!(
            decoded(&encode(b"a:\xfc")),
            Some(latin),
            "of any character set"
        );
    }
}
