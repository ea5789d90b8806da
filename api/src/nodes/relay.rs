//! The live stream across nodes.
//!
//! What happens on a node goes to its own watchers at once, and through here to those of the others:
//! over Redis where it is set and every node listens there and hears, else as notifications of PostgreSQL. Both
//! are bounded: what does not fit is left out, and the watchers of the other nodes are told so by
//! `reset`, once a second at most. Nothing is sent while this node is alone.

use std::time::{Duration, Instant};

use deadpool_redis::redis;
use openapi::stream::Message;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use uuid::Uuid;

use super::{LIVE, LONGEST, notify};
use crate::core::Core;
use crate::live::Outgoing;

/// Messages of one round.
const ROUND: usize = 256;
/// Between two rounds.
const PAUSE: Duration = Duration::from_millis(50);
/// Between two `reset`s.
const RESET: Duration = Duration::from_secs(1);

/// What nodes send each other.
#[derive(Serialize, Deserialize)]
struct Parcel {
    node: Uuid,
    /// Some messages were left out.
    lost: bool,
    /// Workspace and message.
    items: Vec<(Uuid, Message)>,
}

/// The channel of this installation.
pub(super) fn channel(core: &Core) -> String {
    format!("signalbox:{}:live", core.installation)
}

/// Sends until the hub is gone.
pub(super) async fn run(core: &Core, mut outgoing: mpsc::Receiver<Outgoing>) {
    let mut waiting = Vec::with_capacity(ROUND);
    let mut last_reset: Option<Instant> = None;
    let mut lost = false;
    loop {
        let next = outgoing.recv_many(&mut waiting, ROUND);
        // What was lost is told even if nothing else happens.
        let got = if lost {
            tokio::time::timeout(RESET, next).await.ok()
        } else {
            Some(next.await)
        };
        if got == Some(0) {
            return;
        }
        lost |= core.live.overflowed();
        if !core.nodes.others() {
            waiting.clear();
            lost = false;
            continue;
        }
        let may_reset = last_reset.is_none_or(|at| at.elapsed() >= RESET);
        let tell_lost = lost && may_reset;
        if tell_lost {
            last_reset = Some(Instant::now());
            lost = false;
        }
        if !send(core, &mut waiting, tell_lost).await {
            lost = true;
        }
        waiting.clear();
        tokio::time::sleep(PAUSE).await;
    }
}

/// Sends one round; returns whether all of it went out.
async fn send(core: &Core, waiting: &mut Vec<Outgoing>, lost: bool) -> bool {
    let node = core.nodes.0.me;
    let items: Vec<(Uuid, Message)> = waiting
        .drain(..)
        .map(|(workspace, message)| (workspace, (*message).clone()))
        .collect();
    let whole = Parcel { node, lost, items };
    if core.redis.is_used()
        && let Ok(text) = serde_json::to_string(&whole)
    {
        let mut publish = redis::cmd("PUBLISH");
        publish.arg(channel(core)).arg(text);
        // Every node listens, this one too. Whoever does not yet, or no more, hears it from
        // PostgreSQL; the others hear it twice. Redis counts a connection whose other end is gone
        // until it finds out; the node at that end has found out before, and said so.
        let listeners = core.redis.call::<usize>(&publish).await;
        if listeners.is_ok_and(|count| count > core.nodes.count()) && !core.nodes.are_deaf() {
            return true;
        }
    }
    let (texts, fit) = cut(whole);
    match notify(&core.db, LIVE, texts).await {
        Ok(()) => fit,
        Err(error) => {
            tracing::debug!(%error, "The other nodes could not be told what happens.");
            false
        }
    }
}

/// Texts that are short enough; and whether every message fit into one.
fn cut(parcel: Parcel) -> (Vec<String>, bool) {
    let Parcel { node, lost, items } = parcel;
    let mut fit = true;
    let mut texts = Vec::new();
    let start = |lost: bool| format!("{{\"node\":\"{node}\",\"lost\":{lost},\"items\":[");
    let mut text = start(lost);
    let mut empty = !lost;
    for item in items {
        let Ok(item) = serde_json::to_string(&item) else {
            fit = false;
            continue;
        };
        if text.len() + item.len() + 3 > LONGEST {
            if start(false).len() + item.len() + 3 > LONGEST {
                fit = false;
                continue;
            }
            text.push_str("]}");
            texts.push(std::mem::replace(&mut text, start(false)));
        }
        if !text.ends_with('[') {
            text.push(',');
        }
        text.push_str(&item);
        empty = false;
    }
    if !empty {
        text.push_str("]}");
        texts.push(text);
    }
    (texts, fit)
}

/// Tells the watchers of this node what happened on another.
pub(super) fn heard(core: &Core, text: &[u8]) {
    let Ok(parcel) = serde_json::from_slice::<Parcel>(text) else {
        tracing::debug!("A message of another node cannot be read.");
        return;
    };
    if parcel.node == core.nodes.0.me {
        return;
    }
    if parcel.lost {
        core.live.reset();
    }
    for (workspace, message) in parcel.items {
        core.live.pass_on(workspace, message);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parcel(count: i64, lost: bool) -> Parcel {
        let message = |n| (Uuid::from_u128(1), Message::Configuration { revision: n });
        Parcel {
            node: Uuid::from_u128(9),
            lost,
            items: (0..count).map(message).collect(),
        }
    }

    #[test]
    fn texts_are_short_and_hold_everything_in_order() {
        let (texts, fit) = cut(parcel(1000, true));
        assert!(fit && texts.len() > 1);
        let mut revisions = Vec::new();
        for (n, text) in texts.iter().enumerate() {
            assert!(text.len() <= LONGEST);
            let parcel: Parcel = serde_json::from_str(text).unwrap();
            assert_eq!(parcel.lost, n == 0);
            for (_, message) in parcel.items {
                let Message::Configuration { revision } = message else {
                    panic!("{message:?}");
                };
                revisions.push(revision);
            }
        }
        assert_eq!(revisions, (0..1000).collect::<Vec<i64>>());
    }

    #[test]
    fn nothing_is_no_text_and_a_giant_is_left_out() {
        assert_eq!(cut(parcel(0, false)), (Vec::new(), true));
        assert_eq!(cut(parcel(0, true)).0.len(), 1);
        let mut giant = parcel(2, false);
        giant.items.push((
            Uuid::from_u128(1),
            Message::Refusal(openapi::stream::RefusalMessage {
                source: "s".repeat(LONGEST),
                status: 400,
                reason: "malformed_body".to_owned(),
                at: crate::clock::from_ms(0),
            }),
        ));
        let (texts, fit) = cut(giant);
        assert_eq!((texts.len(), fit), (1, false));
    }
}
