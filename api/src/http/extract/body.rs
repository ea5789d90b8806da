//! JSON bodies.

use std::future::Future;
use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::http::header::{self, HeaderMap};
use actix_web::web::BytesMut;
use actix_web::{FromRequest, HttpRequest};
use futures_util::StreamExt as _;
use openapi::problem::Code;
use serde::de::DeserializeOwned;
use serde_json::error::Category;

use super::fault;
use crate::http::problem::{ApiError, ApiResult};

/// Most bytes of a body of the management API.
const BODY_LIMIT: usize = 1024 * 1024;

/// A JSON body. Unlike the framework's, it says what is wrong by field and repeats nothing.
#[derive(Clone, Copy, Debug)]
pub struct Json<T>(pub T);

/// A JSON body that may be left out.
#[derive(Clone, Copy, Debug)]
pub struct JsonOrDefault<T>(pub T);

type Reading<T> = Pin<Box<dyn Future<Output = Result<T, ApiError>>>>;

impl<T: DeserializeOwned + 'static> FromRequest for Json<T> {
    type Error = ApiError;
    type Future = Reading<Self>;

    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let req = req.clone();
        let payload = payload.take();
        Box::pin(async move {
            check_type(&req)?;
            let body = read(&req, payload).await?;
            parse(&body).map(Json)
        })
    }
}

impl<T: DeserializeOwned + Default + 'static> FromRequest for JsonOrDefault<T> {
    type Error = ApiError;
    type Future = Reading<Self>;

    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let req = req.clone();
        let payload = payload.take();
        Box::pin(async move {
            let body = read(&req, payload).await?;
            if body.is_empty() {
                return Ok(JsonOrDefault(T::default()));
            }
            check_type(&req)?;
            parse(&body).map(JsonOrDefault)
        })
    }
}

fn check_type(req: &HttpRequest) -> ApiResult<()> {
    let kind = req
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    let essence = essence.to_ascii_lowercase();
    if essence == "application/json"
        || (essence.starts_with("application/") && essence.ends_with("+json"))
    {
        return Ok(());
    }
    Err(ApiError::new(Code::UnsupportedMediaType).detail("Send application/json."))
}

/// How a body over the limit is answered.
fn too_large() -> ApiError {
    ApiError::new(Code::BodyTooLarge).detail(format!("A body may have {BODY_LIMIT} bytes at most."))
}

async fn read(req: &HttpRequest, payload: Payload) -> ApiResult<BytesMut> {
    check_announced(req.headers())?;
    read_whole(payload, |_| Ok(())).await
}

/// Refuses a body that says itself that it is over the limit.
///
/// # Errors
/// 413.
pub fn check_announced(headers: &HeaderMap) -> ApiResult<()> {
    let announced = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > BODY_LIMIT) {
        return Err(too_large());
    }
    Ok(())
}

/// Reads a body up to the limit; `grow` may refuse each piece by its length.
///
/// # Errors
/// 413, 400 when it does not arrive whole, or what `grow` says.
pub async fn read_whole(
    mut payload: Payload,
    mut grow: impl FnMut(usize) -> ApiResult<()>,
) -> ApiResult<BytesMut> {
    let mut body = BytesMut::new();
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|_| {
            ApiError::new(Code::MalformedBody).detail("The body did not arrive whole.")
        })?;
        if body.len() + chunk.len() > BODY_LIMIT {
            return Err(too_large());
        }
        grow(chunk.len())?;
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> ApiResult<T> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize::<_, T>(&mut json).map_err(|error| {
        let place = error.path().to_string();
        let inner = error.into_inner();
        if inner.classify() == Category::Data {
            return ApiError::faults(vec![fault::from_serde(&place, &inner.to_string())]);
        }
        malformed(&inner)
    })?;
    json.end().map_err(|error| malformed(&error))?;
    Ok(value)
}

fn malformed(error: &serde_json::Error) -> ApiError {
    ApiError::new(Code::MalformedBody).detail(format!(
        "The body is no valid JSON: look at line {}, column {}.",
        error.line(),
        error.column()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use openapi::rules::NewRule;
    use openapi::workspaces::NewWorkspace;

    #[test]
    fn faults_name_their_field() {
        let error = parse::<NewWorkspace>(br#"{"slug":"a","name":7}"#).unwrap_err();
        assert_eq!(error.code, Code::ValidationFailed);
        assert_eq!(error.errors[0].field, "name");
        let error = parse::<NewWorkspace>(br#"{"slug":"a","name":"b","x":1}"#).unwrap_err();
        assert_eq!(error.errors[0].code, "unknown_field");
        assert_eq!(error.errors[0].field, "x");
        let error = parse::<NewWorkspace>(br#"{"slug":"a"}"#).unwrap_err();
        assert_eq!(error.errors[0].field, "name");
        assert_eq!(error.errors[0].code, "required");
    }

    #[test]
    fn deep_faults_have_their_path() {
        let body = br#"{"name":"r","spec":{"when":[{"path":"$.a","op":"like"}],"then":"drop"}}"#;
        let error = parse::<NewRule>(body).unwrap_err();
        assert!(error.errors[0].field.starts_with("spec.when"), "{error:?}");
    }

    #[test]
    fn broken_json_is_malformed() {
        for body in [&b"{"[..], b"", b"{} x", b"\xff"] {
            let error = parse::<serde_json::Value>(body).unwrap_err();
            assert_eq!(error.code, Code::MalformedBody);
        }
        let deep = "[".repeat(100_000);
        assert_eq!(
            parse::<serde_json::Value>(deep.as_bytes())
                .unwrap_err()
                .code,
            Code::MalformedBody
        );
    }
}
