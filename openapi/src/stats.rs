//! Numbers for the dashboard; read from hourly counters, never from a scan.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::DateTime;

/// The dashboard.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Stats {
    /// The last 24 hours, oldest first, UTC.
    pub hours: Vec<Hour>,
    /// Since midnight UTC.
    pub today: Today,
    /// What waits.
    pub queue: Queue,
    /// Database, Redis, each connection, and each source that is silent.
    pub lights: Vec<Light>,
}

/// One hour.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Hour {
    /// Its start.
    pub hour: DateTime,
    /// Events accepted.
    pub accepted: i64,
    /// Requests refused.
    pub refused: i64,
    /// Deliveries that reached their upstream.
    pub delivered: i64,
    /// Deliveries given up.
    pub dead: i64,
}

/// Counts since midnight UTC.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Today {
    /// Events accepted.
    pub accepted: i64,
    /// Events no rule took.
    pub unmatched: i64,
    /// Events that a rule dropped.
    pub dropped: i64,
    /// Tickets created.
    pub created: i64,
    /// Tickets updated or annotated.
    pub updated: i64,
    /// Tickets closed.
    pub closed: i64,
    /// Deliveries that reached their upstream.
    pub delivered: i64,
    /// Deliveries given up.
    pub failed: i64,
    /// Mean time from accept to delivered, in milliseconds.
    pub mean_latency_ms: Option<f64>,
}

/// What waits.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Queue {
    /// Deliveries in an open state.
    pub depth: i64,
    /// Of these, waiting for a person.
    pub held: i64,
    /// Age of the oldest that is not held, in seconds: of the thousand that are due first in each
    /// state of a connection.
    pub oldest_seconds: Option<i64>,
    /// Dead letters.
    pub dead: i64,
}

/// A light.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Light {
    /// `database`, `redis`, `connection` or `source`.
    pub kind: String,
    /// What it stands for.
    pub name: String,
    /// The connection or source.
    pub id: Option<Uuid>,
    /// `green`, `yellow`, `red` or `grey` (not used).
    pub colour: String,
    /// Why.
    pub detail: Option<String>,
}
