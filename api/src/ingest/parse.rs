//! Reading a payload: JSON, form or query.

mod multipart;

use std::collections::HashSet;

use openapi::problem::Code;
use serde_json::{Map, Value};

use crate::http::problem::ApiError;

/// The parsed view of a request. The bytes stay what they are.
///
/// # Errors
/// 415 for a content type that is not understood, 400 for a body that is not what it says.
pub fn parse(
    method: &str,
    content_type: &str,
    query: &str,
    body: &[u8],
) -> Result<Value, ApiError> {
    if method == "GET" || (body.is_empty() && !query.is_empty()) {
        return Ok(form(query.as_bytes()));
    }
    let media = content_type
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    match media.as_str() {
        "application/x-www-form-urlencoded" => {
            // Senders that post JSON under curl's default type are understood, too.
            if looks_like_json(body)
                && let Ok(value) = serde_json::from_slice(body)
            {
                return Ok(value);
            }
            Ok(unwrap_form(form(body)))
        }
        "multipart/form-data" => Ok(unwrap_form(multipart::read(content_type, body)?)),
        "" | "application/json" | "text/json" | "text/plain" => json(body),
        other if other.ends_with("+json") => json(body),
        _ => Err(ApiError::new(Code::UnsupportedMediaType)
            .detail("Send JSON, a form, a multipart form or a query string.")),
    }
}

fn json(body: &[u8]) -> Result<Value, ApiError> {
    serde_json::from_slice(body).map_err(|error| {
        ApiError::new(Code::MalformedBody).detail(format!(
            "The body is not valid JSON at line {}, column {}.",
            error.line(),
            error.column()
        ))
    })
}

fn looks_like_json(body: &[u8]) -> bool {
    matches!(
        body.iter().find(|b| !b.is_ascii_whitespace()),
        Some(b'{' | b'[')
    )
}

/// Fields by name; a name that repeats becomes a list.
fn form(text: &[u8]) -> Value {
    let mut fields = Fields::default();
    for (name, value) in url::form_urlencoded::parse(text) {
        fields.add(name.into_owned(), Value::String(value.into_owned()));
    }
    fields.done()
}

/// The fields of a form in the making.
#[derive(Default)]
struct Fields {
    map: Map<String, Value>,
    /// Names that repeat: their value is our list, whatever the values are.
    lists: HashSet<String>,
}

impl Fields {
    fn add(&mut self, name: String, value: Value) {
        let Some(first) = self.map.get_mut(&name) else {
            self.map.insert(name, value);
            return;
        };
        match first {
            Value::Array(list) if self.lists.contains(&name) => list.push(value),
            first => {
                let before = first.take();
                *first = Value::Array(vec![before, value]);
                self.lists.insert(name);
            }
        }
    }

    fn done(self) -> Value {
        Value::Object(self.map)
    }
}

/// Some senders put their JSON into one field: `payload` (GitHub) or `data` (Uptime Kuma).
fn unwrap_form(value: Value) -> Value {
    let inner = ["payload", "data"].iter().find_map(|name| {
        let text = value.get(name)?.as_str()?;
        let inner: Value = serde_json::from_str(text).ok()?;
        inner.is_object().then_some(inner)
    });
    inner.unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(content_type: &str, body: &str) -> Result<Value, Code> {
        parse("POST", content_type, "", body.as_bytes()).map_err(|e| e.code)
    }

    #[test]
    fn reads_what_senders_send() {
        let value = json!({"a": 1});
        assert_eq!(
            read("application/json; charset=utf-8", r#"{"a":1}"#),
            Ok(value.clone())
        );
        assert_eq!(
            read("application/vnd.x+json", r#"{"a":1}"#),
            Ok(value.clone())
        );
        assert_eq!(
            read("application/x-www-form-urlencoded", r#" {"a":1}"#),
            Ok(value.clone())
        );
        assert_eq!(
            read(
                "application/x-www-form-urlencoded",
                "payload=%7B%22a%22%3A1%7D"
            ),
            Ok(value)
        );
        assert_eq!(
            read("application/x-www-form-urlencoded", "a=1&b=x+y&a=2"),
            Ok(json!({"a": ["1", "2"], "b": "x y"}))
        );
        assert_eq!(
            parse("GET", "", "msg=down&monitor=web1", b"").unwrap(),
            json!({"msg": "down", "monitor": "web1"})
        );
    }

    #[test]
    fn refuses_what_it_does_not_understand() {
        assert_eq!(
            read("application/xml", "<a/>"),
            Err(Code::UnsupportedMediaType)
        );
        assert_eq!(read("application/json", "{"), Err(Code::MalformedBody));
        assert_eq!(read("", ""), Err(Code::MalformedBody));
        let deep = "[".repeat(10_000);
        assert_eq!(read("application/json", &deep), Err(Code::MalformedBody));
    }
}
