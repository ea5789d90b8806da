//! Maintenance: windows, and the switch for a whole workspace.

use engine::window::Schedule;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::DateTime;
use crate::sources::double;

/// What becomes of deliveries that are made while a window is open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum WindowMode {
    /// They wait until it closes, and then go in the order of their acceptance.
    #[default]
    Queue,
    /// They are not made: `discarded`, with the reason `maintenance`. Closes wait as in `queue`.
    Skip,
}

impl WindowMode {
    /// The word in the database.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::Skip => "skip",
        }
    }
}

/// What a window is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum WindowScope {
    /// Every delivery of the workspace.
    #[default]
    Workspace,
    /// Deliveries of events from these sources.
    Sources {
        /// Slugs.
        sources: Vec<String>,
    },
    /// Deliveries to these connections.
    Connections {
        /// Names.
        connections: Vec<String>,
    },
}

/// A time in which deliveries wait or are not made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct MaintenanceWindow {
    /// Id.
    pub id: Uuid,
    /// Name for people; unique in the workspace.
    pub name: String,
    /// False: it never opens.
    pub enabled: bool,
    /// What becomes of deliveries.
    pub mode: WindowMode,
    /// Name of the IANA time zone of the schedule.
    #[cfg_attr(feature = "schema", schema(example = "Europe/Madrid"))]
    pub zone: String,
    /// When it is open.
    pub schedule: Schedule,
    /// What it is about.
    pub scope: WindowScope,
    /// Whether it is open now.
    pub open: bool,
    /// When it closes; absent: it is not open.
    pub open_until: Option<DateTime>,
    /// When it opens next; absent: never again, or it is switched off.
    pub next_opening: Option<DateTime>,
    /// The next change as the wall clock of its zone shows it, for people.
    #[cfg_attr(feature = "schema", schema(example = "Mon 2026-11-23 22:00 CET"))]
    pub next_change_local: Option<String>,
    /// Grows with every change; the ETag.
    pub revision: i64,
    /// When it was made.
    pub created_at: DateTime,
    /// Last change.
    pub updated_at: DateTime,
}

/// A window to be made.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct NewMaintenanceWindow {
    /// Name for people, 1 to 100 characters.
    #[cfg_attr(feature = "schema", schema(example = "Patch night"))]
    pub name: String,
    /// False: it never opens.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// What becomes of deliveries.
    #[serde(default)]
    pub mode: WindowMode,
    /// Name of the IANA time zone of the schedule.
    #[cfg_attr(feature = "schema", schema(example = "Europe/Madrid"))]
    pub zone: String,
    /// When it is open.
    pub schedule: Schedule,
    /// What it is about.
    #[serde(default)]
    pub scope: WindowScope,
}

/// A change of a window; what is absent stays.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ChangeMaintenanceWindow {
    /// Name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Switched on or off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// What becomes of deliveries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<WindowMode>,
    /// Name of the IANA time zone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// When it is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<Schedule>,
    /// What it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<WindowScope>,
}

/// A window that is open now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct OpenWindow {
    /// Id.
    pub id: Uuid,
    /// Name.
    pub name: String,
    /// What becomes of deliveries.
    pub mode: WindowMode,
    /// When it closes.
    pub until: Option<DateTime>,
}

/// Maintenance of the workspace, now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Maintenance {
    /// Whether the switch is on: every delivery waits.
    pub on: bool,
    /// When the switch goes off by itself; absent: when somebody does it.
    pub until: Option<DateTime>,
    /// Windows that are open.
    pub windows: Vec<OpenWindow>,
    /// Deliveries that wait for the end of maintenance.
    pub waiting: i64,
    /// Grows with every change of the switch; the ETag.
    pub revision: i64,
}

/// A turn of the switch; what is absent stays. `null` takes the end away.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ChangeMaintenance {
    /// On: every delivery of the workspace waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on: Option<bool>,
    /// When it goes off by itself.
    #[serde(default, with = "double", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(value_type = Option<DateTime>))]
    pub until: Option<Option<DateTime>>,
}

fn yes() -> bool {
    true
}
