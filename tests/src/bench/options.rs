//! The command line of the tool.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};

/// Measures the release binary beside the limits of this machine
///
/// PostgreSQL is measured if SIGNALBOX_TEST_DATABASE_URL names a cluster; `scripts/bench` starts
/// one.
#[derive(Clone, Debug, Parser)]
#[command(name = "scripts/bench")]
pub struct Options {
    /// Short rounds: at most two minutes instead of twelve
    #[arg(long)]
    pub quick: bool,
    /// Only these figures, with the limits they are compared with
    #[arg(long, value_name = "WHAT", value_delimiter = ',')]
    pub only: Vec<What>,
    /// Only this database
    #[arg(long, value_name = "DATABASE")]
    pub database: Option<Which>,
    /// Where the report goes, as FILE.md and FILE.json
    #[arg(long, value_name = "FILE", default_value = "target/bench/bench-report")]
    pub out: PathBuf,
    /// The server's binary
    #[arg(long, value_name = "FILE", env = "SIGNALBOX_BIN")]
    pub binary: PathBuf,
}

/// Figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum What {
    /// Durable accepts per second at 1, 16, 64 and 256 connections
    Accept,
    /// Deliveries per second, and how fast a backlog drains
    Deliver,
    /// Times at a fixed rate
    Latency,
    /// Processor time of an event
    Cpu,
    /// Memory, idle and loaded
    Memory,
    /// Time from start to first answer
    Start,
    /// One node and two on the same PostgreSQL
    Nodes,
    /// Asking 10, 1,000 and 10,000 rules
    Rules,
    /// Comparing secrets
    Secrets,
}

/// A database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Which {
    /// The embedded one
    Sqlite,
    /// PostgreSQL
    Postgres,
}

impl Options {
    /// Whether these figures are wanted.
    pub fn wants(&self, what: What) -> bool {
        self.only.is_empty() || self.only.contains(&what)
    }

    /// Whether this database is wanted.
    pub fn on(&self, which: Which) -> bool {
        self.database.is_none_or(|only| only == which)
    }

    /// How long each part takes.
    pub const fn times(&self) -> Times {
        if self.quick {
            Times {
                warm: Duration::from_millis(300),
                accept: Duration::from_millis(1500),
                limit: Duration::from_millis(1500),
                deliver: Duration::from_secs(4),
                calm: Duration::from_secs(6),
                brisk: Duration::from_secs(4),
                cpu: Duration::from_secs(4),
                backlog: 4_000,
                starts: 3,
                rules: 200,
            }
        } else {
            Times {
                warm: Duration::from_secs(1),
                accept: Duration::from_secs(8),
                limit: Duration::from_secs(8),
                deliver: Duration::from_secs(20),
                calm: Duration::from_secs(30),
                brisk: Duration::from_secs(40),
                cpu: Duration::from_secs(15),
                backlog: 20_000,
                starts: 5,
                rules: 2_000,
            }
        }
    }
}

/// How long each part takes.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// Before measuring begins.
    pub warm: Duration,
    /// Accepts, for each number of connections.
    pub accept: Duration,
    /// Each limit.
    pub limit: Duration,
    /// Accepting and delivering together.
    pub deliver: Duration,
    /// 50 alerts a second.
    pub calm: Duration,
    /// 500 alerts a second.
    pub brisk: Duration,
    /// 1,000 alerts a second.
    pub cpu: Duration,
    /// Deliveries of the backlog.
    pub backlog: u64,
    /// Starts of the server.
    pub starts: u32,
    /// Rounds of evaluations and comparisons.
    pub rules: usize,
}
