//! What is asked for and not there: 404, or 405 where another method is offered.

use std::sync::OnceLock;

use actix_web::HttpRequest;
use openapi::problem::Code;
use serde_json::Value;

use super::doc::document;
use super::problem::{ApiError, ApiResult};

/// A path of the document, cut at its slashes, with its methods.
struct Route {
    parts: Vec<String>,
    methods: Vec<String>,
}

/// Answers a request that no route takes.
///
/// # Errors
/// Always.
pub async fn not_offered(req: HttpRequest) -> ApiResult<&'static str> {
    Err(refuse(req.path()))
}

/// The problem for a path.
pub fn refuse(path: &str) -> ApiError {
    let methods: Vec<&str> = routes()
        .iter()
        .filter(|route| route.fits(path))
        .flat_map(|route| route.methods.iter().map(String::as_str))
        .collect();
    if methods.is_empty() {
        return ApiError::not_found();
    }
    let mut error = ApiError::new(Code::MethodNotAllowed);
    error.allow = Some(methods.join(", "));
    error
}

fn routes() -> &'static [Route] {
    static ROUTES: OnceLock<Vec<Route>> = OnceLock::new();
    ROUTES.get_or_init(|| {
        let paths = document().get("paths").and_then(Value::as_object);
        paths
            .into_iter()
            .flatten()
            .map(|(path, item)| Route {
                parts: path.split('/').map(str::to_owned).collect(),
                methods: item
                    .as_object()
                    .into_iter()
                    .flat_map(|methods| methods.keys().map(|m| m.to_uppercase()))
                    .collect(),
            })
            .collect()
    })
}

impl Route {
    fn fits(&self, path: &str) -> bool {
        let mut parts = path.split('/');
        let fits = self.parts.iter().all(|wanted| {
            parts
                .next()
                .is_some_and(|part| wanted == part || (wanted.starts_with('{') && !part.is_empty()))
        });
        fits && parts.next().is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_method_is_told_from_nothing() {
        let error = refuse("/api/v1/rules");
        assert_eq!(error.code, Code::MethodNotAllowed);
        assert_eq!(error.allow.as_deref(), Some("GET, POST"));
        assert_eq!(
            refuse("/api/v1/rules/7/duplicate").code,
            Code::MethodNotAllowed
        );
        assert_eq!(refuse("/api/v1/rules/").code, Code::NotFound);
        assert_eq!(refuse("/api/v1/nothing").code, Code::NotFound);
    }
}
