//! Documents that are patched: JSON Merge Patch (RFC 7396) and JSON Patch (RFC 6902).
//!
//! Pure. A patch may be small and ask for much: copies of copies, arrays that move, values that
//! nest without end. So each operation is weighed before it is done.

use json_patch::jsonptr::Pointer;
use json_patch::{Patch, PatchErrorKind, PatchOperation};
use serde_json::Value;

use super::refusal::{Refusal, Result};
use crate::base::limits::{JSON_DEPTH_MAX, PATCH_OPERATIONS_MAX, PATCH_WORK_FACTOR};
use crate::http::Status;

/// How a patch is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PatchFormat {
    Merge,
    Operations,
}

impl PatchFormat {
    /// The format of a media type without parameters.
    pub(super) fn of(essence: &str) -> Option<PatchFormat> {
        match essence.to_ascii_lowercase().as_str() {
            "application/merge-patch+json" => Some(PatchFormat::Merge),
            "application/json-patch+json" => Some(PatchFormat::Operations),
            _ => None,
        }
    }
}

/// `document` as `patch` wants it, of at most `bytes_max` bytes.
pub(super) fn apply(
    format: PatchFormat,
    document: &[u8],
    patch: &[u8],
    bytes_max: u64,
) -> Result<Vec<u8>> {
    let malformed = |_| Refusal::because(Status::BAD_REQUEST, "The patch is not well formed");
    let merge: Value;
    let operations: Patch;
    let apply: &dyn Fn(&mut Value) -> Result<()> = match format {
        PatchFormat::Merge => {
            merge = serde_json::from_slice(patch).map_err(malformed)?;
            &|document| {
                json_patch::merge(document, &merge);
                Ok(())
            }
        }
        PatchFormat::Operations => {
            operations = serde_json::from_slice(patch).map_err(malformed)?;
            &|document| operate(document, &operations, bytes_max)
        }
    };
    let mut document: Value = serde_json::from_slice(document)
        .map_err(|_| Refusal::because(Status::CONFLICT, "The resource is no JSON document"))?;
    apply(&mut document)?;
    let patched =
        serde_json::to_vec(&document).map_err(|_| Refusal::new(Status::UNPROCESSABLE_CONTENT))?;
    match patched.len() as u64 > bytes_max {
        true => Err(too_much()),
        false => Ok(patched),
    }
}

fn operate(document: &mut Value, patch: &Patch, bytes_max: u64) -> Result<()> {
    if patch.len() > PATCH_OPERATIONS_MAX {
        return Err(too_much());
    }
    let mut work = bytes_max.saturating_mul(PATCH_WORK_FACTOR);
    for operation in patch.iter() {
        let cost = weigh(document, operation)?;
        work = work.checked_sub(cost).ok_or_else(too_much)?;
        let done = json_patch::patch_unsafe(document, std::slice::from_ref(operation));
        done.map_err(|error| match error.kind {
            PatchErrorKind::TestFailed => {
                Refusal::because(Status::CONFLICT, "A test of the patch fails")
            }
            kind => {
                let reason = format!("An operation of the patch cannot be applied: {kind}");
                Refusal::because(Status::UNPROCESSABLE_CONTENT, reason)
            }
        })?;
    }
    Ok(())
}

/// What an operation costs; it may not make the document deeper than the parser takes it.
fn weigh(document: &Value, operation: &PatchOperation) -> Result<u64> {
    let value = match operation {
        PatchOperation::Add(add) => Some(&add.value),
        PatchOperation::Replace(replace) => Some(&replace.value),
        PatchOperation::Copy(copy) => find(document, &copy.from),
        PatchOperation::Move(from) => find(document, &from.from),
        PatchOperation::Remove(_) | PatchOperation::Test(_) => None,
    };
    let (weight, depth) = value.map_or((0, 0), measure);
    if depth + operation.path().count() > JSON_DEPTH_MAX {
        return Err(too_much());
    }
    Ok(weight)
}

/// What is not there fails when the operation is done.
fn find<'v>(document: &'v Value, pointer: &Pointer) -> Option<&'v Value> {
    document.pointer(pointer.as_str())
}

/// About how many bytes a value has when it is written down, and its levels.
fn measure(value: &Value) -> (u64, usize) {
    let sum = |(bytes, levels): (u64, usize), (inner, below): (u64, usize)| {
        (bytes + inner + 1, levels.max(below + 1))
    };
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => (4, 0),
        Value::String(text) => (text.len() as u64 + 2, 0),
        Value::Array(values) => values.iter().map(measure).fold((2, 1), sum),
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| {
                let (bytes, levels) = measure(value);
                (bytes + name.len() as u64 + 3, levels)
            })
            .fold((2, 1), sum),
    }
}

fn too_much() -> Refusal {
    let reason = "The patch would make the document too large or too deep";
    Refusal::because(Status::UNPROCESSABLE_CONTENT, reason)
}

/// Whatever two texts hold, the outcome is a document that can be patched again, or a refusal.
pub(super) fn fuzz(document: &[u8], patch: &[u8]) {
    const BYTES_MAX: u64 = 4096;
    for format in [PatchFormat::Merge, PatchFormat::Operations] {
        if let Ok(patched) = apply(format, document, patch, BYTES_MAX) {
            assert!(patched.len() as u64 <= BYTES_MAX);
            let again = apply(PatchFormat::Operations, &patched, b"[]", BYTES_MAX);
            assert_eq!(again, Ok(patched));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use PatchFormat::{Merge, Operations};
    use proptest::prelude::*;

    const MAX: u64 = 1 << 20;

    fn applied(
        format: PatchFormat,
        document: &str,
        patch: &str,
    ) -> std::result::Result<String, u16> {
        match apply(format, document.as_bytes(), patch.as_bytes(), MAX) {
            Ok(bytes) => Ok(String::from_utf8(bytes).unwrap()),
            Err(refusal) => Err(refusal.status.code()),
        }
    }

    /// RFC 7396 §A
    #[test]
    fn merge_patches() {
        for (document, patch, expected) in [
            (r#"{"a":"b"}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
            (r#"{"a":"b"}"#, r#"{"b":"c"}"#, r#"{"a":"b","b":"c"}"#),
            (r#"{"a":"b"}"#, r#"{"a":null}"#, r#"{}"#),
            (r#"{"a":"b","b":"c"}"#, r#"{"a":null}"#, r#"{"b":"c"}"#),
            (r#"{"a":["b"]}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
            (r#"{"a":"c"}"#, r#"{"a":["b"]}"#, r#"{"a":["b"]}"#),
            (
                r#"{"a":{"b":"c"}}"#,
                r#"{"a":{"b":"d","c":null}}"#,
                r#"{"a":{"b":"d"}}"#,
            ),
            (r#"{"a":[{"b":"c"}]}"#, r#"{"a":[1]}"#, r#"{"a":[1]}"#),
            (r#"["a","b"]"#, r#"["c","d"]"#, r#"["c","d"]"#),
            (r#"{"a":"b"}"#, r#"["c"]"#, r#"["c"]"#),
            (r#"{"a":"foo"}"#, "null", "null"),
            (r#"{"a":"foo"}"#, r#""bar""#, r#""bar""#),
            (r#"{"e":null}"#, r#"{"a":1}"#, r#"{"e":null,"a":1}"#),
            (r#"[1,2]"#, r#"{"a":"b","c":null}"#, r#"{"a":"b"}"#),
            (
                r#"{}"#,
                r#"{"a":{"bb":{"ccc":null}}}"#,
                r#"{"a":{"bb":{}}}"#,
            ),
        ] {
            assert_eq!(
                applied(Merge, document, patch),
                Ok(expected.to_owned()),
                "{patch}"
            );
        }
    }

    /// RFC 6902 §A
    #[test]
    fn patches_of_operations() {
        for (document, patch, expected) in [
            (
                r#"{"foo":["bar","baz"]}"#,
                r#"[{"op":"add","path":"/foo/1","value":"qux"}]"#,
                Ok(r#"{"foo":["bar","qux","baz"]}"#),
            ),
            (
                r#"{"foo":{"bar":1},"q":{}}"#,
                r#"[{"op":"move","from":"/foo/bar","path":"/q/x"}]"#,
                Ok(r#"{"foo":{},"q":{"x":1}}"#),
            ),
            (
                r#"{"foo":["bar"]}"#,
                r#"[{"op":"add","path":"/foo/-","value":["abc","def"]}]"#,
                Ok(r#"{"foo":["bar",["abc","def"]]}"#),
            ),
            (
                r#"{"/":9,"~1":10}"#,
                r#"[{"op":"test","path":"/~01","value":10}]"#,
                Ok(r#"{"/":9,"~1":10}"#),
            ),
            (
                r#"{"a":1}"#,
                r#"[{"op":"test","path":"/a","value":2}]"#,
                Err(409),
            ),
            (
                r#"{"a":1}"#,
                r#"[{"op":"test","path":"/a","value":"1"}]"#,
                Err(409),
            ),
            (r#"{"a":1}"#, r#"[{"op":"remove","path":"/b"}]"#, Err(422)),
            (
                r#"{"a":1}"#,
                r#"[{"op":"add","path":"/b/c","value":1}]"#,
                Err(422),
            ),
            (
                r#"[1]"#,
                r#"[{"op":"add","path":"/01","value":1}]"#,
                Err(422),
            ),
            (
                r#"[1]"#,
                r#"[{"op":"add","path":"/2","value":1}]"#,
                Err(422),
            ),
            (
                r#"{"a":{}}"#,
                r#"[{"op":"move","from":"/a","path":"/a/b"}]"#,
                Err(422),
            ),
            (r#"{"a":1}"#, r#"[{"op":"spam","path":"/b"}]"#, Err(400)),
            (r#"{"a":1}"#, r#"[{"op":"add","path":"/b"}]"#, Err(400)),
            (r#"{"a":1}"#, r#"[{"op":"remove","path":"b"}]"#, Err(400)),
            (r#"{"a":1}"#, r#"{"op":"remove","path":"/a"}"#, Err(400)),
            (r#"{"a":1}"#, "[", Err(400)),
            ("no JSON", "[]", Err(409)),
        ] {
            let expected = expected.map(str::to_owned);
            assert_eq!(applied(Operations, document, patch), expected, "{patch}");
        }
    }

    #[test]
    fn what_a_patch_does_not_name_stays_as_it_is() {
        let document = r#"{"z":1.1,"a":9007199254740993,"m":0.30000000000000004,"s":"é"}"#;
        let patched = applied(Merge, document, r#"{"n":1}"#).unwrap();
        let expected = document.replace('}', r#","n":1}"#);
        assert_eq!(patched, expected);
    }

    #[test]
    fn copies_of_copies_end() {
        let copies = vec![r#"{"op":"copy","from":"","path":"/a"}"#; 130].join(",");
        assert_eq!(
            applied(Operations, r#"{"a":[1]}"#, &format!("[{copies}]")),
            Err(422)
        );
        let copies: Vec<String> = (0..40)
            .map(|number| {
                let from = number.max(1) - 1;
                format!(r#"{{"op":"copy","from":"","path":"/{number}{from}"}}"#)
            })
            .collect();
        let patch = format!("[{}]", copies.join(","));
        assert_eq!(applied(Operations, r#"{"a":[1]}"#, &patch), Err(422));
    }

    #[test]
    fn nothing_nests_deeper_than_it_can_be_read() {
        let deep = "[".repeat(120) + &"]".repeat(120);
        let path = "/0".repeat(119);
        let add = format!(r#"[{{"op":"add","path":"{path}/-","value":{deep}}}]"#);
        assert_eq!(applied(Operations, &deep, &add), Err(422));
        let add = format!(r#"[{{"op":"add","path":"{path}/-","value":[[[[]]]]}}]"#);
        let patched = applied(Operations, &deep, &add).unwrap();
        assert_eq!(applied(Operations, &patched, "[]"), Ok(patched.clone()));
    }

    #[test]
    fn operations_are_counted() {
        let test = r#"{"op":"test","path":"","value":1}"#;
        let many = |count| format!("[{}]", vec![test; count].join(","));
        assert_eq!(
            applied(Operations, "1", &many(PATCH_OPERATIONS_MAX)),
            Ok("1".into())
        );
        assert_eq!(
            applied(Operations, "1", &many(PATCH_OPERATIONS_MAX + 1)),
            Err(422)
        );
    }

    proptest! {
        #[test]
        fn no_texts_break_a_document(document in json(), patch in json()) {
            fuzz(document.as_bytes(), patch.as_bytes());
        }
    }

    /// Texts that look like documents and patches.
    fn json() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            Just("null".to_owned()),
            Just("1".to_owned()),
            Just("\"a\"".to_owned()),
            Just(r#"{"op":"copy","from":"","path":"/a"}"#.to_owned()),
            Just(r#"{"op":"add","path":"/0","value":[1]}"#.to_owned()),
            Just(r#"{"op":"move","from":"/a","path":"/0/a"}"#.to_owned()),
            ".{0,6}",
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4)
                    .prop_map(|all| format!("[{}]", all.join(","))),
                (inner.clone(), inner).prop_map(|(a, b)| format!(r#"{{"a":{a},"b":{b}}}"#)),
            ]
        })
    }
}
