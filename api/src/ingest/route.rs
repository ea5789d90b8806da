//! Asking the engine, and turning its verdict into deliveries.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use engine::limits;
use engine::rules::{Action, Disposition, Input, Meta, Rendered, StepKind, Verdict};
use entity::{delivery, event};
use openapi::events::MatchedRule;
use openapi::maintenance::WindowMode;
use serde_json::Value;
use uuid::Uuid;

use super::fan_out::TOO_MANY_EVENTS;
use crate::clock::from_ms;
use crate::connectors::http;
use crate::core::Core;
use crate::journal::{AcceptEvent, NewDelivery};
use crate::lifecycle::{HOPS_FIELD, Hops};
use crate::maintenance::Cover;
use crate::request;
use crate::snapshot::{SourceConfig, WorkspaceConfig};

/// Longest key of a lane in bytes; a longer one would not fit the databases' indexes well.
const LONGEST_KEY: usize = 1000;

/// Routes an event by the rules that are served now. Sets its disposition and matched rules; a
/// fault makes it `unrouted`, which can be replayed.
pub fn route(
    core: &Core,
    source: &Arc<SourceConfig>,
    mut event: event::Model,
    payload: &Value,
    replay: bool,
) -> AcceptEvent {
    let snapshot = core.snapshots.current();
    let Some(workspace) = snapshot.workspace(source.workspace_id) else {
        set_fault(&mut event, "workspace_missing");
        return accept(event, source, replay, Vec::new(), Vec::new());
    };
    route_by(core, workspace, source, event, payload, replay)
}

/// The same by rules that the caller names.
pub fn route_by(
    core: &Core,
    workspace: &WorkspaceConfig,
    source: &Arc<SourceConfig>,
    mut event: event::Model,
    payload: &Value,
    replay: bool,
) -> AcceptEvent {
    if event.reason == TOO_MANY_EVENTS {
        // Also when it is replayed: rules are made for one of its events, not for their list.
        set_fault(&mut event, TOO_MANY_EVENTS);
        return accept(event, source, replay, Vec::new(), Vec::new());
    }
    let verdict = match ask(core, workspace, source, &event, payload) {
        Ok(verdict) => verdict,
        Err(reason) => {
            set_fault(&mut event, reason);
            return accept(event, source, replay, Vec::new(), Vec::new());
        }
    };
    event.disposition = word(verdict.disposition).to_owned();
    event.reason.clone_from(&verdict.reason);
    let hops = Hops::of_event(&event.headers).to_field();
    let mut matched = Vec::new();
    let mut deliveries = Vec::new();
    for hit in verdict.matches {
        let (id, revision) = hit
            .rule_id
            .as_ref()
            .and_then(|id| workspace.revisions.get(id))
            .map_or((None, 0), |(id, revision)| (Some(*id), *revision));
        matched.push(MatchedRule {
            id,
            name: hit.rule_name.clone(),
            revision,
        });
        for mut step in hit.steps {
            // What an event came with goes on with what is sent of it to other hooks.
            if let Some(hops) = hops.as_ref().filter(|_| step.operation == http::REQUEST) {
                step.fields.insert(HOPS_FIELD.to_owned(), hops.clone());
            }
            deliveries.push(plan(
                core,
                workspace,
                &event,
                (id, &hit.rule_name, revision),
                (hit.quarantined, replay),
                step,
            ));
        }
    }
    event.matched = serde_json::to_string(&matched).unwrap_or_default();
    let rules = matched.into_iter().map(|m| m.name).collect();
    accept(event, source, replay, rules, deliveries)
}

fn accept(
    event: event::Model,
    source: &SourceConfig,
    replay: bool,
    rules: Vec<String>,
    deliveries: Vec<NewDelivery>,
) -> AcceptEvent {
    AcceptEvent {
        event,
        source: source.slug.clone(),
        rules,
        replay,
        deliveries,
    }
}

fn set_fault(event: &mut event::Model, reason: &str) {
    "unrouted".clone_into(&mut event.disposition);
    reason.clone_into(&mut event.reason);
    "[]".clone_into(&mut event.matched);
}

/// The word of a disposition.
pub const fn word(disposition: Disposition) -> &'static str {
    match disposition {
        Disposition::Routed => "routed",
        Disposition::Unmatched => "unmatched",
        Disposition::Dropped => "dropped",
        Disposition::Unrouted => "unrouted",
    }
}

fn ask(
    core: &Core,
    workspace: &WorkspaceConfig,
    source: &SourceConfig,
    event: &event::Model,
    payload: &Value,
) -> Result<Verdict, &'static str> {
    let meta = Meta {
        event_id: event.id.to_string(),
        correlation_id: event.correlation_id.clone(),
        received_at: from_ms(event.received_at),
        source: source.slug.clone(),
    };
    let input = Input {
        source: &source.id_text,
        mode: source.match_mode,
        no_match: &source.no_match,
        payload,
        meta: &meta,
        now: core.clock.now(),
        fuel: limits::FUEL,
    };
    // The engine does not panic; if it ever does, the event is kept all the same.
    match catch_unwind(AssertUnwindSafe(|| workspace.rules.evaluate(&input))) {
        Ok(Ok(verdict)) => Ok(verdict),
        Ok(Err(fault)) => {
            let code = fault.code.as_str();
            request::say(|| {
                tracing::warn!(event.id = %event.id, fault.code = code, "An event could not be routed.");
            });
            Err(code)
        }
        Err(_panic) => {
            request::say(|| tracing::error!(event.id = %event.id, "The engine panicked."));
            Err("engine_panic")
        }
    }
}

fn plan(
    core: &Core,
    workspace: &WorkspaceConfig,
    event: &event::Model,
    (rule_id, rule_name, rule_revision): (Option<Uuid>, &str, i64),
    (quarantined, replay): (bool, bool),
    step: Rendered,
) -> NewDelivery {
    let id = crate::ids::new(&core.clock);
    let now = core.clock.now_ms();
    let connection = workspace.connections.get(&step.connection).copied();
    let key_fits = step.key.as_ref().is_none_or(|key| key.len() <= LONGEST_KEY);
    let cover = connection
        .and_then(|id| workspace.maintenance.cover(now, Some(event.source_id), id))
        .filter(|_| step.fault.is_none() && key_fits);
    let trouble = if let Some(fault) = &step.fault {
        Some((fault.code.as_str(), fault.message.clone()))
    } else if connection.is_none() {
        Some((
            "connection_missing",
            "The rule names a connection that does not exist.".to_owned(),
        ))
    } else if !key_fits {
        Some((
            "key_too_long",
            format!("The record key is longer than {LONGEST_KEY} bytes."),
        ))
    } else {
        None
    };
    let ignore = step.action == Some(Action::Ignore);
    let state = match (&trouble, step.kind) {
        // What a quarantined rule takes waits until the rule is mended and the event replayed.
        _ if quarantined => "parked",
        (Some(_), _) => "dead",
        (None, _) if ignore => "delivered",
        (None, StepKind::Hold) => "held",
        (None, StepKind::Deliver) => match cover {
            None => "ready",
            // A ticket that was opened before must not stay open, and who replays something wants it.
            Some(cover) if waits(cover, step.action) || replay => "windowed",
            Some(_) => "discarded",
        },
    };
    let finished = matches!(state, "dead" | "delivered" | "discarded");
    let (error_code, error) = if state == "discarded" {
        (Some("maintenance"), Some(skipped(cover)))
    } else {
        trouble.unzip()
    };
    let row = delivery::Model {
        id,
        workspace_id: event.workspace_id,
        event_id: event.id,
        source_id: Some(event.source_id),
        correlation_id: event.correlation_id.clone(),
        received_at: event.received_at,
        rule_id,
        rule_name: rule_name.to_owned(),
        rule_revision,
        step: i32::try_from(step.step).unwrap_or(i32::MAX),
        connection_id: connection.unwrap_or_default(),
        operation: step.operation,
        lane: step
            .key
            .filter(|_| key_fits)
            .map(|key| key.replace('\0', "\u{fffd}")),
        action: step.action.map(|a| action_word(a).to_owned()),
        fields: serde_json::to_string(&step.fields).unwrap_or_default(),
        message_id: format!("msg_{}", id.simple()),
        state: state.to_owned(),
        behind: false,
        due_at: now,
        lease_owner: None,
        fence: 0,
        attempts: 0,
        tried_at: None,
        unsure: false,
        error_code: error_code.map(str::to_owned),
        error,
        effect: ignore.then(|| "none".to_owned()),
        record_id: None,
        record_url: None,
        replay_of: None,
        replayed_as: None,
        created_at: now,
        updated_at: now,
        finished_at: finished.then_some(now),
        repeats: 1,
        coalesced_into: None,
        lane_parked: false,
        place: None,
    };
    NewDelivery::new(row, step.connection)
}

fn waits(cover: Cover<'_>, action: Option<Action>) -> bool {
    cover.mode == WindowMode::Queue || action == Some(Action::Close)
}

fn skipped(cover: Option<Cover<'_>>) -> String {
    let name = cover.and_then(|cover| cover.name).unwrap_or_default();
    format!("The maintenance window \"{name}\" was open.")
}

/// The word of an action.
pub const fn action_word(action: Action) -> &'static str {
    match action {
        Action::Open => "open",
        Action::Close => "close",
        Action::Note => "note",
        Action::Ignore => "ignore",
    }
}
