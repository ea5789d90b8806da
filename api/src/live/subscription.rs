//! One watcher.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use openapi::stream::Message;
use tokio::sync::mpsc;

/// A place in the stream, to go on from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The process that published.
    pub epoch: u32,
    /// Its count in the workspace.
    pub number: u64,
}

impl Place {
    /// Reads a place as it was written on the wire.
    pub fn parse(text: &str) -> Option<Self> {
        let (epoch, number) = text.split_once('-')?;
        Some(Self {
            epoch: epoch.parse().ok()?,
            number: number.parse().ok()?,
        })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.epoch, self.number)
    }
}

/// A message with its place.
#[derive(Clone, Debug)]
pub struct Item {
    /// Where it stands.
    pub place: Place,
    /// The message.
    pub message: Arc<Message>,
}

/// What a watcher reads from.
#[derive(Debug)]
pub struct Subscription {
    backlog: VecDeque<Item>,
    receiver: mpsc::Receiver<Item>,
}

impl Subscription {
    pub(super) fn new(backlog: VecDeque<Item>, receiver: mpsc::Receiver<Item>) -> Self {
        Self { backlog, receiver }
    }

    /// The next message; none when the watcher was cut for being too slow. May be dropped while it
    /// waits without losing a message.
    pub async fn next(&mut self) -> Option<Item> {
        match self.backlog.pop_front() {
            Some(item) => Some(item),
            None => self.receiver.recv().await,
        }
    }
}
