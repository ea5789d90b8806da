//! Query strings. Unknown parameters are refused: a mistyped filter must not widen a list.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};
use openapi::problem::Code;
use serde::de::DeserializeOwned;

use super::fault;
use crate::auth::WORKSPACE_PARAMETER;
use crate::http::problem::{ApiError, ApiResult};

/// The parameters of a query string.
#[derive(Clone, Copy, Debug)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned> FromRequest for Query<T> {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(parse(req.query_string()).map(Query))
    }
}

fn parse<T: DeserializeOwned>(text: &str) -> ApiResult<T> {
    // The workspace was read by whoever let the request in.
    let own: Vec<&str> = text
        .split('&')
        .filter(|pair| pair.split('=').next() != Some(WORKSPACE_PARAMETER))
        .collect();
    let text = own.join("&");
    let pairs = url::form_urlencoded::parse(text.as_bytes());
    serde_path_to_error::deserialize(serde_urlencoded::Deserializer::new(pairs)).map_err(|error| {
        let place = error.path().to_string();
        let fault = fault::from_serde(&place, &error.into_inner().to_string());
        ApiError {
            errors: vec![fault],
            ..ApiError::new(Code::InvalidParameter)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Params {
        limit: Option<u32>,
    }

    #[test]
    fn parameters_are_read_and_checked() {
        assert_eq!(parse::<Params>("limit=5").unwrap().limit, Some(5));
        assert_eq!(parse::<Params>("").unwrap().limit, None);
        let error = parse::<Params>("limit=many").unwrap_err();
        assert_eq!(error.code, Code::InvalidParameter);
        assert_eq!(error.errors[0].field, "limit");
        assert_eq!(
            parse::<Params>("workspace=a&limit=5").unwrap().limit,
            Some(5)
        );
        let error = parse::<Params>("limt=5").unwrap_err();
        assert_eq!(error.errors[0].code, "unknown_field");
    }
}
