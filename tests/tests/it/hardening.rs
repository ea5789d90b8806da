//! Requests that no honest client sends, and what every answer carries.

use std::sync::Arc;
use std::time::Duration;

use openapi::problem::Code;
use parking_lot::RwLock;
use reqwest::Method;
use serde_json::json;
use tests::yaml::File;
use tests::{Client, Database, Options, Server, both, wait_until};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::events;

/// Sends bytes as they are and reads until the server closes.
async fn raw(server: &Server, bytes: &[u8]) -> String {
    let address = server
        .url()
        .replace("http://", "")
        .replace("localhost", "127.0.0.1");
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut heard = Vec::new();
    let read = stream.read_to_end(&mut heard);
    tokio::time::timeout(Duration::from_secs(20), read)
        .await
        .unwrap_or_else(|_| panic!("the connection stays open"))
        .ok();
    String::from_utf8_lossy(&heard).into_owned()
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or_default()
}

both! {
    async fn requests_that_two_servers_would_read_differently_are_refused(db) {
        let server = Server::start(db).await;
        server.apply(&File::new().source("a").text()).await;
        let smuggled = "POST /hooks/a HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}";
        for (name, head) in [
            ("two lengths", "Content-Length: 0\r\nContent-Length: 70\r\n"),
            ("length and chunks", "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n"),
            ("chunks, but not last", "Transfer-Encoding: chunked, identity\r\n"),
            ("a length with a sign", "Content-Length: +70\r\n"),
            ("a folded header", "X-A: b\r\n c\r\nContent-Length: 70\r\n"),
            ("a space before the colon", "Content-Length : 70\r\n"),
        ] {
            let request = format!(
                "POST /livez HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{head}\r\n{smuggled}"
            );
            let answer = raw(&server, request.as_bytes()).await;
            assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{name}: {answer}");
        }
        assert_eq!(events(&server).await, 0, "nothing was smuggled in");
        let junk = raw(&server, b"GET / HTTP/1.1\r\n\0: a\r\n\r\n").await;
        assert_eq!(status(&junk), "400", "{junk}");
        let long = format!("GET / HTTP/1.1\r\nHost: a\r\nX-Long: {}\r\n\r\n", "x".repeat(1 << 20));
        let long = raw(&server, long.as_bytes()).await;
        assert!(long.is_empty() || status(&long).starts_with('4'), "{long}");
        server.anonymous().hook("a", &json!({})).await;
    }

    async fn deep_and_endless_bodies_end(db) {
        let server = Server::start(db).await;
        server.apply(&File::new().source("a").text()).await;
        for deep in ["[".repeat(100_000), "{\"a\":".repeat(100_000)] {
            let call = server.anonymous().call(Method::POST, "/hooks/a");
            let answer = call.header("content-type", "application/json").body(deep.clone()).send().await;
            answer.problem(Code::MalformedBody);
            let call = server.client().call(Method::POST, "/api/v1/sources");
            let answer = call.header("content-type", "application/json").body(deep).send().await;
            // Refused at the depth, or before that by its first byte.
            assert!(matches!(answer.status.as_u16(), 400 | 422), "{}", answer.status);
        }
        server.anonymous().get("/livez").await.done();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_clients_are_let_go() {
    let options = Options::default().set("request_timeout_seconds", 1);
    let server = Server::start_with(Database::Sqlite, options).await;
    server.apply(&File::new().source("a").text()).await;
    let head = raw(&server, b"GET /livez HTTP/1.1\r\nHost:").await;
    assert!(head.is_empty() || status(&head) == "408", "{head}");
    let body =
        b"POST /hooks/a HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 9\r\n\r\n{";
    let body = raw(&server, body).await;
    assert_eq!(status(&body), "400", "{body}");
    assert_eq!(events(&server).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_tells_browsers_what_they_may_do() {
    for (public, secure) in [("http://hub.example", false), ("https://hub.example", true)] {
        let options = Options::default()
            .set("public_url", public)
            .set("cors_origins", "https://console.example");
        let server = Server::start_with(Database::Sqlite, options).await;
        // It tells its public address; the log, which may follow later, has where it listens.
        let address = wait_until("it says where it listens", async || {
            let log = server.log();
            let (_, after) = log.split_once("address=")?;
            after.split_once(' ').map(|(address, _)| address.to_owned())
        })
        .await;
        let stranger = Client::new(Arc::new(RwLock::new(format!("http://{address}"))));
        for path in [
            "/livez",
            "/nothing",
            "/api/v1/rules",
            "/hooks/nobody",
            "/api/openapi.json",
        ] {
            let answer = stranger.get(path).await;
            let policy = answer.header("content-security-policy").unwrap();
            assert!(policy.starts_with("default-src 'none'"), "{path}: {policy}");
            assert!(!policy.contains("unsafe-inline"), "{path}: {policy}");
            assert_eq!(
                answer.header("x-content-type-options"),
                Some("nosniff"),
                "{path}"
            );
            assert_eq!(answer.header("x-frame-options"), Some("DENY"), "{path}");
            assert_eq!(
                answer.header("referrer-policy"),
                Some("no-referrer"),
                "{path}"
            );
            let told = answer.header("strict-transport-security");
            assert_eq!(told.is_some(), secure, "{path}: {told:?}");
            assert_eq!(answer.header("server"), None, "{path}");
        }
        for path in ["/api/v1/rules", "/hooks/a"] {
            let ask = async |origin: &str| {
                let call = stranger
                    .call(Method::OPTIONS, path)
                    .header("origin", origin);
                let call = call.header("access-control-request-method", "POST");
                let answer = call.send().await;
                for name in ["x-request-id", "x-content-type-options", "x-frame-options"] {
                    assert!(answer.header(name).is_some(), "{path}: {name}");
                }
                answer
                    .header("access-control-allow-origin")
                    .map(str::to_owned)
            };
            assert_eq!(
                ask("https://console.example").await.as_deref(),
                Some("https://console.example")
            );
            for other in [
                "https://evil.example",
                "https://console.example.evil.example",
                "http://console.example",
                "null",
            ] {
                assert_eq!(ask(other).await, None, "{other}");
            }
        }
    }
}
