//! Why: every condition of every rule with the values it saw.

use serde_json::Value;
use std::collections::HashSet;

use super::Input;
use super::compile::{Rule, RuleSet};
use super::evaluate::Memo;
use super::verdict::{ConditionExplanation, Disposition, Explanation, RuleExplanation, reason};
use crate::fault::Fault;
use crate::fuel::Fuel;
use crate::limits;
use crate::text::{json_text, scalar_text};

impl RuleSet {
    /// What becomes of an event and why. The verdict is the one of [`Self::evaluate`]; the
    /// conditions are then looked at once more, also those of rules after the winner and of rules
    /// that do not count, with a budget of their own.
    pub fn explain(&self, input: &Input<'_>) -> Explanation {
        let (disposition, reason, fault, matches) = match self.evaluate(input) {
            Ok(verdict) => (verdict.disposition, verdict.reason, None, verdict.matches),
            Err(fault) => (
                Disposition::Unrouted,
                reason::FAULT.to_owned(),
                Some(fault),
                Vec::new(),
            ),
        };
        let won: HashSet<&str> = matches
            .iter()
            .filter_map(|m| m.rule_id.as_deref())
            .collect();
        let mut fuel = Fuel::new(input.fuel);
        let mut memo = Memo::new(&self.paths, input.payload);
        let rules = self
            .rules
            .iter()
            .map(|rule| {
                let won = won.contains(rule.input.id.as_str());
                rule.explain(input, won, &mut memo, &mut fuel)
            })
            .collect();
        Explanation {
            disposition,
            reason,
            fault,
            rules,
            matches,
        }
    }
}

impl Rule {
    fn explain(
        &self,
        input: &Input<'_>,
        won: bool,
        memo: &mut Memo<'_>,
        fuel: &mut Fuel,
    ) -> RuleExplanation {
        let evaluated = self.sees(input.source);
        let mut faults = self.faults.clone();
        let mut all_hold = true;
        let mut conditions = Vec::with_capacity(self.input.spec.when.len());
        for (index, spec) in self.input.spec.when.iter().enumerate() {
            let bound = self.conditions.iter().find(|bound| bound.spec == index);
            // A condition that could not be compiled counts as holding: the rule is quarantined.
            let (seen, seen_count, holds) = match bound {
                None => (Vec::new(), 0, true),
                Some(bound) => match look(bound, memo, fuel) {
                    Ok(looked) => looked,
                    Err(fault) => {
                        if faults.len() < limits::FAULTS {
                            faults.push(fault.within(&format!("when[{index}]")));
                        }
                        (Vec::new(), 0, false)
                    }
                },
            };
            all_hold &= holds;
            conditions.push(ConditionExplanation {
                path: spec.path.clone(),
                op: spec.op,
                expected: expected(spec),
                seen,
                seen_count,
                holds,
            });
        }
        RuleExplanation {
            id: self.input.id.clone(),
            name: self.input.name.clone(),
            priority: self.input.priority,
            source: self.input.source.clone(),
            enabled: self.input.enabled,
            evaluated,
            matched: evaluated && all_hold,
            won,
            conditions,
            faults,
        }
    }
}

fn look(
    bound: &super::compile::Bound,
    memo: &mut Memo<'_>,
    fuel: &mut Fuel,
) -> Result<(Vec<Value>, usize, bool), Fault> {
    let nodes = memo.nodes(bound.path, fuel)?;
    let holds = bound.test.holds(nodes, fuel)?;
    let seen = nodes
        .iter()
        .take(limits::SEEN_VALUES)
        .map(|node| shown(node))
        .collect();
    Ok((seen, nodes.len(), holds))
}

/// A value small enough to show; what is cut becomes a text that ends in `…`.
fn shown(node: &Value) -> Value {
    match scalar_text(node) {
        Some(text) if text.chars().nth(limits::SEEN_LENGTH).is_none() => node.clone(),
        Some(text) => cut(&text),
        // Four bytes are the most a character takes.
        None => match json_text(node, limits::SEEN_LENGTH * 4) {
            Ok(_) => node.clone(),
            Err(_) if node.is_array() => Value::String("[…]".to_owned()),
            Err(_) => Value::String("{…}".to_owned()),
        },
    }
}

fn cut(text: &str) -> Value {
    let mut short: String = text.chars().take(limits::SEEN_LENGTH).collect();
    short.push('…');
    Value::String(short)
}

fn expected(spec: &crate::model::ConditionSpec) -> Value {
    match &spec.value {
        Some(value) => value.clone(),
        None if spec.op.value_is_optional() => Value::Bool(true),
        None => Value::Null,
    }
}
