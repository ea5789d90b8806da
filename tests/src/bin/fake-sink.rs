//! A sink for HTTP deliveries: counts what comes.

use clap::Parser;
use tests::fakes::FakeSink;

/// Starts a sink on loopback; ends with Ctrl-C.
#[derive(Parser)]
struct Flags {
    /// Port; 0 takes a free one.
    #[arg(long, default_value_t = 9002)]
    port: u16,
    /// Threads that serve.
    #[arg(long, default_value_t = 1)]
    workers: usize,
    /// Keep counts only, no bodies and headers.
    #[arg(long)]
    lean: bool,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let flags = Flags::parse();
    let sink = FakeSink::start_on(flags.port, flags.workers, !flags.lean)?;
    #[expect(
        clippy::print_stdout,
        reason = "whoever started it wants to know where it is"
    )]
    {
        println!("url:    {}", sink.url);
        println!("counts: {}/_fake/counts", sink.url);
    }
    tokio::signal::ctrl_c().await?;
    Ok(())
}
