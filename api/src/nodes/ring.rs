//! Telling the others: deliveries that are due, and that this node is there.
//!
//! After the commit, not within it: transactions that notify wait for each other at their commits,
//! which would line up the journals of all nodes. What is due at once goes out at once; under load
//! one notification speaks for everything of the last few milliseconds.

use std::collections::BTreeSet;
use std::time::Duration;

use uuid::Uuid;

use super::{DUE, LONGEST, NODE, notify};
use crate::core::Core;

/// Between two notifications.
const PAUSE: Duration = Duration::from_millis(10);
/// Stands for every connection.
pub(super) const ALL: &str = "*";

pub(super) async fn due(core: &Core) {
    loop {
        let connections = core.dispatch.bell().take().await;
        if core.nodes.others() {
            let text = format!("{}:{}", core.nodes.0.me, list(&connections));
            // Whoever does not hear it looks within a quarter of a second.
            if let Err(error) = notify(&core.db, DUE, vec![text]).await {
                tracing::debug!(%error, "The other nodes could not be told of deliveries.");
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}

pub(super) async fn greet(core: &Core) {
    loop {
        if let Err(error) = notify(&core.db, NODE, vec![core.nodes.0.me.to_string()]).await {
            tracing::debug!(%error, "The other nodes could not be greeted.");
        }
        core.nodes.0.greet.notified().await;
    }
}

fn list(connections: &BTreeSet<Uuid>) -> String {
    let ids: Vec<String> = connections
        .iter()
        .map(|id| id.simple().to_string())
        .collect();
    let text = ids.join(",");
    if text.len() > LONGEST / 2 {
        return ALL.to_owned();
    }
    text
}

/// Reads what [`due`] wrote: who, and which connections; none: all.
pub(super) fn read(text: &str) -> Option<(Uuid, Option<Vec<Uuid>>)> {
    let (node, list) = text.split_once(':')?;
    let node = Uuid::parse_str(node).ok()?;
    if list == ALL {
        return Some((node, None));
    }
    let connections = list
        .split(',')
        .map(Uuid::parse_str)
        .collect::<Result<_, _>>();
    Some((node, Some(connections.ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let node = Uuid::from_u128(7);
        let few: BTreeSet<Uuid> = (1..4).map(Uuid::from_u128).collect();
        let text = format!("{node}:{}", list(&few));
        let few: Vec<Uuid> = few.into_iter().collect();
        assert_eq!(read(&text), Some((node, Some(few))));
        let many: BTreeSet<Uuid> = (1..1000).map(Uuid::from_u128).collect();
        assert_eq!(read(&format!("{node}:{}", list(&many))), Some((node, None)));
        for other in ["", "x", "x:y", &format!("{node}:z")] {
            assert_eq!(read(other), None);
        }
    }
}
