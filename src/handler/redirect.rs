//! Answers that send the client elsewhere (RFC 9110 §15.4).

use crate::exchange::{Answer, AnswerHead};
use crate::http::{Authority, Method, RequestHead, Status};

use super::errors;

/// 308 to the same address over TLS. `port`: of the server's first TLS listener.
pub fn to_https(head: &RequestHead<'_>, port: u16) -> Answer {
    let Some(authority) = head.authority.and_then(Authority::parse) else {
        let reason = "Only a request that names its host can be sent on to HTTPS.";
        return errors::error_answer(Status::BAD_REQUEST, reason, head.method == Method::Head);
    };
    let mut location = b"https://".to_vec();
    location.extend_from_slice(authority.host);
    if port != 443 {
        location.extend_from_slice(format!(":{port}").as_bytes());
    }
    // The asterisk form has no path.
    location.extend_from_slice(if head.path.is_empty() { b"/" } else { b"" });
    push_uri_bytes(head.path, &mut location);
    push_query(head.query, &mut location);
    let body = "308 Permanent Redirect\nThis site speaks HTTPS.\n";
    permanent(head, location, bytes::Bytes::from_static(body.as_bytes()))
}

/// 308 keeps the method (RFC 9110 §15.4.9).
fn permanent(head: &RequestHead<'_>, location: Vec<u8>, body: bytes::Bytes) -> Answer {
    let fresh =
        errors::error_head(Status::PERMANENT_REDIRECT, body.len()).with_value("Location", location);
    Answer {
        head: AnswerHead::Fresh(fresh),
        body: errors::body_unless(head.method == Method::Head, body),
    }
}

/// Appends a decoded path, encoded again, as a reference that cannot leave this host: two slashes
/// at its start would name another one (RFC 3986 §4.2), and browsers read a backslash as a slash.
pub(super) fn push_path(decoded: &[u8], location: &mut Vec<u8>) {
    let leading = decoded.iter().take_while(|byte| **byte == b'/').count();
    location.push(b'/');
    for byte in &decoded[leading..] {
        match byte {
            b'%' | b'?' => push_encoded(*byte, location),
            byte => push_uri_bytes(&[*byte], location),
        }
    }
}

pub(super) fn push_query(query: Option<&[u8]>, location: &mut Vec<u8>) {
    if let Some(query) = query {
        location.push(b'?');
        push_uri_bytes(query, location);
    }
}

/// Copies bytes as they were sent, but encodes those that may not stand in a URI (RFC 3986 §2).
fn push_uri_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    for byte in bytes {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' => out.push(*byte),
            // Unreserved, percent, sub-delims, and what pchar and query add.
            b'-' | b'.' | b'_' | b'~' | b'%' | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*'
            | b'+' | b',' | b';' | b'=' | b':' | b'@' | b'/' | b'?' => out.push(*byte),
            _ => push_encoded(*byte, out),
        }
    }
}

fn push_encoded(byte: u8, out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let (high, low) = (byte >> 4, byte & 15);
    out.extend([b'%', DIGITS[high as usize], DIGITS[low as usize]]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{Fields, TargetForm, Version};

    fn sent_to(authority: Option<&[u8]>, path: &[u8], query: Option<&[u8]>, port: u16) -> String {
        let head = RequestHead {
            method: Method::Get,
            version: Version::Http11,
            form: TargetForm::Origin,
            path,
            query,
            authority,
            fields: Fields::new(&[]),
        };
        let answer = to_https(&head, port);
        let AnswerHead::Fresh(head) = answer.head else {
            panic!("made for this request")
        };
        let mut text = Vec::new();
        head.render_h1(&mut text);
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn https_keeps_host_path_and_query_and_takes_the_port_of_the_tls_listener() {
        let host = Some(&b"a.example:8080"[..]);
        let answer = sent_to(host, b"/x y", Some(b"q=1"), 443);
        assert!(
            answer.contains("Location: https://a.example/x%20y?q=1\r\n"),
            "{answer}"
        );
        let answer = sent_to(Some(b"[::1]:80"), b"/", None, 8443);
        assert!(
            answer.contains("Location: https://[::1]:8443/\r\n"),
            "{answer}"
        );
        assert!(answer.starts_with("HTTP/1.1 308 "), "{answer}");
    }

    #[test]
    fn who_names_no_host_cannot_be_sent_anywhere() {
        for host in [None, Some(&b"a b"[..]), Some(&b""[..])] {
            let answer = sent_to(host, b"/", None, 443);
            assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
        }
    }
}
