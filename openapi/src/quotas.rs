//! Quotas: how much a workspace may have.

use serde::{Deserialize, Serialize};

use crate::DateTime;
use crate::sources::double;

/// The limits of a workspace; what is absent has none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
pub struct QuotaSpec {
    /// Events that are accepted in a day, which begins at midnight UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub events_per_day: Option<u64>,
    /// Sources.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sources: Option<u64>,
    /// Rules.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rules: Option<u64>,
    /// Connections.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connections: Option<u64>,
    /// Credentials that are not revoked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credentials: Option<u64>,
    /// Members.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub members: Option<u64>,
}

/// A change of the limits; what is absent stays, `null` takes a limit away.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ChangeQuotas {
    /// Events that are accepted in a day.
    #[serde(default, with = "double", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(value_type = Option<u64>))]
    pub events_per_day: Option<Option<u64>>,
    /// Sources.
    #[serde(default, with = "double", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(value_type = Option<u64>))]
    pub sources: Option<Option<u64>>,
    /// Rules.
    #[serde(default, with = "double", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(value_type = Option<u64>))]
    pub rules: Option<Option<u64>>,
    /// Connections.
    #[serde(default, with = "double", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(value_type = Option<u64>))]
    pub connections: Option<Option<u64>>,
    /// Credentials that are not revoked.
    #[serde(default, with = "double", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(value_type = Option<u64>))]
    pub credentials: Option<Option<u64>>,
    /// Members.
    #[serde(default, with = "double", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(value_type = Option<u64>))]
    pub members: Option<Option<u64>>,
}

/// One limit, and how much of it is used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct QuotaUse {
    /// `events_per_day`, `sources`, `rules`, `connections`, `credentials` or `members`.
    #[cfg_attr(feature = "schema", schema(example = "sources"))]
    pub what: String,
    /// How much there is.
    pub used: u64,
    /// How much there may be; `null`: no limit.
    pub limit: Option<u64>,
}

/// How much a workspace has, and may have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Usage {
    /// Each limit.
    pub quotas: Vec<QuotaUse>,
    /// When the count of events begins anew.
    pub day_ends_at: DateTime,
    /// Grows with every change of the limits; the ETag.
    pub revision: i64,
}
