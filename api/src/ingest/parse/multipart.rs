//! Multipart forms (RFC 7578), as Mailgun, SendGrid or Plex send them.

use bytes::Bytes;
use futures_util::{FutureExt as _, stream};
use multer::{Field, Multipart};
use openapi::problem::Code;
use serde_json::{Value, json};

use super::Fields;
use crate::http::problem::ApiError;

/// Most parts of a form.
const PARTS: usize = 1_000;

/// Fields by name; a name that repeats becomes a list. A part with a file name is told by what it is:
/// its bytes are in the body of the event. A part of JSON is that.
///
/// # Errors
/// 400 for a body that is no such form, or has too many parts.
pub fn read(content_type: &str, body: &[u8]) -> Result<Value, ApiError> {
    let boundary = multer::parse_boundary(content_type)
        .map_err(|_| fault("The content type of a multipart form names its boundary."))?;
    // All of it is here, so nothing waits.
    fields(body, boundary)
        .now_or_never()
        .unwrap_or_else(|| Err(fault("The multipart form does not end.")))
}

async fn fields(body: &[u8], boundary: String) -> Result<Value, ApiError> {
    let whole = Ok::<_, multer::Error>(Bytes::copy_from_slice(body));
    let mut form = Multipart::new(stream::iter([whole]), boundary);
    let mut fields = Fields::default();
    let wrong = |_| fault("The body is not the multipart form that its content type names.");
    while let Some((index, field)) = form.next_field_with_idx().await.map_err(wrong)? {
        if index >= PARTS {
            return Err(fault("The multipart form has more than 1,000 parts."));
        }
        let Some(name) = field.name().map(str::to_owned) else {
            return Err(fault("A part of the multipart form has no name."));
        };
        fields.add(name, value(field).await.map_err(wrong)?);
    }
    Ok(fields.done())
}

async fn value(field: Field<'_>) -> Result<Value, multer::Error> {
    let content_type = field.content_type().map(ToString::to_string);
    if let Some(filename) = field.file_name().map(str::to_owned) {
        let size = field.bytes().await?.len();
        return Ok(json!({ "filename": filename, "content_type": content_type, "size": size }));
    }
    let text = field.text().await?;
    if content_type.is_some_and(|kind| kind.starts_with("application/json"))
        && let Ok(value) = serde_json::from_str(&text)
    {
        return Ok(value);
    }
    Ok(Value::String(text))
}

fn fault(detail: &str) -> ApiError {
    ApiError::new(Code::MalformedBody).detail(detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TYPE: &str = "multipart/form-data; boundary=\"xx yy\"";

    fn form(parts: &[(&str, &str)]) -> Vec<u8> {
        let mut text = String::new();
        for (head, body) in parts {
            text += &format!("--xx yy\r\n{head}\r\n\r\n{body}\r\n");
        }
        (text + "--xx yy--\r\n").into_bytes()
    }

    #[test]
    fn parts_become_fields_and_files_what_they_are() {
        let body = form(&[
            (
                "content-disposition: form-data; name=\"from\"",
                "ops@example.org",
            ),
            ("content-disposition: form-data; name=\"tag\"", "a"),
            ("content-disposition: form-data; name=\"tag\"", "b\r\nc"),
            (
                "content-disposition: form-data; name=\"meta\"\r\ncontent-type: application/json",
                r#"[{"n": 1}]"#,
            ),
            (
                "content-disposition: form-data; name=\"log\"; filename=\"a.txt\"\r\ncontent-type: text/plain",
                "12345",
            ),
        ]);
        let expected = json!({
            "from": "ops@example.org", "tag": ["a", "b\r\nc"], "meta": [{"n": 1}],
            "log": { "filename": "a.txt", "content_type": "text/plain", "size": 5 },
        });
        assert_eq!(read(TYPE, &body).unwrap(), expected);
        assert_eq!(read(TYPE, &form(&[])).unwrap(), json!({}));
    }

    #[test]
    fn what_is_no_form_is_refused() {
        let whole = form(&[("content-disposition: form-data; name=\"a\"", "b")]);
        for (content_type, body) in [
            ("multipart/form-data", whole.as_slice()),
            (TYPE, b"no form".as_slice()),
            (TYPE, &whole[..whole.len() - 8]),
            (TYPE, &form(&[("content-type: text/plain", "no name")])),
        ] {
            let refused = read(content_type, body).unwrap_err();
            assert_eq!(refused.code, Code::MalformedBody, "{content_type}");
        }
        let part = ("content-disposition: form-data; name=\"a\"", "b");
        assert!(read(TYPE, &form(&[part; PARTS])).is_ok());
        assert!(read(TYPE, &form(&[part; PARTS + 1])).is_err());
    }
}
