//! Compiled operations: key, lifecycle and fields of one step.

use serde_json::Map;

use super::field::Field;
use super::verdict::{Action, Rendered, StepKind};
use crate::compare::spelled_like;
use crate::fault::{Fault, FaultCode, Faults};
use crate::fuel::Fuel;
use crate::limits;
use crate::model::{LifecycleSpec, OperationSpec, Otherwise};
use crate::path::JsonPath;
use crate::template::{Context, Template};

#[derive(Debug, Clone)]
pub(super) struct Operation {
    /// Where it stands in the rule, for the faults of rendering.
    at: String,
    connection: String,
    operation: String,
    key: Option<Template>,
    lifecycle: Option<Lifecycle>,
    fields: Vec<(String, Field)>,
}

#[derive(Debug, Clone)]
struct Lifecycle {
    path: JsonPath,
    open: Vec<String>,
    close: Vec<String>,
    otherwise: Otherwise,
}

impl Operation {
    pub(super) fn compile(spec: &OperationSpec, at: &str, faults: &mut Faults) -> Option<Self> {
        for (name, text) in [
            ("connection", &spec.connection),
            ("operation", &spec.operation),
        ] {
            faults.keep(&format!("{at}.{name}"), check_name(text));
        }
        let key = match &spec.key {
            None => Some(None),
            Some(text) => faults
                .keep(&format!("{at}.key"), compile_key(text))
                .map(Some),
        };
        let lifecycle = match &spec.lifecycle {
            None => Some(None),
            Some(spec) => Lifecycle::compile(spec, &format!("{at}.lifecycle"), faults).map(Some),
        };
        let fields = compile_fields(spec, &format!("{at}.map"), faults);
        Some(Self {
            at: at.to_owned(),
            connection: spec.connection.clone(),
            operation: spec.operation.clone(),
            key: key?,
            lifecycle: lifecycle?,
            fields,
        })
    }

    /// Renders the step. A fault of this step is kept in it; only spent fuel ends the event.
    pub(super) fn render(
        &self,
        step: usize,
        kind: StepKind,
        context: &Context<'_>,
        fuel: &mut Fuel,
    ) -> Result<Rendered, Fault> {
        let mut rendered = Rendered {
            step,
            kind,
            connection: self.connection.clone(),
            operation: self.operation.clone(),
            key: None,
            action: None,
            fields: Map::new(),
            fault: None,
        };
        let mut fault = None;
        if let Some(template) = &self.key {
            let key = template.render(context, fuel).and_then(check_key);
            rendered.key = self.part(key, "key", &mut fault)?;
        }
        if let Some(lifecycle) = &self.lifecycle {
            let action = lifecycle.action(context, fuel);
            rendered.action = self.part(action, "lifecycle", &mut fault)?;
        }
        for (name, field) in &self.fields {
            let value = field.render(context, fuel);
            let at = format!("map.{name}");
            if let Some(value) = self.part(value, &at, &mut fault)?.flatten() {
                fuel.spend_bytes(name.len())?;
                rendered.fields.insert(name.clone(), value);
            }
        }
        rendered.fault = fault;
        Ok(rendered)
    }

    /// Keeps the first fault of the step; passes on spent fuel.
    fn part<T>(
        &self,
        result: Result<T, Fault>,
        at: &str,
        first: &mut Option<Fault>,
    ) -> Result<Option<T>, Fault> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(fault) if fault.code == FaultCode::FuelExhausted => Err(fault),
            Err(fault) => {
                first.get_or_insert(fault.within(at).within(&self.at));
                Ok(None)
            }
        }
    }
}

/// What a quarantined rule would have sent, as far as it can be named.
pub(super) fn unrendered(
    step: usize,
    kind: StepKind,
    spec: &OperationSpec,
    fault: Option<Fault>,
) -> Rendered {
    Rendered {
        step,
        kind,
        connection: spec.connection.clone(),
        operation: spec.operation.clone(),
        key: None,
        action: None,
        fields: Map::new(),
        fault,
    }
}

fn check_name(name: &str) -> Result<(), Fault> {
    if name.trim().is_empty() {
        return Err(Fault::new(FaultCode::Empty, "a name is missing"));
    }
    if name.len() > limits::NAME_LENGTH {
        return Err(Fault::new(
            FaultCode::TooLong,
            format!("the name is longer than {} bytes", limits::NAME_LENGTH),
        ));
    }
    Ok(())
}

fn compile_key(text: &str) -> Result<Template, Fault> {
    if text.trim().is_empty() {
        return Err(Fault::new(
            FaultCode::Empty,
            "the key is empty; leave it out if there is none",
        ));
    }
    Template::parse(text)
}

/// An empty key would merge records that have nothing to do with each other.
fn check_key(key: String) -> Result<String, Fault> {
    if key.trim().is_empty() {
        return Err(Fault::new(
            FaultCode::KeyEmpty,
            "the key rendered to nothing, so the event belongs to no record",
        ));
    }
    if key.len() > limits::KEY_LENGTH {
        return Err(Fault::new(
            FaultCode::KeyTooLong,
            format!("the key is longer than {} bytes", limits::KEY_LENGTH),
        ));
    }
    Ok(key)
}

fn compile_fields(spec: &OperationSpec, at: &str, faults: &mut Faults) -> Vec<(String, Field)> {
    if spec.map.len() > limits::FIELDS {
        faults.add(
            at,
            FaultCode::TooMany,
            format!("more than {} fields", limits::FIELDS),
        );
        return Vec::new();
    }
    let mut fields = Vec::with_capacity(spec.map.len());
    for (name, field) in &spec.map {
        if let Err(fault) = check_name(name) {
            faults.push(at, fault);
            continue;
        }
        if let Some(field) = Field::compile(field, &format!("{at}.{name}"), 1, faults) {
            fields.push((name.clone(), field));
        }
    }
    fields
}

impl Lifecycle {
    fn compile(spec: &LifecycleSpec, at: &str, faults: &mut Faults) -> Option<Self> {
        let path = faults.keep(&format!("{at}.path"), JsonPath::parse(&spec.path));
        if spec.open.is_empty() && spec.close.is_empty() {
            faults.add(at, FaultCode::Empty, "`open` and `close` are both empty");
        }
        for (name, list) in [("open", &spec.open), ("close", &spec.close)] {
            if list.len() > limits::LIFECYCLE_VALUES {
                faults.add(
                    &format!("{at}.{name}"),
                    FaultCode::TooMany,
                    format!("more than {} values", limits::LIFECYCLE_VALUES),
                );
                return None;
            }
        }
        if let Some(index) = spec.close.iter().position(|text| spec.open.contains(text)) {
            faults.add(
                &format!("{at}.close[{index}]"),
                FaultCode::Conflict,
                "the same value opens and closes",
            );
        }
        Some(Self {
            path: path?,
            open: spec.open.clone(),
            close: spec.close.clone(),
            otherwise: spec.otherwise,
        })
    }

    fn action(&self, context: &Context<'_>, fuel: &mut Fuel) -> Result<Action, Fault> {
        let nodes = self.path.nodes(context.payload, fuel)?;
        let entries = self.open.len() + self.close.len();
        fuel.spend((nodes.len() * entries) as u64)?;
        let listed = |list: &[String]| {
            nodes
                .iter()
                .any(|node| list.iter().any(|entry| spelled_like(node, entry)))
        };
        Ok(if listed(&self.open) {
            Action::Open
        } else if listed(&self.close) {
            Action::Close
        } else {
            match self.otherwise {
                Otherwise::Open => Action::Open,
                Otherwise::Note => Action::Note,
                Otherwise::Ignore => Action::Ignore,
            }
        })
    }
}
