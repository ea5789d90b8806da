//! The console's files: packed into the binary, compressed beforehand.
//!
//! Names with a hash never change their content and are kept for a year; `index.html` is asked for
//! every time. A path of the console that is no file is `index.html` too: the console knows it.

use std::borrow::Cow;

use actix_web::http::header::{self, HeaderMap};
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, HttpResponse};

use super::fallback;
use super::problem::{ApiError, ApiResult};
use openapi::problem::Code;

/// A file of the console.
pub struct File {
    name: &'static str,
    tag: &'static str,
    raw: &'static [u8],
    br: Option<&'static [u8]>,
    gz: Option<&'static [u8]>,
}

include!(concat!(env!("OUT_DIR"), "/console_files.rs"));

const INDEX: &str = "index.html";
/// First parts of paths that are never the console's.
const NOT_OURS: &[&str] = &["api", "hooks", "w", "webhook", "livez", "readyz", "metrics"];

const HOW_TO_BUILD: &str = "<!doctype html>
<html lang=\"en\">
<head>
<meta charset=\"utf-8\">
<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">
<title>Signalbox</title>
</head>
<body>
<main>
<h1>Signalbox is running, without its console</h1>
<p>This binary was built before the console was. In the clone, run</p>
<pre>scripts/run</pre>
<p>It gets what is missing, builds console and server, and starts them. Or, with the wasm target and
Trunk installed:</p>
<pre>trunk build --release
cargo build --release --bin signalbox</pre>
<p>The API works as it is: <a href=\"/api/docs/\">its documentation</a>.</p>
</main>
</body>
</html>
";

/// Serves what no other route took.
///
/// # Errors
/// 404, or 405.
pub async fn serve(req: HttpRequest) -> ApiResult<HttpResponse> {
    let path = req.path().trim_start_matches('/');
    let first = path.split('/').next().unwrap_or_default();
    if NOT_OURS.contains(&first) {
        return Err(fallback::refuse(req.path()));
    }
    if !matches!(*req.method(), Method::GET | Method::HEAD) {
        let mut error = ApiError::new(Code::MethodNotAllowed);
        error.allow = Some("GET, HEAD".to_owned());
        return Err(error);
    }
    let wanted = if path.is_empty() { INDEX } else { path };
    if let Some(file) = find(wanted) {
        return Ok(answer(&req, file));
    }
    if let Some(response) = from_folder(wanted) {
        return Ok(response);
    }
    // What looks like a file and is none is no page either: an old console must not take a page
    // for its script.
    let last = path.rsplit('/').next().unwrap_or_default();
    if last.contains('.') {
        return Err(ApiError::not_found());
    }
    Ok(match find(INDEX) {
        Some(index) => answer(&req, index),
        None => from_folder(INDEX).unwrap_or_else(how_to_build),
    })
}

fn find(name: &str) -> Option<&'static File> {
    let at = FILES.binary_search_by(|file| file.name.cmp(name)).ok()?;
    FILES.get(at)
}

fn answer(req: &HttpRequest, file: &'static File) -> HttpResponse {
    let tag = format!("\"{}\"", file.tag);
    let known = req
        .headers()
        .get_all(header::IF_NONE_MATCH)
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|value| value.trim().trim_start_matches("W/") == tag);
    let mut response = HttpResponse::build(if known {
        StatusCode::NOT_MODIFIED
    } else {
        StatusCode::OK
    });
    response
        .insert_header((header::ETAG, tag))
        .insert_header((header::CACHE_CONTROL, lifetime(file.name)))
        .insert_header((header::VARY, "accept-encoding"));
    if known {
        return response.finish();
    }
    let (coding, bytes) = choose(req.headers(), file);
    response
        .content_type(kind(file.name))
        .insert_header((header::CONTENT_ENCODING, coding))
        .body(bytes)
}

/// The smallest form that the browser takes.
fn choose(headers: &HeaderMap, file: &'static File) -> (&'static str, &'static [u8]) {
    let accepted: Vec<&str> = headers
        .get_all(header::ACCEPT_ENCODING)
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter(|coding| {
            let weight = coding.split(';').nth(1).map(|w| w.replace(' ', ""));
            !weight.is_some_and(|w| matches!(w.as_str(), "q=0" | "q=0.0" | "q=0.00" | "q=0.000"))
        })
        .map(|coding| coding.split(';').next().unwrap_or_default().trim())
        .collect();
    if let Some(bytes) = file.br.filter(|_| accepted.contains(&"br")) {
        return ("br", bytes);
    }
    if let Some(bytes) = file.gz.filter(|_| accepted.contains(&"gzip")) {
        return ("gzip", bytes);
    }
    ("identity", file.raw)
}

fn kind(name: &str) -> String {
    let guess = mime_guess::from_path(name).first_or_octet_stream();
    if guess.type_() == "text" || guess.subtype() == "javascript" {
        format!("{guess}; charset=utf-8")
    } else {
        guess.to_string()
    }
}

/// How long a browser may keep a file without asking.
fn lifetime(name: &str) -> &'static str {
    if has_hash(name) {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    }
}

/// Whether a name carries the hash that Trunk gives: `-` and 8 to 20 hexadecimal digits, as in
/// `console-0123456789abcdef_bg.wasm`.
fn has_hash(name: &str) -> bool {
    name.split(['-', '_', '.'])
        .skip(1)
        .any(|part| (8..=20).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// The same from the folder, for a debug build that was made before the console.
fn from_folder(name: &str) -> Option<HttpResponse> {
    if !cfg!(debug_assertions) || !FILES.is_empty() {
        return None;
    }
    let safe = name
        .split('/')
        .all(|part| !part.is_empty() && !part.starts_with('.') && !part.contains('\\'));
    if !safe {
        return None;
    }
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../dist");
    let bytes = std::fs::read(std::path::Path::new(folder).join(name)).ok()?;
    Some(
        HttpResponse::Ok()
            .content_type(kind(name))
            .insert_header((header::CACHE_CONTROL, "no-cache"))
            .body(Cow::<[u8]>::Owned(bytes).into_owned()),
    )
}

fn how_to_build() -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/html; charset=utf-8")
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        .body(HOW_TO_BUILD)
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    static FILE: File = File {
        name: "console-0123456789abcdef.js",
        tag: "t",
        raw: b"raw",
        br: Some(b"br"),
        gz: Some(b"gz"),
    };

    #[test]
    fn hashed_names_are_kept() {
        assert!(has_hash("frontend-0123456789abcdef.js"));
        assert!(has_hash("frontend-0123456789abcdef_bg.wasm"));
        assert!(has_hash("main-4b1c2d3e.css"));
        assert!(!has_hash("index.html"));
        assert!(!has_hash("favicon.svg"));
        assert!(!has_hash("apple-touch-icon.png"));
    }

    #[test]
    fn the_browser_gets_what_it_takes() {
        for (accept, coding) in [
            ("gzip, deflate, br", "br"),
            ("gzip", "gzip"),
            ("br;q=0, gzip", "gzip"),
            ("", "identity"),
        ] {
            let req = TestRequest::get()
                .insert_header(("accept-encoding", accept))
                .to_http_request();
            assert_eq!(choose(req.headers(), &FILE).0, coding, "{accept}");
        }
    }

    #[test]
    fn what_is_known_is_not_sent_again() {
        let req = TestRequest::get()
            .insert_header(("if-none-match", "\"t\""))
            .to_http_request();
        assert_eq!(answer(&req, &FILE).status(), StatusCode::NOT_MODIFIED);
    }
}
