//! The books of a trial, balanced at its end.
//!
//! Whatever a trial does to a server, it ends here. Senders know what they were answered, the
//! database knows what was made of it, and upstreams know what they saw: three records of one story,
//! which must agree.

mod order;
mod rows;
mod upstream;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

use openapi::deliveries::State;
use openapi::events::EventDetail;
use uuid::Uuid;

pub use order::Receipt;

use crate::fakes::FakeSink;
use crate::fakes::connectwise::FakeConnectWise;
use crate::server::Server;
use order::Order;
use rows::{Delivery, Event, Rows};

/// Accepted ids that are also asked for over the API; of more, so many are, evenly spread.
const ASKED: usize = 100;

/// What is known of a trial besides its database.
pub struct Books<'a> {
    server: &'a Server,
    accepted: Vec<Uuid>,
    order: Order,
    sinks: Vec<&'a FakeSink>,
    desks: Vec<&'a FakeConnectWise>,
    by_leases: bool,
}

/// What was made by one step of one rule, and what became of it.
#[derive(Clone, Debug, Default)]
pub struct Sum {
    /// What events and repeats say must have been made.
    pub created: usize,
    /// What is there, by state.
    pub states: BTreeMap<&'static str, usize>,
    /// For how many those stand that were delivered: repeats became part of some.
    pub told: usize,
}

impl Sum {
    /// How many are in this state.
    pub fn of(&self, state: State) -> usize {
        self.states.get(state.as_str()).copied().unwrap_or_default()
    }

    /// Whether all that was made was delivered.
    pub fn all_delivered(&self) -> bool {
        self.of(State::Delivered) == self.created
    }

    /// Whether all that was made was delivered, by itself or as part of another that says so.
    pub fn all_told(&self) -> bool {
        let ended = self.of(State::Delivered) + self.of(State::Coalesced);
        (ended, self.told) == (self.created, self.created)
    }
}

/// Books that balance.
#[derive(Clone, Debug)]
pub struct Balance {
    /// Events that are stored.
    pub events: usize,
    /// Every step of every rule, by the name of the rule.
    pub sums: BTreeMap<(String, i32), Sum>,
    /// Requests that sinks took.
    pub taken: u64,
    /// Those of them that carried the id of one before.
    pub repeats: u64,
    /// Tickets at the service desks.
    pub tickets: usize,
}

impl Balance {
    /// The sum of a step.
    ///
    /// # Panics
    /// It made nothing.
    pub fn step(&self, rule: &str, step: i32) -> &Sum {
        let sum = self.sums.get(&(rule.to_owned(), step));
        sum.unwrap_or_else(|| panic!("{rule}.{step} made nothing: {self}"))
    }

    /// Whether everything that was made was delivered.
    pub fn all_delivered(&self) -> bool {
        self.sums.values().all(Sum::all_delivered)
    }

    /// Whether everything that was made was delivered, by itself or as part of another that says so.
    pub fn all_told(&self) -> bool {
        self.sums.values().all(Sum::all_told)
    }
}

impl fmt::Display for Balance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} events", self.events)?;
        for ((rule, step), sum) in &self.sums {
            write!(f, "; {rule}.{step}: {} =", sum.created)?;
            for (n, (state, count)) in sum.states.iter().enumerate() {
                let plus = if n == 0 { "" } else { " +" };
                write!(f, "{plus} {count} {state}")?;
            }
            if sum.told > sum.of(State::Delivered) {
                write!(f, ", which stand for {}", sum.told)?;
            }
        }
        write!(
            f,
            "; {} requests at sinks, {} of them repeats",
            self.taken, self.repeats
        )?;
        write!(f, "; {} tickets", self.tickets)
    }
}

impl<'a> Books<'a> {
    /// Those of a server that runs.
    pub fn of(server: &'a Server) -> Self {
        Self {
            server,
            accepted: Vec::new(),
            order: Order::default(),
            sinks: Vec::new(),
            desks: Vec::new(),
            by_leases: false,
        }
    }

    /// With a sink to which whole events are copied.
    #[must_use]
    pub fn sink(mut self, sink: &'a FakeSink) -> Self {
        self.sinks.push(sink);
        self
    }

    /// With a service desk.
    #[must_use]
    pub fn desk(mut self, desk: &'a FakeConnectWise) -> Self {
        self.desks.push(desk);
        self
    }

    /// With the ids that senders were answered.
    #[must_use]
    pub fn accepted(mut self, ids: impl IntoIterator<Item = Uuid>) -> Self {
        self.accepted.extend(ids);
        self
    }

    /// With what senders were answered, and when: the lanes must have kept the order.
    #[must_use]
    pub fn receipts(mut self, receipts: impl IntoIterator<Item = Receipt>) -> Self {
        for receipt in receipts {
            self.accepted.push(receipt.event);
            self.order.know(receipt);
        }
        self
    }

    /// Servers had other clocks than this program: what they say of times is not compared with it.
    #[must_use]
    pub fn clocks_apart(mut self) -> Self {
        self.order.clocks_apart();
        self
    }

    /// Calls were made whose outcome was not written: a node died, or a delivery was taken before its
    /// time to see whether an upstream is back. Leases were written before the calls, each is one
    /// call at most, and they are counted instead.
    #[must_use]
    pub fn by_leases(mut self) -> Self {
        self.by_leases = true;
        self
    }

    /// Balances them.
    ///
    /// # Panics
    /// They do not balance.
    pub async fn balance(&self) -> Balance {
        let rows = Rows::read(&self.server.store).await;
        let sums = sums(&rows);
        ends(&rows);
        repeats(&rows);
        self.every_accepted_id_is_there(&rows).await;
        counters(&rows);
        let messages = messages(&rows);
        let (mut taken, mut again, mut tickets) = (0, 0, 0);
        for sink in &self.sinks {
            let seen = upstream::sink(&rows, &messages, &self.order, sink, self.by_leases);
            taken += seen.taken;
            again += seen.repeats;
        }
        for desk in &self.desks {
            tickets += upstream::desk(&rows, &messages, &self.order, desk);
        }
        Balance {
            events: rows.events.len(),
            sums,
            taken,
            repeats: again,
            tickets,
        }
    }

    async fn every_accepted_id_is_there(&self, rows: &Rows) {
        let distinct: BTreeSet<Uuid> = self.accepted.iter().copied().collect();
        assert_eq!(
            distinct.len(),
            self.accepted.len(),
            "two events share an id"
        );
        let mut of: HashMap<Uuid, Vec<&Delivery>> = HashMap::new();
        for delivery in rows.deliveries.values().filter(|d| !rows.tells(d)) {
            of.entry(delivery.event).or_default().push(delivery);
        }
        for id in &distinct {
            let event = rows.events.get(id);
            let event = event.unwrap_or_else(|| panic!("event {id} was answered and is gone"));
            let none = Vec::new();
            let there = of.get(id).unwrap_or(&none);
            let mut made: Vec<_> = there.iter().filter(|d| d.replay_of.is_none()).collect();
            made.sort_by_key(|d| (d.rule, d.step));
            let made: Vec<_> = made.iter().map(|d| (d.rule, d.step)).collect();
            let mut planned: Vec<_> = planned(rows, event).collect();
            planned.sort_unstable();
            assert_eq!(made, planned, "the deliveries of event {id}");
        }
        let every = (distinct.len() / ASKED).max(1);
        let client = self.server.client();
        for id in distinct.iter().step_by(every) {
            let shown: EventDetail = client.read(&format!("/api/v1/events/{id}")).await;
            let mut shown: Vec<_> = shown.deliveries.iter().map(|d| (d.id, d.state)).collect();
            shown.sort_unstable_by_key(|(id, _)| *id);
            let stored = of.get(id).into_iter().flatten();
            let stored: Vec<_> = stored.map(|d| (d.id, d.state)).collect();
            assert_eq!(shown, stored, "event {id} over the API");
        }
    }
}

/// What an event must have made: a delivery for each step of each rule that took it.
fn planned(rows: &Rows, event: &Event) -> impl Iterator<Item = (Option<Uuid>, i32)> {
    event.matched.iter().flat_map(move |rule| {
        let Some(id) = rule.id else {
            return vec![(None, 0)];
        };
        let steps = &rows.steps[&(id, rule.revision)];
        steps.iter().map(|step| (Some(id), *step)).collect()
    })
}

/// For every step of every rule: created = final + open.
fn sums(rows: &Rows) -> BTreeMap<(String, i32), Sum> {
    let mut sums: BTreeMap<(Option<Uuid>, i32), (String, Sum)> = BTreeMap::new();
    for event in rows.events.values() {
        for step in planned(rows, event) {
            sums.entry(step).or_default().1.created += 1;
        }
    }
    for delivery in rows.deliveries.values().filter(|d| !rows.tells(d)) {
        let (name, sum) = sums.entry((delivery.rule, delivery.step)).or_default();
        name.clone_from(&delivery.rule_name);
        if delivery.replay_of.is_some() {
            sum.created += 1;
        }
        *sum.states.entry(delivery.state.as_str()).or_default() += 1;
        if delivery.state == State::Delivered {
            sum.told += delivery.repeats;
        }
    }
    for ((rule, step), (name, sum)) in &sums {
        let of = |open: bool| -> usize {
            let states = State::ALL.iter().filter(|state| state.is_open() == open);
            states.map(|state| sum.of(*state)).sum()
        };
        let (ended, open) = (of(false), of(true));
        assert_eq!(
            sum.created,
            ended + open,
            "{name}.{step} ({rule:?}): {sum:?}"
        );
    }
    let named = sums
        .into_iter()
        .map(|((_, step), (name, sum))| ((name, step), sum));
    named.collect()
}

/// A final state has its time, and says what it became part of or was replaced by.
fn ends(rows: &Rows) {
    for d in rows.deliveries.values() {
        let id = d.id;
        assert_eq!(
            d.ended.is_none(),
            d.state.is_open(),
            "{id} is {}",
            d.state.as_str()
        );
        assert_eq!(
            d.attempts,
            rows.attempts.get(&id).copied().unwrap_or_default(),
            "attempts of {id}"
        );
        let other = |of: Option<Uuid>| of.and_then(|of| rows.deliveries.get(&of));
        assert_eq!(
            d.state == State::Superseded,
            d.replayed_as.is_some(),
            "{id}"
        );
        if let Some(again) = d.replayed_as {
            let again = other(Some(again)).unwrap_or_else(|| panic!("the repeat of {id} is gone"));
            assert_eq!(again.replay_of, Some(id));
            assert_eq!(
                again.message, d.message,
                "the repeat of {id} is the same message"
            );
        }
        if d.replay_of.is_some() {
            let old = other(d.replay_of).unwrap_or_else(|| panic!("what {id} repeats is gone"));
            assert_eq!(old.replayed_as, Some(id), "{} was repeated twice", old.id);
        }
        assert_eq!(
            d.state == State::Coalesced,
            d.coalesced_into.is_some(),
            "{id}"
        );
        if d.state == State::Coalesced {
            let into = other(d.coalesced_into);
            let into = into.unwrap_or_else(|| panic!("{id} became part of nothing"));
            assert_eq!(into.lane, d.lane, "{id} became part of another lane");
            assert_eq!(d.leases, 0, "{id} was called and became part of another");
        }
    }
}

/// What others became part of says how many they were.
fn repeats(rows: &Rows) {
    let mut more: HashMap<Uuid, usize> = HashMap::new();
    for d in rows.deliveries.values() {
        if let Some(into) = d.coalesced_into {
            *more.entry(into).or_default() += d.repeats;
        }
    }
    for d in rows.deliveries.values() {
        // A replay stands for what it replaces stood for.
        let old = d.replay_of.and_then(|old| rows.deliveries.get(&old));
        let own = old.map_or(1, |old| old.repeats);
        let others = more.get(&d.id).copied().unwrap_or_default();
        assert_eq!(d.repeats, own + others, "for how many {} stands", d.id);
    }
}

/// The counters of the dashboard, which are written beside the rows, say the same.
fn counters(rows: &Rows) {
    let mut wanted: HashMap<(String, String), i64> = HashMap::new();
    let mut add = |metric: &str, subject: Uuid| {
        let key = (metric.to_owned(), subject.to_string());
        *wanted.entry(key).or_default() += 1;
    };
    for event in rows.events.values() {
        add("accepted", event.source);
    }
    for d in rows.deliveries.values().filter(|d| !rows.tells(d)) {
        match d.state {
            State::Delivered => add("delivered", d.connection),
            State::Coalesced => add("coalesced", d.connection),
            // It was a dead letter before.
            State::Dead | State::Superseded => add("dead", d.connection),
            _ => {}
        }
        if d.effect.as_deref() == Some("created") {
            add("created", d.connection);
        }
    }
    for metric in ["accepted", "delivered", "coalesced", "dead", "created"] {
        let of = |all: &HashMap<(String, String), i64>| -> BTreeMap<String, i64> {
            let one = all.iter().filter(|((name, _), _)| name == metric);
            one.map(|((_, subject), n)| (subject.clone(), *n)).collect()
        };
        assert_eq!(of(&rows.counters), of(&wanted), "counters of {metric}");
    }
}

/// The deliveries of every message, oldest first: more than one if it was replayed.
fn messages(rows: &Rows) -> HashMap<&str, Vec<&Delivery>> {
    let mut messages: HashMap<&str, Vec<&Delivery>> = HashMap::new();
    for delivery in rows.deliveries.values() {
        messages
            .entry(&delivery.message)
            .or_default()
            .push(delivery);
    }
    messages
}
