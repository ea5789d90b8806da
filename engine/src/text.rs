//! Text forms: how a JSON value reads when it is compared or put into a text.

use serde_json::Value;
use std::borrow::Cow;
use std::io;

use crate::fault::{Fault, FaultCode};
use crate::limits;

/// Strings plain, everything else in JSON spelling (`true`, `1.5`, `null`, `{"a":1}`).
///
/// Fails for a container that is nested deeper than the limit or longer than `cap` bytes.
pub fn text_form(value: &Value, cap: usize) -> Result<Cow<'_, str>, Fault> {
    Ok(match value {
        Value::String(text) => Cow::Borrowed(text),
        Value::Bool(true) => Cow::Borrowed("true"),
        Value::Bool(false) => Cow::Borrowed("false"),
        Value::Null => Cow::Borrowed("null"),
        Value::Number(number) => Cow::Owned(number.to_string()),
        Value::Array(_) | Value::Object(_) => Cow::Owned(json_text(value, cap)?),
    })
}

/// The text form of a scalar; `None` for arrays and objects.
pub fn scalar_text(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::Array(_) | Value::Object(_) => None,
        scalar => text_form(scalar, usize::MAX).ok(),
    }
}

/// Compact JSON of at most `cap` bytes.
pub fn json_text(value: &Value, cap: usize) -> Result<String, Fault> {
    check_depth(value)?;
    let mut out = Capped {
        bytes: Vec::new(),
        cap,
    };
    serde_json::to_writer(&mut out, value).map_err(|_| too_long(cap))?;
    String::from_utf8(out.bytes).map_err(|_| too_long(cap))
}

/// Null, `""`, `[]` and `{}` are empty; `0` and `false` are not.
pub fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Refuses a value nested deeper than [`limits::PAYLOAD_DEPTH`], without recursion of its own.
pub fn check_depth(value: &Value) -> Result<(), Fault> {
    if depth_exceeds(value, limits::PAYLOAD_DEPTH) {
        return Err(Fault::new(
            FaultCode::PayloadTooDeep,
            format!(
                "the value is nested deeper than {} levels",
                limits::PAYLOAD_DEPTH
            ),
        ));
    }
    Ok(())
}

/// Whether arrays and objects nest deeper than `limit`.
pub fn depth_exceeds(value: &Value, limit: usize) -> bool {
    let mut stack = vec![(value, 1_usize)];
    while let Some((value, depth)) = stack.pop() {
        match value {
            Value::Array(items) => {
                if depth > limit {
                    return true;
                }
                stack.extend(
                    items
                        .iter()
                        .filter(|v| is_container(v))
                        .map(|v| (v, depth + 1)),
                );
            }
            Value::Object(members) => {
                if depth > limit {
                    return true;
                }
                stack.extend(
                    members
                        .values()
                        .filter(|v| is_container(v))
                        .map(|v| (v, depth + 1)),
                );
            }
            _ => {}
        }
    }
    false
}

fn is_container(value: &Value) -> bool {
    matches!(value, Value::Array(_) | Value::Object(_))
}

pub(crate) fn too_long(cap: usize) -> Fault {
    Fault::new(
        FaultCode::OutputTooLong,
        format!("the text is longer than {cap} bytes"),
    )
}

struct Capped {
    bytes: Vec<u8>,
    cap: usize,
}

impl io::Write for Capped {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        if buf.len() > self.cap.saturating_sub(self.bytes.len()) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.bytes.extend_from_slice(buf);
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn strings_are_plain_and_the_rest_is_json() {
        for (value, text) in [
            (json!("a\"b"), "a\"b"),
            (json!(0), "0"),
            (json!(1.5), "1.5"),
            (json!(true), "true"),
            (json!(null), "null"),
            (json!({"a": [1, "x"]}), r#"{"a":[1,"x"]}"#),
        ] {
            assert_eq!(text_form(&value, 100).unwrap(), text);
        }
    }

    #[test]
    fn long_and_deep_containers_are_refused() {
        let long = json!(["x".repeat(100)]);
        assert_eq!(
            text_form(&long, 50).unwrap_err().code,
            FaultCode::OutputTooLong
        );
        let mut deep = json!(1);
        for _ in 0..limits::PAYLOAD_DEPTH {
            deep = json!([deep]);
        }
        assert!(check_depth(&deep).is_ok());
        let deeper = json!([deep]);
        assert_eq!(
            text_form(&deeper, 10_000).unwrap_err().code,
            FaultCode::PayloadTooDeep
        );
    }
}
