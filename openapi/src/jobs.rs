//! Long work in the background, with its progress.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::DateTime;

/// Where a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// It works, or waits for its next piece.
    Running,
    /// All of it was looked at.
    Done,
    /// It cannot go on.
    Failed,
    /// A person stopped it.
    Cancelled,
}

impl JobState {
    /// The word on the wire and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            JobState::Running => "running",
            JobState::Done => "done",
            JobState::Failed => "failed",
            JobState::Cancelled => "cancelled",
        }
    }

    /// The state of this word.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Running, Self::Done, Self::Failed, Self::Cancelled]
            .into_iter()
            .find(|state| state.as_str() == word)
    }
}

/// A job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Job {
    /// Id.
    pub id: Uuid,
    /// What it does: `dead_letters.replay`, `dead_letters.discard`, `rules.release_parked`,
    /// `connections.retry_parked`, `deliveries.discard` …
    pub kind: String,
    /// Where it stands.
    pub state: JobState,
    /// What it was asked to do; a list of ids is shown as their number.
    #[cfg_attr(feature = "schema", schema(value_type = Object))]
    pub params: serde_json::Value,
    /// Things to do, as counted at the start.
    pub total: i64,
    /// Things done.
    pub done: i64,
    /// Things that could not be done.
    pub failed: i64,
    /// Why they could not be, by stable code.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub reasons: BTreeMap<String, i64>,
    /// Why it failed as a whole.
    pub error: Option<String>,
    /// Who started it.
    pub actor: String,
    /// When it was started.
    pub created_at: DateTime,
    /// Last progress.
    pub updated_at: DateTime,
    /// When it ended.
    pub finished_at: Option<DateTime>,
}
