//! How long things are kept.

use serde::{Deserialize, Serialize};

use crate::DateTime;

/// Days that each kind of row is kept; `0`: for good.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
pub struct RetentionSpec {
    /// Events, with all that was made of them. A source can have its own number.
    #[cfg_attr(feature = "schema", schema(maximum = 36500))]
    pub events: u32,
    /// Finished deliveries; no longer than events.
    #[cfg_attr(feature = "schema", schema(maximum = 36500))]
    pub deliveries: u32,
    /// Attempts of finished deliveries, with what was said; no longer than deliveries.
    #[cfg_attr(feature = "schema", schema(maximum = 36500))]
    pub attempts: u32,
    /// Dead letters: as long as this at least they keep their event too.
    #[cfg_attr(feature = "schema", schema(maximum = 36500))]
    pub dead_letters: u32,
    /// Refused requests, within the ring of each source.
    #[cfg_attr(feature = "schema", schema(maximum = 36500))]
    pub refusals: u32,
    /// What people and keys changed.
    #[cfg_attr(feature = "schema", schema(maximum = 36500))]
    pub audit: u32,
    /// Ended jobs.
    #[cfg_attr(feature = "schema", schema(maximum = 36500))]
    pub jobs: u32,
    /// Hourly counters.
    #[cfg_attr(feature = "schema", schema(maximum = 36500))]
    pub stats: u32,
    /// Links of keys to records that are closed, since their last change; as long as events at least.
    #[cfg_attr(feature = "schema", schema(maximum = 36500))]
    pub links: u32,
    /// Records of sandbox connections, since their last change; not those of an open link.
    #[cfg_attr(feature = "schema", schema(maximum = 36500))]
    pub sandbox: u32,
    /// Whether rows go to the archive before they are deleted, where the server has one.
    pub archive: bool,
}

impl Default for RetentionSpec {
    fn default() -> Self {
        Self {
            events: 90,
            deliveries: 90,
            attempts: 30,
            dead_letters: 90,
            refusals: 90,
            audit: 365,
            jobs: 30,
            stats: 400,
            links: 365,
            sandbox: 90,
            archive: true,
        }
    }
}

/// A change of the limits; what is absent stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ChangeRetention {
    /// Events, with all that was made of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub events: Option<u32>,
    /// Finished deliveries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deliveries: Option<u32>,
    /// Attempts of finished deliveries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempts: Option<u32>,
    /// Dead letters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dead_letters: Option<u32>,
    /// Refused requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusals: Option<u32>,
    /// What people and keys changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audit: Option<u32>,
    /// Ended jobs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jobs: Option<u32>,
    /// Hourly counters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stats: Option<u32>,
    /// Links that are closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub links: Option<u32>,
    /// Records of sandbox connections.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sandbox: Option<u32>,
    /// Whether rows go to the archive before they are deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archive: Option<bool>,
}

impl ChangeRetention {
    /// The limits with this change.
    #[must_use]
    pub fn on(&self, old: &RetentionSpec) -> RetentionSpec {
        RetentionSpec {
            events: self.events.unwrap_or(old.events),
            deliveries: self.deliveries.unwrap_or(old.deliveries),
            attempts: self.attempts.unwrap_or(old.attempts),
            dead_letters: self.dead_letters.unwrap_or(old.dead_letters),
            refusals: self.refusals.unwrap_or(old.refusals),
            audit: self.audit.unwrap_or(old.audit),
            jobs: self.jobs.unwrap_or(old.jobs),
            stats: self.stats.unwrap_or(old.stats),
            links: self.links.unwrap_or(old.links),
            sandbox: self.sandbox.unwrap_or(old.sandbox),
            archive: self.archive.unwrap_or(old.archive),
        }
    }
}

/// How long a workspace keeps what it has, and how the clean-up goes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Retention {
    /// Days for each kind of row.
    pub days: RetentionSpec,
    /// Sources with a number of their own.
    pub sources: Vec<SourceRetention>,
    /// Largest size of the database in MiB, a setting of the server; absent: no limit.
    pub max_mb: Option<u64>,
    /// Where rows go before they are deleted, settings of the server: `folder`, `bucket`.
    pub archive: Vec<String>,
    /// The last clean-up.
    pub last_run: Option<RetentionRun>,
    /// When the next one begins.
    pub next_run_at: Option<DateTime>,
    /// Grows with every change; the ETag.
    pub revision: i64,
}

/// A source with a number of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct SourceRetention {
    /// Its slug.
    pub source: String,
    /// Days that its events are kept; `0`: for good.
    pub days: u32,
}

/// A clean-up.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct RetentionRun {
    /// When it began.
    pub started_at: DateTime,
    /// When it ended; absent: it goes on.
    pub finished_at: Option<DateTime>,
    /// Rows deleted.
    pub deleted: RetentionCounts,
    /// Bytes written to the archive.
    pub archived_bytes: i64,
    /// What was not done, and why. What the archive did not take is tried again.
    pub error: Option<String>,
}

/// Rows of each kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct RetentionCounts {
    /// Events.
    pub events: u64,
    /// Deliveries, dead letters among them.
    pub deliveries: u64,
    /// Attempts.
    pub attempts: u64,
    /// Refusals.
    pub refusals: u64,
    /// Lines of the audit log.
    pub audit: u64,
    /// Jobs.
    pub jobs: u64,
    /// Counters.
    pub stats: u64,
    /// Closed links.
    pub links: u64,
    /// Records of sandbox connections.
    pub sandbox: u64,
}

impl RetentionCounts {
    /// Both together.
    #[must_use]
    pub const fn and(&self, other: &Self) -> Self {
        Self {
            events: self.events + other.events,
            deliveries: self.deliveries + other.deliveries,
            attempts: self.attempts + other.attempts,
            refusals: self.refusals + other.refusals,
            audit: self.audit + other.audit,
            jobs: self.jobs + other.jobs,
            stats: self.stats + other.stats,
            links: self.links + other.links,
            sandbox: self.sandbox + other.sandbox,
        }
    }
}

/// What a clean-up would delete now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct RetentionPreview {
    /// Rows by their own limit; what goes with an event is not counted again.
    pub would_delete: RetentionCounts,
    /// True: there are more; counting stopped at 100,000 of a kind.
    pub at_least: bool,
}

/// How much there is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct StorageSizes {
    /// Whether all workspaces are counted together, which the first one sees; others see their own.
    pub all_workspaces: bool,
    /// Size of the database in bytes, free pages included.
    pub bytes: i64,
    /// Of these, what rows and indexes take up.
    pub used_bytes: i64,
    /// The tables that grow.
    pub tables: Vec<TableSize>,
}

/// One table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct TableSize {
    /// Its name.
    pub table: String,
    /// Rows, estimated.
    pub rows: i64,
    /// Bytes of the rows, estimated.
    pub bytes: i64,
    /// The oldest row of this workspace.
    pub oldest_at: Option<DateTime>,
}
