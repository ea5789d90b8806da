//! The written form of steps and operations.

use indexmap::IndexMap;
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};
use std::fmt;

use super::field::FieldSpec;
use super::helpers;

/// What a matched rule does: `drop`, or a list of steps.
#[derive(Debug, Clone, PartialEq)]
pub enum Then {
    /// The event is dropped.
    Drop,
    /// The steps run in order.
    Steps(Vec<StepSpec>),
}

/// One step: `drop`, `{deliver: …}` or `{hold: …}`.
#[derive(Debug, Clone, PartialEq)]
pub enum StepSpec {
    /// Ends the event here.
    Drop,
    /// Sends the operation.
    Deliver(OperationSpec),
    /// Renders the operation and waits for a person.
    Hold(OperationSpec),
}

/// What happens to an event no rule matches: `keep`, `drop` or `{deliver: …}`.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum NoMatch {
    /// Recorded as unmatched.
    #[default]
    Keep,
    /// Recorded as dropped.
    Drop,
    /// Sent to a default target.
    Deliver(Box<OperationSpec>),
}

/// One operation of a connection and what to fill it with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct OperationSpec {
    /// The name of the connection.
    #[cfg_attr(feature = "schema", schema(example = "psa"))]
    pub connection: String,
    /// The operation of its connector.
    #[cfg_attr(feature = "schema", schema(example = "ticket.upsert"))]
    pub operation: String,
    /// A template: the record this event belongs to, and the lane it waits in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(example = "kuma:{{ monitor.id }}"))]
    pub key: Option<String>,
    /// Whether the event opens, closes or only notes the record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifecycle: Option<LifecycleSpec>,
    /// The fields of the operation.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub map: IndexMap<String, FieldSpec>,
}

/// Reads from one value whether a record opens or closes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct LifecycleSpec {
    /// A JSONPath to the deciding value.
    #[cfg_attr(feature = "schema", schema(example = "$.heartbeat.status"))]
    pub path: String,
    /// Text forms that open the record; they win over `close` if several nodes disagree.
    #[serde(default, deserialize_with = "helpers::texts")]
    #[cfg_attr(feature = "schema", schema(schema_with = super::schema::texts))]
    pub open: Vec<String>,
    /// Text forms that close it.
    #[serde(default, deserialize_with = "helpers::texts")]
    #[cfg_attr(feature = "schema", schema(schema_with = super::schema::texts))]
    pub close: Vec<String>,
    /// What any other value means.
    #[serde(default)]
    pub otherwise: Otherwise,
}

/// What a value outside both lists of a lifecycle means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Otherwise {
    /// Treated like an opening value.
    Open,
    /// A note on the record, if there is one.
    #[default]
    Note,
    /// Nothing is sent.
    Ignore,
}

impl Serialize for Then {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Drop => serializer.serialize_str("drop"),
            Self::Steps(steps) => steps.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Then {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ThenVisitor;

        impl<'de> Visitor<'de> for ThenVisitor {
            type Value = Then;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`drop` or a list of steps (`- deliver: …`, `- hold: …`, `- drop`)")
            }

            fn visit_str<E: de::Error>(self, value: &str) -> Result<Then, E> {
                match value {
                    "drop" => Ok(Then::Drop),
                    other => Err(E::invalid_value(de::Unexpected::Str(other), &self)),
                }
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Then, A::Error> {
                let mut steps = Vec::new();
                while let Some(step) = seq.next_element()? {
                    steps.push(step);
                }
                Ok(Then::Steps(steps))
            }
        }

        deserializer.deserialize_any(ThenVisitor)
    }
}

impl Serialize for StepSpec {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Drop => serializer.serialize_str("drop"),
            Self::Deliver(operation) => tagged(serializer, "deliver", operation),
            Self::Hold(operation) => tagged(serializer, "hold", operation),
        }
    }
}

impl<'de> Deserialize<'de> for StepSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct StepVisitor;

        impl<'de> Visitor<'de> for StepVisitor {
            type Value = StepSpec;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`drop`, `deliver: {…}` or `hold: {…}`")
            }

            fn visit_str<E: de::Error>(self, value: &str) -> Result<StepSpec, E> {
                match value {
                    "drop" => Ok(StepSpec::Drop),
                    other => Err(E::invalid_value(de::Unexpected::Str(other), &self)),
                }
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<StepSpec, A::Error> {
                let step = match map.next_key::<String>()?.as_deref() {
                    Some("deliver") => StepSpec::Deliver(map.next_value()?),
                    Some("hold") => StepSpec::Hold(map.next_value()?),
                    Some(other) => {
                        return Err(de::Error::unknown_field(other, &["deliver", "hold"]));
                    }
                    None => return Err(de::Error::invalid_length(0, &self)),
                };
                only_entry(map, step)
            }
        }

        deserializer.deserialize_any(StepVisitor)
    }
}

impl Serialize for NoMatch {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Keep => serializer.serialize_str("keep"),
            Self::Drop => serializer.serialize_str("drop"),
            Self::Deliver(operation) => tagged(serializer, "deliver", operation),
        }
    }
}

impl<'de> Deserialize<'de> for NoMatch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NoMatchVisitor;

        impl<'de> Visitor<'de> for NoMatchVisitor {
            type Value = NoMatch;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`keep`, `drop` or `deliver: {…}`")
            }

            fn visit_str<E: de::Error>(self, value: &str) -> Result<NoMatch, E> {
                match value {
                    "keep" => Ok(NoMatch::Keep),
                    "drop" => Ok(NoMatch::Drop),
                    other => Err(E::invalid_value(de::Unexpected::Str(other), &self)),
                }
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<NoMatch, A::Error> {
                let target = match map.next_key::<String>()?.as_deref() {
                    Some("deliver") => NoMatch::Deliver(map.next_value()?),
                    Some(other) => return Err(de::Error::unknown_field(other, &["deliver"])),
                    None => return Err(de::Error::invalid_length(0, &self)),
                };
                only_entry(map, target)
            }
        }

        deserializer.deserialize_any(NoMatchVisitor)
    }
}

fn tagged<S: Serializer>(
    serializer: S,
    tag: &'static str,
    operation: &OperationSpec,
) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(1))?;
    map.serialize_entry(tag, operation)?;
    map.end()
}

fn only_entry<'de, A: MapAccess<'de>, T>(mut map: A, value: T) -> Result<T, A::Error> {
    match map.next_key::<String>()? {
        None => Ok(value),
        Some(_) => Err(de::Error::custom("one step has one operation only")),
    }
}
