//! One attempt: link, call, decision, settlement.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use engine::guard::Judgement;
use engine::retry::RetryPolicy;
use engine::rules::Action;
use entity::{delivery, link};
use futures_util::FutureExt as _;
use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _};
use uuid::Uuid;

use super::decide::{Situation, by_status, decide, in_lane, may_pass};
use super::{Desk, MASS_GONE, ghost};
use crate::clock::from_ms;
use crate::connectors::{Fault, Job, Link, LinkChange, Outcome, Report};
use crate::core::Core;
use crate::journal::{NewState, Settlement};
use crate::snapshot::ConnectionConfig;

/// No attempt takes longer; connectors have their own, shorter limits.
const LONGEST: Duration = Duration::from_secs(300);

/// Makes one attempt and hands its outcome to the journal. Returns the outcome for the breaker, if
/// there was one.
pub async fn attempt(
    core: Arc<Core>,
    desk: Arc<Desk>,
    connection: Arc<ConnectionConfig>,
    policy: Arc<RetryPolicy>,
    claimed: delivery::Model,
) -> Option<Outcome> {
    let started_at = core.clock.now_ms();
    let begun = Instant::now();
    let (called, ended) = tokio::select! {
        biased;
        called = call(&core, &connection, &claimed, begun) => (called, true),
        () = lease_lost(&core, &claimed) => (Called::from(given_up()), false),
    };
    let Called { mut report, ghost } = called;
    let duration = begun.elapsed();
    core.metrics.attempt(
        &connection.view.connector,
        report.outcome.word(),
        duration.as_secs_f64(),
    );
    let word = report.outcome.word();
    report.outcome = by_status(report.outcome, &policy);
    let mass = match ghost {
        Some(judgement) => judgement == Judgement::Mass,
        None => core
            .dispatch
            .is_mass_gone(&desk, &claimed, &report.outcome, begun),
    };
    let mut next = decide(
        &report.outcome,
        &policy,
        Situation {
            now: core.clock.now_ms(),
            tried_at: core.clock.steady(claimed.tried_at.unwrap_or(started_at)),
            attempts: u32::try_from(claimed.attempts).unwrap_or(0) + 1,
            unsure: claimed.unsure,
            random: (core.dispatch.0.options.random)(),
        },
    );
    let mut fault = report.outcome.fault().cloned();
    // One that was taken before its time, to see whether the upstream is back: if not, it is as if
    // nobody had asked. Its own attempts come when they are due.
    let early = claimed.due_at.saturating_sub(claimed.updated_at);
    let probe = claimed.attempts > 0 && early > 0 && may_pass(&report.outcome);
    if probe {
        let since = core.clock.now_ms() - core.clock.steady(claimed.updated_at);
        next = NewState::Retrying {
            wait_ms: early.saturating_sub(since).max(0),
            unsure: claimed.unsure || matches!(report.outcome, Outcome::Unknown(_)),
        };
    }
    if mass {
        next = NewState::Paused;
        // What is said of so many records at once is believed of none.
        report.link = LinkChange::Keep;
        fault = fault.map(|fault| Fault {
            code: MASS_GONE.to_owned(),
            message: format!(
                "Many records are said to be gone at once; the last: {}",
                fault.message
            ),
            status: fault.status,
        });
    } else if claimed.lane.is_some() {
        next = in_lane(next, connection.on_failure);
    }
    let (effect, record) = match &report.outcome {
        Outcome::Delivered { effect, record } => (Some(*effect), record.clone()),
        _ => (None, None),
    };
    core.journal
        .settle(Settlement {
            connection: connection.view.name.clone(),
            revision: connection.view.revision,
            state_at: connection.state_at,
            started_at: Some(started_at).filter(|_| !probe),
            duration_ms: i64::try_from(duration.as_millis()).unwrap_or(i64::MAX),
            outcome: word,
            next,
            effect,
            record,
            fault,
            link: report.link,
            exchanges: report.exchanges,
            claimed,
        })
        .await;
    ended.then_some(report.outcome)
}

/// Returns when another node may have taken the delivery: two that make the same call at once would
/// both find nothing upstream, and make it twice.
async fn lease_lost(core: &Core, claimed: &delivery::Model) {
    while core.dispatch.is_ours(claimed) {
        match core.nodes.lease().until() {
            None => std::future::pending().await,
            Some(until) if until <= Instant::now() => return,
            Some(until) => tokio::time::sleep_until(until.into()).await,
        }
    }
}

fn given_up() -> Report {
    failed(Outcome::Unknown(Fault {
        code: "lease_lost".to_owned(),
        message: "This node lost its database in the middle of the call.".to_owned(),
        status: None,
    }))
}

/// What came of the call.
pub(super) struct Called {
    pub(super) report: Report,
    /// What was made of a linked record that is gone.
    pub(super) ghost: Option<Judgement>,
}

impl From<Report> for Called {
    fn from(report: Report) -> Self {
        Self {
            report,
            ghost: None,
        }
    }
}

async fn call(
    core: &Core,
    connection: &ConnectionConfig,
    claimed: &delivery::Model,
    begun: Instant,
) -> Called {
    let Some(connector) = core.registry.get(&connection.view.connector) else {
        return Called::from(failed(Outcome::Permanent(Fault {
            code: "connector_missing".to_owned(),
            message: "This server has no connector of that name.".to_owned(),
            status: None,
        })));
    };
    // Most deliveries have no key; a query's future is large.
    let link = match &claimed.lane {
        None => Ok(None),
        Some(key) => Box::pin(find_link(core, claimed.connection_id, key)).await,
    };
    let link = match link {
        Ok(link) => link,
        Err(error) => {
            tracing::warn!(%error, delivery.id = %claimed.id, "The ledger could not be read.");
            return Called::from(failed(unread_ledger()));
        }
    };
    let job = Job {
        delivery_id: claimed.id,
        message_id: claimed.message_id.clone(),
        correlation_id: claimed.correlation_id.clone(),
        operation: claimed.operation.clone(),
        key: claimed.lane.clone(),
        action: claimed.action.as_deref().and_then(action),
        fields: serde_json::from_str(&claimed.fields).unwrap_or_default(),
        link,
        unsure: claimed.unsure,
        attempt: u32::try_from(claimed.attempts).unwrap_or(0) + 1,
        repeats: u32::try_from(claimed.repeats).unwrap_or(1).max(1),
        received_at: from_ms(claimed.received_at),
    };
    let report = bounded(claimed, connector.execute(&connection.view, &job))
        .await
        .unwrap_or_else(unknown);
    if report.is_ghost() {
        // Rare, and its future is large.
        let asked = ghost::Asked {
            core,
            connector: connector.as_ref(),
            connection: &connection.view,
            claimed,
            begun,
        };
        return Box::pin(ghost::look_again(asked, job, report)).await;
    }
    Called::from(report)
}

/// A call of a connector, which ends whatever it does; if not as it should, then it is unknown what
/// came of it.
pub(super) async fn bounded<T>(
    claimed: &delivery::Model,
    call: impl Future<Output = T>,
) -> Result<T, Fault> {
    let call = AssertUnwindSafe(call).catch_unwind();
    match tokio::time::timeout(LONGEST, call).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(_panic)) => {
            tracing::error!(delivery.id = %claimed.id, connection.id = %claimed.connection_id, "A connector panicked.");
            Err(Fault {
                code: "connector_panic".to_owned(),
                message: "The connector failed unexpectedly.".to_owned(),
                status: None,
            })
        }
        Err(_elapsed) => Err(Fault {
            code: "timeout".to_owned(),
            message: "The attempt took too long.".to_owned(),
            status: None,
        }),
    }
}

/// The report of a call that ended otherwise than it should.
pub(super) fn unknown(fault: Fault) -> Report {
    failed(Outcome::Unknown(fault))
}

/// What came of an attempt that did not know its link.
pub(super) fn unread_ledger() -> Outcome {
    Outcome::Retry {
        after: None,
        fault: Fault {
            code: "database".to_owned(),
            message: "The ledger could not be read.".to_owned(),
            status: None,
        },
    }
}

const fn failed(outcome: Outcome) -> Report {
    Report {
        outcome,
        link: LinkChange::Keep,
        exchanges: Vec::new(),
    }
}

async fn find_link(
    core: &Core,
    connection: Uuid,
    key: &str,
) -> Result<Option<Link>, sea_orm::DbErr> {
    Ok(link::Entity::find()
        .filter(link::Column::ConnectionId.eq(connection))
        .filter(link::Column::Key.eq(key))
        .one(core.db.read())
        .await?
        .map(|row| Link {
            record_id: row.record_id,
            open: row.state == "open",
        }))
}

/// The action of a word in the database.
pub fn action(word: &str) -> Option<Action> {
    match word {
        "open" => Some(Action::Open),
        "close" => Some(Action::Close),
        "note" => Some(Action::Note),
        "ignore" => Some(Action::Ignore),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// It is moved to its task.
    #[test]
    fn the_future_of_an_attempt_is_small() {
        fn size<A, B, C, D, E, F>(_: fn(A, B, C, D, E) -> F) -> usize {
            size_of::<F>()
        }
        let size = size(attempt);
        assert!(size <= 4096, "{size}");
    }
}
