//! `scripts/api-curl.sh`, in the shell of a plain Debian.

use std::path::PathBuf;
use std::process::{Command, Output};

use openapi::sources::Accepted;
use serde_json::json;
use tests::server::{both, run};
use tests::yaml::File;
use tests::{Database, Server};

async fn script(server: &Server, token: Option<&str>, arguments: &[&str]) -> Output {
    let path = PathBuf::from(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../scripts/api-curl.sh"
    ));
    let mut command = Command::new("dash");
    command
        .arg(path)
        .args(arguments)
        .env("SIGNALBOX_URL", server.url());
    match token {
        Some(token) => command.env("SIGNALBOX_TOKEN", token),
        None => command.env_remove("SIGNALBOX_TOKEN"),
    };
    run(command).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_sends_every_body_as_it_is() {
    let server = Server::start(Database::Sqlite).await;
    server.apply(&File::new().source("a").text()).await;
    let token = server.credentials.bearer.token.clone();
    let odd = [
        json!({ "q": "it's \"quoted\" $HOME `id` \\n %s" }),
        json!({ "lines": "one\ntwo\r\n\ttabbed  ", "tail": "\\" }),
        json!({ "wide": "héllo ✓ 🔴", "empty": "", "star": "* ? [a] {b} ~ ! #" }),
        json!({ "at": "@not-a-file", "amp": "a&b=c;d|e<f>", "null": null }),
    ];
    for body in odd {
        let text = body.to_string();
        let sent = script(
            &server,
            Some(&token),
            &["POST", "/hooks/a", "--json", &text],
        )
        .await;
        assert!(sent.status.success(), "{}", both(&sent));
        let accepted: Accepted = serde_json::from_slice(&sent.stdout).unwrap();
        let path = format!("/api/v1/events/{}/body", accepted.event_ids[0]);
        let read = script(&server, Some(&token), &["GET", &path]).await;
        assert_eq!(String::from_utf8(read.stdout).unwrap(), text);
    }
    let bytes: Vec<u8> = [b"{\"a\":\"", [b'x'; 70_000].as_slice(), b"\"}"].concat();
    let file = server.data().join("large body.json");
    std::fs::write(&file, &bytes).unwrap();
    let sent = script(
        &server,
        Some(&token),
        &[
            "POST",
            "/hooks/a",
            "--json",
            &format!("@{}", file.display()),
        ],
    )
    .await;
    let accepted: Accepted = serde_json::from_slice(&sent.stdout).unwrap();
    let path = format!("/api/v1/events/{}/body", accepted.event_ids[0]);
    assert_eq!(
        script(&server, Some(&token), &["GET", &path]).await.stdout,
        bytes
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_exit_code_tells_what_happened() {
    let server = Server::start(Database::Sqlite).await;
    let token = server.credentials.bearer.token.clone();
    let code =
        async |token: Option<&str>, arguments: &[&str]| script(&server, token, arguments).await;
    let right = code(Some(&token), &["GET", "/api/v1/events?limit=1"]).await;
    assert_eq!(right.status.code(), Some(0), "{}", both(&right));
    let missing = code(
        Some(&token),
        &["GET", "/api/v1/events/00000000-0000-0000-0000-000000000000"],
    )
    .await;
    assert_eq!(missing.status.code(), Some(22));
    assert!(
        String::from_utf8_lossy(&missing.stdout).contains("not_found"),
        "{}",
        both(&missing)
    );
    let unknown = code(None, &["GET", "/api/v1/events"]).await;
    assert_eq!(unknown.status.code(), Some(22));
    assert_eq!(
        code(Some(&token), &["BREW", "/"]).await.status.code(),
        Some(2)
    );
    assert_eq!(
        code(Some("a\nb: c"), &["GET", "/"]).await.status.code(),
        Some(2)
    );
    let all = format!("{}{}", both(&right), both(&missing));
    assert!(!all.contains(&token), "the token is never printed");
    server.kill();
    assert_eq!(
        code(Some(&token), &["GET", "/livez"]).await.status.code(),
        Some(7)
    );
}
