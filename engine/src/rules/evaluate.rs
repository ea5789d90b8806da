//! Asking the rules of a set.

use serde_json::Value;

use super::Input;
use super::compile::{Policy, Rule, RuleSet, Step};
use super::index::Merge;
use super::operation::unrendered;
use super::verdict::{Disposition, Matched, StepKind, Verdict, reason};
use crate::fault::{Fault, FaultCode};
use crate::fuel::Fuel;
use crate::limits;
use crate::model::{MatchMode, StepSpec, Then};
use crate::path::JsonPath;
use crate::template::Context;

/// The nodes of the set's paths, each followed once per event.
pub(super) struct Memo<'a> {
    paths: &'a [JsonPath],
    payload: &'a Value,
    nodes: Vec<Option<Vec<&'a Value>>>,
}

impl<'a> Memo<'a> {
    pub(super) fn new(paths: &'a [JsonPath], payload: &'a Value) -> Self {
        Self {
            paths,
            payload,
            nodes: vec![None; paths.len()],
        }
    }

    pub(super) fn nodes(&mut self, path: usize, fuel: &mut Fuel) -> Result<&[&'a Value], Fault> {
        let (Some(slot), Some(path)) = (self.nodes.get_mut(path), self.paths.get(path)) else {
            return Ok(&[]);
        };
        match slot {
            Some(nodes) => Ok(nodes),
            None => Ok(slot.insert(path.nodes(self.payload, fuel)?)),
        }
    }
}

impl RuleSet {
    /// What becomes of an event.
    ///
    /// # Errors
    /// `fuel_exhausted`, `too_many_nodes`, `payload_too_deep`, `output_too_long` or
    /// `too_many_matches`: the event could not be judged within the limits.
    pub fn evaluate(&self, input: &Input<'_>) -> Result<Verdict, Fault> {
        let mut fuel = Fuel::new(input.fuel);
        let mut memo = Memo::new(&self.paths, input.payload);
        let mut lists = Vec::new();
        for bucket in self.index.buckets(input.source) {
            lists.push(bucket.scan());
            for table in bucket.tables() {
                match memo.nodes(table.path, &mut fuel) {
                    Ok(nodes) => {
                        for node in nodes {
                            table.find(node, &mut lists, &mut fuel)?;
                        }
                    }
                    Err(fault) if fault.code == FaultCode::FuelExhausted => return Err(fault),
                    // The fault counts only if a rule that needs this path is reached.
                    Err(_) => lists.push(table.all()),
                }
            }
        }
        self.run(input, Merge::new(lists), &mut memo, &mut fuel)
    }

    /// The same answer without the index: every rule of the source is asked in order.
    ///
    /// # Errors
    /// As [`Self::evaluate`].
    #[doc(hidden)]
    pub fn evaluate_by_scan(&self, input: &Input<'_>) -> Result<Verdict, Fault> {
        let ranks = self
            .rules
            .iter()
            .enumerate()
            .filter(|(_, rule)| rule.sees(input.source))
            .map(|(rank, _)| rank);
        let mut memo = Memo::new(&self.paths, input.payload);
        self.run(input, ranks, &mut memo, &mut Fuel::new(input.fuel))
    }

    fn run(
        &self,
        input: &Input<'_>,
        ranks: impl Iterator<Item = usize>,
        memo: &mut Memo<'_>,
        fuel: &mut Fuel,
    ) -> Result<Verdict, Fault> {
        let mut matches = Vec::new();
        for rule in ranks.filter_map(|rank| self.rules.get(rank)) {
            if !rule.holds(memo, fuel)? {
                continue;
            }
            let (matched, dropped) = rule.fire(input, fuel)?;
            matches.push(matched);
            if dropped || input.mode == MatchMode::First {
                break;
            }
            if matches.len() >= limits::MATCHES {
                return Err(Fault::new(
                    FaultCode::TooManyMatches,
                    format!("more than {} rules match", limits::MATCHES),
                ));
            }
        }
        if matches.is_empty() {
            return no_match(input, fuel);
        }
        let (disposition, reason) = judge(&matches);
        Ok(Verdict {
            disposition,
            reason: reason.to_owned(),
            matches,
        })
    }
}

fn judge(matches: &[Matched]) -> (Disposition, &'static str) {
    let runs = |matched: &&Matched| !matched.steps.is_empty();
    if matches.iter().filter(runs).any(|m| !m.quarantined) {
        (Disposition::Routed, reason::MATCHED)
    } else if matches.iter().filter(runs).any(|m| m.quarantined) {
        (Disposition::Routed, reason::RULE_QUARANTINED)
    } else if matches.iter().any(|m| m.quarantined) {
        // An invalid rule without an operation leaves nothing to park but the event itself.
        (Disposition::Unrouted, reason::RULE_QUARANTINED)
    } else {
        (Disposition::Dropped, reason::RULE_DROP)
    }
}

fn no_match(input: &Input<'_>, fuel: &mut Fuel) -> Result<Verdict, Fault> {
    let (disposition, reason, matches) = match &input.no_match.0 {
        Policy::Keep => (Disposition::Unmatched, reason::NO_MATCH_KEEP, Vec::new()),
        Policy::Drop => (Disposition::Dropped, reason::NO_MATCH_DROP, Vec::new()),
        Policy::Deliver(operation) => {
            let step = operation.render(0, StepKind::Deliver, &context(input, ""), fuel)?;
            let matched = Matched {
                rule_id: None,
                rule_name: String::new(),
                quarantined: false,
                steps: vec![step],
            };
            (Disposition::Routed, reason::NO_MATCH_TARGET, vec![matched])
        }
    };
    Ok(Verdict {
        disposition,
        reason: reason.to_owned(),
        matches,
    })
}

fn context<'a>(input: &Input<'a>, rule: &'a str) -> Context<'a> {
    Context {
        payload: input.payload,
        event_id: &input.meta.event_id,
        correlation_id: &input.meta.correlation_id,
        received_at: input.meta.received_at,
        source: &input.meta.source,
        rule,
        now: input.now,
    }
}

impl Rule {
    fn holds(&self, memo: &mut Memo<'_>, fuel: &mut Fuel) -> Result<bool, Fault> {
        fuel.spend(1)?;
        for bound in &self.conditions {
            let nodes = memo.nodes(bound.path, fuel)?;
            if !bound.test.holds(nodes, fuel)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Renders the steps; the flag says whether one of them dropped the event.
    fn fire(&self, input: &Input<'_>, fuel: &mut Fuel) -> Result<(Matched, bool), Fault> {
        let quarantined = !self.faults.is_empty();
        let mut matched = Matched {
            rule_id: Some(self.input.id.clone()),
            rule_name: self.input.name.clone(),
            quarantined,
            steps: Vec::new(),
        };
        if quarantined {
            matched.steps = self.parked();
            return Ok((matched, false));
        }
        for (index, step) in self.steps.iter().enumerate() {
            match step {
                Step::Drop => return Ok((matched, true)),
                Step::Run(kind, operation) => matched.steps.push(operation.render(
                    index,
                    *kind,
                    &context(input, &self.input.name),
                    fuel,
                )?),
            }
        }
        Ok((matched, false))
    }

    /// The steps of an invalid rule, named but not rendered.
    fn parked(&self) -> Vec<super::Rendered> {
        let Then::Steps(steps) = &self.input.spec.then else {
            return Vec::new();
        };
        let fault = self.faults.first();
        steps
            .iter()
            .take(limits::STEPS)
            .enumerate()
            .filter_map(|(index, step)| match step {
                StepSpec::Drop => None,
                StepSpec::Deliver(spec) => {
                    Some(unrendered(index, StepKind::Deliver, spec, fault.cloned()))
                }
                StepSpec::Hold(spec) => {
                    Some(unrendered(index, StepKind::Hold, spec, fault.cloned()))
                }
            })
            .collect()
    }
}
