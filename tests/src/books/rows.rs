//! What the database says of a trial.

use std::collections::{BTreeMap, HashMap};

use openapi::deliveries::State;
use openapi::events::MatchedRule;
use sea_orm::{ConnectionTrait as _, DatabaseConnection, QueryResult, Statement};
use serde_json::Value;
use uuid::Uuid;

use crate::database::Store;

/// A row of `event`.
pub(super) struct Event {
    pub(super) source: Uuid,
    pub(super) matched: Vec<MatchedRule>,
    pub(super) body: Vec<u8>,
}

/// A row of `delivery`.
pub(super) struct Delivery {
    pub(super) id: Uuid,
    pub(super) event: Uuid,
    pub(super) connection: Uuid,
    pub(super) rule: Option<Uuid>,
    pub(super) rule_name: String,
    pub(super) step: i32,
    pub(super) lane: Option<String>,
    pub(super) message: String,
    pub(super) state: State,
    /// When it ended; milliseconds since 1970, by the clock of the server.
    pub(super) ended: Option<i64>,
    /// Leases that it ever had; each is one call at most.
    pub(super) leases: i64,
    /// Calls whose outcome was written.
    pub(super) attempts: i64,
    pub(super) effect: Option<String>,
    pub(super) record: Option<String>,
    pub(super) replay_of: Option<Uuid>,
    pub(super) replayed_as: Option<Uuid>,
    pub(super) coalesced_into: Option<Uuid>,
    /// For how many it stands, itself included.
    pub(super) repeats: usize,
}

/// A row of `connection`.
pub(super) struct Connection {
    pub(super) connector: String,
    /// Where it leads.
    pub(super) url: String,
}

/// Everything that counts.
pub(super) struct Rows {
    pub(super) events: HashMap<Uuid, Event>,
    /// In order of their ids, which is the order of lanes.
    pub(super) deliveries: BTreeMap<Uuid, Delivery>,
    pub(super) connections: HashMap<Uuid, Connection>,
    /// Places of the steps that make deliveries, by rule and revision.
    pub(super) steps: HashMap<(Uuid, i64), Vec<i32>>,
    /// Rows of `attempt`, by delivery.
    pub(super) attempts: HashMap<Uuid, i64>,
    /// Counters of all hours, by metric and subject.
    pub(super) counters: HashMap<(String, String), i64>,
}

impl Rows {
    pub(super) async fn read(store: &Store) -> Self {
        let db = store.connect().await;
        let rows = Self {
            events: events(&db).await,
            deliveries: deliveries(&db).await,
            connections: connections(&db).await,
            steps: steps(&db).await,
            attempts: attempts(&db).await,
            counters: counters(&db).await,
        };
        db.close().await.unwrap();
        rows
    }

    /// Whether a delivery tells a subscriber of another, or of an event: it is no step of a rule.
    pub(super) fn tells(&self, delivery: &Delivery) -> bool {
        let connection = self.connections.get(&delivery.connection);
        connection.is_some_and(|connection| connection.connector == "webhook")
    }
}

async fn all(db: &DatabaseConnection, query: &str) -> Vec<QueryResult> {
    let statement = Statement::from_string(db.get_database_backend(), query);
    db.query_all_raw(statement).await.unwrap()
}

fn json(row: &QueryResult, column: &str) -> Value {
    let text: String = row.try_get("", column).unwrap();
    serde_json::from_str(&text).unwrap()
}

async fn events(db: &DatabaseConnection) -> HashMap<Uuid, Event> {
    let query = "SELECT id, source_id, matched, body FROM event";
    let rows = all(db, query).await;
    let events = rows.iter().map(|row| {
        let id = row.try_get("", "id").unwrap();
        let event = Event {
            source: row.try_get("", "source_id").unwrap(),
            matched: serde_json::from_value(json(row, "matched")).unwrap(),
            body: row.try_get("", "body").unwrap(),
        };
        (id, event)
    });
    events.collect()
}

async fn deliveries(db: &DatabaseConnection) -> BTreeMap<Uuid, Delivery> {
    let query = "SELECT id, event_id, connection_id, rule_id, rule_name, step, lane, message_id, \
                 state, finished_at, fence, attempts, effect, record_id, replay_of, replayed_as, \
                 coalesced_into, repeats FROM delivery";
    let rows = all(db, query).await;
    let deliveries = rows.iter().map(|row| {
        let id = row.try_get("", "id").unwrap();
        let state: String = row.try_get("", "state").unwrap();
        let attempts: i32 = row.try_get("", "attempts").unwrap();
        let repeats: i32 = row.try_get("", "repeats").unwrap();
        let delivery = Delivery {
            id,
            event: row.try_get("", "event_id").unwrap(),
            connection: row.try_get("", "connection_id").unwrap(),
            rule: row.try_get("", "rule_id").unwrap(),
            rule_name: row.try_get("", "rule_name").unwrap(),
            step: row.try_get("", "step").unwrap(),
            lane: row.try_get("", "lane").unwrap(),
            message: row.try_get("", "message_id").unwrap(),
            state: State::parse(&state).unwrap_or_else(|| panic!("{id} is {state}")),
            ended: row.try_get("", "finished_at").unwrap(),
            leases: row.try_get("", "fence").unwrap(),
            attempts: attempts.into(),
            effect: row.try_get("", "effect").unwrap(),
            record: row.try_get("", "record_id").unwrap(),
            replay_of: row.try_get("", "replay_of").unwrap(),
            replayed_as: row.try_get("", "replayed_as").unwrap(),
            coalesced_into: row.try_get("", "coalesced_into").unwrap(),
            repeats: usize::try_from(repeats).unwrap(),
        };
        (id, delivery)
    });
    deliveries.collect()
}

async fn connections(db: &DatabaseConnection) -> HashMap<Uuid, Connection> {
    let rows = all(db, "SELECT id, connector, settings FROM connection").await;
    let connections = rows.iter().map(|row| {
        let settings = json(row, "settings");
        let url = ["url", "base_url"]
            .iter()
            .find_map(|name| settings[name].as_str());
        let connection = Connection {
            connector: row.try_get("", "connector").unwrap(),
            url: url.unwrap_or_default().to_owned(),
        };
        (row.try_get("", "id").unwrap(), connection)
    });
    connections.collect()
}

async fn steps(db: &DatabaseConnection) -> HashMap<(Uuid, i64), Vec<i32>> {
    let rows = all(db, "SELECT rule_id, revision, spec FROM rule_revision").await;
    let steps = rows.iter().map(|row| {
        let then = json(row, "spec")["then"].take();
        let makes = |step: &Value| step.get("deliver").or(step.get("hold")).is_some();
        let places = (0..).zip(then.as_array().into_iter().flatten());
        let places = places
            .filter(|(_, step)| makes(step))
            .map(|(place, _)| place);
        let key = (
            row.try_get("", "rule_id").unwrap(),
            row.try_get("", "revision").unwrap(),
        );
        (key, places.collect())
    });
    steps.collect()
}

async fn attempts(db: &DatabaseConnection) -> HashMap<Uuid, i64> {
    let query = "SELECT delivery_id, COUNT(*) AS count FROM attempt GROUP BY delivery_id";
    let rows = all(db, query).await;
    let attempts = rows.iter().map(|row| {
        let delivery = row.try_get("", "delivery_id").unwrap();
        (delivery, row.try_get("", "count").unwrap())
    });
    attempts.collect()
}

async fn counters(db: &DatabaseConnection) -> HashMap<(String, String), i64> {
    let mut counters = HashMap::new();
    for row in all(db, "SELECT metric, subject, value FROM stat_hour").await {
        let key = (
            row.try_get("", "metric").unwrap(),
            row.try_get("", "subject").unwrap(),
        );
        let value: i64 = row.try_get("", "value").unwrap();
        *counters.entry(key).or_default() += value;
    }
    counters
}
