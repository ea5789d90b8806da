//! The live hub: what happens now, for whoever watches.
//!
//! Invariant: a watcher sees the messages of its own workspace only, in the order of publishing,
//! each at most once. A bounded ring per workspace lets a watcher go on where it stopped; where the
//! place is gone it is told so by `reset`. Publishing never waits: a watcher that does not keep up is
//! cut and comes back with its last place. Nothing is kept over a restart: places of an earlier
//! process are unknown here, which is a `reset` too; so are the places of other nodes.
//!
//! What is published here is handed over for the other nodes as well, over a bounded channel; what
//! comes from them is passed on to the watchers of this one.

mod subscription;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use openapi::stream::Message;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use uuid::Uuid;

pub use subscription::{Item, Place, Subscription};

/// Messages that a workspace's ring keeps.
const RING: usize = 1024;
/// Messages that a watcher may be behind before it is cut.
const BEHIND: usize = 256;
/// Watchers that one workspace may have.
const WATCHERS: usize = 256;

/// Messages that may wait to be told to the other nodes.
const OUTGOING: usize = 2048;

/// A message for the other nodes, with its workspace.
pub type Outgoing = (Uuid, Arc<Message>);

/// Tells watchers what happens. Cheap to clone.
#[derive(Clone)]
pub struct Hub {
    epoch: u32,
    rooms: Arc<Mutex<HashMap<Uuid, Room>>>,
    outgoing: Option<mpsc::Sender<Outgoing>>,
    overflowed: Arc<AtomicBool>,
}

#[derive(Default)]
struct Room {
    last: u64,
    ring: VecDeque<Item>,
    watchers: Vec<mpsc::Sender<Item>>,
}

/// Too many watch already.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("too many streams are open")]
pub struct Full;

impl Hub {
    /// An empty hub. `epoch` tells its places from those of other processes: draw it at random.
    pub fn new(epoch: u32) -> Self {
        Self {
            epoch,
            rooms: Arc::default(),
            outgoing: None,
            overflowed: Arc::default(),
        }
    }

    /// The same hub, and what the other nodes are to be told. Only for a server that has others.
    pub fn with_others(self) -> (Self, mpsc::Receiver<Outgoing>) {
        let (sender, receiver) = mpsc::channel(OUTGOING);
        let hub = Self {
            outgoing: Some(sender),
            ..self
        };
        (hub, receiver)
    }

    /// Tells the watchers of a workspace, on every node. Never waits.
    pub fn publish(&self, workspace: Uuid, message: Message) {
        let message = Arc::new(message);
        // Each node tells of the configuration that it serves itself.
        if let Some(outgoing) = &self.outgoing
            && !matches!(*message, Message::Configuration { .. })
            && outgoing
                .try_send((workspace, Arc::clone(&message)))
                .is_err()
        {
            self.overflowed.store(true, Ordering::Release);
        }
        self.tell(workspace, message);
    }

    /// Tells the watchers of this node what happened on another.
    pub fn pass_on(&self, workspace: Uuid, message: Message) {
        self.tell(workspace, Arc::new(message));
    }

    /// Tells every watcher of this node that messages may be lost.
    pub fn reset(&self) {
        let workspaces: Vec<Uuid> = self.rooms.lock().keys().copied().collect();
        for workspace in workspaces {
            self.pass_on(workspace, Message::Reset);
        }
    }

    /// Whether something for the other nodes was left out since this was asked last.
    pub fn overflowed(&self) -> bool {
        self.overflowed.swap(false, Ordering::AcqRel)
    }

    fn tell(&self, workspace: Uuid, message: Arc<Message>) {
        let mut rooms = self.rooms.lock();
        let room = rooms.entry(workspace).or_default();
        room.last += 1;
        let item = Item {
            place: Place {
                epoch: self.epoch,
                number: room.last,
            },
            message,
        };
        if room.ring.len() == RING {
            room.ring.pop_front();
        }
        room.ring.push_back(item.clone());
        room.watchers
            .retain(|watcher| watcher.try_send(item.clone()).is_ok());
    }

    /// Watches a workspace from now, or from after `last` if that place is still known.
    ///
    /// # Errors
    /// Too many watch already.
    pub fn subscribe(&self, workspace: Uuid, last: Option<Place>) -> Result<Subscription, Full> {
        let (sender, receiver) = mpsc::channel(BEHIND);
        let mut rooms = self.rooms.lock();
        let room = rooms.entry(workspace).or_default();
        room.watchers.retain(|watcher| !watcher.is_closed());
        if room.watchers.len() >= WATCHERS {
            return Err(Full);
        }
        let backlog = match last {
            None => VecDeque::new(),
            Some(place) => room.after(place, self.epoch),
        };
        room.watchers.push(sender);
        Ok(Subscription::new(backlog, receiver))
    }
}

impl Room {
    /// What came after a place, or a reset when that can no longer be told.
    fn after(&self, place: Place, epoch: u32) -> VecDeque<Item> {
        let oldest = self.ring.front().map_or(self.last + 1, |i| i.place.number);
        let known = place.epoch == epoch && place.number <= self.last && place.number + 1 >= oldest;
        if known {
            return self
                .ring
                .iter()
                .filter(|item| item.place.number > place.number)
                .cloned()
                .collect();
        }
        VecDeque::from([Item {
            place: Place {
                epoch,
                number: self.last,
            },
            message: Arc::new(Message::Reset),
        }])
    }
}

impl std::fmt::Debug for Hub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hub")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn revision(n: i64) -> Message {
        Message::Configuration { revision: n }
    }

    async fn numbers(subscription: &mut Subscription, count: usize) -> Vec<Message> {
        let mut all = Vec::new();
        for _ in 0..count {
            all.push((*subscription.next().await.unwrap().message).clone());
        }
        all
    }

    #[tokio::test]
    async fn a_watcher_sees_its_own_workspace_in_order() {
        let hub = Hub::new(7);
        let (ours, theirs) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let mut subscription = hub.subscribe(ours, None).unwrap();
        hub.publish(ours, revision(1));
        hub.publish(theirs, revision(100));
        hub.publish(ours, revision(2));
        assert_eq!(
            numbers(&mut subscription, 2).await,
            [revision(1), revision(2)]
        );
    }

    #[tokio::test]
    async fn it_goes_on_after_its_place() {
        let hub = Hub::new(7);
        let workspace = Uuid::from_u128(1);
        for n in 1..=5 {
            hub.publish(workspace, revision(n));
        }
        let place = Place::parse("7-3").unwrap();
        let mut subscription = hub.subscribe(workspace, Some(place)).unwrap();
        hub.publish(workspace, revision(6));
        assert_eq!(
            numbers(&mut subscription, 3).await,
            [revision(4), revision(5), revision(6)]
        );
    }

    #[tokio::test]
    async fn a_lost_place_is_a_reset() {
        let hub = Hub::new(7);
        let workspace = Uuid::from_u128(1);
        for n in 0..=i64::try_from(RING).unwrap() {
            hub.publish(workspace, revision(n));
        }
        for place in ["7-0", "6-5", "7-99999"] {
            let place = Place::parse(place).unwrap();
            let mut subscription = hub.subscribe(workspace, Some(place)).unwrap();
            let first = subscription.next().await.unwrap();
            assert_eq!(*first.message, Message::Reset);
            assert_eq!(first.place.to_string(), format!("7-{}", RING + 1));
        }
    }

    #[tokio::test]
    async fn one_that_does_not_keep_up_is_cut() {
        let hub = Hub::new(7);
        let workspace = Uuid::from_u128(1);
        let mut slow = hub.subscribe(workspace, None).unwrap();
        for n in 0..=i64::try_from(BEHIND).unwrap() {
            hub.publish(workspace, revision(n));
        }
        let mut seen = 0;
        while slow.next().await.is_some() {
            seen += 1;
        }
        assert_eq!(seen, BEHIND);
    }
}
