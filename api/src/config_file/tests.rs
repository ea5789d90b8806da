//! Files against a database: SQLite, and PostgreSQL where `SIGNALBOX_TEST_DATABASE_URL` is set.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use entity::{connection, rule, sealed_secret, source, workspace};
use sea_orm::{ConnectionTrait as _, EntityTrait as _, IntoActiveModel as _};
use serde_json::json;

use super::*;
use crate::clock::Clock;
use crate::connectors;
use crate::db::{Db, Location};
use crate::egress::{Egress, EgressOptions};
use crate::ids;
use crate::scope::Scope;
use crate::secrets::Keyring;
use crate::services::people::policy;

const SMALL: &str = r#"
version: 1
connections:
  - name: hook
    connector: http
    settings: { url: "https://example.com/in", auth: bearer }
    secrets: { token: { env: HOOK_TOKEN } }
sources:
  - { name: Kuma, slug: kuma, auth: { type: bearer, token: { env: KUMA_TOKEN } } }
rules:
  - name: copy
    source: kuma
    priority: 10
    then:
      - deliver: { connection: hook, operation: http.request, map: { body: { path: "$" } } }
"#;

struct Bench {
    store: Store,
    scope: Scope,
    around: Surroundings,
    _folder: tempfile::TempDir,
}

impl Bench {
    async fn on(location: Location, folder: tempfile::TempDir) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let db = Db::open(&location, 4).await.unwrap();
        db.migrate().await.unwrap();
        let clock = Clock::system();
        let id = ids::new(&clock);
        let row = workspace::Model {
            id,
            slug: "main".to_owned(),
            name: "Main".to_owned(),
            created_at: clock.now_ms(),
            require_second_factor: false,
            deleting_at: None,
        };
        workspace::Entity::insert(row.into_active_model())
            .exec_without_returning(db.write())
            .await
            .unwrap();
        let egress = Egress::new(EgressOptions::default()).unwrap();
        let store = Store {
            registry: connectors::standard(egress, db.clone(), clock.clone()),
            keyring: Keyring::load_or_create(&folder.path().join("keys.json")).unwrap(),
            clock,
            db,
        };
        let env = [
            "HOOK_TOKEN",
            "KUMA_TOKEN",
            "CW_PUBLIC",
            "CW_PRIVATE",
            "GRAFANA_SECRET",
            "BACKUP_PASSWORD",
            "BILLING_SECRET",
        ];
        Self {
            scope: store.scope(None).await.unwrap(),
            store,
            around: Surroundings {
                env: env
                    .iter()
                    .map(|n| ((*n).to_owned(), format!("value of {n}")))
                    .collect(),
                folder: folder.path().to_owned(),
            },
            _folder: folder,
        }
    }

    async fn apply(&self, text: &str, prune: bool) -> Result<Applied, FileError> {
        apply(&self.store, self.scope, parse(text)?, &self.around, prune).await
    }

    async fn plan(&self, text: &str, prune: bool) -> Result<Applied, FileError> {
        plan(&self.store, self.scope, parse(text)?, &self.around, prune).await
    }

    async fn secret(&self, kind: &str, name: &str) -> String {
        let rows = sealed_secret::Entity::find()
            .all(self.store.db.read())
            .await
            .unwrap();
        let row = rows
            .iter()
            .find(|r| r.owner_kind == kind && r.name == name)
            .unwrap();
        let place = format!("{kind}:{}:{name}:0", row.owner_id);
        let secret = self
            .store
            .keyring
            .open(&place, &row.key_id, &row.sealed)
            .unwrap();
        secret.reveal().to_owned()
    }
}

fn words(applied: &Applied) -> Vec<String> {
    applied
        .changes
        .iter()
        .map(|c| {
            format!("{} {} {} {}", c.action, c.kind, c.name, c.fields.join(","))
                .trim()
                .to_owned()
        })
        .collect()
}

fn refused<T: std::fmt::Debug>(result: Result<T, FileError>) -> String {
    result.unwrap_err().to_string()
}

/// The location of an empty PostgreSQL database of this name.
async fn postgres(test: &str) -> Option<Location> {
    let Ok(url) = std::env::var("SIGNALBOX_TEST_DATABASE_URL") else {
        assert!(
            std::env::var_os("SIGNALBOX_TEST_REQUIRE_POSTGRES").is_none(),
            "SIGNALBOX_TEST_REQUIRE_POSTGRES asks for PostgreSQL, but SIGNALBOX_TEST_DATABASE_URL is not set"
        );
        eprintln!("not run on PostgreSQL: SIGNALBOX_TEST_DATABASE_URL is not set");
        return None;
    };
    let name = format!("config_{test}_{}", std::process::id());
    let server = Db::open(&Location::Postgres(url.clone()), 1).await.unwrap();
    for statement in [
        format!("DROP DATABASE IF EXISTS {name}"),
        format!("CREATE DATABASE {name}"),
    ] {
        server.write().execute_unprepared(&statement).await.unwrap();
    }
    let mut own = url::Url::parse(&url).unwrap();
    own.set_path(&name);
    Some(Location::Postgres(own.to_string()))
}

/// The same test on both databases.
macro_rules! on_both {
    ($($name:ident)*) => {
        mod sqlite {
            $(#[tokio::test]
            async fn $name() {
                let folder = tempfile::tempdir().unwrap();
                let location = crate::db::Location::Sqlite(folder.path().join("test.db"));
                super::$name(super::Bench::on(location, folder).await).await;
            })*
        }

        mod postgres {
            $(#[tokio::test]
            async fn $name() {
                if let Some(location) = super::postgres(stringify!($name)).await {
                    let folder = tempfile::tempdir().unwrap();
                    super::$name(super::Bench::on(location, folder).await).await;
                }
            })*
        }
    };
}

on_both! {
    applying_twice_changes_nothing
    the_documented_example_applies_and_exports_back
    every_change_is_named_and_written
    what_is_not_named_stays_unless_pruned
    secrets_are_sealed_compared_and_kept
    a_fault_changes_nothing
    apply_waits_for_the_running_nodes
    what_is_asked_of_people_is_part_of_the_file
}

async fn applying_twice_changes_nothing(bench: Bench) {
    let planned = bench.plan(SMALL, false).await.unwrap();
    let first = bench.apply(SMALL, false).await.unwrap();
    assert_eq!(
        words(&first),
        [
            "create connection hook",
            "create source kuma",
            "create rule copy"
        ]
    );
    assert_eq!(words(&planned), words(&first));
    assert_eq!(first.revision, planned.revision + 1);
    let second = bench.apply(SMALL, false).await.unwrap();
    assert_eq!(words(&second), [""; 0]);
    assert_eq!(second.revision, first.revision);
}

async fn the_documented_example_applies_and_exports_back(bench: Bench) {
    let secret = bench.around.folder.join("secrets");
    std::fs::create_dir(&secret).unwrap();
    std::fs::write(secret.join("cw-private"), "hush\n").unwrap();
    let example = documented_example();
    let first = bench.apply(&example, false).await.unwrap();
    assert_eq!(first.changes.len(), 20);
    assert_eq!(bench.secret("connection", "private_key").await, "hush");
    assert_eq!(words(&bench.plan(&example, true).await.unwrap()), [""; 0]);

    let exported = export(&bench.store, bench.scope).await.unwrap();
    assert!(!exported.contains("value of"), "{exported}");
    assert!(exported.contains("PSA_PUBLIC_KEY"), "{exported}");
    // Those of the connection are not set here: what is stored stays, and each is warned about.
    let again = bench.apply(&exported, true).await.unwrap();
    assert_eq!(words(&again), [""; 0], "{exported}");
    assert_eq!(again.warnings.len(), 2, "{:?}", again.warnings);
}

async fn what_is_asked_of_people_is_part_of_the_file(bench: Bench) {
    let file = |members: &str| {
        format!("version: 1\nroles:\n  - {{ name: Guests, scopes: [events:read] }}\n{members}")
    };
    let open = file(
        "members:\n  self_registration: { enabled: true, email_domains: [B.example, a.example], role: Guests }\n",
    );
    let first = bench.apply(&open, false).await.unwrap();
    assert_eq!(
        words(&first),
        [
            "create role Guests",
            "update members policy self_registration"
        ]
    );
    assert_eq!(words(&bench.plan(&open, true).await.unwrap()), [""; 0]);
    let stored = policy::load(bench.store.db.read(), bench.scope).await;
    let own = stored.unwrap().unwrap().self_registration;
    assert!(own.role.starts_with("custom:"), "{}", own.role);
    assert_eq!(own.email_domains, ["a.example", "b.example"]);
    let exported = export(&bench.store, bench.scope).await.unwrap();
    assert!(exported.contains("role: Guests"), "{exported}");
    assert_eq!(words(&bench.apply(&exported, true).await.unwrap()), [""; 0]);
    // What the file does not speak of stays; what it names without a value is off.
    assert_eq!(
        words(&bench.apply(&file(""), false).await.unwrap()),
        [""; 0]
    );
    let strict = file("members: { require_second_factor: true }\n");
    assert_eq!(
        words(&bench.apply(&strict, false).await.unwrap()),
        ["update members policy require_second_factor,self_registration"]
    );
    for (members, said) in [
        ("enabled: true", "email_domains"),
        ("enabled: true, email_domains: [\"*\"]", "email_domains"),
        ("role: owner", "self_registration.role"),
        ("role: Nobody", "there is no such role"),
    ] {
        let faulty = file(&format!(
            "members: {{ self_registration: {{ {members} }} }}\n"
        ));
        for done in [
            bench.plan(&faulty, false).await,
            bench.apply(&faulty, false).await,
        ] {
            let text = refused(done);
            assert!(text.contains(said), "{said}: {text}");
        }
    }
}

async fn every_change_is_named_and_written(bench: Bench) {
    bench.apply(SMALL, false).await.unwrap();
    let changed = SMALL
        .replace("example.com/in", "example.com/other")
        .replace(
            "name: Kuma,",
            "name: Uptime, match: all, on_no_match: drop,",
        )
        .replace(
            "priority: 10",
            "priority: 5\n    when: [ { path: \"$.a\", op: exists } ]",
        );
    let applied = bench.apply(&changed, false).await.unwrap();
    assert_eq!(
        words(&applied),
        [
            "update connection hook settings",
            "update source kuma match,name,on_no_match",
            "update rule copy priority,when"
        ]
    );
    let db = bench.store.db.read();
    let stored = connection::Entity::find().one(db).await.unwrap().unwrap();
    assert!(stored.settings.contains("example.com/other"));
    assert_eq!(stored.revision, 2);
    let stored = source::Entity::find().one(db).await.unwrap().unwrap();
    assert_eq!(
        (
            stored.name.as_str(),
            stored.match_mode.as_str(),
            stored.on_no_match.as_str()
        ),
        ("Uptime", "all", "\"drop\"")
    );
    let stored = rule::Entity::find().one(db).await.unwrap().unwrap();
    assert_eq!((stored.priority, stored.revision), (5, 2));
    assert_eq!(words(&bench.apply(&changed, true).await.unwrap()), [""; 0]);

    let connector = SMALL.replace("connector: http", "connector: sandbox");
    assert!(refused(bench.apply(&connector, false).await).contains("cannot be changed"));
}

async fn what_is_not_named_stays_unless_pruned(bench: Bench) {
    bench.apply(SMALL, false).await.unwrap();
    let other = "version: 1\nsources:\n  - { name: Lab, slug: lab, auth: { type: none } }\n";
    assert_eq!(
        words(&bench.apply(other, false).await.unwrap()),
        ["create source lab"]
    );
    // Names change hands within one file.
    let swapped = "version: 1\nsources:\n  - { name: Kuma, slug: lab, auth: { type: none } }\n  - { name: Lab, slug: kuma, auth: { type: bearer } }\n";
    assert_eq!(
        words(&bench.apply(swapped, false).await.unwrap()),
        ["update source lab name", "update source kuma name"]
    );
    assert_eq!(
        words(&bench.apply(other, true).await.unwrap()),
        [
            "delete rule copy",
            "delete source kuma",
            "delete connection hook",
            "update source lab name"
        ]
    );
    let left = sealed_secret::Entity::find()
        .all(bench.store.db.read())
        .await
        .unwrap();
    assert!(left.is_empty(), "{left:?}");
}

async fn secrets_are_sealed_compared_and_kept(mut bench: Bench) {
    bench.apply(SMALL, false).await.unwrap();
    assert_eq!(
        bench.secret("source", "secret").await,
        "value of KUMA_TOKEN"
    );
    bench
        .around
        .env
        .insert("KUMA_TOKEN".to_owned(), "another".to_owned());
    let applied = bench.apply(SMALL, false).await.unwrap();
    assert_eq!(words(&applied), ["update source kuma auth.token"]);
    assert_eq!(bench.secret("source", "secret").await, "another");

    bench.around.env.clear();
    let applied = bench.apply(SMALL, false).await.unwrap();
    assert_eq!(words(&applied), [""; 0]);
    assert_eq!(applied.warnings.len(), 2, "{:?}", applied.warnings);

    // A secret of one scheme is none of another, and an open source has none.
    let hmac = SMALL.replace("type: bearer, token", "type: github, secret");
    assert!(refused(bench.apply(&hmac, false).await).contains("KUMA_TOKEN is not set"));
    let open = SMALL.replace("type: bearer, token: { env: KUMA_TOKEN }", "type: none");
    assert_eq!(
        words(&bench.apply(&open, false).await.unwrap()),
        ["update source kuma auth"]
    );
    let left = sealed_secret::Entity::find()
        .all(bench.store.db.read())
        .await
        .unwrap();
    assert_eq!(left.len(), 1);
}

async fn a_fault_changes_nothing(bench: Bench) {
    for (from, to, word) in [
        (
            "connection: hook",
            "connection: hooc",
            "unknown_connection|then[0].deliver.connection",
        ),
        ("source: kuma", "source: kuna", "rules[copy].source"),
        ("slug: kuma", "slug: Kuma", "sources[Kuma].slug"),
        (
            "operation: http.request",
            "operation: fax.send",
            "rules[copy].then[0].deliver.operation",
        ),
        (
            "url: \"https",
            "urk: \"https",
            "connections[hook].settings.urk",
        ),
        (
            "env: HOOK_TOKEN",
            "env: NOWHERE",
            "connections[hook].secrets.token",
        ),
        (
            "{ env: HOOK_TOKEN }",
            "{ env: A, file: b }",
            "connections[hook].secrets.token",
        ),
        (
            "token: { env: KUMA_TOKEN }",
            "password: { env: KUMA_TOKEN }",
            "sources[kuma].auth.password",
        ),
        (
            ", token: { env: KUMA_TOKEN }",
            "",
            "sources[kuma].auth.token",
        ),
    ] {
        let text = refused(bench.apply(&SMALL.replace(from, to), false).await);
        let word = word.rsplit('|').next().unwrap();
        assert!(text.contains(word), "{to}: {text}");
        assert_eq!(
            connection::Entity::find()
                .all(bench.store.db.read())
                .await
                .unwrap()
                .len(),
            0
        );
    }
    let twice = SMALL.replace(
        "rules:",
        "rules:\n  - { name: copy, priority: 1, then: drop }",
    );
    assert!(refused(bench.apply(&twice, false).await).contains("stands twice"));
}

async fn apply_waits_for_the_running_nodes(bench: Bench) {
    let applied = bench.apply(SMALL, false).await.unwrap();
    let wait = |limit| wait_for_nodes(&bench.store, applied.revision, limit);
    assert_eq!(wait(Duration::ZERO).await.unwrap().nodes, 0);
    let node = entity::node::Model {
        id: ids::new(&bench.store.clock),
        role: "all".to_owned(),
        started_at: 0,
        lease_until: bench.store.clock.now_ms() + 600_000,
        config_revision: applied.revision - 1,
    };
    entity::node::Entity::insert(node.clone().into_active_model())
        .exec_without_returning(bench.store.db.write())
        .await
        .unwrap();
    assert!(refused(wait(Duration::ZERO).await).contains("1 of 1 running nodes"));
    let (waited, _) = tokio::join!(wait(Duration::from_secs(60)), async {
        use sea_orm::ActiveModelTrait as _;
        let served = entity::node::Model {
            config_revision: applied.revision,
            ..node.clone()
        };
        let served = served.into_active_model().reset_all();
        entity::node::Entity::update(served)
            .exec(bench.store.db.write())
            .await
            .unwrap();
    });
    assert_eq!(waited.unwrap().nodes, 1);
}

pub(super) fn documented_example() -> String {
    let page = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/configuration-as-code.md");
    let page = std::fs::read_to_string(page).unwrap();
    let (_, rest) = page
        .split_once("<!-- example: begin -->\n```yaml\n")
        .unwrap();
    let (example, _) = rest.split_once("```\n<!-- example: end -->").unwrap();
    example.to_owned()
}

#[test]
fn unknown_keys_are_refused_with_their_place() {
    let text = refused(parse(&SMALL.replace("slug: kuma", "slugg: kuma")));
    assert!(text.starts_with("line 9, column"), "{text}");
    assert!(text.contains("slugg"), "{text}");
    let text = refused(parse("version: 1\nrules:\n  - name: [\n"));
    assert!(text.starts_with("line "), "{text}");
    assert!(refused(parse("version: 2\n")).contains("version 1"));
}

#[test]
fn hostile_files_are_refused_quickly() {
    let bomb = format!(
        "version: 1\nconnections:\n  - name: a\n    connector: b\n    settings:\n      a: &a [x,x,x,x,x,x,x,x,x]\n{}",
        ('b'..='j')
            .map(|c| {
                let before = char::from_u32(u32::from(c) - 1).unwrap();
                format!("      {c}: &{c} [*{before},*{before},*{before},*{before},*{before},*{before},*{before},*{before},*{before}]\n")
            })
            .collect::<String>()
    );
    assert!(matches!(parse(&bomb), Err(FileError::Form(_))));
    let deep = format!(
        "version: 1\nconnections:\n  - name: a\n    connector: b\n    settings: {}{}\n",
        "[".repeat(100_000),
        "]".repeat(100_000)
    );
    assert!(matches!(parse(&deep), Err(FileError::Form(_))));
    assert!(matches!(
        parse(&"#".repeat(LARGEST + 1)),
        Err(FileError::TooLarge)
    ));
    let twice = "version: 1\nversion: 1\n";
    assert!(matches!(parse(twice), Err(FileError::Form(_))));
}

#[test]
fn only_true_and_false_are_switches() {
    let file = parse("version: 1\nrules:\n  - { name: on, priority: 1, then: drop, when: [ { path: $.a, op: equals, value: yes } ] }\n").unwrap();
    assert_eq!(file.rules[0].name, "on");
    assert_eq!(file.rules[0].when[0].value, Some(json!("yes")));
}

#[test]
fn placeholders_are_names_of_variables() {
    let reference = secret::placeholder("Ops hook-2", "token");
    assert_eq!(reference.env.as_deref(), Some("OPS_HOOK_2_TOKEN"));
    let around = Surroundings {
        env: BTreeMap::from([("E".to_owned(), String::new())]),
        folder: PathBuf::new(),
    };
    let empty = openapi::config::SecretRef {
        env: Some("E".to_owned()),
        ..Default::default()
    };
    assert!(around.read(&empty).is_err());
    let two = openapi::config::SecretRef {
        command: Some("printf a".to_owned()),
        ..empty
    };
    assert!(!secret::is_sound(&two) && around.read(&two).is_err());
}
