//! The rule while it is edited: one signal for each control, so that typing redraws nothing else.

use std::cell::Cell;

use engine::model::{
    CaseSpec, ConditionSpec, FieldSpec, LifecycleSpec, Op, OperationSpec, Otherwise, RuleSpec,
    StepSpec, Then,
};
use indexmap::IndexMap;
use leptos::prelude::*;

use super::scalar;

/// A number that tells two rows apart.
fn fresh() -> u32 {
    thread_local! {
        static NEXT: Cell<u32> = const { Cell::new(0) };
    }
    let n = NEXT.get();
    NEXT.set(n.wrapping_add(1));
    n
}

fn text(value: impl Into<String>) -> RwSignal<String> {
    RwSignal::new(value.into())
}

/// The operator of this word; `equals` when there is none.
fn op_of(word: &str) -> Op {
    Op::ALL
        .iter()
        .copied()
        .find(|op| op.as_str() == word)
        .unwrap_or(Op::Equals)
}

/// A condition.
#[derive(Clone, Copy)]
pub struct Condition {
    pub id: u32,
    pub path: RwSignal<String>,
    pub op: RwSignal<String>,
    pub value: RwSignal<String>,
    pub ignore_case: RwSignal<bool>,
}

impl Condition {
    /// An empty one.
    pub fn empty() -> Self {
        Self {
            id: fresh(),
            path: text(""),
            op: text(Op::Equals.as_str()),
            value: text(""),
            ignore_case: RwSignal::new(false),
        }
    }

    fn of(spec: &ConditionSpec) -> Self {
        Self {
            id: fresh(),
            path: text(&spec.path),
            op: text(spec.op.as_str()),
            value: text(scalar::write_for(spec.op, spec.value.as_ref())),
            ignore_case: RwSignal::new(spec.ignore_case),
        }
    }

    /// Its operator.
    pub fn op(self) -> Op {
        self.op.with(|word| op_of(word))
    }

    fn spec(&self) -> ConditionSpec {
        let op = self.op();
        ConditionSpec {
            path: self.path.get(),
            op,
            value: self.value.with(|value| scalar::read_for(op, value)),
            ignore_case: self.ignore_case.get(),
        }
    }
}

/// An entry of a value map.
#[derive(Clone, Copy)]
pub struct Pair {
    pub id: u32,
    pub from: RwSignal<String>,
    pub to: RwSignal<String>,
}

impl Pair {
    /// An empty one.
    pub fn empty() -> Self {
        Self {
            id: fresh(),
            from: text(""),
            to: text(""),
        }
    }
}

/// A case of a conditional field.
#[derive(Clone, Copy)]
pub struct Case {
    pub id: u32,
    pub when: RwSignal<Vec<Condition>>,
    pub then: Mapping,
}

impl Case {
    /// One empty condition and an empty value.
    pub fn empty() -> Self {
        Self {
            id: fresh(),
            when: RwSignal::new(vec![Condition::empty()]),
            then: Mapping::empty("value"),
        }
    }
}

/// Where the value of a field comes from. All forms share the signals, so that changing the form
/// and back loses nothing.
#[derive(Clone, Copy)]
pub struct Mapping {
    /// `template`, `path`, `value`, `map` or `cases`.
    pub form: RwSignal<String>,
    /// Template, path or literal.
    pub text: RwSignal<String>,
    pub pairs: RwSignal<Vec<Pair>>,
    pub cases: RwSignal<Vec<Case>>,
    /// Default of a value map, `else` of cases.
    pub otherwise: RwSignal<Option<Box<Mapping>>>,
}

impl Mapping {
    /// An empty one of this form.
    pub fn empty(form: &str) -> Self {
        Self {
            form: text(form),
            text: text(""),
            pairs: RwSignal::new(Vec::new()),
            cases: RwSignal::new(Vec::new()),
            otherwise: RwSignal::new(None),
        }
    }

    fn of(spec: &FieldSpec) -> Self {
        let own = |form: &str, value: String| {
            let mapping = Self::empty(form);
            mapping.text.set(value);
            mapping
        };
        match spec {
            FieldSpec::Template(template) => own("template", template.clone()),
            FieldSpec::Path(path) => own("path", path.clone()),
            FieldSpec::Value(value) => own("value", scalar::write(value)),
            FieldSpec::Map {
                path,
                values,
                default,
            } => {
                let mapping = own("map", path.clone());
                let pairs = values.iter().map(|(from, to)| Pair {
                    id: fresh(),
                    from: text(from),
                    to: text(scalar::write(to)),
                });
                mapping.pairs.set(pairs.collect());
                mapping
                    .otherwise
                    .set(default.as_ref().map(|d| Box::new(Self::of(d))));
                mapping
            }
            FieldSpec::Cases { cases, otherwise } => {
                let mapping = own("cases", String::new());
                let cases = cases.iter().map(|case| Case {
                    id: fresh(),
                    when: RwSignal::new(case.when.iter().map(Condition::of).collect()),
                    then: Self::of(&case.then),
                });
                mapping.cases.set(cases.collect());
                mapping
                    .otherwise
                    .set(otherwise.as_ref().map(|o| Box::new(Self::of(o))));
                mapping
            }
        }
    }

    fn spec(&self) -> FieldSpec {
        let otherwise = || self.otherwise.get().map(|other| Box::new(other.spec()));
        match self.form.get().as_str() {
            "path" => FieldSpec::Path(self.text.get()),
            "value" => FieldSpec::Value(self.text.with(|text| scalar::read(text))),
            "map" => FieldSpec::Map {
                path: self.text.get(),
                values: self.pairs.with(|pairs| {
                    pairs
                        .iter()
                        .map(|pair| (pair.from.get(), pair.to.with(|to| scalar::read(to))))
                        .collect()
                }),
                default: otherwise(),
            },
            "cases" => FieldSpec::Cases {
                cases: self.cases.with(|cases| {
                    cases
                        .iter()
                        .map(|case| CaseSpec {
                            when: case
                                .when
                                .with(|when| when.iter().map(Condition::spec).collect()),
                            then: case.then.spec(),
                        })
                        .collect()
                }),
                otherwise: otherwise(),
            },
            _ => FieldSpec::Template(self.text.get()),
        }
    }
}

/// A mapped field.
#[derive(Clone, Copy)]
pub struct Mapped {
    pub id: u32,
    pub name: RwSignal<String>,
    pub mapping: Mapping,
}

impl Mapped {
    /// An empty one of this name.
    pub fn empty(name: &str, form: &str) -> Self {
        Self {
            id: fresh(),
            name: text(name),
            mapping: Mapping::empty(form),
        }
    }
}

/// A step.
#[derive(Clone, Copy)]
pub struct Step {
    pub id: u32,
    /// `deliver`, `hold` or `drop`.
    pub kind: RwSignal<String>,
    pub connection: RwSignal<String>,
    pub operation: RwSignal<String>,
    pub key: RwSignal<String>,
    pub has_lifecycle: RwSignal<bool>,
    pub path: RwSignal<String>,
    pub open: RwSignal<String>,
    pub close: RwSignal<String>,
    pub otherwise: RwSignal<String>,
    pub fields: RwSignal<Vec<Mapped>>,
}

impl Step {
    /// An empty one.
    pub fn empty() -> Self {
        Self {
            id: fresh(),
            kind: text("deliver"),
            connection: text(""),
            operation: text(""),
            key: text(""),
            has_lifecycle: RwSignal::new(false),
            path: text(""),
            open: text(""),
            close: text(""),
            otherwise: text("note"),
            fields: RwSignal::new(Vec::new()),
        }
    }

    fn of(spec: &StepSpec) -> Self {
        let step = Self::empty();
        let (kind, operation) = match spec {
            StepSpec::Drop => {
                step.kind.set("drop".to_owned());
                return step;
            }
            StepSpec::Deliver(operation) => ("deliver", operation),
            StepSpec::Hold(operation) => ("hold", operation),
        };
        step.kind.set(kind.to_owned());
        step.connection.set(operation.connection.clone());
        step.operation.set(operation.operation.clone());
        step.key.set(operation.key.clone().unwrap_or_default());
        if let Some(lifecycle) = &operation.lifecycle {
            step.has_lifecycle.set(true);
            step.path.set(lifecycle.path.clone());
            step.open.set(lifecycle.open.join(", "));
            step.close.set(lifecycle.close.join(", "));
            step.otherwise.set(
                match lifecycle.otherwise {
                    Otherwise::Open => "open",
                    Otherwise::Note => "note",
                    Otherwise::Ignore => "ignore",
                }
                .to_owned(),
            );
        }
        let fields = operation.map.iter().map(|(name, field)| Mapped {
            id: fresh(),
            name: text(name),
            mapping: Mapping::of(field),
        });
        step.fields.set(fields.collect());
        step
    }

    fn operation(&self) -> OperationSpec {
        let words = |value: RwSignal<String>| {
            value.with(|text| {
                text.split(',')
                    .map(|word| word.trim().to_owned())
                    .filter(|word| !word.is_empty())
                    .collect()
            })
        };
        let key = self.key.get();
        OperationSpec {
            connection: self.connection.get(),
            operation: self.operation.get(),
            key: (!key.trim().is_empty()).then_some(key),
            lifecycle: self.has_lifecycle.get().then(|| LifecycleSpec {
                path: self.path.get(),
                open: words(self.open),
                close: words(self.close),
                otherwise: match self.otherwise.get().as_str() {
                    "open" => Otherwise::Open,
                    "ignore" => Otherwise::Ignore,
                    _ => Otherwise::Note,
                },
            }),
            map: self.fields.with(|fields| {
                fields
                    .iter()
                    .map(|field| (field.name.get(), field.mapping.spec()))
                    .collect::<IndexMap<_, _>>()
            }),
        }
    }

    fn spec(&self) -> StepSpec {
        match self.kind.get().as_str() {
            "drop" => StepSpec::Drop,
            "hold" => StepSpec::Hold(self.operation()),
            _ => StepSpec::Deliver(self.operation()),
        }
    }
}

/// Conditions and steps.
#[derive(Clone, Copy)]
pub struct Parts {
    pub when: RwSignal<Vec<Condition>>,
    pub steps: RwSignal<Vec<Step>>,
}

impl Parts {
    /// No condition, one empty step.
    pub fn empty() -> Self {
        Self {
            when: RwSignal::new(Vec::new()),
            steps: RwSignal::new(vec![Step::empty()]),
        }
    }

    /// Filled from a written rule.
    pub fn of(spec: &RuleSpec) -> Self {
        let parts = Self::empty();
        parts.set(spec);
        parts
    }

    /// Filled anew.
    pub fn set(self, spec: &RuleSpec) {
        self.when.set(spec.when.iter().map(Condition::of).collect());
        self.steps.set(match &spec.then {
            Then::Drop => vec![Step::of(&StepSpec::Drop)],
            Then::Steps(steps) => steps.iter().map(Step::of).collect(),
        });
    }

    /// The written rule.
    pub fn spec(self) -> RuleSpec {
        let steps: Vec<StepSpec> = self
            .steps
            .with(|steps| steps.iter().map(Step::spec).collect());
        RuleSpec {
            when: self
                .when
                .with(|when| when.iter().map(Condition::spec).collect()),
            then: match steps.as_slice() {
                [StepSpec::Drop] => Then::Drop,
                _ => Then::Steps(steps),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_survives_the_form() -> Result<(), serde_json::Error> {
        let owner = Owner::new();
        owner.set();
        let written = serde_json::json!({
            "when": [
                {"path": "$.monitor.tags[*].name", "op": "in", "value": ["prod", "core"]},
                {"path": "$.msg", "op": "contains", "value": "down", "ignore_case": true},
                {"path": "$.x", "op": "exists"}
            ],
            "then": [
                {"deliver": {
                    "connection": "psa",
                    "operation": "ticket.upsert",
                    "key": "kuma:{{ monitor.id }}",
                    "lifecycle": {"path": "$.heartbeat.status", "open": ["0"], "close": ["1"], "otherwise": "note"},
                    "map": {
                        "summary": "Alert: {{ monitor.name }}",
                        "board": {"value": "Service Board"},
                        "weight": 7,
                        "priority": {
                            "cases": [{"when": {"path": "$.weight", "op": "gte", "value": 100}, "value": "Priority 1"}],
                            "else": "Priority 3"
                        },
                        "status": {"path": "$.s", "values": {"0": "down", "1": true}, "default": {"value": null}},
                        "raw": {"path": "$"}
                    }
                }},
                {"hold": {"connection": "psa", "operation": "ticket.upsert"}}
            ]
        });
        let spec: RuleSpec = serde_json::from_value(written)?;
        assert_eq!(Parts::of(&spec).spec(), spec);
        let drop: RuleSpec = serde_json::from_str(r#"{"then": "drop"}"#)?;
        assert_eq!(Parts::of(&drop).spec(), drop);
        Ok(())
    }
}
