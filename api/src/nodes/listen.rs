//! Hearing the others.

use std::time::Duration;

use deadpool_redis::redis::Value;
use deadpool_redis::redis::aio::PubSub;
use futures_util::StreamExt as _;
use sea_orm::sqlx;
use sea_orm::sqlx::postgres::{PgListener, PgNotification};
use uuid::Uuid;

use super::{CONFIGURATION, DEAF, DUE, LIVE, NODE, notify, relay, ring};
use crate::core::Core;

/// Wait before a lost connection is made anew.
const AGAIN: Duration = Duration::from_millis(250);
/// How often Redis is asked whether it still has the connection that listens to it, and how long it
/// may take to say so. A connection whose other end is gone without a word is silent like one on
/// which nothing happens, and Redis counts it among those that listen.
const BEAT: Duration = Duration::from_secs(1);
const PULSE: Duration = Duration::from_secs(2);

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
        .listen_all([DUE, CONFIGURATION, NODE, LIVE, DEAF])
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
        DEAF => {
            if let Ok(node) = Uuid::parse_str(text) {
                core.nodes.heard_deaf(node);
            }
        }
        LIVE => relay::heard(core, text.as_bytes()),
        _ => {}
    }
}

/// Listens to Redis, where it is set. While that cannot be had, the others are told by PostgreSQL that
/// this node is deaf there, and send by both ways.
pub(super) async fn redis(core: &Core) {
    let channel = relay::channel(core);
    while let Some(listener) = core.redis.subscribe(&channel).await {
        if let Ok(listener) = listener {
            core.nodes.deafen(false);
            // What was said before is unknown.
            core.live.reset();
            follow(core, listener).await;
        }
        if !core.nodes.deafen(true) {
            tell_deaf(core).await;
            // What was said since the last sign of life is lost.
            core.live.reset();
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// Hears what is said until the connection is lost, or gives no sign of life.
async fn follow(core: &Core, listener: PubSub) {
    let (mut sink, mut messages) = listener.split();
    loop {
        match tokio::time::timeout(BEAT, messages.next()).await {
            Ok(Some(message)) => relay::heard(core, message.get_payload_bytes()),
            Ok(None) => return,
            Err(_silent) => {
                let pong = tokio::time::timeout(PULSE, sink.ping::<Value>()).await;
                if !matches!(pong, Ok(Ok(_))) {
                    tracing::debug!("Redis gives no sign of life where this node listens.");
                    return;
                }
            }
        }
    }
}

/// Tells the others that this node hears nothing over Redis.
pub(super) async fn tell_deaf(core: &Core) {
    let me = core.nodes.0.me.to_string();
    if let Err(error) = notify(&core.db, DEAF, vec![me]).await {
        tracing::debug!(%error, "The other nodes could not be told to send by PostgreSQL.");
    }
}
