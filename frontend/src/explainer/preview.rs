//! Asking the engine in the browser: the draft among the saved rules, against a past event.
//! The engine decides; this only brings the pieces together.

use chrono::{DateTime, Utc};
use engine::limits;
use engine::model::MatchMode;
use engine::rules::{CompiledNoMatch, Explanation, Input, Meta, RuleInput, RuleSet};
use openapi::events::EventDetail;
use openapi::rules::Rule;
use openapi::sources::Source;
use serde_json::Value;

use super::wire::{DRAFT, Draft};

/// What would become of the event with the draft in place. The draft takes part even if it is
/// switched off: a person who edits a rule wants to see what it does.
pub fn preview(
    draft: Draft,
    saved: &[Rule],
    source: Option<&Source>,
    event: &EventDetail,
    now: DateTime<Utc>,
) -> Explanation {
    let mut order: Vec<&Rule> = saved.iter().collect();
    order.sort_by_key(|rule| (rule.created_at, rule.id));
    let last = order.iter().map(|rule| rule.priority).max().unwrap_or(0);
    let id = draft.id.unwrap_or_else(|| DRAFT.to_owned());
    let mut place = order.len();
    let mut inputs: Vec<RuleInput> = Vec::with_capacity(order.len() + 1);
    for (n, rule) in order.into_iter().enumerate() {
        if rule.id.to_string() == id {
            place = n;
            continue;
        }
        inputs.push(RuleInput {
            id: rule.id.to_string(),
            name: rule.name.clone(),
            source: rule.source.clone(),
            priority: rule.priority,
            order: number(n),
            enabled: rule.enabled,
            spec: rule.spec.clone(),
        });
    }
    inputs.push(RuleInput {
        id,
        name: draft.name,
        source: draft.source,
        priority: draft.priority.unwrap_or(last.saturating_add(10)),
        order: number(place),
        enabled: true,
        spec: draft.spec,
    });
    let (set, _) = RuleSet::compile_lenient(inputs);
    let no_match = source
        .and_then(|source| CompiledNoMatch::compile(&source.on_no_match).ok())
        .unwrap_or_else(CompiledNoMatch::keep);
    let meta = Meta {
        event_id: event.summary.id.to_string(),
        correlation_id: event.summary.correlation_id.clone(),
        received_at: event.summary.received_at,
        source: event.summary.source.clone(),
    };
    set.explain(&Input {
        source: &event.summary.source,
        mode: source.map_or(MatchMode::First, |source| source.match_mode),
        no_match: &no_match,
        payload: event.payload.as_ref().unwrap_or(&Value::Null),
        meta: &meta,
        now,
        fuel: limits::FUEL,
    })
}

fn number(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}
