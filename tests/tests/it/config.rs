//! Configuration as code, and where secrets go.

use openapi::rules::Rule;
use serde_json::{Value, json};
use tests::fakes::connectwise::{FakeConnectWise, Options as Tenant};
use tests::fakes::{FakeSink, FakeVault};
use tests::server::{binary, both as output, command, run};
use tests::yaml::{File, copy_to, is};
use tests::{Options, Server, both};

use crate::support::{SECRETS, all, delivered};

/// What `plan` says: the changes, as action, kind and name.
async fn plan(server: &Server, text: &str, more: &[&str]) -> Vec<(String, String, String)> {
    let file = server.write("plan.yaml", text);
    let mut arguments = vec!["plan", "--json", "-f", file.to_str().unwrap()];
    arguments.extend(more);
    let done = server.cli_with(&arguments, SECRETS).await;
    assert!(done.status.success(), "{}", output(&done));
    let planned: Value = serde_json::from_slice(&done.stdout).unwrap();
    let text = |change: &Value, key: &str| change[key].as_str().unwrap().to_owned();
    let changes = planned["changes"].as_array().unwrap();
    changes
        .iter()
        .map(|c| (text(c, "action"), text(c, "kind"), text(c, "name")))
        .collect()
}

both! {
    async fn a_file_is_planned_applied_exported_and_pruned(db) {
        let server = Server::start(db).await;
        let first = File::new()
            .sandbox("box", json!({}))
            .http("hook", "http://127.0.0.1:9/")
            .source("a")
            .source_with("b", json!({ "auth": { "type": "bearer", "token": { "env": "KUMA_TOKEN" } } }))
            .rule("one", json!([]), json!([copy_to("box")]))
            .rule_of("b", "two", is("$.x", "1"), json!([copy_to("hook")]));
        let planned = plan(&server, &first.text(), &[]).await;
        assert_eq!(planned.len(), 6);
        assert!(planned.iter().all(|(action, _, _)| action == "create"));
        assert_eq!(all::<Rule>(&server.client(), "/api/v1/rules").await.len(), 0, "a plan changes nothing");
        server.apply_with(&first.text(), SECRETS).await;
        assert!(plan(&server, &first.text(), &[]).await.is_empty(), "applying twice changes nothing");
        let revision = "SELECT value FROM meta WHERE name = 'config_revision'";
        let before = server.store.number(revision).await;
        server.apply_with(&first.text(), SECRETS).await;
        assert_eq!(server.store.number(revision).await, before);

        let exported = server.cli(&["export"]).await;
        assert!(exported.status.success(), "{}", output(&exported));
        let exported = String::from_utf8(exported.stdout).unwrap();
        let again = server.write("exported.yaml", &exported);
        let planned = server.cli_with(
            &["plan", "--exit-code", "-f", again.to_str().unwrap()],
            &placeholders(&exported),
        ).await;
        assert!(planned.status.success(), "an export is no change: {}\n{exported}", output(&planned));

        let second = File::new()
            .sandbox("box", json!({}))
            .source("a")
            .rule("one", is("$.n", "1"), json!([copy_to("box")]));
        let kept = plan(&server, &second.text(), &[]).await;
        assert_eq!(kept, [("update".to_owned(), "rule".to_owned(), "one".to_owned())], "what is not named stays");
        let pruned = plan(&server, &second.text(), &["--prune"]).await;
        let gone: Vec<&str> = pruned.iter().filter(|c| c.0 == "delete").map(|c| c.2.as_str()).collect();
        assert_eq!(gone.len(), 3, "{pruned:?}");
        for name in ["hook", "b", "two"] {
            assert!(gone.contains(&name), "{pruned:?}");
        }
        let file = server.write("second.yaml", &second.text());
        let done = server.cli(&["apply", "--prune", "-f", file.to_str().unwrap()]).await;
        assert!(done.status.success(), "{}", output(&done));
        assert!(plan(&server, &second.text(), &["--prune"]).await.is_empty());
        // The server beside it serves the change already.
        let sent = server.anonymous().hook("a", &json!({ "n": 1 })).await;
        assert_eq!(delivered(&server.client(), sent.event_ids[0]).await.rule, "one");
        let other = server.anonymous().hook("a", &json!({ "n": 2 })).await;
        let other = crate::support::event(&server.client(), other.event_ids[0]).await;
        assert_eq!(other.summary.disposition, "unmatched");
    }

    async fn a_file_with_faults_changes_nothing_and_says_where(db) {
        let server = Server::start(db).await;
        for (text, words) in [
            ("version: 1\nsources: [{ name: a, slug: a }]\n", vec!["auth"]),
            ("version: 1\nrulez: []\n", vec!["rulez"]),
            ("version: 2\n", vec!["version"]),
            (
                "version: 1\nconnections: [{ name: box, connector: sandbox }]\nsources: [{ name: a, slug: a, auth: { type: none } }]\n\
                 rules: [{ name: r, priority: 1, when: [{ path: \"$.a[\", op: exists }], then: drop }]\n",
                vec!["when[0].path"],
            ),
            (
                "version: 1\nsources: [{ name: a, slug: a, auth: { type: none } }]\n\
                 rules: [{ name: r, priority: 1, then: [{ deliver: { connection: nobody, operation: http.request } }] }]\n",
                vec!["then[0].deliver.connection"],
            ),
            (
                "version: 1\nsources: [{ name: a, slug: a, auth: { type: bearer, token: { env: SIGNALBOX_TEST_UNSET } } }]\n",
                vec!["SIGNALBOX_TEST_UNSET"],
            ),
        ] {
            let file = server.write("wrong.yaml", text);
            let done = server.cli(&["apply", "-f", file.to_str().unwrap()]).await;
            let said = output(&done);
            assert_eq!(done.status.code(), Some(1), "{text}\n{said}");
            for word in words {
                assert!(said.contains(word), "{word}:\n{said}");
            }
        }
        let all = "SELECT (SELECT COUNT(*) FROM source) + (SELECT COUNT(*) FROM rule) + (SELECT COUNT(*) FROM connection)";
        assert_eq!(server.store.number(all).await, 0);
    }

    async fn secrets_come_from_a_command_and_from_a_vault(db) {
        let sink = FakeSink::start().await.unwrap();
        let vault = FakeVault::start(&[
            ("secret/ops/hook", json!({ "token": "from-the-second-engine", "n": 7 })),
            ("kv/hook", json!({ "token": "from-the-first-engine" })),
        ]).unwrap();
        let server = Server::start(db).await;
        let asked = [
            ("VAULT_ADDR", vault.url.as_str()),
            ("VAULT_TOKEN", vault.token.as_str()),
            ("VAULT_NAMESPACE", "ops"),
        ];
        let file = |reference: Value| {
            let hook = json!({ "settings": { "auth": "bearer" }, "secrets": { "token": reference } });
            File::new().http_with("hook", &sink.url, hook).source("a")
                .rule("copy", json!([]), json!([copy_to("hook")])).text()
        };
        server.write("token.txt", "from-a-command\n");
        for (reference, expected) in [
            (json!({ "vault": "secret/data/ops/hook#token" }), "from-the-second-engine"),
            (json!({ "vault": "kv/hook#token" }), "from-the-first-engine"),
            (json!({ "command": "cat token.txt" }), "from-a-command"),
        ] {
            server.apply_with(&file(reference), &asked).await;
            let sent = server.anonymous().hook("a", &json!({ "n": expected })).await;
            let made = delivered(&server.client(), sent.event_ids[0]).await;
            let headers = sink.seen()[&made.message_id].headers.clone();
            let bearer = format!("Bearer {expected}");
            assert!(headers.iter().any(|(_, value)| *value == bearer), "{headers:?}");
        }
        // What is not there is said, and nothing of what is.
        for (reference, env, word) in [
            (json!({ "vault": "secret/data/ops/hook#other" }), &asked[..], "no such key"),
            (json!({ "vault": "secret/data/ops/hook#n" }), &asked[..], "no text"),
            (json!({ "vault": "secret/data/nothing#token" }), &asked[..], "nothing at this path"),
            (json!({ "vault": "secret/data/ops/hook#token" }), &asked[..1], "VAULT_TOKEN"),
            (json!({ "vault": "secret/data/ops/hook#token" }), &asked[..2], "refuses the token"),
            (json!({ "vault": "secret/../sys/raw#token" }), &asked[..], "vault: PATH#KEY"),
            (json!({ "command": "echo hush; exit 7" }), &asked[..], "7"),
            (json!({ "command": "true", "env": "A" }), &asked[..], "expected one of"),
        ] {
            let text = file(reference).replace("\"hook\"", "\"other\"");
            let path = server.write("wrong.yaml", &text);
            let done = server.cli_with(&["apply", "-f", path.to_str().unwrap()], env).await;
            let said = output(&done);
            assert_eq!(done.status.code(), Some(1), "{text}\n{said}");
            assert!(said.contains(word) && !said.contains("hush"), "{word}:\n{said}");
        }
    }

    async fn a_secret_is_found_nowhere(db) {
        const PLANTED: &str = "planted-secret-7f3a9c";
        let tenant = Tenant { private_key: format!("{PLANTED}-private"), ..Tenant::default() };
        let desk = FakeConnectWise::start_with(0, tenant).unwrap();
        let sink = FakeSink::start().await.unwrap();
        let server = Server::start_with(db, Options::default().set("log", "debug")).await;
        let hook = json!({
            "settings": { "auth": "bearer" },
            "secrets": { "token": { "env": "HOOK_TOKEN" } },
        });
        let file = File::new()
            .connectwise("psa", &desk.url)
            .http_with("hook", &sink.url, hook)
            .source_with("a", json!({
                "match": "all",
                "auth": { "type": "bearer", "token": { "env": "KUMA_TOKEN" } },
            }))
            .rule("copy", json!([]), json!([copy_to("hook")]))
            .rule("ticket", json!([]), json!([{ "deliver": {
                "connection": "psa",
                "operation": "ticket.upsert",
                "key": "{{ n }}",
                "map": { "summary": "{{ n }}", "board": { "value": "Service Board" } },
            }}]));
        let (token, hook, private) =
            (format!("{PLANTED}-token"), format!("{PLANTED}-hook"), format!("{PLANTED}-private"));
        let secrets = [
            ("KUMA_TOKEN", token.as_str()),
            ("HOOK_TOKEN", hook.as_str()),
            ("CW_PUBLIC", "public"),
            ("CW_PRIVATE", private.as_str()),
        ];
        let said = server.apply_with(&file.text(), &secrets).await;
        let client = server.client();
        let sent = server.anonymous().bearer(&token).hook("a", &json!({ "n": 1 })).await;
        let event = crate::support::settled(&client, sent.event_ids[0]).await;
        assert!(event.deliveries.iter().all(|d| d.state == openapi::deliveries::State::Delivered), "{event:?}");
        let got = &sink.seen()[&event.deliveries[0].message_id].headers;
        assert!(got.iter().any(|(_, value)| value.contains(&hook)), "the upstream gets it");
        server.anonymous().bearer(&format!("{token}-wrong")).post("/hooks/a", &json!({})).await
            .problem(openapi::problem::Code::SignatureInvalid);

        let mut heard = vec![("apply".to_owned(), said)];
        for path in ["sources", "connections", "rules", "events", "deliveries", "connectors", "stats"] {
            heard.push((path.to_owned(), client.get(&format!("/api/v1/{path}")).await.text()));
        }
        heard.push(("event".to_owned(), serde_json::to_string(&event).unwrap()));
        let explain = json!({ "event_id": event.summary.id });
        let explain = client.post("/api/v1/rules/explain", &explain).await;
        explain.done();
        heard.push(("explain".to_owned(), explain.text()));
        heard.push(("metrics".to_owned(), client.get("/metrics").await.text()));
        heard.push(("export".to_owned(), output(&server.cli(&["export"]).await)));
        // A credential and a session of their own, and what is told of both.
        let made: openapi::credentials::CredentialRevealed = server.session().await
            .post("/api/v1/credentials", &json!({ "name": "robot", "kind": "hmac", "scopes": ["rules:read"] })).await.ok();
        let login = server.anonymous().post("/api/v1/auth/login", &json!({
            "email": server.credentials.admin.email, "password": server.credentials.admin.password,
        })).await;
        let session = login.cookie().unwrap();
        let wrong = json!({ "email": server.credentials.admin.email, "password": format!("{PLANTED}-password") });
        heard.push(("sign-in".to_owned(), server.anonymous().post("/api/v1/auth/login", &wrong).await.text()));
        let misplaced = json!({ "name": format!("{PLANTED}-name"), "kind": 7 });
        heard.push(("problem".to_owned(), client.post("/api/v1/credentials", &misplaced).await.text()));
        heard.push(("query".to_owned(), client.get(&format!("/api/v1/events?limit={PLANTED}-limit")).await.text()));
        for path in ["audit", "audit/export", "audit/export?format=csv", "credentials", "debug/whoami"] {
            heard.push((path.to_owned(), client.get(&format!("/api/v1/{path}")).await.text()));
        }
        heard.push(("database".to_owned(), server.store.dump().await));
        heard.push(("log".to_owned(), server.log()));
        for (place, text) in &heard {
            assert!(text.len() > 20, "{place} says nothing: {text}");
            assert!(!text.contains(PLANTED), "{place}: {}", around(text, PLANTED));
            let own = &server.credentials;
            let signing = &own.hmac.as_ref().unwrap().secret;
            let token = session.split(['=', ';']).nth(1).unwrap();
            assert!(token.len() > 30, "{session}");
            for secret in [own.bearer.token.as_str(), &own.admin.password, signing, &made.secret, token] {
                assert!(!text.contains(secret), "{place}: {}", around(text, secret));
            }
        }
    }
}

fn around(text: &str, word: &str) -> String {
    let at = text.find(word).unwrap_or_default();
    let from = text.floor_char_boundary(at.saturating_sub(200));
    let to = text.ceil_char_boundary((at + 100).min(text.len()));
    text[from..to].to_owned()
}

/// Every variable that an export asks for, with some value.
fn placeholders(exported: &str) -> Vec<(&str, &str)> {
    exported
        .split("env:")
        .skip(1)
        .map(|rest| {
            rest.trim_start()
                .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                .next()
                .unwrap()
        })
        .map(|name| (name, "kuma-token-of-the-test"))
        .collect()
}

#[tokio::test]
async fn an_unknown_key_of_the_settings_file_is_refused_and_a_variable_warned_about() {
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("settings.toml");
    std::fs::write(&file, "listne = \"127.0.0.1:0\"\n").unwrap();
    let arguments = |what: &'static [&'static str]| {
        let mut command = command(&Options::default());
        command.args(what).arg("--config").arg(&file);
        command
    };
    let refused = run(arguments(&["serve"])).await;
    assert_eq!(refused.status.code(), Some(1), "{}", output(&refused));
    assert!(output(&refused).contains("listne"), "{}", output(&refused));
    assert!(!run(arguments(&["config", "check"])).await.status.success());

    std::fs::write(&file, "listen = \"127.0.0.1:0\"\n").unwrap();
    let mut unknown = arguments(&["config", "check"]);
    unknown.env("SIGNALBOX_LISTNE", "x");
    let warned = run(unknown).await;
    assert!(warned.status.success(), "{}", output(&warned));
    assert!(
        output(&warned).contains("SIGNALBOX_LISTNE"),
        "{}",
        output(&warned)
    );
    assert!(binary().is_file());
}
