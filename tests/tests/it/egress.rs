//! Where the server does not go, whatever it is told: addresses in all their spellings, names that
//! lead inward, answers that send it elsewhere.

use openapi::connections::{ConnectionCreated, TestResult};
use openapi::deliveries::State;
use serde_json::json;
use tests::fakes::FakeSink;
use tests::yaml::{File, copy_to};
use tests::{Client, Server, both};

use crate::support::settled;

/// Addresses of this machine, of its neighbours and of metadata services, as attackers write them.
const INWARD: &[&str] = &[
    "127.0.0.1",
    "127.1",
    "0x7f.1",
    "0177.0.0.1",
    "2130706433",
    "0x7f000001",
    "127.255.255.254",
    "localhost",
    "LOCALHOST.",
    "%6c%6f%63alhost",
    "１２７.0.0.1",
    "[::1]",
    "[0:0:0:0:0:0:0:1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[2002:7f00:1::]",
    "0.0.0.0",
    "0",
    "[::]",
    "10.0.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "100.64.0.1",
    "169.254.169.254",
    "0xa9fea9fe",
    "[fd00:ec2::254]",
    "[fe80::1]",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.8",
    "192.0.2.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "[ff02::1]",
    "255.255.255.255",
    "240.0.0.1",
];

/// Those of them that no connection may call, however it is set.
const NEVER: &[&str] = &[
    "169.254.169.254",
    "[fd00:ec2::254]",
    "0.0.0.0",
    "[::ffff:169.254.169.254]",
    "224.0.0.1",
];

/// What a test of a connection to this address says.
async fn tried(client: &Client, name: &str, url: &str, allow_private: bool) -> Option<TestResult> {
    let new = json!({
        "name": name, "connector": "http", "settings": { "url": url }, "allow_private": allow_private,
    });
    let answer = client.post("/api/v1/connections", &new).await;
    if answer.status.as_u16() == 422 {
        // It is refused before there is a connection.
        return None;
    }
    let made: ConnectionCreated = answer.ok();
    let path = format!("/api/v1/connections/{}/test", made.connection.id);
    Some(client.post(&path, &json!({})).await.ok())
}

both! {
    async fn no_spelling_of_an_inward_address_is_called(db) {
        let sink = FakeSink::start().await.unwrap();
        let port = sink.url.rsplit(':').next().unwrap().to_owned();
        let server = Server::start(db).await;
        let client = server.client();
        let mut refused = 0;
        for (n, host) in INWARD.iter().enumerate() {
            let found = tried(&client, &format!("c{n}"), &format!("http://{host}:{port}/"), false).await;
            if let Some(found) = found {
                assert!(!found.ok, "{host}: {found:?}");
                let code = found.code.as_deref().unwrap();
                // Not every machine knows the name with a dot.
                assert!(code == "blocked" || (*host == "LOCALHOST." && code == "dns"), "{host}: {found:?}");
                refused += 1;
            }
        }
        assert!(refused > 30, "most are refused by the guard itself: {refused}");
        for (n, host) in NEVER.iter().enumerate() {
            let found = tried(&client, &format!("n{n}"), &format!("http://{host}:{port}/"), true).await;
            let found = found.unwrap();
            assert_eq!((found.ok, found.code.as_deref()), (false, Some("blocked")), "{host}");
        }
        for url in [
            format!("http://user:password@127.0.0.1:{port}/"),
            format!("gopher://127.0.0.1:{port}/"),
            "file:///etc/passwd".to_owned(),
        ] {
            let found = tried(&client, "odd", &url, true).await;
            assert!(found.is_none_or(|found| !found.ok), "{url}");
        }
        assert_eq!(sink.counts().requests, 0, "nothing arrived");
        // With leave it does, so the tests above prove something.
        let found = tried(&client, "allowed", &format!("http://127.1:{port}/"), true).await;
        assert!(found.unwrap().ok);
        assert!(sink.counts().requests > 0);
    }

    async fn an_answer_that_sends_elsewhere_is_not_followed(db) {
        let inner = FakeSink::start().await.unwrap();
        let server = Server::start(db).await;
        for status in [301, 302, 303, 307, 308] {
            let target = inner.url.clone();
            let outer = FakeSink::start().await.unwrap();
            outer.redirect(status, &format!("{target}/latest/meta-data/"));
            let name = format!("s{status}");
            let file = File::new().http(&name, &outer.url).source(&name)
                .rule_of(&name, &name, json!([]), json!([copy_to(&name)]));
            server.apply(&file.text()).await;
            let sent = server.anonymous().hook(&name, &json!({ "n": status })).await;
            let event = settled(&server.client(), sent.event_ids[0]).await;
            assert_eq!(event.deliveries[0].state, State::Dead, "{status}");
            assert_eq!(outer.counts().requests, 1, "{status}: asked once");
        }
        assert_eq!(inner.counts().requests, 0, "nobody was sent there");
    }
}
