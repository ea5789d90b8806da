//! From written rules to a set that can be asked.

use std::collections::{HashMap, HashSet};

use super::RuleInput;
use super::condition::{self, Test};
use super::index::Index;
use super::operation::Operation;
use super::verdict::StepKind;
use crate::fault::{Fault, FaultCode, Faults};
use crate::limits;
use crate::model::{NoMatch, RuleSpec, StepSpec, Then};
use crate::path::JsonPath;

/// A compiled set of rules. Cheap to ask, expensive to make: keep it and share it.
#[derive(Debug)]
pub struct RuleSet {
    /// In the order of evaluation; a rank is a position here.
    pub(super) rules: Vec<Rule>,
    /// Every path of a condition, once.
    pub(super) paths: Vec<JsonPath>,
    pub(super) index: Index,
}

#[derive(Debug)]
pub(super) struct Rule {
    pub(super) input: RuleInput,
    pub(super) conditions: Vec<Bound>,
    pub(super) steps: Vec<Step>,
    /// Why it is quarantined; empty for a good rule.
    pub(super) faults: Vec<Fault>,
}

/// A condition whose path is one of the set's paths.
#[derive(Debug)]
pub(super) struct Bound {
    pub(super) path: usize,
    pub(super) test: Test,
    /// Its position in the written rule.
    pub(super) spec: usize,
}

#[derive(Debug, Clone)]
pub(super) enum Step {
    Drop,
    Run(StepKind, Box<Operation>),
}

/// A compiled no-match policy.
#[derive(Debug, Clone)]
pub struct CompiledNoMatch(pub(super) Policy);

#[derive(Debug, Clone)]
pub(super) enum Policy {
    Keep,
    Drop,
    Deliver(Box<Operation>),
}

impl CompiledNoMatch {
    /// Compiles a policy.
    ///
    /// # Errors
    /// Every fault of the default target, located below `deliver`.
    pub fn compile(spec: &NoMatch) -> Result<Self, Vec<Fault>> {
        let mut faults = Faults::default();
        let policy = match spec {
            NoMatch::Keep => Some(Policy::Keep),
            NoMatch::Drop => Some(Policy::Drop),
            NoMatch::Deliver(operation) => Operation::compile(operation, "deliver", &mut faults)
                .map(|operation| Policy::Deliver(Box::new(operation))),
        };
        match policy {
            Some(policy) if faults.is_empty() => Ok(Self(policy)),
            _ => Err(faults.into_vec()),
        }
    }

    /// Unmatched events are kept.
    pub const fn keep() -> Self {
        Self(Policy::Keep)
    }
}

/// Checks a rule as it would be compiled.
///
/// # Errors
/// Every fault found, at most [`limits::FAULTS`].
pub fn validate(spec: &RuleSpec) -> Result<(), Vec<Fault>> {
    let mut faults = Faults::default();
    condition::compile_all(&spec.when, "when", &mut faults);
    compile_steps(&spec.then, &mut faults);
    if faults.is_empty() {
        Ok(())
    } else {
        Err(faults.into_vec())
    }
}

impl RuleSet {
    /// Compiles rules; all of them must be good.
    ///
    /// # Errors
    /// The id of every faulty rule with its faults; an empty id for faults of the whole set.
    pub fn compile(rules: Vec<RuleInput>) -> Result<Self, Vec<(String, Vec<Fault>)>> {
        let mut seen = HashSet::new();
        let twice: Vec<_> = rules
            .iter()
            .filter(|rule| !seen.insert(rule.id.as_str()))
            .map(|rule| {
                let fault = Fault::new(FaultCode::DuplicateRule, "two rules share this id");
                (rule.id.clone(), vec![fault])
            })
            .collect();
        if !twice.is_empty() {
            return Err(twice);
        }
        if rules.len() > limits::RULES {
            let fault = Fault::new(
                FaultCode::TooManyRules,
                format!("more than {} rules", limits::RULES),
            );
            return Err(vec![(String::new(), vec![fault])]);
        }
        let (set, faulty) = Self::compile_lenient(rules);
        if faulty.is_empty() {
            Ok(set)
        } else {
            Err(faulty)
        }
    }

    /// Compiles rules and quarantines the faulty ones, which are returned with their faults.
    ///
    /// Of two rules with one id both stay; a set larger than [`limits::RULES`] is kept whole:
    /// what was accepted once must not change its meaning.
    pub fn compile_lenient(mut rules: Vec<RuleInput>) -> (Self, Vec<(String, Vec<Fault>)>) {
        rules.sort_by(|a, b| {
            (a.priority, a.order, a.id.as_str()).cmp(&(b.priority, b.order, b.id.as_str()))
        });
        let mut paths = Paths::default();
        let rules: Vec<Rule> = rules
            .into_iter()
            .map(|input| Rule::compile(input, &mut paths))
            .collect();
        let faulty = rules
            .iter()
            .filter(|rule| !rule.faults.is_empty())
            .map(|rule| (rule.input.id.clone(), rule.faults.clone()))
            .collect();
        let index = Index::build(&rules);
        let set = Self {
            rules,
            paths: paths.list,
            index,
        };
        (set, faulty)
    }

    /// How many rules it has, with those that are switched off.
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    /// Whether it has no rules.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }
}

#[derive(Default)]
struct Paths {
    list: Vec<JsonPath>,
    known: HashMap<String, usize>,
}

impl Paths {
    fn intern(&mut self, path: JsonPath) -> usize {
        let Self { list, known } = self;
        *known
            .entry(path.canonical().into_owned())
            .or_insert_with(|| {
                list.push(path);
                list.len() - 1
            })
    }
}

impl Rule {
    fn compile(input: RuleInput, paths: &mut Paths) -> Self {
        let mut faults = Faults::default();
        let conditions = condition::compile_all(&input.spec.when, "when", &mut faults)
            .into_iter()
            .map(|condition| Bound {
                path: paths.intern(condition.path),
                test: condition.test,
                spec: condition.position,
            })
            .collect();
        let steps = compile_steps(&input.spec.then, &mut faults);
        Self {
            input,
            conditions,
            steps,
            faults: faults.into_vec(),
        }
    }

    pub(super) fn sees(&self, source: &str) -> bool {
        self.input.enabled && self.input.source.as_deref().is_none_or(|own| own == source)
    }
}

fn compile_steps(then: &Then, faults: &mut Faults) -> Vec<Step> {
    let steps = match then {
        Then::Drop => return vec![Step::Drop],
        Then::Steps(steps) => steps,
    };
    if steps.is_empty() {
        faults.add("then", FaultCode::Empty, "the rule has no step");
    }
    if steps.len() > limits::STEPS {
        faults.add(
            "then",
            FaultCode::TooMany,
            format!("more than {} steps", limits::STEPS),
        );
        return Vec::new();
    }
    let last = steps.len().saturating_sub(1);
    steps
        .iter()
        .enumerate()
        .filter_map(|(index, step)| {
            let at = format!("then[{index}]");
            let run = |kind, spec, name: &str, faults: &mut Faults| {
                Operation::compile(spec, &format!("{at}.{name}"), faults)
                    .map(|operation| Step::Run(kind, Box::new(operation)))
            };
            match step {
                StepSpec::Drop => {
                    if index < last {
                        faults.add(&at, FaultCode::Unreachable, "steps after `drop` never run");
                    }
                    Some(Step::Drop)
                }
                StepSpec::Deliver(spec) => run(StepKind::Deliver, spec, "deliver", faults),
                StepSpec::Hold(spec) => run(StepKind::Hold, spec, "hold", faults),
            }
        })
        .collect()
}
