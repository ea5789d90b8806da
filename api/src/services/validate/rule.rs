//! Rules.

use engine::model::{OperationSpec, RuleSpec, StepSpec, Then};
use openapi::problem::FieldError;

use super::parts::{Kinds, check_name, error, field_error, within};
use crate::connectors::Registry;

/// Checks the name of a rule.
pub fn validate_rule_name(name: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    check_name(&mut errors, "name", name, 200);
    errors
}

/// Checks conditions and steps. Fields are named relative to the spec: `then[0].deliver.key`.
pub fn validate_rule(registry: &Registry, kinds: &Kinds, spec: &RuleSpec) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if let Err(faults) = engine::rules::validate(spec) {
        errors.extend(faults.into_iter().map(|fault| field_error("", fault)));
    }
    if let Then::Steps(steps) = &spec.then {
        for (i, step) in steps.iter().enumerate() {
            let (word, operation) = match step {
                StepSpec::Drop => continue,
                StepSpec::Deliver(operation) => ("deliver", operation),
                StepSpec::Hold(operation) => ("hold", operation),
            };
            errors.extend(within(
                &format!("then[{i}].{word}"),
                check_operation(registry, kinds, operation),
            ));
        }
    }
    errors
}

pub(super) fn check_operation(
    registry: &Registry,
    kinds: &Kinds,
    operation: &OperationSpec,
) -> Vec<FieldError> {
    let Some(kind) = kinds.get(&operation.connection) else {
        return vec![error(
            "connection",
            "unknown_connection",
            "the workspace has no connection of that name",
        )];
    };
    match registry.get(kind) {
        Some(connector) => connector.validate_operation(operation),
        None => vec![error(
            "connection",
            "unknown_connector",
            "this server has no connector for that connection",
        )],
    }
}
