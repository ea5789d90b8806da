//! The keys that seal stored secrets: turned while servers run, brought from elsewhere, wrong.

use openapi::audit::AuditEntry;
use openapi::auth::WhoAmI;
use serde_json::{Value, json};
use tests::fakes::FakeSink;
use tests::server::both as output;
use tests::signing::base64;
use tests::yaml::{File, copy_to};
use tests::{Options, Server, both, wait_until};
use uuid::Uuid;

use crate::support::{all, drained, now};

const SECRETS: &[(&str, &str)] = &[
    ("KUMA_TOKEN", "kuma-token-of-the-test"),
    ("SINK_TOKEN", "sink-token-of-the-test"),
];

fn file(sink: &FakeSink) -> String {
    File::new()
        .http_with(
            "sink",
            &sink.url,
            json!({
                "settings": { "url": sink.url, "auth": "bearer" },
                "secrets": { "token": { "env": "SINK_TOKEN" } },
            }),
        )
        .source_with(
            "a",
            json!({ "auth": { "type": "bearer", "token": { "env": "KUMA_TOKEN" } } }),
        )
        .rule("copy", json!([]), json!([copy_to("sink")]))
        .text()
}

/// Everything that needs an opened secret still works: a source, a connection, a signed call.
async fn works(server: &Server, sink: &FakeSink) {
    let sender = server.anonymous().bearer("kuma-token-of-the-test");
    let before = sink.counts().taken;
    sender.hook("a", &json!({ "n": before })).await;
    drained(server).await;
    assert_eq!(sink.counts().taken, before + 1);
    let seen = sink.seen();
    let authorised = seen.values().all(|got| {
        let mut headers = got.headers.iter();
        headers.any(|(_, value)| value == "Bearer sink-token-of-the-test")
    });
    assert!(authorised, "the upstream gets its token");
    let nonce = Uuid::from_u128(rand::random()).simple().to_string();
    let target = "/api/v1/debug/whoami";
    let mut call = server.anonymous().call(reqwest::Method::GET, target);
    for (name, value) in server.signer().headers(("GET", target), &[], now(), &nonce) {
        call = call.header(name, value);
    }
    let _: WhoAmI = call.send().await.ok();
}

async fn keys(server: &Server, arguments: &[&str]) -> Value {
    let mut all = vec!["keys"];
    all.extend(arguments);
    all.push("--json");
    let done = server.cli(&all).await;
    assert!(done.status.success(), "{}", output(&done));
    serde_json::from_slice(&done.stdout).unwrap()
}

both! {
    async fn the_ring_turns_while_the_server_runs(db) {
        let sink = FakeSink::start().await.unwrap();
        let server = Server::start(db).await;
        server.apply_with(&file(&sink), SECRETS).await;
        works(&server, &sink).await;
        let status = keys(&server, &["status"]).await;
        let stored = status["keys"][0]["secrets"].as_i64().unwrap();
        assert!(stored >= 3 && status["missing"] == json!([]), "{status}");

        let added = keys(&server, &["add"]).await;
        assert_eq!((&added["added"], &added["current"]), (&json!("k2"), &json!("k1")));
        let turned = keys(&server, &["rotate"]).await;
        assert_eq!(turned, json!({ "current": "k2", "sealed": stored, "retired": [] }));
        let old = "SELECT COUNT(*) FROM sealed_secret WHERE key_id <> 'k2'";
        assert_eq!(server.store.number(old).await, 0);
        works(&server, &sink).await;
        // What the server seals from now on is sealed with the new key.
        let made: Value = server.client().post("/api/v1/sources", &json!({
            "name": "b", "slug": "b", "auth": { "type": "bearer" }
        })).await.ok();
        assert_eq!(server.store.number(old).await, 0, "{made}");

        let turned = keys(&server, &["rotate", "--retire"]).await;
        assert_eq!(turned["current"], "k3");
        assert_eq!(turned["retired"], json!(["k1", "k2"]));
        works(&server, &sink).await;
        server.restart().await;
        works(&server, &sink).await;
        let lines: Vec<AuditEntry> = all(&server.client(), "/api/v1/audit?action=keys.rotate").await;
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[1].after["secrets"], json!(stored));
    }

    async fn a_wrong_ring_refuses_to_start(db) {
        let sink = FakeSink::start().await.unwrap();
        let server = Server::start(db).await;
        server.apply_with(&file(&sink), SECRETS).await;
        let _ = server.terminate().await;
        let ring = server.data().join("keys.json");
        let kept = std::fs::read_to_string(&ring).unwrap();
        let mut other: Value = serde_json::from_str(&kept).unwrap();
        other["keys"]["k1"] = json!(base64(&[7_u8; 32]));
        let other_id = json!({ "current": "k9", "keys": { "k9": base64(&[7_u8; 32]) } });
        for (wrong, word) in [
            (other.to_string(), "cannot be opened"),
            (other_id.to_string(), "has no key"),
            ("{}".to_owned(), "is not a key ring"),
        ] {
            std::fs::write(&ring, wrong).unwrap();
            let refused = server.cli(&["serve", "--listen", "127.0.0.1:0"]).await;
            assert_eq!(refused.status.code(), Some(1), "{}", output(&refused));
            assert!(output(&refused).contains(word), "{}", output(&refused));
        }
        std::fs::write(&ring, kept).unwrap();
        server.resume().await;
        works(&server, &sink).await;
    }
}

both! {
    async fn keys_come_from_the_environment_or_a_command(db) {
        let sink = FakeSink::start().await.unwrap();
        let key = base64(&[9_u8; 32]);
        let from_env = Options::default().env("SIGNALBOX_KEYS", &key);
        let server = Server::start_with(db, from_env).await;
        let env = [SECRETS, &[("SIGNALBOX_KEYS", key.as_str())]].concat();
        let yaml = server.write("signalbox.yaml", &file(&sink));
        let done = server.cli_with(&["apply", "-f", yaml.to_str().unwrap()], &env).await;
        assert!(done.status.success(), "{}", output(&done));
        works(&server, &sink).await;
        assert!(!server.data().join("keys.json").exists(), "no file is made");
        let refused = server.cli_with(&["keys", "add"], &env).await;
        assert_eq!(refused.status.code(), Some(1));
        assert!(output(&refused).contains("change them there"), "{}", output(&refused));

        // The same key, printed by a command, which later prints a ring with another one.
        let printed = server.write("ring", &key);
        let command = format!("cat {}", printed.display());
        let _ = server.terminate().await;
        let second = server.another(Options::default().env("SIGNALBOX_KEY_COMMAND", &command));
        second.resume().await;
        works(&second, &sink).await;
        let old: Vec<(&str, &str)> = vec![("SIGNALBOX_KEY_COMMAND", command.as_str())];
        let status = second.cli_with(&["keys", "status", "--json"], &old).await;
        let status: Value = serde_json::from_slice(&status.stdout).unwrap();
        let id = status["keys"][0]["id"].as_str().unwrap().to_owned();
        let ring = json!({ "current": "k2", "keys": { id: key, "k2": base64(&[8_u8; 32]) } });
        std::fs::write(&printed, ring.to_string()).unwrap();
        let _ = second.terminate().await;
        second.resume().await;
        let turned = second.cli_with(&["keys", "rotate", "--json"], &old).await;
        let turned: Value = serde_json::from_slice(&turned.stdout).unwrap();
        assert_eq!(turned["current"], "k2");
        wait_until("every row follows the ring", async || {
            let old = "SELECT COUNT(*) FROM sealed_secret WHERE key_id <> 'k2'";
            (second.store.number(old).await == 0).then_some(())
        }).await;
        works(&second, &sink).await;
    }
}
