//! What asking the rules costs, in this process: rules that look for one host each, of which the
//! last takes the alert.

use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use engine::limits;
use engine::model::MatchMode;
use engine::rules::{CompiledNoMatch, Input, Meta, RuleInput, RuleSet};
use serde_json::{Value, json};

use super::latency::Latencies;

/// Evaluations that are timed together, since one is shorter than a clock can tell well.
const TOGETHER: u32 = 16;

/// Compiled rules with an alert that the last of them takes.
#[derive(Debug)]
pub struct Asked {
    set: RuleSet,
    payload: Value,
    meta: Meta,
    no_match: CompiledNoMatch,
}

impl Asked {
    /// Compiles so many rules.
    ///
    /// # Errors
    /// The engine refuses them.
    pub fn new(count: usize) -> anyhow::Result<Self> {
        Self::with(count, false)
    }

    /// The same with rules that ignore the case of the host, of which the alert has another.
    ///
    /// # Errors
    /// See [`Asked::new`].
    pub fn ignoring_case(count: usize) -> anyhow::Result<Self> {
        Self::with(count, true)
    }

    fn with(count: usize, ignore_case: bool) -> anyhow::Result<Self> {
        let rules = (0..count).map(|number| rule(number, ignore_case));
        let rules = rules.collect::<Result<_, _>>()?;
        let name = host(count.saturating_sub(1));
        let name = if ignore_case {
            name.to_uppercase()
        } else {
            name
        };
        let set = RuleSet::compile(rules).map_err(|fault| anyhow!("{fault:?}"))?;
        Ok(Self {
            set,
            payload: json!({
                "monitor": {"id": 7, "name": name, "weight": 150},
                "heartbeat": {"status": 0},
                "msg": "Connection refused",
            }),
            meta: Meta {
                event_id: "event".to_owned(),
                correlation_id: "correlation".to_owned(),
                received_at: chrono::DateTime::UNIX_EPOCH,
                source: "kuma".to_owned(),
            },
            no_match: CompiledNoMatch::keep(),
        })
    }

    /// Asks once, with so much fuel. Returns whether one rule took the alert.
    ///
    /// # Errors
    /// The engine's fault, among them that the fuel did not suffice.
    pub fn ask(&self, fuel: u64) -> anyhow::Result<bool> {
        let input = Input {
            source: "kuma",
            mode: MatchMode::First,
            no_match: &self.no_match,
            payload: &self.payload,
            meta: &self.meta,
            now: chrono::DateTime::UNIX_EPOCH,
            fuel,
        };
        let verdict = self.set.evaluate(black_box(&input));
        let verdict = verdict.map_err(|fault| anyhow!("{fault:?}"))?;
        Ok(black_box(verdict).matches.len() == 1)
    }

    /// The time of one evaluation, as the mean of a few.
    ///
    /// # Errors
    /// See [`Asked::ask`]; or no rule took the alert.
    pub fn time(&self) -> anyhow::Result<Duration> {
        let begun = Instant::now();
        for _ in 0..TOGETHER {
            if !self.ask(limits::FUEL)? {
                return Err(anyhow!("no rule took the alert"));
            }
        }
        Ok(begun.elapsed() / TOGETHER)
    }
}

/// Median times of one evaluation in milliseconds, for each of these numbers of rules. They take
/// turns, so that whatever else the machine does hits all alike.
///
/// # Errors
/// See [`Asked::time`].
pub fn medians_ms(counts: &[usize], rounds: usize) -> anyhow::Result<Vec<f64>> {
    let sets = counts.iter().map(|&count| Asked::new(count));
    let sets: Vec<Asked> = sets.collect::<Result<_, _>>().context("compiling")?;
    medians_of(&sets, rounds)
}

/// The same for these sets.
///
/// # Errors
/// See [`Asked::time`].
pub fn medians_of(sets: &[Asked], rounds: usize) -> anyhow::Result<Vec<f64>> {
    let mut times = vec![Latencies::default(); sets.len()];
    for _ in 0..rounds {
        for (set, times) in sets.iter().zip(&mut times) {
            times.add(set.time()?);
        }
    }
    Ok(times.iter_mut().map(|t| t.quantile_ms(0.5)).collect())
}

fn host(number: usize) -> String {
    format!("host-{number}")
}

fn rule(number: usize, ignore_case: bool) -> anyhow::Result<RuleInput> {
    let spec = json!({
        "when": [{"path": "$.monitor.name", "op": "equals", "value": host(number), "ignore_case": ignore_case}],
        "then": [{"deliver": {
            "connection": "psa",
            "operation": "ticket.upsert",
            "key": "kuma:{{ monitor.id }}",
            "lifecycle": {"path": "$.heartbeat.status", "open": ["0"], "close": ["1"]},
            "map": {"summary": "Alert: {{ monitor.name }}", "text": "{{ msg | truncate: 100 }}"},
        }}],
    });
    Ok(RuleInput {
        id: number.to_string(),
        name: format!("rule {number}"),
        source: None,
        priority: 10,
        order: number as u64,
        enabled: true,
        spec: serde_json::from_value(spec)?,
    })
}
