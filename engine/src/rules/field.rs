//! Compiled fields: where a value comes from, with everything prepared.

use indexmap::IndexMap;
use serde_json::Value;

use super::condition::{self, Condition};
use crate::compare::spelled_like;
use crate::fault::{Fault, FaultCode, Faults};
use crate::fuel::Fuel;
use crate::limits;
use crate::model::{CaseSpec, FieldSpec};
use crate::path::JsonPath;
use crate::template::{Context, Template};
use crate::text::{check_depth, scalar_text};

#[derive(Debug, Clone)]
pub(super) enum Field {
    Template(Template),
    Value(Value),
    Path(JsonPath),
    Map {
        path: JsonPath,
        values: IndexMap<String, Value>,
        default: Option<Box<Field>>,
    },
    Cases {
        cases: Vec<(Vec<Condition>, Field)>,
        otherwise: Option<Box<Field>>,
    },
}

impl Field {
    /// Compiles a field; `None` if a fault was reported.
    pub(super) fn compile(
        spec: &FieldSpec,
        at: &str,
        depth: usize,
        faults: &mut Faults,
    ) -> Option<Self> {
        if depth > limits::FIELD_DEPTH {
            faults.add(
                at,
                FaultCode::TooDeep,
                format!("the field is nested deeper than {}", limits::FIELD_DEPTH),
            );
            return None;
        }
        match spec {
            FieldSpec::Template(text) => faults.keep(at, Template::parse(text)).map(Self::Template),
            FieldSpec::Value(value) => {
                faults.keep(at, condition::check_literal(value))?;
                Some(Self::Value(value.clone()))
            }
            FieldSpec::Path(path) => faults
                .keep(&format!("{at}.path"), JsonPath::parse(path))
                .map(Self::Path),
            FieldSpec::Map {
                path,
                values,
                default,
            } => {
                let path = faults.keep(&format!("{at}.path"), JsonPath::parse(path));
                let values = faults.keep(&format!("{at}.values"), check_map(values));
                let default = nested(default.as_deref(), at, "default", depth, faults);
                Some(Self::Map {
                    path: path?,
                    values: values?.clone(),
                    default: default?,
                })
            }
            FieldSpec::Cases { cases, otherwise } => {
                let cases = compile_cases(cases, at, depth, faults);
                let otherwise = nested(otherwise.as_deref(), at, "else", depth, faults);
                Some(Self::Cases {
                    cases: cases?,
                    otherwise: otherwise?,
                })
            }
        }
    }

    /// The value of the field, or `None` if it is to be left out.
    pub(super) fn render(
        &self,
        context: &Context<'_>,
        fuel: &mut Fuel,
    ) -> Result<Option<Value>, Fault> {
        fuel.spend(1)?;
        match self {
            Self::Template(template) => template.render(context, fuel).map(Value::String).map(Some),
            Self::Value(value) => copy(value, fuel).map(Some),
            Self::Path(path) => match path.nodes(context.payload, fuel)?.first() {
                Some(node) => copy(node, fuel).map(Some),
                None => Ok(None),
            },
            Self::Map {
                path,
                values,
                default,
            } => {
                for node in path.nodes(context.payload, fuel)? {
                    fuel.spend(1)?;
                    if let Some(value) = look_up(node, values) {
                        return copy(value, fuel).map(Some);
                    }
                }
                Self::other(default.as_deref(), context, fuel)
            }
            Self::Cases { cases, otherwise } => {
                for (when, field) in cases {
                    if all_hold(when, context.payload, fuel)? {
                        return field.render(context, fuel);
                    }
                }
                Self::other(otherwise.as_deref(), context, fuel)
            }
        }
    }

    fn other(
        field: Option<&Self>,
        context: &Context<'_>,
        fuel: &mut Fuel,
    ) -> Result<Option<Value>, Fault> {
        match field {
            Some(field) => field.render(context, fuel),
            None => Ok(None),
        }
    }
}

/// A field that may be absent: `None` after a fault, `Some(None)` when there is none.
#[expect(
    clippy::option_option,
    reason = "absent and faulty are different things"
)]
fn nested(
    spec: Option<&FieldSpec>,
    at: &str,
    name: &str,
    depth: usize,
    faults: &mut Faults,
) -> Option<Option<Box<Field>>> {
    match spec {
        None => Some(None),
        Some(spec) => Field::compile(spec, &format!("{at}.{name}"), depth + 1, faults)
            .map(|field| Some(Box::new(field))),
    }
}

fn check_map(values: &IndexMap<String, Value>) -> Result<&IndexMap<String, Value>, Fault> {
    if values.is_empty() {
        return Err(Fault::new(FaultCode::Empty, "the value map is empty"));
    }
    if values.len() > limits::MAP_ENTRIES {
        return Err(Fault::new(
            FaultCode::TooMany,
            format!("more than {} entries", limits::MAP_ENTRIES),
        ));
    }
    for value in values.values() {
        condition::check_literal(value)?;
    }
    Ok(values)
}

fn compile_cases(
    cases: &[CaseSpec],
    at: &str,
    depth: usize,
    faults: &mut Faults,
) -> Option<Vec<(Vec<Condition>, Field)>> {
    let list = format!("{at}.cases");
    if cases.is_empty() {
        faults.add(&list, FaultCode::Empty, "there is no case");
        return None;
    }
    if cases.len() > limits::CASES {
        faults.add(
            &list,
            FaultCode::TooMany,
            format!("more than {} cases", limits::CASES),
        );
        return None;
    }
    let mut compiled = Vec::with_capacity(cases.len());
    for (index, case) in cases.iter().enumerate() {
        let at = format!("{list}[{index}]");
        let when = condition::compile_all(&case.when, &format!("{at}.when"), faults);
        if case.when.is_empty() {
            faults.add(
                &format!("{at}.when"),
                FaultCode::Empty,
                "a case needs a condition; what always holds belongs in `else`",
            );
        }
        if let Some(field) = Field::compile(&case.then, &at, depth + 1, faults) {
            compiled.push((when, field));
        }
    }
    Some(compiled)
}

/// Whether all conditions hold for the payload.
fn all_hold(conditions: &[Condition], payload: &Value, fuel: &mut Fuel) -> Result<bool, Fault> {
    for condition in conditions {
        let nodes = condition.path.nodes(payload, fuel)?;
        if !condition.test.holds(&nodes, fuel)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn look_up<'a>(node: &Value, values: &'a IndexMap<String, Value>) -> Option<&'a Value> {
    let text = scalar_text(node)?;
    values.get(text.as_ref()).or_else(|| {
        // `True` is how some systems spell a boolean.
        node.is_boolean()
            .then(|| values.iter().find(|(key, _)| spelled_like(node, key)))
            .flatten()
            .map(|(_, value)| value)
    })
}

/// A copy, paid for by its size and refused beyond the depth limit.
fn copy(value: &Value, fuel: &mut Fuel) -> Result<Value, Fault> {
    check_depth(value)?;
    let mut stack = vec![value];
    while let Some(value) = stack.pop() {
        match value {
            Value::String(text) => fuel.spend_bytes(text.len())?,
            Value::Array(items) => stack.extend(items),
            Value::Object(members) => {
                for (name, member) in members {
                    fuel.spend_bytes(name.len())?;
                    stack.push(member);
                }
            }
            _ => {}
        }
        fuel.spend(1)?;
    }
    Ok(value.clone())
}
