//! The written form of a condition.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::helpers;

/// How a condition compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Op {
    /// Some node equals the value.
    Equals,
    /// No node equals the value.
    NotEquals,
    /// Some node equals one of the values.
    In,
    /// No node equals any of the values.
    NotIn,
    /// Some text has the value as a part, or some array has it as an item.
    Contains,
    /// No text has the value as a part, and no array has it as an item.
    NotContains,
    /// Some text starts with the value.
    StartsWith,
    /// Some text ends with the value.
    EndsWith,
    /// Some text has a part that matches the pattern.
    Regex,
    /// The path yields a node; with the value `false`, it yields none.
    Exists,
    /// The path yields nothing, or an empty node (null, `""`, `[]`, `{}`); with the value
    /// `false`, the opposite.
    IsEmpty,
    /// Some number or date is greater than the value.
    Gt,
    /// Some number or date is greater than or equal to the value.
    Gte,
    /// Some number or date is less than the value.
    Lt,
    /// Some number or date is less than or equal to the value.
    Lte,
    /// Some address is inside the range, or one of the ranges.
    Cidr,
}

impl Op {
    /// Every operator, in the order a form shows them.
    pub const ALL: &'static [Self] = &[
        Self::Equals,
        Self::NotEquals,
        Self::In,
        Self::NotIn,
        Self::Contains,
        Self::NotContains,
        Self::StartsWith,
        Self::EndsWith,
        Self::Regex,
        Self::Exists,
        Self::IsEmpty,
        Self::Gt,
        Self::Gte,
        Self::Lt,
        Self::Lte,
        Self::Cidr,
    ];

    /// The operator as it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Equals => "equals",
            Self::NotEquals => "not_equals",
            Self::In => "in",
            Self::NotIn => "not_in",
            Self::Contains => "contains",
            Self::NotContains => "not_contains",
            Self::StartsWith => "starts_with",
            Self::EndsWith => "ends_with",
            Self::Regex => "regex",
            Self::Exists => "exists",
            Self::IsEmpty => "is_empty",
            Self::Gt => "gt",
            Self::Gte => "gte",
            Self::Lt => "lt",
            Self::Lte => "lte",
            Self::Cidr => "cidr",
        }
    }

    /// Whether the value may be left out.
    pub const fn value_is_optional(self) -> bool {
        matches!(self, Self::Exists | Self::IsEmpty)
    }

    /// Whether it holds when no node does: a missing path satisfies it.
    pub const fn is_negative(self) -> bool {
        matches!(self, Self::NotEquals | Self::NotIn | Self::NotContains)
    }
}

/// One condition on the nodes a path yields.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ConditionSpec {
    /// A JSONPath into the event; the leading `$.` may be left out.
    #[cfg_attr(feature = "schema", schema(example = "$.monitor.tags[*].name"))]
    pub path: String,
    /// How to compare.
    pub op: Op,
    /// What to compare with: a scalar, for `in` and `not_in` a list, for `cidr` a range or a
    /// list of them, for `exists` and `is_empty` nothing or a boolean.
    #[serde(
        default,
        deserialize_with = "helpers::present",
        skip_serializing_if = "Option::is_none"
    )]
    #[cfg_attr(feature = "schema", schema(value_type = Value, required = false))]
    pub value: Option<Value>,
    /// Whether upper and lower case are the same.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ignore_case: bool,
}
