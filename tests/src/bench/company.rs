//! One node and two nodes on the same PostgreSQL, in turns: whether a second one on the same
//! processors takes anything away. Each of the two has its share of them, as containers have.

use std::time::{Duration, Instant};

use super::load::{self, Target};
use super::report::{Figure, Goal};
use super::share;
use super::sink::Sink;
use super::subject::Server;
use super::usage::{Usage, busy};

/// Connections altogether, whatever the number of nodes.
const CONNECTIONS: usize = 64;
/// Turns of each: many short ones, since what the database does beside them, and the disk, hit now
/// one and now the other.
const TURNS: usize = 6;
/// Longest wait without any delivery arriving.
const PATIENCE: Duration = Duration::from_secs(20);

/// A turn.
#[derive(Clone, Copy, Debug, Default)]
struct Turn {
    /// Accepted and delivered, per second.
    rate: f64,
    /// How much of the machine's processors was used, of 1.
    busy: f64,
    /// How much of them by the nodes.
    nodes: f64,
}

/// Measures both in turns, so that whatever else happens hits both alike.
///
/// # Errors
/// A node does not answer, or not all alerts arrive.
pub async fn figures(
    nodes: [&Server; 2],
    target: &Target,
    sink: &Sink,
    time: Duration,
) -> anyhow::Result<Vec<Figure>> {
    let mut turns: [Vec<Turn>; 2] = Default::default();
    for _ in 0..TURNS {
        for (n, turns) in turns.iter_mut().enumerate() {
            turns.push(turn(nodes.get(..=n).unwrap_or_default(), target, sink, time).await?);
        }
    }
    let [one, two] = turns.map(|turns| mean(&turns));
    let named = |name: &str, turn: Turn| {
        Figure::new(name, turn.rate, "/s").note(format!(
            "{:.0} % of the processors were busy, {:.0} % with the nodes: {}",
            turn.busy * 100.0,
            turn.nodes * 100.0,
            limit(turn)
        ))
    };
    Ok(vec![
        named("delivered, one node", one),
        named(
            "delivered, two nodes, each with its share of the same processors",
            two,
        )
        .against("one node", Some(one.rate), Some(Goal::AtLeast(1.0))),
    ])
}

/// What stands in the way of more.
const fn limit(turn: Turn) -> &'static str {
    if turn.busy > 0.9 {
        "the processors are the limit"
    } else {
        "waiting for commits, one after the other, is the limit"
    }
}

async fn turn(
    nodes: &[&Server],
    target: &Target,
    sink: &Sink,
    time: Duration,
) -> anyhow::Result<Turn> {
    let processors = std::thread::available_parallelism()?.get();
    for (n, node) in nodes.iter().enumerate() {
        share::give(node.pid(), &share::of(n, nodes.len(), processors))?;
    }
    let used = |nodes: &[&Server]| -> anyhow::Result<Duration> {
        let mut sum = Duration::ZERO;
        for node in nodes {
            sum += Usage::of(node.pid())?.cpu;
        }
        Ok(sum)
    };
    let (from, begun, before) = (sink.arrived(), Instant::now(), used(nodes)?);
    let (idle, first) = (busy()?, target.alerts.next());
    let each = CONNECTIONS / nodes.len().max(1);
    let loads = nodes.iter().map(|node| {
        let target = Target {
            address: node.address,
            ..target.clone()
        };
        async move { load::closed(&target, each, Duration::ZERO, time).await }
    });
    for load in futures_util::future::join_all(loads).await {
        let load = load?;
        anyhow::ensure!(load.failed() == 0, "{:?}", load.errors);
    }
    let sent = target.alerts.next() - first;
    let arrived = sink.wait_for(from + sent, PATIENCE).await;
    anyhow::ensure!(arrived, "not all alerts arrived");
    let (seconds, now) = (begun.elapsed().as_secs_f64(), busy()?);
    let all = processors as f64;
    Ok(Turn {
        rate: sent as f64 / seconds,
        busy: now.since(&idle),
        nodes: used(nodes)?.saturating_sub(before).as_secs_f64() / seconds / all,
    })
}

fn mean(turns: &[Turn]) -> Turn {
    let of =
        |value: fn(&Turn) -> f64| turns.iter().map(value).sum::<f64>() / turns.len().max(1) as f64;
    Turn {
        rate: of(|t| t.rate),
        busy: of(|t| t.busy),
        nodes: of(|t| t.nodes),
    }
}
