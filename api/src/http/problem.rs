//! Problems: what a failed request is answered with.
//!
//! An [`ApiError`] says only what the caller may know. What went wrong inside is logged where it is
//! turned into one, under the request id that the problem carries.

use std::fmt;

use actix_web::body::BoxBody;
use actix_web::http::{StatusCode, header};
use actix_web::{HttpResponse, ResponseError};
use openapi::problem::{Code, FieldError, Problem};
use sea_orm::{DbErr, SqlErr};

use crate::auth::HashError;
use crate::request;
use crate::secrets::KeyringError;

/// Media type of a problem.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// The result of a handler or a service.
pub type ApiResult<T> = Result<T, ApiError>;

/// A failed request, on its way to becoming a problem document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiError {
    /// The stable code.
    pub code: Code,
    /// What is wrong here and what to do about it; never what the caller sent.
    pub detail: Option<String>,
    /// Each fault of the input.
    pub errors: Vec<FieldError>,
    /// Seconds after which it may be tried again.
    pub retry_after: Option<u64>,
    /// Methods that are offered, for 405.
    pub allow: Option<String>,
}

impl ApiError {
    /// A problem of this code.
    pub fn new(code: Code) -> Self {
        Self {
            code,
            detail: None,
            errors: Vec::new(),
            retry_after: None,
            allow: None,
        }
    }

    /// There is nothing here, or it belongs to another workspace.
    pub fn not_found() -> Self {
        Self::new(Code::NotFound)
    }

    /// One field of the input is not acceptable.
    pub fn invalid(field: &str, code: &str, message: impl Into<String>) -> Self {
        Self::faults(vec![field_error(field, code, message)])
    }

    /// Fields of the input are not acceptable.
    pub fn faults(errors: Vec<FieldError>) -> Self {
        Self {
            errors,
            ..Self::new(Code::ValidationFailed)
        }
    }

    /// Refuses the input if it has faults.
    ///
    /// # Errors
    /// 422 with every fault.
    pub fn refuse(errors: Vec<FieldError>) -> ApiResult<()> {
        if errors.is_empty() {
            Ok(())
        } else {
            Err(Self::faults(errors))
        }
    }

    /// With a line about this case.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// To be tried again after so many seconds.
    #[must_use]
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// With the place of a fault.
    #[must_use]
    pub fn at(mut self, field: &str, code: &str, message: impl Into<String>) -> Self {
        self.errors.push(field_error(field, code, message));
        self
    }

    /// A fault of the server. The details go to the log and nowhere else.
    pub fn internal(what: &str, details: &dyn fmt::Display) -> Self {
        request::say(|| tracing::error!(what, error = %details, "a request failed"));
        Self::new(Code::Internal)
    }

    /// The document, as it goes to the caller.
    pub fn problem(&self, request_id: &str) -> Problem {
        Problem {
            detail: self.detail.clone(),
            errors: self.errors.clone(),
            ..Problem::new(self.code, request_id)
        }
    }

    /// The answer, with the id of its request.
    pub fn response(&self, request_id: &str) -> HttpResponse {
        let mut response = HttpResponse::build(self.status_code());
        response.content_type(MEDIA_TYPE);
        response.insert_header((header::CACHE_CONTROL, "no-store"));
        if let Some(seconds) = self.retry_after {
            response.insert_header((header::RETRY_AFTER, seconds));
        }
        if let Some(allow) = &self.allow {
            response.insert_header((header::ALLOW, allow.as_str()));
        }
        if self.code == Code::Unauthenticated {
            response.insert_header((header::WWW_AUTHENTICATE, "Bearer realm=\"signalbox\""));
        }
        let body = serde_json::to_string(&self.problem(request_id)).unwrap_or_default();
        response.body(body)
    }
}

/// One fault of the input.
pub fn field_error(field: &str, code: &str, message: impl Into<String>) -> FieldError {
    FieldError {
        field: field.to_owned(),
        code: code.to_owned(),
        message: message.into(),
        offset: None,
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code.id())
    }
}

impl std::error::Error for ApiError {}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse<BoxBody> {
        let mut response = self.response("");
        // The outer middleware knows the request and writes the document anew, with its id.
        response.extensions_mut().insert(self.clone());
        response
    }
}

impl From<DbErr> for ApiError {
    fn from(error: DbErr) -> Self {
        if let Some(SqlErr::UniqueConstraintViolation(_)) = error.sql_err() {
            return Self::new(Code::NameTaken);
        }
        if crate::db::is_away(&error) {
            crate::db::noted(&error);
            request::say(|| tracing::warn!(%error, "the database cannot be used now"));
            return Self::new(Code::Unavailable)
                .detail("The database cannot be used now.")
                .retry_after(2);
        }
        Self::internal("database", &error)
    }
}

impl From<KeyringError> for ApiError {
    fn from(error: KeyringError) -> Self {
        Self::internal("key ring", &error)
    }
}

impl From<HashError> for ApiError {
    fn from(error: HashError) -> Self {
        Self::internal("hash", &error)
    }
}

impl From<serde_json::Error> for ApiError {
    /// For what we wrote ourselves: input goes through the extractors.
    fn from(error: serde_json::Error) -> Self {
        Self::internal("json", &error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn details_of_a_fault_stay_inside() {
        let error = ApiError::from(DbErr::Custom("password of the pool".to_owned()));
        assert_eq!(error.code, Code::Internal);
        let text = serde_json::to_string(&error.problem("r1")).unwrap();
        assert!(!text.contains("pool"), "{text}");
        assert!(text.contains("\"request_id\":\"r1\""));
    }

    #[test]
    fn a_busy_database_is_worth_another_try() {
        let error = ApiError::from(DbErr::ConnectionAcquire(sea_orm::ConnAcquireErr::Timeout));
        assert_eq!(error.code, Code::Unavailable);
        assert_eq!(error.retry_after, Some(2));
        let response = error.error_response();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(response.headers().contains_key(header::RETRY_AFTER));
    }
}
