//! The figures of one database.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::ensure;
use tempfile::TempDir;

use super::alert::Alerts;
use super::company;
use super::config::{DELIVERED, DROPPED};
use super::inserts::Paced;
use super::latency::Latencies;
use super::limits::{self, CONNECTIONS, HandlerLimit, InsertLimit};
use super::load::{self, Load, Target};
use super::options::{Options, Times, What};
use super::report::{Figure, Goal, Group};
use super::sink::Sink;
use super::store::Store;
use super::subject::{Installation, Server};
use super::usage::{Slices, Watch};

/// Alerts a second at which processor time is measured.
pub const CPU_RATE: u32 = 1_000;
/// Connections of fixed rates: more than are needed while the server keeps up.
const SENDERS: usize = 64;
/// A turn of the server, and of bare commits at the same rate.
const TURN: Duration = Duration::from_secs(2);
/// Connections that accept while deliveries go out.
const TOGETHER: usize = 64;
/// Longest wait without any delivery arriving.
const PATIENCE: Duration = Duration::from_secs(20);
/// Time before idle memory is read.
const SETTLE: Duration = Duration::from_secs(1);

/// What is being measured.
struct Run<'a> {
    times: Times,
    store: &'a Store,
    folder: &'a Path,
    installation: &'a Installation,
    server: Server,
    sink: &'a Sink,
    handler: &'a HandlerLimit,
    inserts: InsertLimit,
    dropped: Arc<Alerts>,
    delivered: Arc<Alerts>,
    group: Group,
    troubles: Vec<String>,
}

/// Measures everything that is wanted on one database.
///
/// # Errors
/// The server, or what it is compared with, does not work.
pub async fn on(
    store: &Store,
    options: &Options,
    folder: &Path,
    handler: &HandlerLimit,
    say: &dyn Fn(&str),
) -> anyhow::Result<(Group, Vec<String>)> {
    let times = options.times();
    let data = TempDir::with_prefix_in("data-", folder)?;
    let sink = Sink::start()?;
    say("the bare inserts");
    let sizes: &[usize] = if options.wants(What::Accept) {
        &CONNECTIONS
    } else {
        &[1, TOGETHER]
    };
    let inserts = limits::inserts(store, data.path(), sizes, &times).await?;
    let installation = Installation::make(&options.binary, store.clone(), data, sink.address)?;
    let server = installation.start().await?;
    let alerts = |source: &str| {
        let path = format!("/hooks/{source}");
        Arc::new(Alerts::new(server.address, &path, &installation.token))
    };
    let mut run = Run {
        times,
        store,
        folder,
        dropped: alerts(DROPPED),
        delivered: alerts(DELIVERED),
        group: Group {
            title: store.word().to_owned(),
            figures: Vec::new(),
        },
        installation: &installation,
        server,
        sink: &sink,
        handler,
        inserts,
        troubles: Vec::new(),
    };
    run.limits();
    let idle = run.idle().await?;
    let watch = Watch::start(run.server.pid());
    // From calm to wild, so that what one leaves behind does not disturb the next.
    if options.wants(What::Latency) {
        say("50 a second");
        run.latency(50, run.times.calm).await?;
        say("500 a second");
        run.latency(500, run.times.brisk).await?;
    }
    if options.wants(What::Cpu) {
        say("processor time at a fixed rate");
        run.cpu().await?;
    }
    if options.wants(What::Accept) {
        for (source, words) in [(DROPPED, "deliveries off"), (DELIVERED, "deliveries on")] {
            for connections in CONNECTIONS {
                say(&format!("{connections} connections, {words}"));
                run.accepts(source, words, connections).await?;
            }
        }
    }
    if options.wants(What::Deliver) {
        say("accepting and delivering");
        run.deliveries().await?;
        say("a backlog");
        run.backlog().await?;
    }
    if options.wants(What::Nodes) && matches!(store, Store::Postgres { .. }) {
        say("two nodes");
        run.nodes().await?;
    }
    if options.wants(What::Memory) {
        let most = watch.most();
        run.memory(idle, most);
    }
    drop(watch);
    if options.wants(What::Start) {
        say("starts");
        run = run.starts().await?;
    }
    let (repeated, unread) = sink.strange();
    if repeated + unread > 0 {
        run.troubles.push(format!(
            "{}: {repeated} deliveries arrived again and {unread} could not be read",
            store.word()
        ));
    }
    run.server.stop().await?;
    Ok((run.group, run.troubles))
}

impl Run<'_> {
    fn add(&mut self, figure: Figure) {
        self.group.figures.push(figure);
    }

    fn target(&self, alerts: &Arc<Alerts>) -> Target {
        Target {
            address: self.server.address,
            alerts: Arc::clone(alerts),
            status: 202,
        }
    }

    fn check(&mut self, what: &str, load: &Load) {
        if load.failed() > 0 {
            let words = format!("{}: {what}: {:?}", self.group.title, load.errors);
            self.troubles.push(words);
        }
    }

    /// The bare inserts, as figures.
    fn limits(&mut self) {
        let rates = self.inserts.rates.clone();
        for (rows, rate) in rates {
            let name = format!("bare inserts, {rows} rows a commit");
            self.add(Figure::new(name, rate, "rows/s"));
        }
        if let Some((p50, p99)) = self.inserts.commit_ms {
            self.add(Figure::new("one bare durable commit, p50", p50, "ms"));
            self.add(Figure::new("one bare durable commit, p99", p99, "ms"));
        }
    }

    /// Memory of the server before it has done anything, in bytes.
    async fn idle(&self) -> anyhow::Result<u64> {
        tokio::time::sleep(SETTLE).await;
        Ok(self.server.usage()?.memory)
    }

    fn memory(&mut self, idle: u64, most: u64) {
        let mb = |bytes: u64| bytes as f64 / 1e6;
        self.add(Figure::new("memory, idle", mb(idle), "MB").goal(Goal::AtMost(40.0)));
        self.add(
            Figure::new("memory, the most under load", mb(most), "MB").goal(Goal::AtMost(120.0)),
        );
    }

    /// Waits until the sink has everything that was accepted for it.
    async fn settle(&mut self, what: &str) -> bool {
        let sent = self.delivered.next() - 1;
        let all = self.sink.wait_for(sent, PATIENCE).await;
        if !all {
            // A request that failed has a number, too: said here, and judged by its reader.
            let words = format!(
                "{}: {what}: {} of {sent} alerts arrived",
                self.group.title,
                self.sink.arrived()
            );
            self.troubles.push(words);
        }
        all
    }

    async fn accepts(
        &mut self,
        source: &str,
        words: &str,
        connections: usize,
    ) -> anyhow::Result<()> {
        let alerts = if source == DROPPED {
            &self.dropped
        } else {
            &self.delivered
        };
        let target = self.target(alerts);
        let mut done =
            load::closed(&target, connections, self.times.warm, self.times.accept).await?;
        let what = format!("accepts, {words}, {connections} connections");
        self.check(&what, &done);
        let inserts = self.inserts.rates.get(&connections).copied();
        let handler = self.handler.rates.get(&connections).copied();
        // Of many connections, deliveries off: the smaller of half the inserts and a third of the
        // handler's answers.
        let goal = inserts
            .zip(handler)
            .filter(|_| source == DROPPED && connections >= 64)
            .map(|(inserts, handler)| (inserts / 2.0).min(handler / 3.0));
        let p50 = done.latencies.quantile_ms(0.5);
        let p99 = done.latencies.quantile_ms(0.99);
        let mut figure = Figure::new(&what, done.rate(), "/s")
            .against("bare inserts", inserts, None)
            .against("handler that stores nothing", handler, None)
            .note(format!("p50 {p50:.2} ms, p99 {p99:.2} ms"));
        if let Some(least) = goal {
            figure = figure.goal(Goal::AtLeast(least));
        }
        self.add(figure);
        if source == DELIVERED {
            self.settle(&what).await;
        }
        Ok(())
    }

    async fn latency(&mut self, rate: u32, time: Duration) -> anyhow::Result<()> {
        let (mut commits, mut done) = self.in_turns(rate, time).await?;
        let paced = self.paced(rate, &mut commits);
        let mut through = Latencies::default();
        for (number, due) in &done.sent {
            if let Some(arrived) = self.sink.first(*number) {
                through.add(arrived.saturating_duration_since(*due));
            }
        }
        let commit = self.inserts.commit_ms;
        let accept_goal = (rate == 50).then_some(Goal::AtMost(3.0));
        let through_goal = (rate == 500).then_some(Goal::AtMost(2.0));
        let at_rate = |share: &str| format!("one commit {share} at that rate");
        for (name, times, goal) in [
            ("accept", &mut done.latencies, accept_goal),
            ("accept to sink", &mut through, through_goal),
        ] {
            let p50 = Figure::new(
                format!("{name}, p50 at {rate}/s"),
                times.quantile_ms(0.5),
                "ms",
            )
            .against(&at_rate("p50"), Some(paced.0), None)
            .against("one commit p50", commit.map(|c| c.0), None);
            let p99 = Figure::new(
                format!("{name}, p99 at {rate}/s"),
                times.quantile_ms(0.99),
                "ms",
            )
            .against(&at_rate("p99"), Some(paced.1), goal)
            .against("one commit p99", commit.map(|c| c.1), None);
            self.add(p50);
            self.add(p99.note(format!("{} alerts", times.len())));
        }
        Ok(())
    }

    /// Bare commits and alerts at a rate, each for `time`. In turns: how fast a disk is changes
    /// within seconds where it is shared.
    async fn in_turns(&mut self, rate: u32, time: Duration) -> anyhow::Result<(Latencies, Load)> {
        let what = format!("{rate} a second");
        let file = self.folder.join("paced.db");
        let mut bare = Paced::make(self.store, &file).await?;
        let (mut commits, mut done) = (Latencies::default(), Load::default());
        let mut rest = time;
        while !rest.is_zero() {
            let turn = rest.min(TURN);
            commits.extend(bare.measure(rate, turn).await?);
            let target = self.target(&self.delivered);
            done.merge(load::open(&target, rate, SENDERS, turn).await?);
            self.settle(&what).await;
            rest -= turn;
        }
        bare.close().await?;
        if matches!(self.store, Store::Sqlite) {
            std::fs::remove_file(&file)?;
        }
        self.check(&what, &done);
        Ok((commits, done))
    }

    /// p50 and p99 of one bare commit at a rate, in milliseconds, and as figures.
    fn paced(&mut self, rate: u32, commits: &mut Latencies) -> (f64, f64) {
        let (p50, p99) = (commits.quantile_ms(0.5), commits.quantile_ms(0.99));
        for (share, ms) in [("p50", p50), ("p99", p99)] {
            let name = format!("one bare durable commit, {share} at {rate}/s");
            self.add(Figure::new(name, ms, "ms"));
        }
        (p50, p99)
    }

    async fn cpu(&mut self) -> anyhow::Result<()> {
        let before = self.server.usage()?.cpu;
        let target = self.target(&self.delivered);
        let work = load::open(&target, CPU_RATE, SENDERS, self.times.cpu);
        let (slices, done) = Slices::of(self.server.pid(), CPU_RATE, work).await?;
        self.check("1,000 a second", &done);
        self.settle("1,000 a second").await;
        let used = self.server.usage()?.cpu.saturating_sub(before);
        let all = used.as_secs_f64() * 1000.0 / done.good.max(1) as f64;
        let reached = done.rate();
        let each = slices.median().unwrap_or(all);
        let (least, most) = slices.extremes().unwrap_or((all, all));
        let figure = Figure::new("processor time of an event at 1,000/s", each, "ms")
            .goal(Goal::AtMost(0.3))
            .against("handler that stores nothing", self.handler.cpu_ms, None)
            .note(format!(
                "accept to delivered, the server's process; the second in the middle, of all \
                 {all:.3} ({least:.3} to {most:.3}); {reached:.0}/s reached"
            ));
        self.add(figure);
        Ok(())
    }

    /// Everything at once: as many accepts as 64 connections make, until the last is delivered.
    async fn deliveries(&mut self) -> anyhow::Result<()> {
        let (arrived, begun) = (self.sink.arrived(), Instant::now());
        let target = self.target(&self.delivered);
        let done = load::closed(&target, TOGETHER, Duration::ZERO, self.times.deliver).await?;
        self.check("accepting and delivering", &done);
        let (at_end, window) = (self.sink.arrived(), begun.elapsed());
        let backlog = (self.delivered.next() - 1).saturating_sub(at_end);
        self.settle("accepting and delivering").await;
        let total = (self.sink.arrived() - arrived) as f64 / begun.elapsed().as_secs_f64();
        let during = (at_end - arrived) as f64 / window.as_secs_f64();
        let inserts = self.inserts.rates.get(&TOGETHER).copied();
        let handler = self.handler.rates.get(&TOGETHER).copied();
        self.add(
            Figure::new("delivered, accept and deliver together", total, "/s")
                .against("bare inserts", inserts, None)
                .against("handler that stores nothing", handler, None)
                .note(format!(
                    "until the last had arrived; while accepting {:.0}/s: {during:.0}/s delivered, {backlog} left over",
                    done.rate()
                )),
        );
        Ok(())
    }

    /// Deliveries that waited in the database while their connection was off.
    async fn backlog(&mut self) -> anyhow::Result<()> {
        self.installation.apply(self.sink.address, false)?;
        let before = self.sink.arrived();
        let target = self.target(&self.delivered);
        let begun = Instant::now();
        let mut accepted = 0;
        while accepted < self.times.backlog {
            let step = Duration::from_millis(500);
            let done = load::closed(&target, TOGETHER, Duration::ZERO, step).await?;
            self.check("filling a backlog", &done);
            accepted += done.good;
            ensure!(
                begun.elapsed() < Duration::from_secs(60),
                "the backlog does not fill"
            );
        }
        let grown = accepted as f64 / begun.elapsed().as_secs_f64();
        let waiting = (self.delivered.next() - 1).saturating_sub(before);
        self.installation.apply(self.sink.address, true)?;
        // From the first arrival on: until then the change of the configuration is under way.
        ensure!(
            self.sink.wait_for(before + 1, PATIENCE).await,
            "the backlog does not drain"
        );
        let (first, from) = (self.sink.arrived(), Instant::now());
        self.settle("a backlog").await;
        let drained = (self.sink.arrived() - first) as f64 / from.elapsed().as_secs_f64();
        self.add(
            Figure::new("a backlog drains at", drained, "/s")
                .against("as it had grown", Some(grown), Some(Goal::AtLeast(1.0)))
                .note(format!("{waiting} deliveries from the database")),
        );
        Ok(())
    }

    /// The same load on this node alone, and on it and another one.
    async fn nodes(&mut self) -> anyhow::Result<()> {
        let second = self.installation.start().await?;
        let target = self.target(&self.delivered);
        let both = [&self.server, &second];
        let figures = company::figures(both, &target, self.sink, self.times.deliver / 4).await?;
        second.stop().await?;
        self.group.figures.extend(figures);
        Ok(())
    }

    /// Stops the server and starts it on the same data, a few times.
    async fn starts(mut self) -> anyhow::Result<Self> {
        let events = self.dropped.next() + self.delivered.next() - 2;
        let mut times = Latencies::default();
        let installation = self.installation;
        for _ in 0..self.times.starts {
            let old = self.server;
            old.stop().await?;
            self.server = installation.start().await?;
            times.add(self.server.ready);
        }
        let median = times.quantile_ms(0.5);
        self.add(
            Figure::new("start to first 2xx", median, "ms")
                .goal(Goal::AtMost(500.0))
                .note(format!(
                    "median of {}, about {events} events stored",
                    times.len()
                )),
        );
        Ok(self)
    }
}
