//! What the rules would do with an event, and exactly what would be sent.
//!
//! The verdict comes from the very engine that routes; the requests from the very connectors that
//! deliver, with the upstream record that the key is tied to today. Nothing is sent or stored.

use std::collections::HashMap;

use engine::limits;
use engine::model::{MatchMode, NoMatch};
use engine::rules::{CompiledNoMatch, Input, Meta, Rendered, RuleInput, RuleSet};
use engine::split::Parts;
use entity::{link, source};
use openapi::problem::{Code, FieldError};
use openapi::rules::{DraftRule, ExplainRequest, ExplainResponse, Part, PlannedRequest};
use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _};
use serde_json::Value;
use uuid::Uuid;

use super::rules::{rows, source_id};
use super::sources::{match_mode, stored};
use super::validate::{validate_rule, within};
use super::{events, names};
use crate::clock::from_ms;
use crate::connectors::{Connection, Job, Link};
use crate::core::Core;
use crate::http::problem::{ApiError, ApiResult, field_error};
use crate::ingest::{self, TOO_MANY_EVENTS};
use crate::mask;
use crate::scope::Scope;

/// Explains.
///
/// # Errors
/// 404 for an unknown event, 422 for an unknown source or faults of the draft.
pub async fn explain(
    core: &Core,
    scope: Scope,
    request: ExplainRequest,
) -> ApiResult<ExplainResponse> {
    let subject = subject(core, scope, &request).await?;
    let rules = rule_set(core, scope, request.draft).await?;
    let source = source(core, scope, subject.source).await?;
    let policy: NoMatch = match &source {
        Some(source) => stored("source.on_no_match", &source.on_no_match)?,
        None => NoMatch::Keep,
    };
    let no_match = CompiledNoMatch::compile(&policy).unwrap_or_else(|_| CompiledNoMatch::keep());
    let source_key = subject.source.map_or_else(String::new, |id| id.to_string());
    let mut explanation = rules.explain(&Input {
        source: &source_key,
        mode: source
            .as_ref()
            .map_or(MatchMode::First, |s| match_mode(&s.match_mode)),
        no_match: &no_match,
        payload: &subject.payload,
        meta: &subject.meta,
        now: core.clock.now(),
        fuel: limits::FUEL,
    });
    // The engine knows sources by id; people know them by slug.
    let slugs = names::sources(core.db.read(), scope).await?;
    for rule in &mut explanation.rules {
        let id = rule.source.as_ref().and_then(|id| id.parse().ok());
        rule.source = id.and_then(|id: Uuid| slugs.get(&id).cloned());
    }
    let connections = names::connections(core.db.read(), scope).await?;
    let by_name: HashMap<&str, Uuid> = connections
        .iter()
        .map(|(id, (name, _))| (name.as_str(), *id))
        .collect();
    let mut requests = Vec::new();
    for rendered in explanation.matches.iter().flat_map(|hit| &hit.steps) {
        requests.extend(plan(core, scope, &by_name, rendered, &subject.meta).await?);
    }
    Ok(ExplainResponse {
        explanation,
        requests,
        part: subject.part,
    })
}

/// What the rules look at.
struct Subject {
    source: Option<Uuid>,
    payload: Value,
    /// Which of the events of a payload it is.
    part: Option<Part>,
    meta: Meta,
}

async fn subject(core: &Core, scope: Scope, request: &ExplainRequest) -> ApiResult<Subject> {
    if request.item.is_some() && request.payload.is_none() {
        let message = "Only a payload can be several events.";
        return Err(ApiError::invalid("item", "conflict", message));
    }
    let named = source_id(core.db.read(), scope, request.source.as_deref()).await?;
    let mut part = None;
    let (source, payload, meta) = match (request.event_id, &request.payload) {
        (Some(_), Some(_)) | (None, None) => {
            return Err(ApiError::invalid(
                "payload",
                "conflict",
                "Give either a payload or an event_id.",
            ));
        }
        (None, Some(payload)) => {
            let now = core.clock.now();
            let meta = ("preview".to_owned(), "preview".to_owned(), now);
            let payload = view(core, named, payload.clone(), request.item, &mut part)?;
            (named, payload, meta)
        }
        (Some(id), None) => {
            let row = events::find(core, scope, id).await?;
            if row.reason == TOO_MANY_EVENTS {
                return Err(too_many("event_id"));
            }
            let payload = ingest::view(&row)?;
            let meta = (
                row.id.to_string(),
                row.correlation_id,
                from_ms(row.received_at),
            );
            (named.or(Some(row.source_id)), payload, meta)
        }
    };
    let slugs = names::sources(core.db.read(), scope).await?;
    let (event_id, correlation_id, received_at) = meta;
    Ok(Subject {
        part,
        payload,
        meta: Meta {
            event_id,
            correlation_id,
            received_at,
            source: source
                .and_then(|id| slugs.get(&id).cloned())
                .unwrap_or_default(),
        },
        source,
    })
}

/// What the rules would see of a payload of a source that may cut it.
fn view(
    core: &Core,
    source: Option<Uuid>,
    payload: Value,
    item: Option<u32>,
    part: &mut Option<Part>,
) -> ApiResult<Value> {
    let place = item.unwrap_or(0);
    let no_such = || ApiError::invalid("item", "out_of_range", "There are fewer events in it.");
    let snapshot = core.snapshots.current();
    let split = source
        .and_then(|id| snapshot.source(id))
        .and_then(|source| source.split.as_ref());
    let parts = match split {
        Some(split) => split.apply(payload, None),
        None => Parts::Whole(payload),
    };
    match parts {
        Parts::Whole(_) if place > 0 => Err(no_such()),
        Parts::Whole(payload) => Ok(payload),
        Parts::TooMany(_) => Err(too_many("payload")),
        Parts::Items(items, _) => {
            let count = u32::try_from(items.len()).unwrap_or(u32::MAX);
            let place_of = usize::try_from(place).unwrap_or(usize::MAX);
            let item = items.into_iter().nth(place_of).ok_or_else(no_such)?;
            *part = Some(Part {
                item: place,
                items: count,
            });
            Ok(item.view)
        }
    }
}

fn too_many(field: &str) -> ApiError {
    let message = "It carries more events than the source allows; no rule is asked about it.";
    ApiError::invalid(field, TOO_MANY_EVENTS, message)
}

async fn source(core: &Core, scope: Scope, id: Option<Uuid>) -> ApiResult<Option<source::Model>> {
    let Some(id) = id else { return Ok(None) };
    Ok(source::Entity::find_by_id(id)
        .filter(source::Column::WorkspaceId.eq(scope.workspace()))
        .one(core.db.read())
        .await?)
}

/// The saved rules, with the draft in its place.
async fn rule_set(core: &Core, scope: Scope, draft: Option<DraftRule>) -> ApiResult<RuleSet> {
    let mut inputs = Vec::new();
    let mut last = 0;
    for row in rows(core.db.read(), scope).await? {
        let order = u64::try_from(row.seq).unwrap_or_default();
        last = last.max(order);
        let Ok(spec) = serde_json::from_str(&row.spec) else {
            continue;
        };
        inputs.push(RuleInput {
            id: row.id.to_string(),
            name: row.name,
            source: row.source_id.map(|id| id.to_string()),
            priority: row.priority,
            order,
            enabled: row.enabled,
            spec,
        });
    }
    if let Some(draft) = draft {
        let kinds = names::kinds(core.db.read(), scope).await?;
        let faults = validate_rule(&core.registry, &kinds, &draft.rule.spec);
        ApiError::refuse(within("draft.rule.spec", faults))?;
        let source = source_id(core.db.read(), scope, draft.rule.source.as_deref()).await?;
        let id = draft.id.unwrap_or_default().to_string();
        let saved = inputs.iter().position(|rule| rule.id == id);
        let mut input = RuleInput {
            id,
            name: draft.rule.name,
            source: source.map(|id| id.to_string()),
            priority: draft.rule.priority.unwrap_or(i32::MAX),
            order: last + 1,
            enabled: draft.rule.enabled,
            spec: draft.rule.spec,
        };
        match saved.and_then(|at| inputs.get_mut(at)) {
            Some(saved) => {
                input.order = saved.order;
                if draft.rule.priority.is_none() {
                    input.priority = saved.priority;
                }
                *saved = input;
            }
            None if draft.id.is_some() => {
                return Err(ApiError::invalid(
                    "draft.id",
                    "unknown_rule",
                    "The workspace has no such rule.",
                ));
            }
            None => inputs.push(input),
        }
    }
    Ok(RuleSet::compile_lenient(inputs).0)
}

/// The requests of one rendered operation.
async fn plan(
    core: &Core,
    scope: Scope,
    connections: &HashMap<&str, Uuid>,
    rendered: &Rendered,
    meta: &Meta,
) -> ApiResult<Vec<PlannedRequest>> {
    let fault = rendered.fault.as_ref().map(|fault| FieldError {
        field: fault.at.clone(),
        code: fault.code.as_str().to_owned(),
        message: fault.message.clone(),
        offset: fault.offset,
    });
    if let Some(fault) = fault {
        return Ok(vec![unsendable(rendered, fault)]);
    }
    let Some(id) = connections.get(rendered.connection.as_str()).copied() else {
        let fault = field_error(
            "connection",
            "unknown_connection",
            "The workspace has no connection of that name.",
        );
        return Ok(vec![unsendable(rendered, fault)]);
    };
    let (connection, connector) = match super::connections::view(core, scope, id) {
        Ok(found) => found,
        Err(error) if error.code == Code::Conflict || error.code == Code::NotFound => {
            let message = "The connection cannot be used as it is.";
            let fault = field_error("connection", "unusable_connection", message);
            return Ok(vec![unsendable(rendered, fault)]);
        }
        Err(error) => return Err(error),
    };
    let job = job(core, &connection, rendered, meta).await?;
    let mut requests = connector.plan(&connection, &job);
    for request in &mut requests {
        request.headers = mask::headers(std::mem::take(&mut request.headers));
        request.body = request.body.take().map(mask::value);
    }
    Ok(requests)
}

async fn job(
    core: &Core,
    connection: &Connection,
    rendered: &Rendered,
    meta: &Meta,
) -> ApiResult<Job> {
    let link = match &rendered.key {
        None => None,
        Some(key) => link::Entity::find()
            .filter(link::Column::ConnectionId.eq(connection.id))
            .filter(link::Column::Key.eq(key))
            .one(core.db.read())
            .await?
            .map(|row| Link {
                record_id: row.record_id,
                open: row.state == "open",
            }),
    };
    Ok(Job {
        delivery_id: Uuid::nil(),
        message_id: "preview".to_owned(),
        correlation_id: meta.correlation_id.clone(),
        operation: rendered.operation.clone(),
        key: rendered.key.clone(),
        action: rendered.action,
        fields: rendered.fields.clone(),
        link,
        attempt: 1,
        repeats: 1,
        unsure: false,
        received_at: meta.received_at,
    })
}

fn unsendable(rendered: &Rendered, fault: FieldError) -> PlannedRequest {
    PlannedRequest {
        connection: rendered.connection.clone(),
        operation: rendered.operation.clone(),
        method: String::new(),
        url: String::new(),
        headers: Vec::new(),
        body: None,
        note: None,
        fault: Some(fault),
    }
}
