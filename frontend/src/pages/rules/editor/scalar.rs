//! Values as a person types them. Plain words stay texts; numbers, `true`, `null` and anything in
//! JSON is read as JSON; a text that looks like one of those is written in quotes.

use engine::model::Op;
use serde_json::Value;

use crate::api::{from_person, to_text};

/// Reads what was typed.
pub fn read(text: &str) -> Value {
    let trimmed = text.trim();
    match from_person::<Value>(trimmed) {
        Ok(value) if !trimmed.is_empty() => value,
        _ => Value::String(text.to_owned()),
    }
}

/// Writes a value so that [`read`] gives it back.
pub fn write(value: &Value) -> String {
    match value {
        Value::String(text) if read(text) == *value => text.clone(),
        other => to_text(other).unwrap_or_default(),
    }
}

/// Whether the operator compares with several values.
pub const fn takes_list(op: Op) -> bool {
    matches!(op, Op::In | Op::NotIn | Op::Cidr)
}

/// Reads the value of a condition: for lists, values between commas or a JSON list.
pub fn read_for(op: Op, text: &str) -> Option<Value> {
    if text.trim().is_empty() && (op.value_is_optional() || takes_list(op)) {
        return if op.value_is_optional() {
            None
        } else {
            Some(Value::Array(Vec::new()))
        };
    }
    if op == Op::Regex {
        return Some(Value::String(text.to_owned()));
    }
    if !takes_list(op) {
        return Some(read(text));
    }
    if text.trim().starts_with('[')
        && let Ok(list @ Value::Array(_)) = from_person(text)
    {
        return Some(list);
    }
    Some(
        text.split(',')
            .map(|item| read(item.trim()))
            .filter(|item| item.as_str() != Some(""))
            .collect(),
    )
}

/// Writes the value of a condition so that [`read_for`] gives it back.
pub fn write_for(op: Op, value: Option<&Value>) -> String {
    let Some(value) = value else {
        return String::new();
    };
    let plain = match value {
        Value::String(text) if op == Op::Regex => text.clone(),
        Value::Array(items) if takes_list(op) => {
            items.iter().map(write).collect::<Vec<_>>().join(", ")
        }
        other => write(other),
    };
    if read_for(op, &plain).as_ref() == Some(value) {
        plain
    } else {
        to_text(value).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_written_is_read_back() {
        for value in [
            json!("plain words"),
            json!("0"),
            json!(0),
            json!(1.5),
            json!(true),
            json!("true"),
            json!(null),
            json!(""),
            json!("\"quoted\""),
            json!(["a", 1]),
            json!({"a": [1]}),
            json!(" space "),
        ] {
            assert_eq!(read(&write(&value)), value, "{value}");
        }
    }

    #[test]
    fn lists_are_typed_with_commas() {
        assert_eq!(
            read_for(Op::In, "prod, core, 7"),
            Some(json!(["prod", "core", 7]))
        );
        assert_eq!(
            write_for(Op::In, Some(&json!(["prod", "core", 7]))),
            "prod, core, 7"
        );
        for value in [
            json!(["a, b", "c"]),
            json!(["[x"]),
            json!([""]),
            json!([]),
            json!(["7"]),
        ] {
            let text = write_for(Op::In, Some(&value));
            assert_eq!(read_for(Op::In, &text), Some(value), "{text}");
        }
    }

    #[test]
    fn a_pattern_is_always_a_text() {
        assert_eq!(read_for(Op::Regex, "123"), Some(json!("123")));
        assert_eq!(write_for(Op::Regex, Some(&json!("[0-9]+"))), "[0-9]+");
    }

    #[test]
    fn an_optional_value_may_be_left_out() {
        assert_eq!(read_for(Op::Exists, ""), None);
        assert_eq!(read_for(Op::Exists, "false"), Some(json!(false)));
        assert_eq!(read_for(Op::Equals, ""), Some(json!("")));
    }
}
