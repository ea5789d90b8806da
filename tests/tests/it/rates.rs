//! How often somebody may call, and how much a workspace may have.

use openapi::credentials::{Credential, CredentialRevealed};
use openapi::page::Page;
use openapi::problem::Code;
use openapi::quotas::Usage;
use openapi::sources::Refusal;
use openapi::workspaces::Workspace;
use serde_json::{Value, json};
use tests::yaml::File;
use tests::{Answer, Client, Database, Options, Server, both, wait_until, wait_until_within};

use crate::support::with_redis;

/// What the headers say: quota, window, left, seconds until all of it is back.
fn rate(answer: &Answer, policy: &str) -> (u64, u64, u64, u64) {
    let read = |name: &str, keys: [&str; 2]| {
        let text = answer.header(name).unwrap_or_default().to_owned();
        let mut parts = text.split(';');
        assert_eq!(
            parts.next(),
            Some(format!("\"{policy}\"").as_str()),
            "{text}"
        );
        let mut numbers = keys.map(|_| 0);
        for (number, key) in numbers.iter_mut().zip(keys) {
            let (name, value) = parts.next().unwrap().split_once('=').unwrap();
            assert_eq!(name, key, "{text}");
            *number = value.parse().unwrap();
        }
        numbers
    };
    let [quota, window] = read("ratelimit-policy", ["q", "w"]);
    let [left, reset] = read("ratelimit", ["r", "t"]);
    (quota, window, left, reset)
}

async fn made(client: &Client, more: Value) -> (Credential, String) {
    let mut new = json!({
        "name": "robot", "kind": "bearer", "scopes": ["events:read"], "allow_cidrs": ["127.0.0.0/8"],
    });
    new.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    let made: CredentialRevealed = client.post("/api/v1/credentials", &new).await.ok();
    (made.credential, made.secret)
}

async fn place(client: &Client) -> String {
    let page: Page<Workspace> = client.read("/api/v1/workspaces").await;
    format!("/api/v1/workspaces/{}", page.items[0].id)
}

fn used(usage: &Usage, what: &str) -> (u64, Option<u64>) {
    let one = usage.quotas.iter().find(|q| q.what == what).unwrap();
    (one.used, one.limit)
}

/// Calls until it is refused; how often it was not.
async fn until_refused(client: &Client, path: &str) -> (usize, Answer) {
    for n in 0..100 {
        let answer = client.get(path).await;
        if answer.status == 429 {
            return (n, answer);
        }
        answer.done();
    }
    panic!("never refused");
}

both! {
    async fn a_caller_is_told_what_is_left_and_refused_when_nothing_is(db) {
        // A burst is a tenth of a minute's requests, so a bucket holds ten and fills in six seconds.
        let server = Server::start_with(db, Options::default().set("api_rate_user", 100)).await;
        let owner = server.session().await;
        let first = owner.get("/api/v1/events").await;
        first.done();
        let (quota, window, left, reset) = rate(&first, "user");
        assert_eq!((quota, window), (10, 6));
        assert!(left < 10 && reset >= 1, "{left} {reset}");
        let (_, refused) = until_refused(&owner, "/api/v1/events").await;
        refused.problem(Code::RateLimited);
        let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=6).contains(&wait), "{wait}");
        assert_eq!(rate(&refused, "user").2, 0);
        // Another person, and a program, are not held back by it.
        server.client().get("/api/v1/events").await.done();
        let numbers = server.client().get("/metrics").await.text();
        assert!(numbers.contains("signalbox_api_requests_throttled_total{reason=\"user\"}"), "{numbers}");
        wait_until("a token is back", async || {
            owner.get("/api/v1/events").await.status.is_success().then_some(())
        })
        .await;
    }

    async fn a_credential_has_a_rate_of_its_own(db) {
        let server = Server::start_with(db, Options::default().set("api_rate_credential", 100)).await;
        let owner = server.session().await;
        let (credential, token) = made(&owner, json!({ "rate_per_minute": 30 })).await;
        assert_eq!(credential.rate_per_minute, Some(30));
        let robot = server.anonymous().bearer(&token);
        let first = robot.get("/api/v1/events").await;
        first.done();
        assert_eq!(rate(&first, "credential").0, 3);
        until_refused(&robot, "/api/v1/events").await.1.problem(Code::RateLimited);
        // Refused calls are not passed to anything, also not to what they may not do.
        robot.get("/api/v1/rules").await.problem(Code::RateLimited);
        let path = format!("/api/v1/credentials/{}", credential.id);
        for wrong in [json!(0), json!(2_000_000)] {
            let change = json!({ "rate_per_minute": wrong });
            let problem = owner.patch(&path, credential.revision, &change).await.problem(Code::ValidationFailed);
            assert_eq!(problem.errors[0].field, "rate_per_minute");
        }
        let change = json!({ "rate_per_minute": null });
        let changed: Credential = owner.patch(&path, credential.revision, &change).await.ok();
        assert_eq!(changed.rate_per_minute, None);
        let answer = robot.get("/api/v1/events").await;
        answer.done();
        assert_eq!(rate(&answer, "credential").0, 10, "what the settings say");
    }

    async fn what_is_open_to_all_is_limited_by_address(db) {
        let options = Options::default().set("api_rate_address", 20).set("trusted_proxies", "127.0.0.0/8");
        let server = Server::start_with(db, options).await;
        let from = |address: &str| server.anonymous().header("x-forwarded-for", address);
        let session = "/api/v1/auth/session";
        let first = from("192.0.2.1").get(session).await;
        first.problem(Code::Unauthenticated);
        assert_eq!(rate(&first, "address").0, 2);
        from("192.0.2.1").get(session).await.problem(Code::Unauthenticated);
        let refused = from("192.0.2.1").get(session).await;
        refused.problem(Code::RateLimited);
        assert!(refused.header("retry-after").is_some());
        from("192.0.2.2").get(session).await.problem(Code::Unauthenticated);
        // Health is not.
        for _ in 0..5 {
            from("192.0.2.1").get("/livez").await.done();
        }
    }

    async fn a_workspace_may_have_so_much_and_no_more(db) {
        let server = Server::start(db).await;
        let owner = server.session().await;
        let place = place(&owner).await;
        let usage = format!("{place}/usage");
        let quotas = format!("{place}/quotas");
        let before: Usage = owner.read(&usage).await;
        assert_eq!(used(&before, "credentials"), (2, None));
        assert_eq!(used(&before, "members"), (1, None));
        let wrong = json!({ "members": 0 });
        owner.patch(&quotas, 0, &wrong).await.problem(Code::ValidationFailed);
        let limits = json!({ "sources": 1, "rules": 1, "connections": 1, "credentials": 2 });
        let set: Usage = owner.patch(&quotas, 0, &limits).await.ok();
        assert_eq!((set.revision, used(&set, "credentials")), (1, (2, Some(2))));
        owner.patch(&quotas, 0, &limits).await.problem(Code::RevisionStale);

        let source = |name: &str| json!({ "name": name, "slug": name, "auth": { "type": "none" } });
        owner.post("/api/v1/sources", &source("a")).await.done();
        let problem = owner.post("/api/v1/sources", &source("b")).await.problem(Code::QuotaExceeded);
        assert!(problem.detail.unwrap().contains("1 sources"));
        let connection = |name: &str| json!({ "name": name, "connector": "sandbox" });
        owner.post("/api/v1/connections", &connection("a")).await.done();
        owner.post("/api/v1/connections", &connection("b")).await.problem(Code::QuotaExceeded);
        let rule = |name: &str| json!({ "name": name, "spec": { "when": [], "then": "drop" } });
        let first: Value = owner.post("/api/v1/rules", &rule("a")).await.ok();
        let first = format!("/api/v1/rules/{}", first["id"].as_str().unwrap());
        owner.post("/api/v1/rules", &rule("b")).await.problem(Code::QuotaExceeded);
        owner.post(&format!("{first}/duplicate"), &json!({})).await.problem(Code::QuotaExceeded);
        let new = json!({ "name": "c", "kind": "hmac", "scopes": ["events:read"] });
        owner.post("/api/v1/credentials", &new).await.problem(Code::QuotaExceeded);
        // What goes makes room, and a deleted rule takes it again when it comes back.
        owner.delete(&first, 1).await.done();
        owner.post("/api/v1/rules", &rule("b")).await.done();
        owner.call(reqwest::Method::POST, &format!("{first}/restore")).revision(1).json(&json!({ "revision": 1 })).send().await
            .problem(Code::QuotaExceeded);
        // A limit below what there is takes nothing away; without one there is room again.
        let set: Usage = owner.patch(&quotas, 1, &json!({ "sources": 0, "rules": null })).await.ok();
        assert_eq!((used(&set, "sources"), used(&set, "rules")), ((1, Some(0)), (1, None)));
        owner.post("/api/v1/rules", &rule("c")).await.done();
        // Another workspace has limits of its own.
        let other = json!({ "slug": "other", "name": "Other" });
        owner.post("/api/v1/workspaces", &other).await.done();
        owner.clone().workspace("other").post("/api/v1/sources", &source("b")).await.done();
    }

    async fn events_over_the_quota_of_the_day_are_refused_and_none_is_lost(db) {
        let server = Server::start(db).await;
        server.apply(&File::new().source("a").text()).await;
        let owner = server.session().await;
        let quotas = format!("{}/quotas", place(&owner).await);
        owner.patch(&quotas, 0, &json!({ "events_per_day": 3 })).await.done();
        for n in 0..3 {
            server.anonymous().hook("a", &json!({ "n": n })).await;
        }
        // The one that was in flight when the database was asked how many there are may pass the
        // limit; this sender has one at a time.
        let mut taken = 3;
        let mut refused = server.anonymous().post("/hooks/a", &json!({ "n": 3 })).await;
        if refused.status == 202 {
            taken += 1;
            refused = server.anonymous().post("/hooks/a", &json!({ "n": 3 })).await;
        }
        refused.problem(Code::EventQuotaExceeded);
        let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=86_400).contains(&wait), "{wait}");
        assert_eq!(crate::support::events(&server).await, taken);
        let source: Page<Value> = owner.read("/api/v1/sources").await;
        let refusals = format!("/api/v1/sources/{}/refusals", source.items[0]["id"].as_str().unwrap());
        wait_until("the refusal is kept", async || {
            let page: Page<Refusal> = owner.read(&refusals).await;
            page.items.iter().any(|r| r.reason == "event_quota_exceeded" && r.status == 429).then_some(())
        })
        .await;
        let numbers = server.client().get("/metrics").await.text();
        assert!(numbers.contains("requests_refused_total{reason=\"event_quota_exceeded\"} 1"), "{numbers}");
        // A restart does not begin the day anew.
        server.restart().await;
        wait_until("the count is known again", async || {
            let answer = server.anonymous().post("/hooks/a", &json!({ "n": 4 })).await;
            (answer.status == 429).then_some(())
        })
        .await;
        let usage: Usage = owner.patch(&quotas, 1, &json!({ "events_per_day": 100 })).await.ok();
        assert!(used(&usage, "events_per_day").0 >= 3);
        server.anonymous().hook("a", &json!({ "n": 5 })).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_is_reached_by_tls_and_only_with_a_certificate_that_is_trusted() {
    let Some(redis) = tests::redis::TlsRedis::start().await else {
        println!("not run: there is no Redis");
        return;
    };
    let options = || with_redis(Options::default(), &redis.url());
    let trusts = options().env("SSL_CERT_FILE", redis.certificate().display());
    for (options, state) in [(trusts, "ok"), (options(), "degraded")] {
        let server = Server::start_with(Database::Sqlite, options).await;
        wait_until_within(
            std::time::Duration::from_secs(30),
            "it says how it stands with Redis",
            async || {
                let ready: Value = server.anonymous().get("/readyz").await.ok();
                (ready["redis"]["state"] == state).then_some(())
            },
        )
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_count_together() {
    let (Some(db), Ok(redis)) = (
        Database::postgres(),
        std::env::var("SIGNALBOX_TEST_REDIS_URL"),
    ) else {
        return;
    };
    let options = || with_redis(Options::default(), &redis);
    let server = Server::start_with(db, options()).await;
    let other = server.another(options());
    other.resume().await;
    server.apply(&File::new().source("a").text()).await;

    let owner = server.session().await;
    let (_, token) = made(&owner, json!({ "rate_per_minute": 6 })).await;
    let here = server.anonymous().bearer(&token);
    let there = other.anonymous().bearer(&token);
    // Each proves the token once, which takes its time.
    here.get("/api/v1/events").await;
    there.get("/api/v1/events").await;
    until_refused(&here, "/api/v1/events").await;
    let refused = there.get("/api/v1/events").await;
    refused.problem(Code::RateLimited);
    assert_eq!(rate(&refused, "credential").0, 1, "the bucket is the same");

    let quotas = format!("{}/quotas", place(&owner).await);
    let limit = json!({ "events_per_day": 4 });
    owner.patch(&quotas, 0, &limit).await.done();
    for n in 0..4 {
        server.anonymous().hook("a", &json!({ "n": n })).await;
    }
    wait_until_within(
        std::time::Duration::from_secs(10),
        "the other node knows of them",
        async || {
            let answer = other.anonymous().post("/hooks/a", &json!({})).await;
            (answer.status == 429).then_some(())
        },
    )
    .await;
}
