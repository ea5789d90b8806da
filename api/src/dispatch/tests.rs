//! The order of lanes over random interleavings: the real journal and the real claims on a real
//! database, with crashes, failures and people in between. Only the upstream is made up.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use engine::lane::OnFailure;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use sea_orm::{DatabaseBackend, DbErr, EntityTrait as _, QueryOrder as _, Statement};
use tempfile::TempDir;

use super::fixtures::{CONNECTION, WORKSPACE, new_row, options, settlement};
use super::*;
use crate::clock::{Clock, from_ms};
use crate::connectors::Effect;
use crate::db::{Db, Location, Row, Sql, Transaction};
use crate::journal::{
    self, Accept, AcceptEvent, NewDelivery, NewState, lock_lane, release_next, sql,
};
use crate::live::Hub;
use crate::metrics::Metrics;
use crate::schedule;
use crate::secrets::Keyring;
use crate::snapshot::Snapshots;

const START: i64 = 1_900_000_000_000;

/// Something that happens.
#[derive(Clone, Debug)]
enum Act {
    /// Events come in at once: lane (none: no key) and action of each, and how far the clock of the
    /// node that took it is behind.
    Accept(Vec<(Option<u8>, u8, u16)>),
    /// A call comes to an end.
    End(usize, u8),
    /// The carrier looks into the database.
    Claim,
    /// The server dies and starts anew.
    Crash,
    /// A person looks at a lane that waits.
    Person(usize, bool),
    /// Of a lane that was set aside, so many are replayed: the first, or past the first, as somebody
    /// does who has not seen that it failed again.
    Replay(usize, usize, bool),
    /// The rest of lanes that failed is set aside, so many of each.
    Aside(u64),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let event = (prop::option::weighted(0.9, 0_u8..3), 0_u8..8, any::<u16>());
    let act = prop_oneof![
        4 => prop::collection::vec(event, 1..5).prop_map(Act::Accept),
        6 => (any::<usize>(), 0_u8..8).prop_map(|(which, how)| Act::End(which, how)),
        3 => Just(Act::Claim),
        1 => Just(Act::Crash),
        2 => (any::<usize>(), any::<bool>()).prop_map(|(which, again)| Act::Person(which, again)),
        2 => (any::<usize>(), 1_usize..4, any::<bool>())
            .prop_map(|(which, most, past)| Act::Replay(which, most, past)),
        2 => (1_u64..4).prop_map(Act::Aside),
    ];
    prop::collection::vec(act, 1..50)
}

struct World {
    db: Db,
    keyring: Keyring,
    clock: Arc<AtomicI64>,
    policy: LanePolicy,
    dispatch: Handle,
    journal: journal::Handle,
    stop: CancellationToken,
    /// Leased to this node, as its carrier holds them.
    held: Vec<delivery::Model>,
    /// Numbers in the order of acceptance.
    accepted: u32,
    /// What reached the upstream, in order: lane and number.
    reached: Vec<(Option<String>, u32)>,
    /// What was seen to have become part of another.
    coalesced: HashSet<u32>,
    _folder: TempDir,
}

impl World {
    async fn new(policy: LanePolicy) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let location = Location::Sqlite(folder.path().join("test.db"));
        let db = Db::open(&location, 2).await.unwrap();
        db.migrate().await.unwrap();
        let keyring = Keyring::load_or_create(&folder.path().join("test.key")).unwrap();
        let clock = Arc::new(AtomicI64::new(START));
        let (dispatch, journal, stop) = Self::start(&db, &keyring, &clock, policy).await;
        Self {
            db,
            keyring,
            clock,
            policy,
            dispatch,
            journal,
            stop,
            held: Vec::new(),
            accepted: 0,
            reached: Vec::new(),
            coalesced: HashSet::new(),
            _folder: folder,
        }
    }

    async fn start(
        db: &Db,
        keyring: &Keyring,
        clock: &Arc<AtomicI64>,
        policy: LanePolicy,
    ) -> (Handle, journal::Handle, CancellationToken) {
        let now = clock.fetch_add(1, Ordering::Relaxed);
        let told = Arc::clone(clock);
        let clock = Clock::from_fn(move || from_ms(told.fetch_add(1, Ordering::Relaxed)));
        let node = crate::ids::at(now);
        let dispatch = Handle::new(node, options());
        dispatch.configure(CONNECTION, policy);
        node::register(db, node, "all", now, Duration::from_secs(10))
            .await
            .unwrap();
        let live = Hub::new(1);
        let snapshots = Snapshots::new(db.clone(), keyring.clone(), dispatch.clone(), live.clone());
        let (service, journal) = journal::Service::new(
            db.clone(),
            clock,
            dispatch.clone(),
            live,
            Metrics::new(),
            snapshots,
            journal::Options {
                queue: 100,
                batch: 50,
                delay: Duration::ZERO,
                put_off: Duration::ZERO,
                refusals_kept: 1,
            },
        );
        let stop = CancellationToken::new();
        tokio::spawn(service.run(stop.clone()));
        (dispatch, journal, stop)
    }

    fn now(&self) -> i64 {
        self.clock.fetch_add(1, Ordering::Relaxed)
    }

    async fn act(&mut self, act: Act) {
        match act {
            Act::Accept(events) => self.accept(events).await,
            Act::End(which, how) => self.end(which, how).await,
            Act::Claim => self.claim().await,
            Act::Crash => self.crash().await,
            Act::Person(which, again) => self.person(which, again).await,
            Act::Replay(which, most, past) => self.replay(which, most, past).await,
            Act::Aside(most) => self.aside(most).await,
        }
        self.take_offered().await;
    }

    async fn accept(&mut self, events: Vec<(Option<u8>, u8, u16)>) {
        let mut calls = Vec::new();
        for (lane, action, behind) in events {
            self.accepted += 1;
            let number = self.accepted;
            let row = new_row(number, lane, action, self.now(), behind);
            let delivery = NewDelivery::new(row, "upstream".to_owned());
            calls.push(self.journal.accept(accept(vec![delivery])));
        }
        for answer in futures_util::future::join_all(calls).await {
            assert_eq!(answer.unwrap().delivery_ids.len(), 1);
        }
    }

    /// Waits until everything that was handed to the journal is on disk.
    async fn written(&self) {
        self.journal.accept(accept(Vec::new())).await.unwrap();
    }

    /// What the journal handed to the carrier in memory. It hands over after it has answered, and
    /// before it takes anything else.
    async fn take_offered(&mut self) {
        self.written().await;
        let desk = self.dispatch.desk(CONNECTION);
        self.held.extend(desk.queue.lock().take(|_| true));
    }

    async fn end(&mut self, which: usize, how: u8) {
        if self.held.is_empty() {
            return;
        }
        let claimed = self.held.swap_remove(which % self.held.len());
        let now = self.now();
        let mut next = match how {
            0..=3 => NewState::Delivered,
            4 | 5 => NewState::Retrying {
                wait_ms: 0,
                unsure: how == 5,
            },
            _ => NewState::Dead,
        };
        if claimed.lane.is_some() {
            next = decide::in_lane(next, self.policy.on_failure);
        }
        if next == NewState::Delivered {
            self.reached
                .push((claimed.lane.clone(), number_of(&claimed)));
        }
        self.journal.settle(settlement(claimed, next, now)).await;
        self.written().await;
        let desk = self.dispatch.desk(CONNECTION);
        desk.held.fetch_sub(1, Ordering::AcqRel);
    }

    async fn claim(&mut self) {
        let (node, now) = (self.dispatch.node(), self.now());
        let claimed = claim::claim(
            &self.db,
            node,
            CONNECTION,
            now,
            claim::Room {
                fresh: 1,
                waited: 1,
            },
            claim::Retries::Due,
            &mut Vec::new(),
        )
        .await
        .unwrap();
        for row in claimed.fresh.into_iter().chain(claimed.waited) {
            // Over the capacity or not: the places are only counted here.
            self.dispatch
                .desk(CONNECTION)
                .held
                .fetch_add(1, Ordering::AcqRel);
            self.held.push(row);
        }
    }

    async fn crash(&mut self) {
        self.stop.cancel();
        self.held.clear();
        let (dispatch, journal, stop) =
            Self::start(&self.db, &self.keyring, &self.clock, self.policy).await;
        (self.dispatch, self.journal, self.stop) = (dispatch, journal, stop);
    }

    /// Tries the head of a lane again, or discards it.
    async fn person(&mut self, which: usize, again: bool) {
        let stopped: Vec<delivery::Model> = self
            .rows()
            .await
            .into_iter()
            .filter(|row| row.state == "parked")
            .collect();
        if stopped.is_empty() {
            return;
        }
        let row = &stopped[which % stopped.len()];
        let now = self.now();
        let txn = self.db.begin().await.unwrap();
        let lane = row.lane.as_ref().unwrap();
        lock_lane(&txn, CONNECTION, lane).await.unwrap();
        let state = if again { "ready" } else { "discarded" };
        let query =
            "UPDATE delivery SET state = $2, lane_parked = FALSE, due_at = $3 WHERE id = $1";
        let values = vec![row.id.into(), state.into(), now.into()];
        sql::execute(&txn, query, values).await.unwrap();
        let next = if again {
            Leased::default()
        } else {
            release_next(&txn, &self.dispatch, CONNECTION, lane, now)
                .await
                .unwrap()
        };
        txn.commit().await.unwrap();
        self.dispatch.offer(next);
    }

    async fn replay(&mut self, which: usize, most: usize, past: bool) {
        let mut lanes: BTreeMap<String, Vec<delivery::Model>> = BTreeMap::new();
        for row in self.rows().await.into_iter().filter(is_aside) {
            lanes
                .entry(row.lane.clone().unwrap())
                .or_default()
                .push(row);
        }
        if lanes.is_empty() {
            return;
        }
        let mut rows = lanes.into_values().nth(which % 3).unwrap_or_default();
        rows.sort_by_key(place);
        let now = self.now();
        let repeats = rows.iter().skip(usize::from(past)).take(most);
        let repeats = repeats.map(|row| {
            let row = journal::repeat_of(row, crate::ids::at(now), now);
            NewDelivery::new(row, "upstream".to_owned())
        });
        let repeats = accept(repeats.collect());
        self.journal.accept(repeats).await.unwrap();
    }

    /// As the timers of failed heads do.
    async fn aside(&mut self, most: u64) {
        let query = "SELECT key FROM timer WHERE kind = $1";
        let timers = sql::rows(self.db.read(), query, vec![journal::ASIDE.into()]).await;
        for timer in timers.unwrap() {
            let key: String = timer.try_get("", "key").unwrap();
            let head = delivery::Entity::find_by_id(Uuid::parse_str(&key).unwrap())
                .one(self.db.read())
                .await
                .unwrap()
                .unwrap();
            let (now, txn) = (self.now(), self.db.begin().await.unwrap());
            let aside = journal::aside_more(&txn, &self.dispatch, &head, most, now)
                .await
                .unwrap();
            if aside.ended {
                schedule::cancel(&txn, journal::ASIDE, &key).await.unwrap();
            }
            txn.commit().await.unwrap();
            self.dispatch.offer(aside.next);
        }
    }

    async fn rows(&self) -> Vec<delivery::Model> {
        delivery::Entity::find()
            .order_by_asc(delivery::Column::Id)
            .all(self.db.read())
            .await
            .unwrap()
    }

    /// What must hold at any time.
    async fn check(&mut self) -> Result<(), TestCaseError> {
        let rows = self.rows().await;
        let first = rows.iter().filter(|row| row.replay_of.is_none());
        prop_assert_eq!(first.count(), usize::try_from(self.accepted).unwrap());
        let mut lanes: BTreeMap<String, Vec<&delivery::Model>> = BTreeMap::new();
        for row in &rows {
            if let Some(lane) = &row.lane {
                lanes.entry(lane.clone()).or_default().push(row);
            }
        }
        for (lane, rows) in &mut lanes {
            rows.sort_by_key(|row| place(row));
            let open: Vec<_> = rows
                .iter()
                .filter(|row| journal::OPEN_STATES.contains(&row.state.as_str()))
                .collect();
            // What is to be sent yet, or to be replayed in order.
            let waiting = rows
                .iter()
                .filter(|row| open.contains(row) || is_aside(row));
            let numbers: Vec<u32> = waiting.map(|row| number_of(row)).collect();
            prop_assert!(
                numbers.is_sorted(),
                "the places of {} follow the acceptance: {:?}",
                lane,
                numbers
            );
            let heads = open.iter().filter(|row| !row.behind).count();
            prop_assert_eq!(heads, usize::from(!open.is_empty()), "{}: {:?}", lane, open);
            prop_assert!(
                open.first().is_none_or(|row| !row.behind),
                "the oldest of {} leads",
                lane
            );
            let taken: i64 = rows
                .iter()
                .filter(|row| row.state == "coalesced")
                .map(|_| 1)
                .sum();
            let stand_for: i64 = rows
                .iter()
                .filter(|row| row.state != "coalesced" && row.state != "superseded")
                .map(|row| i64::from(row.repeats - 1))
                .sum();
            prop_assert_eq!(taken, stand_for, "every note is counted once");
            for row in rows.iter() {
                if row.state == "coalesced" {
                    prop_assert!(row.attempts == 0 && row.fence == 0);
                    let new = self.coalesced.insert(number_of(row));
                    coalesced_well(row, rows, new)?;
                }
            }
            if self.policy.on_failure == OnFailure::Park {
                let aside = rows.iter().find(|row| is_aside(row));
                prop_assert!(
                    aside.is_none_or(|first| open.iter().all(|row| place(row) < place(first))),
                    "nothing overtakes what was set aside"
                );
            }
        }
        let held: HashSet<_> = self
            .held
            .iter()
            .filter_map(|row| row.lane.clone())
            .collect();
        let with_lane = self.held.iter().filter(|row| row.lane.is_some()).count();
        prop_assert_eq!(held.len(), with_lane, "one at a time in each lane");
        let mut last: BTreeMap<&str, u32> = BTreeMap::new();
        for (lane, number) in &self.reached {
            if let Some(lane) = lane {
                let before = last.insert(lane, *number);
                // One that a crash made unsure is sent again; never after a later one.
                prop_assert!(before.is_none_or(|before| before <= *number), "{}", lane);
            }
        }
        Ok(())
    }

    /// Everything that can be done is done.
    async fn drain(&mut self) {
        for _ in 0..10_000 {
            self.aside(100).await;
            self.claim().await;
            self.take_offered().await;
            if self.held.is_empty() {
                return;
            }
            while !self.held.is_empty() {
                self.end(0, 0).await;
                self.take_offered().await;
            }
        }
        panic!("it does not drain");
    }
}

fn kind_of(row: &delivery::Model) -> &str {
    row.action.as_deref().unwrap_or("open")
}

/// What must hold for one that became part of another: nothing of another kind stood between them,
/// and if it opens, `new`ly, one that opens was before it, with no close between, and is there still.
fn coalesced_well(
    row: &delivery::Model,
    lane: &[&delivery::Model],
    new: bool,
) -> Result<(), TestCaseError> {
    let number = number_of(row);
    let into = lane
        .iter()
        .find(|other| Some(other.id) == row.coalesced_into);
    let Some(into) = into else {
        return Err(TestCaseError::fail(format!("{row:?} is part of nothing")));
    };
    prop_assert!(number_of(into) > number);
    let kind = kind_of(row);
    prop_assert!(matches!(kind, "note" | "open"));
    let between = number..=number_of(into);
    let between = lane
        .iter()
        .filter(|other| between.contains(&number_of(other)));
    for other in between {
        prop_assert_eq!(kind_of(other), kind, "between {:?} and {:?}", row, into);
    }
    if kind == "open" && new {
        let before = lane.iter().filter(|other| number_of(other) < number);
        let closed = before.clone().filter(|other| kind_of(other) == "close");
        let closed = closed.map(|other| number_of(other)).max().unwrap_or(0);
        let first = before
            .filter(|other| kind_of(other) == "open" && number_of(other) > closed)
            .any(|other| journal::OPEN_STATES.contains(&other.state.as_str()));
        prop_assert!(first, "what makes the ticket stays: {:?}", row);
    }
    Ok(())
}

fn accept(deliveries: Vec<NewDelivery>) -> Accept {
    let event = entity::event::Model {
        // That of what is about no event: it need not be stored.
        id: Uuid::nil(),
        workspace_id: WORKSPACE,
        source_id: Uuid::from_u128(4),
        received_at: START,
        correlation_id: String::new(),
        idempotency_key: None,
        disposition: "routed".to_owned(),
        reason: String::new(),
        method: String::new(),
        content_type: String::new(),
        query: String::new(),
        remote_addr: String::new(),
        headers: String::new(),
        body: Vec::new(),
        envelope: None,
        test: false,
        title: String::new(),
        matched: String::new(),
    };
    Accept {
        events: vec![AcceptEvent {
            event,
            source: String::new(),
            rules: Vec::new(),
            replay: true,
            deliveries,
        }],
    }
}

/// Whether it was set aside with its lane, to be replayed in order.
fn is_aside(row: &delivery::Model) -> bool {
    row.lane_parked && row.state == "dead"
}

/// Its place in its lane.
fn place(row: &delivery::Model) -> Uuid {
    row.place.unwrap_or(row.id)
}

fn number_of(row: &delivery::Model) -> u32 {
    row.message_id.parse().unwrap()
}

fn holds(on_failure: OnFailure) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let config = Config {
        cases: 16,
        failure_persistence: None,
        max_shrink_iters: 200,
        ..Config::default()
    };
    let mut runner = TestRunner::new(config);
    let case = |(acts, coalesce): (Vec<Act>, bool)| {
        runtime.block_on(async {
            let policy = LanePolicy {
                on_failure,
                coalesce,
            };
            let mut world = World::new(policy).await;
            for act in acts {
                world.act(act).await;
                world.check().await?;
            }
            world.drain().await;
            world.check().await?;
            for row in world.rows().await {
                let ended = matches!(
                    row.state.as_str(),
                    "delivered" | "dead" | "discarded" | "coalesced" | "superseded"
                );
                let waits = on_failure == OnFailure::Block;
                prop_assert!(ended || waits, "{:?}", row);
            }
            world.stop.cancel();
            Ok(())
        })
    };
    runner.run(&(acts(), any::<bool>()), case).unwrap();
}

#[test]
fn order_holds_where_the_next_one_goes_on() {
    holds(OnFailure::Skip);
}

#[test]
fn order_holds_where_a_lane_is_set_aside() {
    holds(OnFailure::Park);
}

#[test]
fn order_holds_where_a_lane_waits() {
    holds(OnFailure::Block);
}

#[tokio::test]
async fn what_was_set_aside_gets_its_share_beside_retries() {
    let mut world = World::new(LanePolicy::default()).await;
    world.accept(vec![(None, 0, 0); 44]).await;
    let query = "UPDATE delivery SET due_at = 1, state = CASE \
                 WHEN CAST(message_id AS INTEGER) % 2 = 0 THEN 'paused' ELSE 'retrying' END \
                 WHERE state = 'ready'";
    assert_eq!(
        sql::execute(world.db.write(), query, Vec::new())
            .await
            .unwrap(),
        40
    );
    let room = claim::Room {
        fresh: 10,
        waited: 8,
    };
    let (node, now) = (world.dispatch.node(), world.now());
    let (due, lost) = (claim::Retries::Due, &mut Vec::new());
    let found = claim::claim(&world.db, node, CONNECTION, now, room, due, lost)
        .await
        .unwrap();
    let paused = found
        .waited
        .iter()
        .filter(|row| number_of(row).is_multiple_of(2));
    assert_eq!(
        (found.fresh.len(), found.waited.len(), paused.count()),
        (0, 8, 2)
    );
}

/// On SQLite a partial index serves only a query that repeats its condition; without it, looking for
/// work would read the whole table.
#[tokio::test]
async fn looking_for_work_reads_the_index() {
    let world = World::new(LanePolicy::default()).await;
    let plan = async |query: String, values: usize| {
        let values = vec![sea_orm::Value::from(0_i64); values];
        let rows = sql::rows(
            world.db.write(),
            format!("EXPLAIN QUERY PLAN {query}"),
            values,
        )
        .await
        .unwrap();
        let lines: Vec<String> = rows
            .iter()
            .map(|row| row.try_get("", "detail").unwrap())
            .collect();
        lines.join("\n")
    };
    let due = plan(claim::due_query(), 1).await;
    assert!(!due.contains("SCAN d"), "{due}");
    assert_eq!(due.matches("delivery_due").count(), 3, "{due}");
    let claimed = plan(claim::claim_query("retrying", ""), 5).await;
    assert!(!claimed.contains("SCAN delivery"), "{claimed}");
    assert!(claimed.contains("USING INDEX delivery_due"), "{claimed}");
    for (state, lock) in [("ready", ""), ("retrying", "")] {
        let aside = plan(resume::set_aside_query(state, lock), 4).await;
        assert!(aside.contains("USING INDEX delivery_due"), "{aside}");
        assert!(!aside.contains("SCAN delivery"), "{aside}");
    }
}

/// A transaction of a server that falls silent: its second statement that returns rows is never
/// answered.
struct Silent<'a> {
    txn: &'a Transaction,
    asked: AtomicUsize,
    silent: Notify,
}

impl Sql for Silent<'_> {
    fn backend(&self) -> DatabaseBackend {
        Sql::backend(self.txn)
    }

    async fn run(&self, statement: Statement) -> Result<u64, DbErr> {
        Sql::run(self.txn, statement).await
    }

    async fn fetch(&self, statement: Statement) -> Result<Vec<Row>, DbErr> {
        if self.asked.fetch_add(1, Ordering::Relaxed) > 0 {
            self.silent.notify_one();
            std::future::pending::<()>().await;
        }
        Sql::fetch(self.txn, statement).await
    }
}

#[tokio::test]
async fn a_release_that_is_given_up_half_way_keeps_no_place() {
    let mut world = World::new(LanePolicy {
        on_failure: OnFailure::Skip,
        coalesce: false,
    })
    .await;
    // One leads, and the other waits behind it.
    world.accept(vec![(Some(0), 3, 0); 2]).await;
    world.take_offered().await;
    let head = world.held.pop().unwrap();
    assert!(world.held.is_empty());
    let now = world.now();
    let txn = world.db.begin().await.unwrap();
    let query = "UPDATE delivery SET state = 'discarded' WHERE id = $1";
    sql::execute(&txn, query, vec![head.id.into()])
        .await
        .unwrap();
    let lanes = BTreeSet::from([(CONNECTION, head.lane.unwrap())]);
    let silent = Silent {
        txn: &txn,
        asked: AtomicUsize::new(0),
        silent: Notify::new(),
    };
    tokio::select! {
        _ = journal::release(&silent, &world.dispatch, &lanes, now) => panic!("it was answered"),
        () = silent.silent.notified() => {}
    }
    let held = world.dispatch.in_memory();
    assert_eq!(held, 1, "that of the first, whose call has not ended");
}

#[test]
fn a_record_that_a_person_knows_to_be_gone_is_believed_until_it_is_seen() {
    let dispatch = Handle::new(Uuid::nil(), options());
    let keys: Vec<String> = (0..10).map(|n| format!("web{n}")).collect();
    let now = Instant::now();
    assert!(dispatch.are_mass_ghosts(CONNECTION, keys.iter(), now));
    assert!(!dispatch.is_believed_gone(CONNECTION, "web3"));
    dispatch.needs_attention_known(CONNECTION);
    dispatch.attention_over(CONNECTION, false);
    assert!(dispatch.is_believed_gone(CONNECTION, "web3"));
    assert!(!dispatch.is_believed_gone(CONNECTION, "another"));
    let mut row = new_row(1, None, 0, START, 0);
    row.lane = Some("web3".to_owned());
    let there = Outcome::Delivered {
        effect: Effect::Noted,
        record: None,
    };
    let desk = dispatch.desk(CONNECTION);
    assert!(!dispatch.is_mass_gone(&desk, &row, &there, now));
    assert!(!dispatch.is_believed_gone(CONNECTION, "web3"));
    assert!(dispatch.is_believed_gone(CONNECTION, "web4"));
}
