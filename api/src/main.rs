//! The binary.

use std::process::ExitCode;

/// Every event makes and drops some hundreds of small pieces, on several threads.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    api::cli::run(std::env::args_os())
}
