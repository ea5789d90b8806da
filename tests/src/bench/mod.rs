//! Measuring: the release binary beside the limits of the machine it runs on.
//!
//! Everything is measured in one run, on loopback: first what the machine gives (a handler that
//! stores nothing, bare inserts), then the server, so that every figure can be read as a share of
//! what was possible at that time. Whatever is started is stopped, also when something fails.

pub mod alert;
pub mod client;
mod company;
pub mod config;
mod figures;
mod handler;
mod inserts;
pub mod latency;
mod limits;
pub mod load;
mod machine;
pub mod options;
mod report;
pub mod rules;
pub mod secrets;
mod share;
pub mod sink;
mod store;
mod subject;
mod usage;

use std::path::Path;
use std::time::Instant;

use anyhow::Context as _;

use limits::{CONNECTIONS, HandlerLimit};
use machine::Machine;
use options::{Options, What, Which};
use report::{Figure, Goal, Group, Report};
use secrets::Guess;
use store::Store;

pub use handler::{COMMAND as HANDLER, serve as serve_handler};

/// Variable that names a PostgreSQL cluster.
const CLUSTER: &str = "SIGNALBOX_TEST_DATABASE_URL";

/// Measures what is wanted, writes the report and returns it as text.
///
/// # Errors
/// Something that is measured does not work.
pub async fn run(options: &Options, say: &dyn Fn(&str)) -> anyhow::Result<String> {
    let begun = Instant::now();
    let at = said_now();
    let mut machine = Machine::look();
    let folder = options.out.parent().unwrap_or(Path::new(".")).to_owned();
    std::fs::create_dir_all(&folder).context("the folder of the report")?;
    let mut groups = Vec::new();
    let mut settings = settings(options);

    let mut handler = HandlerLimit::default();
    let loads = [What::Accept, What::Deliver, What::Cpu];
    if loads.iter().any(|what| options.wants(*what)) {
        say("the handler that stores nothing");
        let with_cpu = options.wants(What::Cpu);
        handler = limits::handler(&options.times(), figures::CPU_RATE, with_cpu).await?;
        groups.push(handler_group(&handler));
    }
    if options.wants(What::Rules) {
        say("rules");
        groups.push(rules_group(options.times().rules)?);
    }
    if options.wants(What::Secrets) {
        say("secrets");
        groups.push(secrets_group(options.times().rules));
    }
    let mut troubles = Vec::new();
    for store in stores(options).await? {
        let word = store.word();
        settings.push((format!("{word} version"), store.version().await?));
        let place = store.place(&folder).await?;
        let kind = machine::file_system(Path::new(&place));
        settings.push((format!("{word} file system"), kind));
        let measured = figures::on(&store, options, &folder, &handler, &|what| {
            say(&format!("{word}: {what}"));
        })
        .await;
        let removed = store.remove().await;
        let (group, more) = measured?;
        removed?;
        groups.push(group);
        troubles.extend(more);
    }
    machine.end();
    let report = Report {
        commit: machine::commit(),
        begun: at,
        seconds: begun.elapsed().as_secs_f64(),
        machine,
        settings,
        groups,
        troubles,
    };
    report.write(&options.out).context("writing the report")?;
    Ok(report.markdown())
}

async fn stores(options: &Options) -> anyhow::Result<Vec<Store>> {
    let of_server = [
        What::Accept,
        What::Deliver,
        What::Latency,
        What::Cpu,
        What::Memory,
        What::Start,
        What::Nodes,
    ];
    let mut stores = Vec::new();
    if !of_server.iter().any(|what| options.wants(*what)) {
        return Ok(stores);
    }
    if options.on(Which::Sqlite) {
        stores.push(Store::Sqlite);
    }
    if options.on(Which::Postgres) {
        match std::env::var(CLUSTER) {
            Ok(cluster) => stores.push(Store::postgres(&cluster).await?),
            Err(_) if options.database.is_none() => {}
            Err(_) => anyhow::bail!("{CLUSTER} names no PostgreSQL"),
        }
    }
    Ok(stores)
}

fn settings(options: &Options) -> Vec<(String, String)> {
    let times = options.times();
    let seconds = |t: std::time::Duration| format!("{:.1} s", t.as_secs_f64());
    [
        (
            "length",
            if options.quick { "quick" } else { "full" }.to_owned(),
        ),
        (
            "alert",
            format!("{} bytes of JSON, bearer source", alert::SIZE),
        ),
        (
            "rules",
            "11 that apply to the source, the last one takes the alert; mapping of 5 fields"
                .to_owned(),
        ),
        (
            "delivery",
            "http connector, POST to a sink on loopback that answers 204, no lane".to_owned(),
        ),
        ("server", "default settings, log to a file".to_owned()),
        (
            "durability",
            "SQLite: WAL, synchronous=FULL; PostgreSQL: fsync and synchronous_commit on".to_owned(),
        ),
        (
            "accepts",
            format!(
                "{} each after {}",
                seconds(times.accept),
                seconds(times.warm)
            ),
        ),
        (
            "fixed rates",
            format!(
                "{} at 50/s, {} at 500/s, counted from the moment an alert was due",
                seconds(times.calm),
                seconds(times.brisk)
            ),
        ),
        (
            "generator and sink",
            "one thread each on the same machine, connections kept alive".to_owned(),
        ),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect()
}

fn handler_group(limit: &HandlerLimit) -> Group {
    let mut figures = Vec::new();
    for connections in CONNECTIONS {
        let rate = limit.rates.get(&connections).copied().unwrap_or_default();
        let (p50, p99) = limit.times.get(&connections).copied().unwrap_or_default();
        figures.push(
            Figure::new(format!("answers, {connections} connections"), rate, "/s")
                .note(format!("p50 {p50:.2} ms, p99 {p99:.2} ms")),
        );
    }
    if let Some(cpu) = limit.cpu_ms {
        figures.push(Figure::new(
            "processor time of a request at 1,000/s",
            cpu,
            "ms",
        ));
    }
    Group {
        title: "Limit: a handler that reads the body and stores nothing".to_owned(),
        figures,
    }
}

fn rules_group(rounds: usize) -> anyhow::Result<Group> {
    let counts = [10, 1_000, 10_000];
    let medians = rules::medians_ms(&counts, rounds)?;
    let ten = medians.first().copied();
    let figures = counts
        .iter()
        .zip(&medians)
        .map(|(count, ms)| {
            let figure = Figure::new(format!("one evaluation, {count} rules"), ms * 1000.0, "µs");
            if *count == 10 {
                return figure;
            }
            figure.against(
                "10 rules",
                ten.map(|ms| ms * 1000.0),
                Some(Goal::AtMost(3.0)),
            )
        })
        .collect();
    Ok(Group {
        title: "Rules: in the engine alone, each looks for one host, the last one takes the alert"
            .to_owned(),
        figures,
    })
}

fn secrets_group(rounds: usize) -> Group {
    let medians = secrets::medians_ms(rounds);
    let right = medians.first().map(|ms| ms * 1e6);
    let figures = Guess::ALL
        .iter()
        .zip(&medians)
        .map(|(guess, ms)| {
            let words = format!("one comparison, {}", guess.words());
            let figure = Figure::new(words, ms * 1e6, "ns");
            match guess {
                Guess::Right => figure,
                // A shorter guess is shorter to read; how long the secret is does not show.
                Guess::Short => figure.against("a right guess", right, None),
                Guess::FirstWrong | Guess::LastWrong => {
                    figure.against("a right guess", right, Some(Goal::AtMost(1.1)))
                }
            }
        })
        .collect();
    Group {
        title: "Secrets: the one comparison, of 64 bytes, tells nothing by its time".to_owned(),
        figures,
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the report says when it was made"
)]
fn said_now() -> String {
    chrono::Utc::now().format("%Y-%m-%d %H:%M UTC").to_string()
}
