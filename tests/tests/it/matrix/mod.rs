//! Every route of the document, called by everybody.
//!
//! The table says of each route what it needs and what it answers. The test calls it as somebody
//! who is signed out, as a person of each role, built in and made, as a credential with and without its scope, and as
//! strangers who belong to another workspace. A route without an entry fails it, and so does an
//! entry without a route.

pub mod callers;
mod row;
mod table;
mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};

use openapi::auth::WhoAmI;
use openapi::problem::Code;
use openapi::workspaces::Workspace;
use reqwest::Method;
use serde_json::{Value, json};
use tests::{Client, Database, Server, both};
use uuid::Uuid;

use callers::{Custom, Key, Seen, Somebody, Try, member};
use row::{Answer, Least, Needs, Row};
use table::TABLE;
use world::World;

/// A revision that nothing has.
const STALE: &str = "\"1000000\"";
const NO_SCOPE: Answer = Answer::Problem(Code::ScopeMissing);
const NOBODY: Answer = Answer::Problem(Code::Unauthenticated);

// Each on a server of its own: together they would take longer than a test may.
both! {
    async fn people_are_answered_as_the_table_says(db) {
        let mut house = House::make(db).await;
        house.same_routes();
        house.everybody_signed_in().await;
        house.judge();
    }

    async fn credentials_and_roles_are_answered_as_the_table_says(db) {
        let mut house = House::make(db).await;
        house.keys().await;
        house.judge();
    }

    async fn strangers_cannot_tell_what_there_is(db) {
        let mut house = House::make(db).await;
        house.strangers().await;
        house.judge();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_not_known_learns_nothing() {
    let server = Server::start(Database::Sqlite).await;
    let signed_out = Somebody::new("signed out", server.anonymous());
    for row in TABLE.iter().filter(|row| row.needs != Needs::Nothing) {
        let seen = signed_out.call(&junk(row)).await;
        assert_eq!(
            seen.code(),
            Some(Code::Unauthenticated.id()),
            "{}",
            row.route
        );
    }
    for path in [
        "/api/v1",
        "/api/v1/",
        "/api/v1/nothing",
        "/api/v1/sources/x/y/z",
    ] {
        server
            .anonymous()
            .get(path)
            .await
            .problem(Code::Unauthenticated);
        server.client().get(path).await.problem(Code::NotFound);
    }
    server
        .client()
        .call(Method::PUT, "/api/v1/sources")
        .send()
        .await
        .problem(Code::MethodNotAllowed);
}

/// The call with junk throughout: who may not does not even learn that it is junk.
fn junk(row: &Row) -> Try {
    let path = row
        .path()
        .replace("{id}", "junk")
        .replace("{list}", "junk")
        .replace("{passkey}", "junk")
        .replace("{workspace}/{slug}", "junk/junk");
    Try {
        method: row.method().parse().unwrap(),
        target: format!("{path}?junk=1"),
        body: (row.method() != "GET").then(|| b"{junk".to_vec()),
        if_match: "junk",
        endless: row.endless,
    }
}

/// A server with one of everything and everybody, and the faults that were found.
struct House {
    server: Server,
    document: Value,
    world: World,
    owner: Client,
    scopes: Vec<String>,
    faults: Vec<String>,
    made: AtomicUsize,
    calls: usize,
}

impl House {
    async fn make(db: Database) -> Self {
        let server = Server::start(db).await;
        let owner = server.session().await;
        let me: WhoAmI = server.client().read("/api/v1/debug/whoami").await;
        Self {
            document: server.anonymous().read("/api/openapi.json").await,
            world: World::make(&server, &owner).await,
            owner,
            scopes: me.scopes,
            faults: Vec::new(),
            made: AtomicUsize::new(0),
            calls: 0,
            server,
        }
    }

    /// The table has the routes of the document, once each, and every scope opens something.
    fn same_routes(&mut self) {
        let mut described = BTreeSet::new();
        for (path, operations) in self.document["paths"].as_object().unwrap() {
            for method in operations.as_object().unwrap().keys() {
                described.insert(format!("{} {path}", method.to_uppercase()));
            }
        }
        let listed: BTreeSet<String> = TABLE.iter().map(|row| row.route.to_owned()).collect();
        assert_eq!(
            listed.len(),
            TABLE.len(),
            "a route stands in the table twice"
        );
        let lacking: Vec<_> = described.difference(&listed).collect();
        assert!(lacking.is_empty(), "not in the table: {lacking:#?}");
        let gone: Vec<_> = listed.difference(&described).collect();
        assert!(gone.is_empty(), "not in the document: {gone:#?}");
        let used: BTreeSet<&str> = TABLE.iter().flat_map(Row::scopes).collect();
        for scope in &self.scopes {
            assert!(used.contains(scope.as_str()), "{scope} opens nothing");
        }
        for row in TABLE {
            let ways = self.operation(row)["security"].as_array();
            let open = ways.is_some_and(|ways| ways.iter().any(|way| way == &json!({})));
            if open != (row.needs == Needs::Nothing) {
                self.faults
                    .push(format!("{}: open in the document: {open}", row.route));
            }
        }
    }

    fn operation(&self, row: &Row) -> &Value {
        &self.document["paths"][row.path()][row.method().to_lowercase()]
    }

    /// The call as somebody makes it who means it.
    fn valid(&self, row: &Row, id: Uuid) -> Try {
        let query = if row.query.is_empty() { "" } else { "?" };
        let path = row
            .path()
            .replace("{id}", &id.to_string())
            .replace("{list}", "boards")
            .replace("{passkey}", &Uuid::nil().to_string())
            .replace("{workspace}/{slug}", "main/a");
        let name = format!("n{}", self.made.fetch_add(1, Ordering::Relaxed));
        let admin = &self.server.credentials.admin;
        Try {
            method: row.method().parse().unwrap(),
            target: format!("{path}{query}{}", row.query),
            body: row.body.map(|body| {
                body.replace("$n", &name)
                    .replace("$email", &admin.email)
                    .replace("$password", &admin.password)
                    .into_bytes()
            }),
            if_match: STALE,
            endless: row.endless,
        }
    }

    fn ours(&self, row: &Row) -> Uuid {
        if row.path().contains("{id}") {
            self.world.id_of(row.path())
        } else {
            Uuid::nil()
        }
    }

    /// Calls, and notes an answer that is not the expected one, or not documented.
    async fn expect(&mut self, who: &Somebody, row: &Row, asked: &Try, answer: Answer) -> Seen {
        let seen = who.call(asked).await;
        self.calls += 1;
        let (status, code) = match answer {
            Answer::Status(status) => (status, None),
            Answer::Problem(code) => (code.status(), Some(code.id())),
        };
        let what = format!("{} as {}", row.route, who.name);
        if seen.status.as_u16() != status || (code.is_some() && seen.code() != code) {
            self.faults.push(format!(
                "{what}: {status} {code:?} expected: {} {}",
                seen.status, seen.body
            ));
        }
        let status = seen.status.as_u16().to_string();
        if self.operation(row)["responses"][&status].is_null() {
            self.faults
                .push(format!("{what}: {status} is not documented"));
        }
        seen
    }

    /// Somebody may not: neither with what they mean nor with junk.
    async fn denied(&mut self, who: &Somebody, row: &Row, answer: Answer) {
        let asked = self.valid(row, self.ours(row));
        self.expect(who, row, &asked, answer).await;
        self.expect(who, row, &junk(row), answer).await;
    }

    async fn allowed(&mut self, who: &Somebody, row: &Row, answer: Answer) {
        let asked = self.valid(row, self.ours(row));
        self.expect(who, row, &asked, answer).await;
    }

    /// Nobody, and a person of each role.
    async fn everybody_signed_in(&mut self) {
        let signed_out = Somebody::new("signed out", self.server.anonymous());
        let mut people = Vec::new();
        for (role, least) in [
            ("viewer", Least::Viewer),
            ("operator", Least::Operator),
            ("admin", Least::Admin),
            ("owner", Least::Owner),
        ] {
            let client = member(&self.server, self.world.workspace, role).await;
            people.push((Somebody::new(role, client), least));
        }
        let forged = Somebody::new("an owner without the session's token", self.owner.clone());
        let forged = forged.with("x-csrf-token", "wrong");
        for row in TABLE {
            if row.needs == Needs::Nothing {
                self.allowed(&signed_out, row, row.allowed).await;
                continue;
            }
            self.denied(&signed_out, row, NOBODY).await;
            if row.method() != "GET" {
                let asked = self.valid(row, self.ours(row));
                let refused = Answer::Problem(Code::CsrfMissing);
                self.expect(&forged, row, &asked, refused).await;
            }
            for (person, role) in &people {
                // Signing out is tried at the end, when nobody needs the session any more.
                if row.path().ends_with("/logout") {
                    continue;
                }
                if *role >= row.least {
                    self.allowed(person, row, row.allowed).await;
                } else {
                    self.denied(person, row, NO_SCOPE).await;
                }
            }
        }
        for row in TABLE.iter().filter(|row| row.path().ends_with("/logout")) {
            for (person, _) in &people {
                self.allowed(person, row, row.allowed).await;
                self.denied(person, row, NOBODY).await;
            }
        }
    }

    /// Credentials of both kinds: with the scope of a route and nothing else, and with everything
    /// but that.
    async fn keys(&mut self) {
        let mut keys = Vec::new();
        for kind in ["bearer", "hmac"] {
            let owner = self.owner.clone();
            keys.push(Key::make(&self.server, &owner, kind, &self.scopes).await);
        }
        let mut custom = Custom::make(&self.server, &self.owner, self.world.workspace).await;
        let mut groups: BTreeMap<Needs, Vec<&Row>> = BTreeMap::new();
        for row in TABLE {
            groups.entry(row.needs).or_default().push(row);
        }
        for (needs, rows) in groups {
            match needs {
                Needs::Nothing => {}
                Needs::Session => {
                    for row in rows {
                        for key in &keys {
                            self.denied(&key.who.clone(), row, NOBODY).await;
                        }
                    }
                }
                Needs::Caller => {
                    for row in rows {
                        for key in &keys {
                            self.allowed(&key.who.clone(), row, row.allowed).await;
                        }
                    }
                }
                Needs::Scopes(..) => {
                    self.with_and_without(&mut keys, &rows).await;
                    self.by_role(&mut custom, &rows).await;
                }
            }
        }
    }

    async fn with_and_without(&mut self, keys: &mut [Key], rows: &[&Row]) {
        let needed = rows[0].scopes();
        for key in keys {
            key.set(&self.owner, &needed).await;
            for row in rows {
                let other = row.credential.or(row.alone);
                let answer = other.map_or(row.allowed, Answer::Problem);
                self.allowed(&key.who, row, answer).await;
            }
            for (n, lacking) in needed.iter().enumerate() {
                let all = self.scopes.clone();
                let others: Vec<&str> = all
                    .iter()
                    .map(String::as_str)
                    .filter(|scope| scope != lacking)
                    .collect();
                key.set(&self.owner, &others).await;
                for row in rows {
                    if n == 0 {
                        self.denied(&key.who, row, NO_SCOPE).await;
                    } else {
                        self.allowed(&key.who, row, NO_SCOPE).await;
                    }
                }
            }
        }
    }

    /// A person with a role of the workspace's own.
    async fn by_role(&mut self, custom: &mut Custom, rows: &[&Row]) {
        let needed = rows[0].scopes();
        let all = self.scopes.clone();
        custom.set(&self.owner, &needed).await;
        for row in rows {
            let answer = row.alone.map_or(row.allowed, Answer::Problem);
            self.allowed(&custom.who, row, answer).await;
        }
        let others = all.iter().map(String::as_str);
        let others: Vec<&str> = others.filter(|scope| *scope != needed[0]).collect();
        custom.set(&self.owner, &others).await;
        for row in rows {
            self.denied(&custom.who, row, NO_SCOPE).await;
        }
    }

    /// People and credentials of another workspace, who may do everything there.
    async fn strangers(&mut self) {
        let new = json!({ "slug": "other", "name": "Other" });
        let other: Workspace = self.owner.post("/api/v1/workspaces", &new).await.ok();
        let stranger = member(&self.server, other.id, "owner").await;
        let mut strangers = vec![Somebody::new(
            "the owner of another workspace",
            stranger.clone(),
        )];
        for kind in ["bearer", "hmac"] {
            let key = Key::make(&self.server, &stranger, kind, &self.scopes).await;
            strangers.push(key.who);
        }
        crate::support::drained(&self.server).await;
        let before = self.shown().await;
        for row in TABLE {
            if matches!(row.needs, Needs::Nothing | Needs::Session) {
                continue;
            }
            for who in &strangers {
                let gone = Answer::Problem(Code::NotFound);
                let inside = who.with("x-workspace", "main");
                let asked = self.valid(row, self.ours(row));
                let named = self.expect(&inside, row, &asked, gone).await;
                let missing = who.with("x-workspace", "no-such-workspace");
                let missing = self.expect(&missing, row, &asked, gone).await;
                self.same(row, &who.name, &named, &missing);
                if row.path().contains("{id}") {
                    let ours = self.expect(who, row, &asked, gone).await;
                    let nowhere = self.valid(row, Uuid::from_u128(7));
                    let nowhere = self.expect(who, row, &nowhere, gone).await;
                    self.same(row, &who.name, &ours, &nowhere);
                } else if row.method() == "GET" {
                    let seen = self.expect(who, row, &asked, row.allowed).await;
                    let ids = self.world.ids().map(ToString::to_string);
                    for sign in ids.chain([r#"workspace="main""#.to_owned()]) {
                        if seen.body.contains(&sign) {
                            let what = format!("{} shows {sign} to {}", row.route, who.name);
                            self.faults.push(what);
                        }
                    }
                }
            }
        }
        let after = self.shown().await;
        for (address, old) in before {
            if old != after[&address] {
                let what = format!("strangers changed {address}: {old} {}", after[&address]);
                self.faults.push(what);
            }
        }
    }

    /// What we see of our own, by its address.
    async fn shown(&self) -> BTreeMap<String, Value> {
        let mut shown = BTreeMap::new();
        for row in TABLE {
            if row.method() == "GET" && row.path().contains("{id}") {
                let asked = self.valid(row, self.ours(row));
                let seen = Somebody::new("owner", self.owner.clone())
                    .call(&asked)
                    .await;
                shown.insert(asked.target, seen.comparable().2);
            }
        }
        shown
    }

    /// What is somebody else's cannot be told from what is not there.
    fn same(&mut self, row: &Row, who: &str, foreign: &Seen, missing: &Seen) {
        if foreign.comparable() != missing.comparable() {
            self.faults.push(format!(
                "{} tells {who} what there is: {:?} and {:?}",
                row.route,
                foreign.comparable(),
                missing.comparable()
            ));
        }
    }

    fn judge(&self) {
        assert!(self.calls > 5 * TABLE.len(), "{} calls", self.calls);
        assert!(
            self.faults.is_empty(),
            "{} faults\n{}",
            self.faults.len(),
            self.faults.join("\n")
        );
    }
}
