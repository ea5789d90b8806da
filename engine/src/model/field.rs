//! The written form of one mapped field.

use indexmap::IndexMap;
use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt;

use super::condition::ConditionSpec;
use super::helpers;

/// Where the value of a field comes from.
#[derive(Debug, Clone, PartialEq)]
pub enum FieldSpec {
    /// `"Alert: {{ monitor.name }}"` or `{template: "…"}`: always a text.
    Template(String),
    /// `{value: …}`, or a bare number, boolean or null: a literal.
    Value(Value),
    /// `{path: "$…"}`: the first node as it is; the field is left out if there is none.
    Path(String),
    /// `{path, values: {text: …}, default: …}`: the entry of the first node that has one.
    Map {
        /// A JSONPath to the value that is looked up.
        path: String,
        /// From text form to literal.
        values: IndexMap<String, Value>,
        /// Used when no node has an entry; else the field is left out.
        default: Option<Box<FieldSpec>>,
    },
    /// `{cases: [{when, value}], else: …}`: the first case whose conditions hold.
    Cases {
        /// Tried in order.
        cases: Vec<CaseSpec>,
        /// Used when no case holds; else the field is left out.
        otherwise: Option<Box<FieldSpec>>,
    },
}

/// One case of a conditional field: `{when, value | template | path | …}`.
#[derive(Debug, Clone, PartialEq)]
pub struct CaseSpec {
    /// Conditions that must all hold. One condition may stand without a list.
    pub when: Vec<ConditionSpec>,
    /// What the field is then.
    pub then: FieldSpec,
}

/// The keys of the object forms.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Parts {
    #[serde(deserialize_with = "when")]
    when: Option<Vec<ConditionSpec>>,
    #[serde(deserialize_with = "helpers::present")]
    value: Option<Value>,
    template: Option<String>,
    path: Option<String>,
    values: Option<IndexMap<String, Value>>,
    default: Option<Box<FieldSpec>>,
    cases: Option<Vec<CaseSpec>>,
    r#else: Option<Box<FieldSpec>>,
}

fn when<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Vec<ConditionSpec>>, D::Error> {
    helpers::one_or_many(deserializer).map(Some)
}

const FORMS: &str = "a field has exactly one of `value`, `template`, `path` (with `values` and `default` for a value map) or `cases` (with `else`)";

impl Parts {
    fn field<E: de::Error>(self) -> Result<FieldSpec, E> {
        let Self {
            when: _,
            value,
            template,
            path,
            values,
            default,
            cases,
            r#else: otherwise,
        } = self;
        if default.is_some() && values.is_none() {
            return Err(E::custom("`default` belongs to `values`"));
        }
        if otherwise.is_some() && cases.is_none() {
            return Err(E::custom("`else` belongs to `cases`"));
        }
        match (value, template, path, values, cases) {
            (Some(value), None, None, None, None) => Ok(FieldSpec::Value(value)),
            (None, Some(template), None, None, None) => Ok(FieldSpec::Template(template)),
            (None, None, Some(path), None, None) => Ok(FieldSpec::Path(path)),
            (None, None, Some(path), Some(values), None) => Ok(FieldSpec::Map {
                path,
                values,
                default,
            }),
            (None, None, None, None, Some(cases)) => Ok(FieldSpec::Cases { cases, otherwise }),
            (None, None, None, Some(_), None) => Err(E::missing_field("path")),
            _ => Err(E::custom(FORMS)),
        }
    }
}

impl<'de> Deserialize<'de> for FieldSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FieldVisitor;

        impl<'de> Visitor<'de> for FieldVisitor {
            type Value = FieldSpec;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a template, a literal, or an object with `value`, `template`, `path` or `cases`")
            }

            fn visit_str<E: de::Error>(self, value: &str) -> Result<FieldSpec, E> {
                Ok(FieldSpec::Template(value.to_owned()))
            }

            fn visit_string<E: de::Error>(self, value: String) -> Result<FieldSpec, E> {
                Ok(FieldSpec::Template(value))
            }

            fn visit_bool<E: de::Error>(self, value: bool) -> Result<FieldSpec, E> {
                Ok(FieldSpec::Value(value.into()))
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> Result<FieldSpec, E> {
                Ok(FieldSpec::Value(value.into()))
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<FieldSpec, E> {
                Ok(FieldSpec::Value(value.into()))
            }

            fn visit_f64<E: de::Error>(self, value: f64) -> Result<FieldSpec, E> {
                serde_json::Number::from_f64(value)
                    .map(|number| FieldSpec::Value(Value::Number(number)))
                    .ok_or_else(|| E::custom("a number must be finite"))
            }

            fn visit_unit<E: de::Error>(self) -> Result<FieldSpec, E> {
                Ok(FieldSpec::Value(Value::Null))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<FieldSpec, A::Error> {
                let parts = Parts::deserialize(de::value::MapAccessDeserializer::new(map))?;
                if parts.when.is_some() {
                    return Err(de::Error::custom("`when` belongs to a case inside `cases`"));
                }
                parts.field()
            }
        }

        deserializer.deserialize_any(FieldVisitor)
    }
}

impl<'de> Deserialize<'de> for CaseSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut parts = Parts::deserialize(deserializer)?;
        let when = parts
            .when
            .take()
            .ok_or_else(|| de::Error::missing_field("when"))?;
        Ok(Self {
            when,
            then: parts.field()?,
        })
    }
}

impl FieldSpec {
    fn entries<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        match self {
            Self::Template(template) => map.serialize_entry("template", template),
            Self::Value(value) => map.serialize_entry("value", value),
            Self::Path(path) => map.serialize_entry("path", path),
            Self::Map {
                path,
                values,
                default,
            } => {
                map.serialize_entry("path", path)?;
                map.serialize_entry("values", values)?;
                match default {
                    Some(default) => map.serialize_entry("default", &Inner(default)),
                    None => Ok(()),
                }
            }
            Self::Cases { cases, otherwise } => {
                map.serialize_entry("cases", cases)?;
                match otherwise {
                    Some(otherwise) => map.serialize_entry("else", &Inner(otherwise)),
                    None => Ok(()),
                }
            }
        }
    }
}

/// A field where a bare null would read as "not given".
struct Inner<'a>(&'a FieldSpec);

impl Serialize for Inner<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            FieldSpec::Value(Value::Null) => {
                let mut map = serializer.serialize_map(Some(1))?;
                self.0.entries(&mut map)?;
                map.end()
            }
            other => other.serialize(serializer),
        }
    }
}

impl Serialize for FieldSpec {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Template(template) => serializer.serialize_str(template),
            Self::Value(value @ (Value::Bool(_) | Value::Number(_))) => value.serialize(serializer),
            _ => {
                let mut map = serializer.serialize_map(None)?;
                self.entries(&mut map)?;
                map.end()
            }
        }
    }
}

impl Serialize for CaseSpec {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        match self.when.as_slice() {
            [one] => map.serialize_entry("when", one)?,
            several => map.serialize_entry("when", several)?,
        }
        self.then.entries(&mut map)?;
        map.end()
    }
}
