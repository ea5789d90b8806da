//! Fuzzing on the stable compiler: what strangers write must be read or refused soon, and never panic.
//!
//! `SIGNALBOX_FUZZ_CASES` sets the number of cases of each target; the default is a short round.
#![expect(clippy::unwrap_used, reason = "tests")]

use actix_web::http::header::{COOKIE, HeaderValue};
use actix_web::test::TestRequest;
use api::auth::check_bearer;
use api::{config_file, ingest};
use proptest::prelude::*;

fn config() -> ProptestConfig {
    let cases = std::env::var("SIGNALBOX_FUZZ_CASES")
        .ok()
        .map_or(256, |cases| cases.parse().unwrap());
    ProptestConfig {
        cases,
        // A fault is reported with its input; files beside the sources would be surprising.
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// Text made of the words of a language and of anything else.
fn text(words: &'static [&'static str]) -> impl Strategy<Value = String> {
    let word = prop_oneof![
        8 => prop::sample::select(words).prop_map(str::to_owned),
        1 => any::<char>().prop_map(|c| c.to_string()),
        1 => "[a-z0-9]{0,3}",
    ];
    prop::collection::vec(word, 0..60).prop_map(|words| words.concat())
}

const TOKEN: &[&str] = &[
    "sbb_",
    "sbs_",
    "_",
    "a",
    "0",
    "-",
    "=",
    "é",
    "\0",
    "AAAAAAAAAAAAAAAA",
];

const YAML: &[&str] = &[
    "version: 1\n",
    "sources:\n",
    "rules:\n",
    "connections:\n",
    "  - ",
    "name: a\n",
    "    slug: a\n",
    "    auth: { type: none }\n",
    "\n",
    "  ",
    ": ",
    "- ",
    "{",
    "}",
    "[",
    "]",
    ", ",
    "&a ",
    "*a",
    "<<: ",
    "!!binary ",
    "| ",
    "> ",
    "\"",
    "'",
    "#",
    "---\n",
    "...\n",
    "? ",
    "%YAML 1.2\n",
    "0x1f",
    "1e400",
    "null",
    "~",
    "\t",
];

const COOKIES: &[&str] = &[
    "signalbox_session",
    "__Host-signalbox_session",
    "=",
    ";",
    "; ",
    ",",
    "\"",
    " ",
    "a",
    "%00",
    "%zz",
    "\\",
    "é",
    "Path=/",
    "$Version=1",
];

const MULTIPART: &[&str] = &[
    "--",
    "b",
    "--b\r\n",
    "--b--\r\n",
    "\r\n",
    "\n",
    "\r\n\r\n",
    "content-disposition: form-data; name=\"a\"",
    "; filename=\"f\"",
    "; filename*=UTF-8''%e2%82",
    "content-type: application/json; charset=utf-16",
    "content-type: text/plain; charset=x",
    "{\"a\":1}",
    "\"",
    "\0",
    "é",
];

proptest! {
    #![proptest_config(config())]

    #[test]
    fn multipart_forms(body in text(MULTIPART), boundary in "(b|-|\"b\"|b; boundary=c|)") {
        let kind = format!("multipart/form-data; boundary={boundary}");
        if let Ok(value) = ingest::parse("POST", &kind, "", body.as_bytes()) {
            prop_assert!(value.is_object());
        }
    }

    #[test]
    fn tokens(token in text(TOKEN)) {
        if let Some(client) = check_bearer(&token) {
            prop_assert!(token.starts_with("sbb_") && token.contains(client));
        }
    }

    #[test]
    fn yaml(file in text(YAML)) {
        if let Err(error) = config_file::parse(&file) {
            prop_assert!(error.to_string().len() < 10_000);
        }
    }

    #[test]
    fn cookies(header in text(COOKIES)) {
        if let Ok(value) = HeaderValue::from_bytes(header.as_bytes()) {
            let request = TestRequest::default().insert_header((COOKIE, value)).to_http_request();
            let _ = request.cookies().map(|all| all.len());
            let found = request.cookie("signalbox_session");
            prop_assert!(found.is_none_or(|cookie| header.contains(cookie.name())));
        }
    }
}
