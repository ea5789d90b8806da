//! The commands against a database.

use clap::CommandFactory as _;
use entity::{credential, event, member, sealed_secret, session, source, user};
use sea_orm::{ColumnTrait as _, EntityTrait as _, IntoActiveModel as _, QueryFilter as _};
use serde_json::json;
use uuid::Uuid;

use super::{Cli, bootstrap, config_file, events, users};
use crate::auth::{Permission, check_bearer, verify_password};
use crate::clock::Clock;
use crate::config_file::Store;
use crate::connectors::Registry;
use crate::db::{Db, Location};
use crate::ids;
use crate::secrets::Keyring;

async fn store() -> (Store, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let location = Location::Sqlite(folder.path().join("signalbox.db"));
    let db = Db::open(&location, 2).await.unwrap();
    db.migrate().await.unwrap();
    let store = Store {
        db,
        keyring: Keyring::load_or_create(&folder.path().join("keys.json")).unwrap(),
        registry: Registry::new(Vec::new()),
        clock: Clock::system(),
    };
    (store, folder)
}

#[test]
fn the_commands_are_well_formed() {
    Cli::command().debug_assert();
}

#[test]
fn the_printed_bootstrap_has_the_promised_form() {
    let shown = bootstrap::Shown {
        workspace: bootstrap::ShownWorkspace {
            slug: "main".to_owned(),
        },
        admin: bootstrap::ShownAdmin {
            email: "a".to_owned(),
            password: "b".to_owned(),
        },
        bearer: bootstrap::ShownBearer {
            client_id: "c".to_owned(),
            token: "d".to_owned(),
        },
        hmac: bootstrap::ShownHmac {
            client_id: "e".to_owned(),
            secret: "f".to_owned(),
        },
    };
    assert_eq!(
        serde_json::to_value(&shown).unwrap(),
        json!({
            "workspace": {"slug": "main"},
            "admin": {"email": "a", "password": "b"},
            "bearer": {"client_id": "c", "token": "d"},
            "hmac": {"client_id": "e", "secret": "f"},
        })
    );
}

#[tokio::test]
async fn bootstrap_works_once_and_its_secrets_fit() {
    let (store, _folder) = store().await;
    let (db, keys, clock) = (&store.db, &store.keyring, &store.clock);
    assert!(store.scope(None).await.is_err());
    let shown = bootstrap::make(db, keys, clock).await.unwrap().unwrap();
    assert!(bootstrap::make(db, keys, clock).await.unwrap().is_none());

    let admin = user::Entity::find().one(db.read()).await.unwrap().unwrap();
    assert_eq!(admin.email, "admin@localhost");
    assert!(
        verify_password(&shown.admin.password, Some(&admin.password_hash))
            .await
            .unwrap()
    );
    let role = member::Entity::find()
        .one(db.read())
        .await
        .unwrap()
        .unwrap();
    assert_eq!((role.user_id, role.role.as_str()), (admin.id, "owner"));
    assert_eq!(
        role.workspace_id,
        store.scope(Some("main")).await.unwrap().workspace()
    );
    let bearer = credential::Entity::find()
        .filter(credential::Column::Kind.eq("bearer"))
        .one(db.read())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        check_bearer(&shown.bearer.token),
        Some(bearer.client_id.as_str())
    );
    assert!(
        verify_password(&shown.bearer.token, Some(&bearer.secret_hash))
            .await
            .unwrap()
    );
    let scopes: Vec<String> = serde_json::from_str(&bearer.scopes).unwrap();
    assert_eq!(scopes.len(), Permission::ALL.len());
    let networks: Vec<ipnet::IpNet> = serde_json::from_str(&bearer.allow_cidrs).unwrap();
    let inside = |text: &str| {
        networks
            .iter()
            .any(|n| n.contains(&text.parse::<std::net::IpAddr>().unwrap()))
    };
    let sealed = sealed_secret::Entity::find()
        .one(db.read())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(sealed.name, shown.hmac.client_id);
    let opened = keys
        .open(
            &crate::services::sealed::place_of(&sealed),
            &sealed.key_id,
            &sealed.sealed,
        )
        .unwrap();
    assert_eq!(opened.reveal(), shown.hmac.secret);
    assert!(inside("127.0.0.1") && inside("::1") && !inside("10.0.0.1") && !inside("fe80::1"));
}

#[tokio::test]
async fn a_new_password_ends_the_sessions() {
    let (store, _folder) = store().await;
    let old = bootstrap::make(&store.db, &store.keyring, &store.clock)
        .await
        .unwrap()
        .unwrap();
    let admin = user::Entity::find()
        .one(store.db.read())
        .await
        .unwrap()
        .unwrap();
    let row = session::Model {
        token_hash: "x".to_owned(),
        user_id: admin.id,
        csrf_hash: "y".to_owned(),
        remote_addr: String::new(),
        user_agent: String::new(),
        created_at: 0,
        seen_at: 0,
        expires_at: i64::MAX,
        proved_at: 0,
        strong: false,
    };
    session::Entity::insert(row.into_active_model())
        .exec_without_returning(store.db.write())
        .await
        .unwrap();
    let new = users::reset(&store.db, "admin@localhost").await.unwrap();
    let admin = user::Entity::find()
        .one(store.db.read())
        .await
        .unwrap()
        .unwrap();
    assert!(
        verify_password(&new, Some(&admin.password_hash))
            .await
            .unwrap()
    );
    assert!(
        !verify_password(&old.admin.password, Some(&admin.password_hash))
            .await
            .unwrap()
    );
    assert!(
        session::Entity::find()
            .one(store.db.read())
            .await
            .unwrap()
            .is_none()
    );
    assert!(users::reset(&store.db, "nobody@localhost").await.is_err());
}

async fn put(store: &Store, workspace_id: Uuid, source_id: Uuid, id: Uuid) {
    let row = event::Model {
        id,
        workspace_id,
        source_id,
        received_at: store.clock.now_ms(),
        correlation_id: "c".to_owned(),
        idempotency_key: None,
        disposition: "unmatched".to_owned(),
        reason: "no_rule".to_owned(),
        method: "POST".to_owned(),
        content_type: String::new(),
        query: String::new(),
        remote_addr: String::new(),
        headers: "[]".to_owned(),
        body: Vec::new(),
        envelope: None,
        test: false,
        matched: "[]".to_owned(),
        title: "t".to_owned(),
    };
    event::Entity::insert(row.into_active_model())
        .exec_without_returning(store.db.write())
        .await
        .unwrap();
}

#[tokio::test]
async fn the_tail_shows_each_event_once_also_those_committed_late() {
    let (store, _folder) = store().await;
    bootstrap::make(&store.db, &store.keyring, &store.clock)
        .await
        .unwrap();
    let scope = store.scope(None).await.unwrap();
    let (workspace, lab, other) = (
        scope.workspace(),
        ids::new(&store.clock),
        ids::new(&store.clock),
    );
    let row = source::Model {
        id: lab,
        workspace_id: workspace,
        name: "Lab".to_owned(),
        slug: "lab".to_owned(),
        kind: "webhook".to_owned(),
        enabled: true,
        auth: "{}".to_owned(),
        allow_cidrs: "[]".to_owned(),
        rate_per_minute: None,
        body_limit: None,
        retention_days: None,
        match_mode: "first".to_owned(),
        on_no_match: "\"keep\"".to_owned(),
        event_id_path: None,
        split: None,
        silent_after: None,
        heartbeat_since: None,
        rotate_days: None,
        old_secret_until: None,
        revision: 1,
        created_at: 0,
        updated_at: 0,
    };
    source::Entity::insert(row.into_active_model())
        .exec_without_returning(store.db.write())
        .await
        .unwrap();
    let all: Vec<Uuid> = (0..6).map(|_| ids::new(&store.clock)).collect();
    put(&store, workspace, lab, all[0]).await;
    put(&store, workspace, lab, all[1]).await;
    let ids = |rows: Vec<event::Model>| rows.into_iter().map(|r| r.id).collect::<Vec<_>>();

    let mut cursor = events::Cursor::new(&store, scope, None).await.unwrap();
    assert_eq!(ids(cursor.last(1).await.unwrap()), [all[1]]);
    // Ids from before the cursor was made, committed after it.
    put(&store, workspace, lab, all[3]).await;
    let first = ids(cursor.new_ones().await.unwrap());
    put(&store, workspace, lab, all[2]).await;
    put(&store, workspace, other, all[4]).await;
    let second = ids(cursor.new_ones().await.unwrap());
    assert!(cursor.new_ones().await.unwrap().is_empty());
    let mut shown = [first, second].concat();
    shown.sort();
    assert_eq!(shown, [all[2], all[3], all[4]]);

    let mut only = events::Cursor::new(&store, scope, Some("lab"))
        .await
        .unwrap();
    assert_eq!(only.last(10).await.unwrap().len(), 4);
    assert!(
        events::Cursor::new(&store, scope, Some("nowhere"))
            .await
            .is_err()
    );
}

#[test]
fn a_change_is_one_line() {
    let change = openapi::config::Change {
        action: "update".to_owned(),
        kind: "rule".to_owned(),
        name: "copy".to_owned(),
        fields: vec!["priority".to_owned(), "then".to_owned()],
    };
    assert_eq!(
        config_file::describe(&change),
        "~ update rule \"copy\" (priority, then)"
    );
}
