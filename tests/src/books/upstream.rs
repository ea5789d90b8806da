//! What upstreams saw, beside what the database says of it.

use std::collections::{BTreeMap, HashMap, HashSet};

use openapi::deliveries::State;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::order::Order;
use super::rows::{Delivery, Rows};
use crate::fakes::FakeSink;
use crate::fakes::connectwise::FakeConnectWise;

type Messages<'a> = HashMap<&'a str, Vec<&'a Delivery>>;

/// How many requests a sink took.
pub(super) struct Taken {
    pub(super) taken: u64,
    pub(super) repeats: u64,
}

/// The connections that lead to an address.
fn leading_to(rows: &Rows, url: &str) -> HashSet<Uuid> {
    let there = |base: &str| base == url || base.starts_with(&format!("{url}/"));
    let connections = rows.connections.iter().filter(|(_, c)| there(&c.url));
    connections.map(|(id, _)| *id).collect()
}

/// Every delivery that was delivered is there under the id of its message, every repeat carried the
/// same id and the same body, nothing is there that nobody sent, nothing came more often than it was
/// sent, and the calls of a lane came in order.
pub(super) fn sink(
    rows: &Rows,
    messages: &Messages<'_>,
    order: &Order,
    sink: &FakeSink,
    by_leases: bool,
) -> Taken {
    let (counts, seen) = (sink.counts(), sink.seen());
    let own = leading_to(rows, &sink.url);
    assert_eq!(counts.without_id, 0, "requests without an id");
    let taken: u64 = seen.values().map(|seen| seen.count).sum();
    assert_eq!(counts.taken, taken, "requests that were counted");
    assert_eq!(counts.ids, seen.len() as u64);
    let mut lanes: BTreeMap<(Uuid, &str), Vec<(u64, &Delivery)>> = BTreeMap::new();
    for (message, seen) in &seen {
        let deliveries = messages.get(message.as_str());
        let deliveries = deliveries.unwrap_or_else(|| panic!("{message} is nobody's"));
        assert_eq!(seen.bodies, 1, "repeats of {message} differ");
        let sum = |of: fn(&Delivery) -> i64| deliveries.iter().map(|d| of(d)).sum::<i64>();
        let (attempts, leases) = (sum(|d| d.attempts), sum(|d| d.leases));
        assert!(
            attempts <= leases,
            "{message}: {attempts} attempts, {leases} leases"
        );
        let calls = if by_leases { leases } else { attempts };
        assert!(
            u64::try_from(calls).unwrap() >= seen.count,
            "{message} came {} times and was sent {calls} times",
            seen.count
        );
        for delivery in deliveries {
            assert!(
                own.contains(&delivery.connection),
                "{message} came to the wrong sink"
            );
        }
        let first = deliveries[0];
        if !seen.body.is_empty() {
            let body: Value = serde_json::from_str(&seen.body).unwrap();
            let event: Value = serde_json::from_slice(&rows.events[&first.event].body).unwrap();
            assert_eq!(body, event, "what came as {message}");
        }
        // Which of its deliveries was taken first is not known of one that was replayed.
        if let ([only], Some(lane)) = (deliveries.as_slice(), first.lane.as_deref()) {
            let came = lanes.entry((only.connection, lane)).or_default();
            came.push((seen.first_at_us, only));
        }
    }
    for ((_, lane), mut calls) in lanes {
        calls.sort_by_key(|(at, _)| *at);
        let calls: Vec<&Delivery> = calls.into_iter().map(|(_, delivery)| delivery).collect();
        order.holds(lane, &calls);
    }
    for delivery in rows.deliveries.values() {
        if delivery.state == State::Delivered && own.contains(&delivery.connection) {
            let there = seen.contains_key(&delivery.message);
            assert!(there, "{} is delivered and never came", delivery.id);
        }
    }
    Taken {
        taken,
        repeats: taken - counts.ids,
    }
}

/// A mark that a message left on a ticket, by which a repeat finds it: the last line of a note.
fn mark(text: &str) -> Option<&str> {
    let (_, line) = text.rsplit_once("[Signalbox ")?;
    line.split(' ').nth(1)
}

/// For how many a text says that it stands, as in `text (×n)`.
fn stands_for(text: &str) -> usize {
    let count = text.split_once("(\u{d7}").map(|(_, rest)| rest);
    let count = count.and_then(|rest| rest.split_once(')'));
    count.map_or(1, |(count, _)| count.parse().unwrap())
}

/// What stands for a message in its mark.
fn digest(message: &str) -> String {
    hex::encode(&Sha256::digest(message.as_bytes())[..8])
}

/// Every delivery left its mark once, on the ticket of its key, in the order of its lane; every
/// ticket was made by one delivery, and a key has one that is open at most. What stands for repeats
/// says for how many. Returns how many tickets there are.
pub(super) fn desk(
    rows: &Rows,
    messages: &Messages<'_>,
    order: &Order,
    desk: &FakeConnectWise,
) -> usize {
    let own = leading_to(rows, &desk.url);
    let marked: HashMap<String, &Vec<&Delivery>> = messages
        .iter()
        .filter(|(_, deliveries)| own.contains(&deliveries[0].connection))
        .map(|(message, deliveries)| (digest(message), deliveries))
        .collect();
    // Where each message left its mark.
    let mut left: HashMap<&str, i64> = HashMap::new();
    let mut keys: HashMap<String, (usize, usize)> = HashMap::new();
    let tickets = desk.tickets();
    for ticket in &tickets {
        let id = ticket["id"].as_i64().unwrap();
        let key = ticket["externalXRef"].as_str().unwrap();
        let (all, open) = keys.entry(key.to_owned()).or_default();
        *all += 1;
        *open += usize::from(ticket["closedFlag"] == false);
        let mut notes: Vec<&Delivery> = Vec::new();
        for note in desk.notes(id) {
            let text = note["text"].as_str().unwrap();
            let mark = mark(text).unwrap_or_else(|| panic!("nobody's note on {key}: {text}"));
            let known = marked.get_key_value(mark);
            let (mark, deliveries) = known.unwrap_or_else(|| panic!("{mark} is nobody's"));
            let newest = deliveries[deliveries.len() - 1];
            assert_eq!(
                newest.lane.as_deref(),
                Some(key),
                "{} on a ticket",
                newest.id
            );
            let before = left.insert(mark, id);
            assert_eq!(before, None, "{} is on tickets twice", newest.id);
            // Which of its deliveries wrote it is not known of one that was replayed.
            if let [only] = deliveries.as_slice() {
                assert_eq!(stands_for(text), only.repeats, "{}: {text}", only.id);
                notes.push(only);
            }
        }
        order.holds(key, &notes);
    }
    let mut made: HashMap<&str, usize> = HashMap::new();
    for delivery in rows
        .deliveries
        .values()
        .filter(|d| own.contains(&d.connection))
    {
        if delivery.state != State::Delivered {
            continue;
        }
        let effect = delivery.effect.as_deref().unwrap_or_default();
        let ticket = left.get(digest(&delivery.message).as_str());
        if matches!(effect, "created" | "noted" | "closed") {
            let record = delivery.record.as_deref();
            let ticket = ticket.map(ToString::to_string);
            assert!(
                ticket.is_some(),
                "{} is {effect} and on no ticket",
                delivery.id
            );
            assert_eq!(record, ticket.as_deref(), "{}", delivery.id);
        }
        if effect == "created" {
            let key = delivery.lane.as_deref().unwrap_or_default();
            *made.entry(key).or_default() += 1;
        }
    }
    for (key, (all, open)) in &keys {
        assert_eq!(made.get(key.as_str()), Some(all), "tickets of {key}");
        assert!(*open <= 1, "{key} has {open} open tickets");
    }
    assert_eq!(made.len(), keys.len(), "keys that have tickets");
    tickets.len()
}
