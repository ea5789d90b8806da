//! Hearing the others.

use std::time::Duration;

use deadpool_redis::redis::aio::PubSub;
use futures_util::StreamExt as _;
use sea_orm::sqlx;
use sea_orm::sqlx::postgres::{PgListener, PgNotification};
use uuid::Uuid;

use super::{CONFIGURATION, DUE, LIVE, NODE, relay, ring};
use crate::core::Core;

/// Wait before a lost connection is made anew.
const AGAIN: Duration = Duration::from_millis(250);

/// Listens to PostgreSQL, on a connection of its own that is made anew whenever it is lost.
pub(super) async fn postgres(core: &Core) {
    let Some(url) = core.db.postgres_url() else {
        return;
    };
    let mut first = true;
    loop {
        match connected(core, url, &mut first).await {
            Ok(()) => tracing::debug!("Nothing was heard for long; listening anew."),
            Err(error) => tracing::debug!(%error, "The connection that listens was lost."),
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// Listens on one connection until it is lost, or has been silent for longer than this node's own
/// greetings allow.
async fn connected(core: &Core, url: &str, first: &mut bool) -> Result<(), sqlx::Error> {
    let mut listener = PgListener::connect(url).await?;
    listener
        .listen_all([DUE, CONFIGURATION, NODE, LIVE])
        .await?;
    missed(core);
    core.live.reset();
    if !std::mem::replace(first, false) {
        tracing::info!("Listening to the other nodes again.");
    }
    loop {
        match tokio::time::timeout(core.nodes.lease().length(), listener.try_recv()).await {
            Ok(Ok(Some(notification))) => heard(core, &notification),
            // Lost and made anew meanwhile.
            Ok(Ok(None)) => {
                missed(core);
                core.live.reset();
            }
            Ok(Err(error)) => return Err(error),
            Err(_silent) => return Ok(()),
        }
    }
}

/// What was told meanwhile is unknown: looks everywhere.
fn missed(core: &Core) {
    core.snapshots.look();
    for connection in core.snapshots.current().connections() {
        core.dispatch.kick(connection.view.id);
    }
}

fn heard(core: &Core, notification: &PgNotification) {
    let text = notification.payload();
    match notification.channel() {
        DUE => match ring::read(text) {
            Some((node, _)) if node == core.nodes.0.me => {}
            Some((_, Some(connections))) => {
                connections
                    .into_iter()
                    .for_each(|id| core.dispatch.kick(id));
            }
            Some((_, None)) => missed(core),
            None => tracing::debug!("A notification cannot be read."),
        },
        CONFIGURATION => core.snapshots.look(),
        NODE => {
            if let Ok(node) = Uuid::parse_str(text) {
                core.nodes.heard(node);
            }
        }
        LIVE => relay::heard(core, text.as_bytes()),
        _ => {}
    }
}

/// Listens to Redis, where it is set.
pub(super) async fn redis(core: &Core) {
    let channel = relay::channel(core);
    while let Some(listener) = core.redis.subscribe(&channel).await {
        if let Ok(listener) = listener {
            // What was said before is unknown.
            core.live.reset();
            follow(core, listener).await;
        }
        tokio::time::sleep(AGAIN).await;
    }
}

async fn follow(core: &Core, mut listener: PubSub) {
    let mut messages = std::pin::pin!(listener.on_message());
    while let Some(message) = messages.next().await {
        relay::heard(core, message.get_payload_bytes());
    }
}
