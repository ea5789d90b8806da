//! What serde says, without what the caller sent.

use openapi::problem::FieldError;

use crate::http::problem::field_error;

/// Longest name of a field in a problem.
const NAME: usize = 200;

/// The place and the kind of a fault. The parts of serde's sentence that repeat the input are left
/// out; what it expected is our own text.
pub fn from_serde(path: &str, message: &str) -> FieldError {
    let place = clean(path);
    // serde_json adds where in the text it stood.
    let message = message.rsplit_once(" at line ").map_or(message, |(m, _)| m);
    if let Some(rest) = message.strip_prefix("missing field `") {
        let field = rest.trim_end_matches('`');
        let place = if place.is_empty() {
            clean(field)
        } else {
            format!("{place}.{}", clean(field))
        };
        return field_error(&place, "required", "This field must be given.");
    }
    let expected = message
        .find(", expected ")
        .and_then(|at| message.get(at + 2..));
    let (code, text) = if message.starts_with("unknown field") {
        ("unknown_field", "This field is not known here")
    } else if message.starts_with("unknown variant") {
        ("unknown_value", "This value is not known here")
    } else if message.starts_with("duplicate field") {
        ("duplicate", "This field is given twice")
    } else if message.starts_with("invalid type") {
        ("wrong_type", "This value has the wrong type")
    } else {
        ("invalid", "This value has the wrong form")
    };
    let sentence = match expected {
        Some(expected) => format!("{text}; {expected}."),
        None => format!("{text}."),
    };
    field_error(&place, code, sentence)
}

/// A field's name, cut and without anything that could be more than a name.
fn clean(path: &str) -> String {
    if path == "." {
        return String::new();
    }
    path.chars()
        .take(NAME)
        .map(|c| {
            if c.is_alphanumeric() || "._-[]@$ ".contains(c) {
                c
            } else {
                '\u{fffd}'
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_value_is_left_out() {
        let fault = from_serde(
            "spec.when",
            "invalid type: string \"hunter2\", expected a sequence at line 1 column 9",
        );
        assert_eq!(fault.field, "spec.when");
        assert_eq!(fault.code, "wrong_type");
        assert!(!fault.message.contains("hunter2"));
        assert!(
            fault.message.contains("expected a sequence"),
            "{}",
            fault.message
        );
        let fault = from_serde(
            "id",
            "UUID parsing failed: invalid character: found `h` at 1",
        );
        assert!(!fault.message.contains('h') || !fault.message.contains("found"));
    }

    #[test]
    fn a_missing_field_is_named() {
        let fault = from_serde(".", "missing field `slug` at line 1 column 2");
        assert_eq!(
            (fault.field.as_str(), fault.code.as_str()),
            ("slug", "required")
        );
        let fault = from_serde("spec", "missing field `then`");
        assert_eq!(fault.field, "spec.then");
    }
}
