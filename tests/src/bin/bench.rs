//! `scripts/bench` runs this: measures the release binary and writes the report.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command that talks to people"
)]

use std::process::ExitCode;
use std::time::Instant;

use clap::Parser as _;
use tests::bench::{self, options::Options};

fn main() -> ExitCode {
    match measure() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn measure() -> anyhow::Result<()> {
    if std::env::args().nth(1).as_deref() == Some(bench::HANDLER) {
        return bench::serve_handler();
    }
    let options = Options::parse();
    let begun = Instant::now();
    let say = |what: &str| {
        eprintln!("[{:5.1} s] {what}", begun.elapsed().as_secs_f64());
    };
    // One thread: the generator should leave the processors to what is measured.
    let report = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(bench::run(&options, &say))?;
    println!("{report}");
    println!("Written to {}", options.out.with_extension("md").display());
    Ok(())
}
