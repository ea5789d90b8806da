//! Compiled conditions.

use regex::Regex;
use serde_json::Value;
use std::cmp::Ordering;
use std::collections::HashSet;

use crate::compare::{Expected, Ordered, Ranges, node_text, pattern};
use crate::fault::{Fault, FaultCode, Faults};
use crate::fuel::Fuel;
use crate::limits;
use crate::model::{ConditionSpec, Op};
use crate::path::JsonPath;
use crate::text::{depth_exceeds, is_empty, json_text, scalar_text};

/// A condition with everything prepared.
#[derive(Debug, Clone)]
pub(super) struct Condition {
    pub(super) path: JsonPath,
    pub(super) test: Test,
    /// Its position in the written list.
    pub(super) position: usize,
}

/// What a condition asks of the nodes of its path.
#[derive(Debug, Clone)]
pub(super) struct Test {
    negative: bool,
    kind: Kind,
}

#[derive(Debug, Clone)]
enum Kind {
    Equals(Box<Expected>),
    In(Set),
    Contains(Box<Expected>),
    Starts(Box<Expected>),
    Ends(Box<Expected>),
    Regex(Regex),
    Exists,
    Empty,
    Order(Ordered, fn(Ordering) -> bool),
    Cidr(Ranges),
}

/// The values of an `in`; texts are found by hash.
#[derive(Debug, Clone)]
struct Set {
    texts: HashSet<String>,
    values: Vec<Expected>,
    ignore_case: bool,
}

/// Compiles a list of conditions; what cannot be compiled is reported and left out.
pub(super) fn compile_all(
    specs: &[ConditionSpec],
    at: &str,
    faults: &mut Faults,
) -> Vec<Condition> {
    if specs.len() > limits::CONDITIONS {
        faults.add(
            at,
            FaultCode::TooMany,
            format!("more than {} conditions", limits::CONDITIONS),
        );
        return Vec::new();
    }
    specs
        .iter()
        .enumerate()
        .filter_map(|(index, spec)| {
            let at = format!("{at}[{index}]");
            let path = faults.keep(&format!("{at}.path"), JsonPath::parse(&spec.path));
            let test = faults.keep(&format!("{at}.value"), Test::compile(spec));
            Some(Condition {
                path: path?,
                test: test?,
                position: index,
            })
        })
        .collect()
}

impl Test {
    fn compile(spec: &ConditionSpec) -> Result<Self, Fault> {
        let mut negative = spec.op.is_negative();
        let kind = match spec.op {
            Op::Exists | Op::IsEmpty => {
                negative = !match &spec.value {
                    None => true,
                    Some(Value::Bool(wanted)) => *wanted,
                    Some(_) => return Err(kind(spec.op, "a boolean, or nothing")),
                };
                if spec.op == Op::Exists {
                    Kind::Exists
                } else {
                    Kind::Empty
                }
            }
            Op::Equals | Op::NotEquals => Kind::Equals(expected(spec)?),
            Op::In | Op::NotIn => Kind::In(Set::compile(spec)?),
            Op::Contains | Op::NotContains => Kind::Contains(part(spec)?),
            Op::StartsWith => Kind::Starts(part(spec)?),
            Op::EndsWith => Kind::Ends(part(spec)?),
            Op::Regex => match value(spec)? {
                Value::String(text) => Kind::Regex(pattern(text, spec.ignore_case)?),
                _ => return Err(kind(spec.op, "a pattern (text)")),
            },
            Op::Gt => Kind::Order(ordered(spec)?, Ordering::is_gt),
            Op::Gte => Kind::Order(ordered(spec)?, Ordering::is_ge),
            Op::Lt => Kind::Order(ordered(spec)?, Ordering::is_lt),
            Op::Lte => Kind::Order(ordered(spec)?, Ordering::is_le),
            Op::Cidr => {
                let ranges = Ranges::read(value(spec)?)?;
                check_count(ranges.len())?;
                Kind::Cidr(ranges)
            }
        };
        Ok(Self { negative, kind })
    }

    /// The values it waits for, if it waits for certain ones.
    pub(super) fn wanted_values(&self) -> Option<&[Expected]> {
        let values = match &self.kind {
            Kind::Equals(expected) => std::slice::from_ref(expected.as_ref()),
            Kind::In(set) => set.values.as_slice(),
            _ => return None,
        };
        (!self.negative).then_some(values)
    }

    /// Whether it holds for these nodes: any of them for a positive one, none for a negative.
    pub(super) fn holds(&self, nodes: &[&Value], fuel: &mut Fuel) -> Result<bool, Fault> {
        fuel.spend(1)?;
        let any = match self.kind {
            Kind::Exists => !nodes.is_empty(),
            Kind::Empty => nodes.is_empty() || nodes.iter().any(|node| is_empty(node)),
            _ => {
                let mut any = false;
                for node in nodes {
                    fuel.spend(1)?;
                    if self.node(node, fuel)? {
                        any = true;
                        break;
                    }
                }
                any
            }
        };
        Ok(any != self.negative)
    }

    fn node(&self, node: &Value, fuel: &mut Fuel) -> Result<bool, Fault> {
        match &self.kind {
            Kind::Equals(expected) => expected.equals(node, fuel),
            Kind::In(set) => set.has(node, fuel),
            Kind::Contains(expected) => expected.contained_in(node, fuel),
            Kind::Starts(expected) => expected.starts(node, fuel),
            Kind::Ends(expected) => expected.ends(node, fuel),
            Kind::Regex(regex) => Ok(regex.is_match(&node_text(node, false, fuel)?)),
            Kind::Order(bound, wanted) => Ok(Ordered::read(node)
                .and_then(|found| found.order(bound))
                .is_some_and(wanted)),
            Kind::Cidr(ranges) => {
                fuel.spend(ranges.len() as u64)?;
                Ok(ranges.contain(node))
            }
            Kind::Exists => Ok(true),
            Kind::Empty => Ok(is_empty(node)),
        }
    }
}

impl Set {
    fn compile(spec: &ConditionSpec) -> Result<Self, Fault> {
        let Value::Array(items) = value(spec)? else {
            return Err(kind(spec.op, "a list"));
        };
        if items.is_empty() {
            return Err(Fault::new(FaultCode::Empty, "the list is empty"));
        }
        check_count(items.len())?;
        let values = items
            .iter()
            .map(|item| Expected::new(item, spec.ignore_case))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            texts: values.iter().map(|v| v.text().to_owned()).collect(),
            values,
            ignore_case: spec.ignore_case,
        })
    }

    fn has(&self, node: &Value, fuel: &mut Fuel) -> Result<bool, Fault> {
        if matches!(node, Value::Number(_) | Value::Array(_) | Value::Object(_)) {
            for value in &self.values {
                fuel.spend(1)?;
                if value.equals(node, fuel)? {
                    return Ok(true);
                }
            }
            return Ok(false);
        }
        Ok(self
            .texts
            .contains(node_text(node, self.ignore_case, fuel)?.as_ref()))
    }
}

fn value(spec: &ConditionSpec) -> Result<&Value, Fault> {
    let value = spec.value.as_ref().ok_or_else(|| {
        Fault::new(
            FaultCode::ValueMissing,
            format!("`{}` needs a value", spec.op.as_str()),
        )
    })?;
    check_literal(value)?;
    Ok(value)
}

/// A literal must be small enough to be kept and copied.
pub(super) fn check_literal(value: &Value) -> Result<(), Fault> {
    if depth_exceeds(value, limits::LITERAL_DEPTH) {
        return Err(Fault::new(
            FaultCode::TooDeep,
            format!("the value is nested deeper than {}", limits::LITERAL_DEPTH),
        ));
    }
    json_text(value, limits::LITERAL_LENGTH)
        .map(|_| ())
        .map_err(|_| {
            Fault::new(
                FaultCode::TooLong,
                format!("the value is longer than {} bytes", limits::LITERAL_LENGTH),
            )
        })
}

fn expected(spec: &ConditionSpec) -> Result<Box<Expected>, Fault> {
    Expected::new(value(spec)?, spec.ignore_case).map(Box::new)
}

/// A scalar to look for inside a text; an empty one would be in every text.
fn part(spec: &ConditionSpec) -> Result<Box<Expected>, Fault> {
    let value = value(spec)?;
    match scalar_text(value) {
        None => Err(kind(spec.op, "a text, a number or a boolean")),
        _ if value.is_null() => Err(kind(spec.op, "a text, a number or a boolean")),
        Some(text) if text.is_empty() => Err(Fault::new(FaultCode::Empty, "the value is empty")),
        Some(_) => expected(spec),
    }
}

fn ordered(spec: &ConditionSpec) -> Result<Ordered, Fault> {
    Ordered::read(value(spec)?).ok_or_else(|| kind(spec.op, "a number or an RFC 3339 date"))
}

fn check_count(count: usize) -> Result<(), Fault> {
    if count == 0 {
        return Err(Fault::new(FaultCode::Empty, "the list is empty"));
    }
    if count > limits::CONDITION_VALUES {
        return Err(Fault::new(
            FaultCode::TooMany,
            format!("more than {} values", limits::CONDITION_VALUES),
        ));
    }
    Ok(())
}

fn kind(op: Op, wanted: &str) -> Fault {
    Fault::new(
        FaultCode::ValueKind,
        format!("`{}` compares with {wanted}", op.as_str()),
    )
}
