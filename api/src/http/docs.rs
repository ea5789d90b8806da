//! The document of the API, the pages made from it, and the page about problems.

use std::sync::{Arc, OnceLock};

use actix_web::http::header;
use actix_web::{HttpResponse, routes, web};
use openapi::problem::Code;
use utoipa_swagger_ui::Config;

use super::doc::document;
use super::problem::{ApiError, ApiResult};

/// Where the document lies.
pub const DOCUMENT: &str = "/api/openapi.json";

/// Swagger UI sets styles of its own; scripts still come from here only.
const CSP: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
                   img-src 'self' data:; font-src 'self'; connect-src 'self'; base-uri 'none'; \
                   form-action 'none'; frame-ancestors 'none'";

/// The routes.
pub fn configure(config: &mut web::ServiceConfig) {
    config
        .service(openapi_json)
        .service(docs_without_slash)
        .service(swagger)
        .service(problems);
}

#[routes]
#[get("/api/openapi.json")]
#[head("/api/openapi.json")]
async fn openapi_json() -> HttpResponse {
    static TEXT: OnceLock<String> = OnceLock::new();
    let text = TEXT.get_or_init(|| serde_json::to_string(document()).unwrap_or_default());
    HttpResponse::Ok()
        .content_type("application/json")
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        .body(text.as_str())
}

#[routes]
#[get("/api/docs")]
#[head("/api/docs")]
async fn docs_without_slash() -> HttpResponse {
    HttpResponse::PermanentRedirect()
        .insert_header((header::LOCATION, "/api/docs/"))
        .finish()
}

#[routes]
#[get("/api/docs/{file:.*}")]
#[head("/api/docs/{file:.*}")]
async fn swagger(file: web::Path<String>) -> ApiResult<HttpResponse> {
    static CONFIG: OnceLock<Arc<Config<'static>>> = OnceLock::new();
    let config = CONFIG.get_or_init(|| Arc::new(Config::from(DOCUMENT)));
    let found = utoipa_swagger_ui::serve(&file, Arc::clone(config))
        .map_err(|error| ApiError::internal("swagger", &error))?
        .ok_or_else(ApiError::not_found)?;
    Ok(HttpResponse::Ok()
        .content_type(found.content_type)
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        .insert_header((header::CONTENT_SECURITY_POLICY, CSP))
        .body(found.bytes.into_owned()))
}

/// Where the `type` of a problem leads.
#[routes]
#[get("/docs/problems")]
#[head("/docs/problems")]
async fn problems() -> HttpResponse {
    static PAGE: OnceLock<String> = OnceLock::new();
    HttpResponse::Ok()
        .content_type("text/html; charset=utf-8")
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        .body(PAGE.get_or_init(problems_page).as_str())
}

fn problems_page() -> String {
    let rows: String = Code::ALL
        .iter()
        .map(|code| {
            format!(
                "<dt id=\"{id}\"><code>{id}</code> ({status})</dt><dd>{title}.</dd>\n",
                id = code.id(),
                status = code.status(),
                title = code.title()
            )
        })
        .collect();
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>Problems · Signalbox</title>\n</head>\n<body>\n<main>\n<h1>Problems</h1>\n\
         <p>A request that fails is answered with a problem document (RFC 9457). Its \
         <code>code</code> is one of these; <code>detail</code> and <code>errors</code> say what is \
         wrong in the case at hand; <code>request_id</code> finds the lines of the server's log.</p>\n\
         <dl>\n{rows}</dl>\n</main>\n</body>\n</html>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_its_place_on_the_page() {
        let page = problems_page();
        for code in Code::ALL {
            assert!(
                page.contains(&format!("id=\"{}\"", code.id())),
                "{}",
                code.id()
            );
        }
    }
}
