//! What stands in the place of an old delivery.

use std::collections::HashSet;
use std::sync::Arc;

use entity::{delivery, event};
use openapi::deliveries::{ReplayRules, State};
use openapi::events::Replayed;
use sea_orm::{ColumnTrait as _, DbErr, EntityTrait as _, QueryFilter as _, QueryOrder as _};
use uuid::Uuid;

use super::query::conflict;
use super::steps::{self, Fate};
use crate::core::Core;
use crate::http::problem::{ApiError, ApiResult};
use crate::ingest;
use crate::journal::{Accept, AcceptEvent, NewDelivery, places_of, repeat_of};
use crate::lifecycle;
use crate::scope::Scope;
use crate::services::audit::{self, Act, Actor};
use crate::services::rules::{self, RulesThen};

/// Why there is nothing in its place; a stable code.
pub type Reason = String;

/// Makes what stands in the place of old deliveries.
#[derive(Debug)]
pub struct Maker<'a> {
    core: &'a Core,
    scope: Scope,
    then: RulesThen,
    /// Steps that were made and are not on disk yet: event, rule, step.
    made: HashSet<(Uuid, Option<Uuid>, i32)>,
}

impl<'a> Maker<'a> {
    /// Nothing made yet.
    pub fn new(core: &'a Core, scope: Scope) -> Self {
        Self {
            core,
            scope,
            then: RulesThen::new(),
            made: HashSet::new(),
        }
    }

    /// What was made is on disk.
    pub fn written(&mut self) {
        self.made.clear();
    }

    /// The same operation again, as it was rendered.
    pub fn again(&self, row: &delivery::Model) -> Result<AcceptEvent, Reason> {
        let snapshot = self.core.snapshots.current();
        let Some(connection) = snapshot.connection(row.connection_id) else {
            return Err("connection_gone".to_owned());
        };
        let clock = &self.core.clock;
        let repeat = NewDelivery::new(
            repeat_of(row, crate::ids::new(clock), clock.now_ms()),
            connection.view.name.clone(),
        );
        Ok(AcceptEvent {
            event: receipt(row),
            source: String::new(),
            rules: vec![row.rule_name.clone()],
            replay: true,
            deliveries: vec![repeat],
        })
    }

    /// What rules make of its event: the same step of the same rule; if they have no such step any
    /// more, all that they make and that was never made of this event. No rule made a message to a
    /// subscriber: it is what it was.
    ///
    /// # Errors
    /// A query failed.
    pub async fn by_rules(
        &mut self,
        row: &delivery::Model,
        which: ReplayRules,
    ) -> Result<Result<AcceptEvent, Reason>, DbErr> {
        if lifecycle::is_message(row) {
            return Ok(self.again(row));
        }
        let found = event::Entity::find_by_id(row.event_id)
            .one(self.core.db.read())
            .await?
            .filter(|event| event.workspace_id == self.scope.workspace());
        let Some(event) = found else {
            return Ok(Err("event_gone".to_owned()));
        };
        let mut routed = match self.route(event, which).await? {
            Ok(routed) => routed,
            Err(reason) => return Ok(Err(reason)),
        };
        if routed.event.disposition == "unrouted" {
            return Ok(Err(routed.event.reason));
        }
        self.choose(row, &mut routed.deliveries).await?;
        if let Some(reason) = trouble(&routed.deliveries) {
            return Ok(Err(reason));
        }
        for (delivery, place) in routed.deliveries.iter_mut().zip(places_of(row)) {
            delivery.row.replay_of = Some(row.id);
            delivery.row.place = place;
            let step = (row.event_id, delivery.row.rule_id, delivery.row.step);
            self.made.insert(step);
        }
        Ok(Ok(routed))
    }

    /// Routes an event from its original bytes, by the rules that are asked for.
    async fn route(
        &mut self,
        event: event::Model,
        which: ReplayRules,
    ) -> Result<Result<AcceptEvent, Reason>, DbErr> {
        let snapshot = self.core.snapshots.current();
        let Some(source) = snapshot
            .source(event.source_id)
            .filter(|source| source.workspace_id == event.workspace_id)
            .map(Arc::clone)
        else {
            return Ok(Err("source_gone".to_owned()));
        };
        let Ok(payload) = ingest::view(&event) else {
            return Ok(Err("unreadable".to_owned()));
        };
        let mut routed = match which {
            ReplayRules::Today => ingest::route(self.core, &source, event, &payload, true),
            ReplayRules::Then => match self.then.of(self.core, self.scope, &event).await? {
                Ok(rules) => ingest::route_by(self.core, &rules, &source, event, &payload, true),
                Err(rules::Unknown) => return Ok(Err("rules_unknown".to_owned())),
            },
        };
        // It is stored already, and many may wait here at once.
        routed.event.body = Vec::new();
        Ok(Ok(routed))
    }

    /// Leaves what stands in the place of a dead letter: its step, or those that are new.
    async fn choose(
        &self,
        row: &delivery::Model,
        made: &mut Vec<NewDelivery>,
    ) -> Result<(), DbErr> {
        let known = delivery::Entity::find()
            .filter(delivery::Column::EventId.eq(row.event_id))
            .filter(delivery::Column::WorkspaceId.eq(self.scope.workspace()))
            .filter(delivery::Column::State.ne(State::Superseded.as_str()))
            .filter(delivery::Column::Operation.ne(lifecycle::MESSAGE))
            .order_by_asc(delivery::Column::Id)
            .all(self.core.db.read())
            .await?;
        let steps: Vec<&delivery::Model> = made.iter().map(|d| &d.row).collect();
        let fates = steps::fates(row, &known, &steps);
        let wanted = if fates.contains(&Fate::Same) {
            Fate::Same
        } else {
            Fate::New
        };
        let mut fates = fates.into_iter();
        made.retain(|d| {
            let step = (row.event_id, d.row.rule_id, d.row.step);
            fates.next() == Some(wanted) && !self.made.contains(&step)
        });
        if wanted == Fate::Same {
            for delivery in made {
                let new = &mut delivery.row;
                if (new.connection_id, &new.operation) == (row.connection_id, &row.operation) {
                    // It is the same message, so that a receiver that has it already can tell.
                    new.message_id.clone_from(&row.message_id);
                    new.unsure = row.unsure;
                }
            }
        }
        Ok(())
    }
}

/// Why these would not be better than what they replace.
fn trouble(deliveries: &[NewDelivery]) -> Option<Reason> {
    if deliveries.is_empty() {
        return Some("no_rule".to_owned());
    }
    if deliveries.iter().any(|d| d.row.state == "parked") {
        return Some("rule_quarantined".to_owned());
    }
    deliveries
        .iter()
        .find(|d| d.row.state == "dead")
        .map(|d| d.row.error_code.clone().unwrap_or_default())
}

/// What the journal needs of an event that it does not write.
fn receipt(row: &delivery::Model) -> event::Model {
    event::Model {
        id: row.event_id,
        workspace_id: row.workspace_id,
        source_id: Uuid::nil(),
        received_at: row.received_at,
        correlation_id: row.correlation_id.clone(),
        idempotency_key: None,
        disposition: "routed".to_owned(),
        reason: String::new(),
        method: String::new(),
        content_type: String::new(),
        query: String::new(),
        remote_addr: String::new(),
        headers: "[]".to_owned(),
        body: Vec::new(),
        envelope: None,
        test: false,
        title: String::new(),
        matched: "[]".to_owned(),
    }
}

/// Routes a stored event again, from its original bytes. The event itself stays as it is; the new
/// deliveries point to it.
///
/// # Errors
/// 404; 409 when its source is gone, it cannot be parsed, or the rules of then are not known; 503.
pub async fn event(
    core: &Core,
    scope: Scope,
    by: &Actor,
    id: Uuid,
    which: ReplayRules,
) -> ApiResult<Replayed> {
    let event = event::Entity::find_by_id(id)
        .one(core.db.read())
        .await?
        .filter(|event| event.workspace_id == scope.workspace())
        .ok_or_else(ApiError::not_found)?;
    let title = event.title.clone();
    if which == ReplayRules::Then {
        rules::catch_up(&core.db, &core.clock).await?;
    }
    let routed = Maker::new(core, scope)
        .route(event, which)
        .await?
        .map_err(|reason| {
            conflict(match reason.as_str() {
                "source_gone" => "The source of this event is gone.",
                "rules_unknown" => {
                    "The rules of then are not known: they were saved before versions were kept."
                }
                _ => "The event is no JSON, form or query.",
            })
        })?;
    let disposition = routed.event.disposition.clone();
    let makes_some = !routed.deliveries.is_empty();
    let act = Act {
        action: "event.replay",
        kind: "event",
        id: Some(id),
        name: &title,
        before: serde_json::Value::Null,
        after: serde_json::json!({ "rules": which }),
    };
    audit::note(core.db.write(), &core.clock, scope, by, act).await?;
    let accepted = core
        .journal
        .accept(Accept {
            events: vec![routed],
        })
        .await
        .map_err(ingest::refused)?;
    if makes_some && accepted.delivery_ids.is_empty() {
        // The clean-up was quicker.
        return Err(ApiError::not_found());
    }
    Ok(Replayed {
        event_id: id,
        disposition,
        delivery_ids: accepted.delivery_ids,
    })
}
