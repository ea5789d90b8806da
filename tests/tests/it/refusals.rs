//! The log of a source: whatever was refused is in it, with its reason.

use openapi::page::Page;
use openapi::problem::Code;
use openapi::sources::{Refusal, Source};
use reqwest::Method;
use serde_json::{Value, json};
use tests::signing::sha256;
use tests::yaml::File;
use tests::{Answer, Options, Server, both, wait_until};

use crate::support::{SECRETS, all, now};

const SECRET: &str = "kuma-token-of-the-test";
/// Of this machine.
const HERE: &str = "127.0.0.1";
/// Of a sender behind a proxy.
const FAR: &str = "203.0.113.9";

/// A request with these headers.
async fn knock(
    server: &Server,
    method: Method,
    slug: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Answer {
    let mut call = server.anonymous().call(method, &format!("/hooks/{slug}"));
    for (name, value) in headers {
        call = call.header(name, value);
    }
    call.body(body.to_owned()).send().await
}

/// Waits for the log of a source, the newest first: status, reason and address.
async fn log(server: &Server, slug: &str, wanted: &[(u16, &str, &str)]) {
    let client = server.client();
    let sources: Vec<Source> = all(&client, "/api/v1/sources").await;
    let source = sources.into_iter().find(|s| s.slug == slug).unwrap();
    let path = format!("/api/v1/sources/{}/refusals", source.id);
    let kept = wait_until(&format!("{slug} has its log"), async || {
        let kept: Vec<Refusal> = all(&client, &path).await;
        (kept.len() >= wanted.len()).then_some(kept)
    })
    .await;
    let kept: Vec<_> = kept
        .iter()
        .map(|r| (r.status, r.reason.as_str(), r.remote_addr.as_str()))
        .collect();
    assert_eq!(kept, wanted, "{slug}");
}

/// As Slack signs.
fn signature(at: i64, body: &str) -> String {
    let at = at.to_string();
    let parts: [&[u8]; 4] = [b"v0:", at.as_bytes(), b":", body.as_bytes()];
    let mac: String = sha256(SECRET.as_bytes(), &parts)
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    format!("v0={mac}")
}

both! {
    async fn whatever_is_refused_is_in_the_log(db) {
        let options = Options::default().set("trusted_proxies", "127.0.0.0/8");
        let server = Server::start_with(db, options).await;
        let file = File::new()
            .source_with("off", json!({ "enabled": false }))
            .source_with("near", json!({ "allow_cidrs": ["192.0.2.0/24"] }))
            .source_with("slow", json!({ "rate_per_minute": 1 }))
            .source_with("small", json!({ "body_limit": 10 }))
            .source_with("signed", json!({ "auth": { "type": "slack", "secret": { "env": "KUMA_TOKEN" } } }))
            .source("open");
        server.apply_with(&file.text(), SECRETS).await;
        let plain: &[(&str, &str)] = &[("content-type", "application/json")];

        knock(&server, Method::POST, "off", plain, "{}").await.problem(Code::SourceDisabled);
        log(&server, "off", &[(403, "source_disabled", HERE)]).await;

        // Whose address it is says the proxy, and the log has that one.
        let by_proxy = |address| [("content-type", "application/json"), ("x-forwarded-for", address)];
        knock(&server, Method::POST, "near", &by_proxy("192.0.2.7"), "{}").await.done();
        knock(&server, Method::POST, "near", &by_proxy(FAR), "{}").await.problem(Code::AddressNotAllowed);
        knock(&server, Method::POST, "near", plain, "{}").await.problem(Code::AddressNotAllowed);
        log(&server, "near", &[(403, "address_not_allowed", HERE), (403, "address_not_allowed", FAR)]).await;

        knock(&server, Method::POST, "slow", plain, "{}").await.done();
        knock(&server, Method::POST, "slow", &by_proxy(FAR), "{}").await.problem(Code::RateLimited);
        log(&server, "slow", &[(429, "rate_limited", FAR)]).await;

        knock(&server, Method::POST, "small", plain, "{\"long\": 1}").await.problem(Code::BodyTooLarge);
        log(&server, "small", &[(413, "body_too_large", HERE)]).await;

        let signed = async |at: i64, signature: &str| {
            let at = at.to_string();
            let headers = [
                ("content-type", "application/json"),
                ("x-slack-request-timestamp", at.as_str()),
                ("x-slack-signature", signature),
            ];
            knock(&server, Method::POST, "signed", &headers, "{}").await
        };
        let at = now();
        signed(at, &signature(at, "{}")).await.done();
        signed(at, &signature(at, "{ }")).await.problem(Code::SignatureInvalid);
        signed(at - 900, &signature(at - 900, "{}")).await.problem(Code::TimestampOutOfWindow);
        signed(at + 900, &signature(at + 900, "{}")).await.problem(Code::TimestampOutOfWindow);
        log(&server, "signed", &[
            (401, "future_timestamp", HERE), (401, "stale_timestamp", HERE), (401, "wrong_signature", HERE),
        ]).await;

        let put = knock(&server, Method::PUT, "open", &by_proxy(FAR), "{}").await;
        put.problem(Code::MethodNotAllowed);
        assert_eq!(put.header("allow"), Some("GET, POST"));
        knock(&server, Method::POST, "open", &[("content-type", "application/xml")], "<a/>").await
            .problem(Code::UnsupportedMediaType);
        knock(&server, Method::POST, "open", plain, "{").await.problem(Code::MalformedBody);
        let owner = server.session().await;
        let workspaces: Page<Value> = owner.read("/api/v1/workspaces").await;
        let workspace = workspaces.items[0]["id"].as_str().unwrap();
        let hops = [("content-type", "application/json"), ("signalbox-hops", workspace)];
        knock(&server, Method::POST, "open", &hops, "{}").await.problem(Code::LoopDetected);
        let quotas = format!("/api/v1/workspaces/{workspace}/quotas");
        // None at all: what was taken before there was a limit is only counted at the next look.
        owner.patch(&quotas, 0, &json!({ "events_per_day": 0 })).await.done();
        knock(&server, Method::POST, "open", plain, "{}").await.problem(Code::EventQuotaExceeded);
        log(&server, "open", &[
            (429, "event_quota_exceeded", HERE),
            (508, "loop_detected", HERE),
            (400, "malformed_body", HERE),
            (415, "unsupported_media_type", HERE),
            (405, "method_not_allowed", FAR),
        ]).await;
        let numbers = server.client().get("/metrics").await.text();
        assert!(numbers.contains("requests_refused_total{reason=\"method_not_allowed\"} 1"), "{numbers}");
    }
}
