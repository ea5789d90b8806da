//! Reading requests: bodies, queries, ids and revisions, with problems that name the field and
//! never repeat what was sent.

mod body;
mod fault;
mod query;
mod revision;

pub use body::{Json, JsonOrDefault, check_announced, read_whole};
pub use query::Query;
pub use revision::{IfMatch, etag};

use actix_web::{HttpRequest, error, web};
use openapi::problem::Code;

use super::problem::ApiError;

/// How a path parameter that cannot be read is answered.
pub fn path_config() -> web::PathConfig {
    web::PathConfig::default().error_handler(|_: error::PathError, _: &HttpRequest| {
        ApiError::new(Code::InvalidParameter)
            .detail("A part of the address has the wrong form.")
            .into()
    })
}
