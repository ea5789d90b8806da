//! One event, one rule, one step, and its attempts.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::DateTime;
use crate::jobs::Job;

/// The closed list of states. Open: `ready` to `parked`; final: the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Waits for a worker, or for its turn in the lane.
    Ready,
    /// A worker has it.
    Leased,
    /// Waits for the next attempt.
    Retrying,
    /// Waits for the end of a maintenance window.
    Windowed,
    /// Waits for a person.
    Held,
    /// Its connection needs attention; or it was tried, and its connection is switched off.
    Paused,
    /// Behind a quarantined rule or a failed head of its lane.
    Parked,
    /// Done.
    Delivered,
    /// Given up; a dead letter.
    Dead,
    /// A person decided against it.
    Discarded,
    /// Became part of another.
    Coalesced,
    /// Replaced by a replay.
    Superseded,
}

impl State {
    /// Every state.
    pub const ALL: &'static [State] = &[
        State::Ready,
        State::Leased,
        State::Retrying,
        State::Windowed,
        State::Held,
        State::Paused,
        State::Parked,
        State::Delivered,
        State::Dead,
        State::Discarded,
        State::Coalesced,
        State::Superseded,
    ];

    /// The word on the wire and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            State::Ready => "ready",
            State::Leased => "leased",
            State::Retrying => "retrying",
            State::Windowed => "windowed",
            State::Held => "held",
            State::Paused => "paused",
            State::Parked => "parked",
            State::Delivered => "delivered",
            State::Dead => "dead",
            State::Discarded => "discarded",
            State::Coalesced => "coalesced",
            State::Superseded => "superseded",
        }
    }

    /// The state of this word.
    pub fn parse(word: &str) -> Option<State> {
        Self::ALL.iter().copied().find(|s| s.as_str() == word)
    }

    /// Whether more will happen.
    pub const fn is_open(self) -> bool {
        matches!(
            self,
            State::Ready
                | State::Leased
                | State::Retrying
                | State::Windowed
                | State::Held
                | State::Paused
                | State::Parked
        )
    }
}

/// A delivery.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Delivery {
    /// Id.
    pub id: Uuid,
    /// The event.
    pub event_id: Uuid,
    /// The rule; absent: the source's default target.
    pub rule_id: Option<Uuid>,
    /// Name of the rule then.
    pub rule: String,
    /// Place of the step in the rule, from 0.
    pub step: i32,
    /// The connection.
    pub connection_id: Uuid,
    /// Name of the connection.
    pub connection: String,
    /// Kind of upstream.
    pub connector: String,
    /// What the connector does.
    pub operation: String,
    /// Record key; deliveries of one connection and key go in order.
    pub key: Option<String>,
    /// `open`, `close`, `note` or `ignore`.
    pub action: Option<String>,
    /// The rendered fields; secret-looking values masked.
    #[cfg_attr(feature = "schema", schema(value_type = Object))]
    pub fields: serde_json::Value,
    /// Stays the same over all repeats.
    pub message_id: String,
    /// Where it stands.
    pub state: State,
    /// True: waits for an earlier one of its lane.
    pub behind: bool,
    /// Next attempt, while it waits for one and for nothing else.
    pub due_at: Option<DateTime>,
    /// The attempts after that, if each failed at once and chance shortened no wait; only in the
    /// detail of a delivery.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub schedule: Vec<DateTime>,
    /// When it is given up, once it was tried; only in the detail of a delivery.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gives_up_at: Option<DateTime>,
    /// Attempts so far.
    pub attempts: i32,
    /// Stable code of the last fault.
    pub error_code: Option<String>,
    /// Text of the last fault.
    pub error: Option<String>,
    /// What it did upstream: `created`, `updated`, `noted`, `closed`, `sent`, `none`.
    pub effect: Option<String>,
    /// Upstream record.
    pub record_id: Option<String>,
    /// Address of the upstream record for people.
    pub record_url: Option<String>,
    /// The delivery that this one repeats.
    pub replay_of: Option<Uuid>,
    /// The delivery that repeats this one.
    pub replayed_as: Option<Uuid>,
    /// How many notes it stands for, itself included.
    pub repeats: i32,
    /// The delivery that it became part of.
    pub coalesced_into: Option<Uuid>,
    /// True: set aside with its lane after a failure, as the connection's `on_failure` says.
    pub lane_parked: bool,
    /// When it was written.
    pub created_at: DateTime,
    /// When the state became final.
    pub finished_at: Option<DateTime>,
    /// Attempts, oldest first; only in the detail of a delivery or an event.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attempt_log: Vec<Attempt>,
}

/// One call upstream.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Attempt {
    /// Id.
    pub id: Uuid,
    /// From 1.
    pub number: i32,
    /// When it began.
    pub started_at: DateTime,
    /// How long it took, in milliseconds.
    pub duration_ms: i64,
    /// `delivered`, `retry`, `unknown`, `permanent`, `gone`, `schema_drift`, `auth_failed` or
    /// `rate_limited`.
    pub outcome: String,
    /// Last HTTP status.
    pub status: Option<i32>,
    /// Stable code of the fault.
    pub error_code: Option<String>,
    /// Text of the fault.
    pub error: Option<String>,
    /// Requests and responses, masked and cut.
    pub exchanges: Vec<Exchange>,
}

/// One request and its response.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Exchange {
    /// HTTP method.
    pub method: String,
    /// Address; secrets masked.
    pub url: String,
    /// Body that was sent, cut.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_body: Option<String>,
    /// HTTP status; absent: no answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Body of the answer, cut.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_body: Option<String>,
    /// Why there was no answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// How long it took, in milliseconds.
    pub duration_ms: i64,
}

/// Release a held delivery, with other fields if given.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Release {
    /// All fields anew; absent: as rendered. `***` where a value was shown masked keeps that value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(value_type = Option<Object>))]
    pub fields: Option<serde_json::Map<String, serde_json::Value>>,
}

/// New fields of a held delivery.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct EditFields {
    /// All fields anew. `***` where a value was shown masked keeps that value.
    #[cfg_attr(feature = "schema", schema(value_type = Object))]
    pub fields: serde_json::Map<String, serde_json::Value>,
}

/// Dead letters of one cause.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct DeadGroup {
    /// Stable code of the fault.
    pub error_code: String,
    /// The connection.
    pub connection_id: Uuid,
    /// Name of the connection.
    pub connection: String,
    /// A text of the fault, of the newest one.
    pub error: Option<String>,
    /// How many.
    pub count: i64,
    /// Oldest.
    pub oldest_at: DateTime,
    /// Newest.
    pub newest_at: DateTime,
}

/// Which dead letters; everything that is given must hold. Nothing given: all.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct DeadFilter {
    /// Only these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ids: Option<Vec<Uuid>>,
    /// Of this cause.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_code: Option<String>,
    /// Of this connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection_id: Option<Uuid>,
    /// Of this rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule_id: Option<Uuid>,
}

/// Which rules a replay asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ReplayRules {
    /// Those of now.
    Today,
    /// Those that were in force when the event was received.
    Then,
}

/// Which dead letters to replay, and how. Everything of the filter that is given must hold;
/// nothing given: all.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct DeadReplay {
    /// Only these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ids: Option<Vec<Uuid>>,
    /// Of this cause.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_code: Option<String>,
    /// Of this connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection_id: Option<Uuid>,
    /// Of this rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule_id: Option<Uuid>,
    /// Ask these rules again, about the original bytes; absent: each operation is repeated as it
    /// was rendered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules: Option<ReplayRules>,
    /// At most so many a second, 1 to 1,000; absent: as fast as it goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_second: Option<u32>,
    /// At most so many a minute, 1 to 60,000; instead of `per_second`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_minute: Option<u32>,
}

impl DeadReplay {
    /// Which dead letters.
    pub fn filter(&self) -> DeadFilter {
        DeadFilter {
            ids: self.ids.clone(),
            error_code: self.error_code.clone(),
            connection_id: self.connection_id,
            rule_id: self.rule_id,
        }
    }
}

/// What became of the deliveries that were named, dead letters or others.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct DeadResult {
    /// Those that were replayed or discarded; those that the job will look at, if there is one.
    pub count: u64,
    /// Those that could not be, and stay.
    #[serde(default)]
    pub failed: u64,
    /// Why they could not be, by stable code.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub reasons: BTreeMap<String, i64>,
    /// The job that does it, when they are many or a rate was asked for; absent: it is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<Job>,
}

/// What a replay of dead letters would do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct DeadPreview {
    /// How many would be replayed.
    pub count: i64,
    /// How many of these the filter does not name: they were set aside with a lane that it names
    /// one of, and go with it.
    #[serde(default)]
    pub with_lanes: i64,
    /// Oldest.
    pub oldest_at: Option<DateTime>,
    /// Newest.
    pub newest_at: Option<DateTime>,
    /// By connection, the most first.
    pub connections: Vec<DeadShare>,
    /// By cause.
    pub causes: Vec<DeadShare>,
    /// By rule.
    pub rules: Vec<DeadShare>,
    /// The oldest few, each as every kind of replay would do it.
    pub samples: Vec<DeadSample>,
}

/// How many of something.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct DeadShare {
    /// Name of the connection or rule, or the code of the cause.
    pub name: String,
    /// Id of the connection or rule; absent: a cause, or a source's default target.
    pub id: Option<Uuid>,
    /// How many.
    pub count: i64,
}

/// One dead letter as a replay would do it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct DeadSample {
    /// The dead letter.
    pub delivery: Delivery,
    /// As it was rendered.
    pub again: DeadOutcome,
    /// With today's rules.
    pub today: DeadOutcome,
    /// With the rules of when its event was received.
    pub then: DeadOutcome,
    /// Whether the rules of the two days would send something different.
    pub differ: bool,
}

/// What a replay would make of a dead letter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct DeadOutcome {
    /// Why it would not be replayed; absent: it would be.
    pub reason: Option<String>,
    /// What would be sent.
    pub operations: Vec<PlannedOperation>,
}

/// An operation as rules render it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct PlannedOperation {
    /// Name of the rule.
    pub rule: String,
    /// Revision of the rule.
    pub revision: i64,
    /// Name of the connection.
    pub connection: String,
    /// What the connector does.
    pub operation: String,
    /// Record key.
    pub key: Option<String>,
    /// `open`, `close`, `note` or `ignore`.
    pub action: Option<String>,
    /// The rendered fields; secret-looking values masked.
    #[cfg_attr(feature = "schema", schema(value_type = Object))]
    pub fields: serde_json::Value,
}

/// How a delivery is replayed.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ReplayDelivery {
    /// Confirms that what was delivered shall be done once more. Without it such a delivery is not
    /// replayed.
    #[serde(default)]
    pub repeat_delivered: bool,
}

/// What a replay of one delivery made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ReplayedDelivery {
    /// The new delivery.
    pub delivery_id: Uuid,
    /// How many deliveries were replayed: more than one if it was set aside with its lane.
    #[serde(default)]
    pub count: u64,
}
