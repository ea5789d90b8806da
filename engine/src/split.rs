//! One request that carries many events: cutting it into them.
//!
//! Each item of the array becomes an event of its own. Its body is the item's own bytes as they
//! were sent; what stood around the array is its envelope, also in the sender's bytes. Both
//! together give the view that rules see, so an event can be routed again from what was received.
//!
//! Only the server cuts. The console knows the written form alone, so the rest needs the feature
//! `bodies`.

#[cfg(feature = "bodies")]
mod cut;

use serde::{Deserialize, Serialize};

#[cfg(feature = "bodies")]
pub use cut::{ENVELOPE, Item, MOST, Parts, Split, VALUE, view};

/// A sender whose grouped alerts are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum SplitPreset {
    /// Prometheus Alertmanager.
    Alertmanager,
    /// Grafana alerting.
    Grafana,
}

/// How a request becomes many events. Either `preset` or `path` is given.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct SplitSpec {
    /// A sender whose form is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preset: Option<SplitPreset>,
    /// Where the array lies: names, then `[*]`, as in `$.alerts[*]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// JSONPaths into an item; their values together are its delivery id. Without them, or where
    /// one is missing, it is the request's own id with the item's place.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub key: Vec<String>,
    /// Most items of a request, 1 to 1000; 500 when absent. More are refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}
