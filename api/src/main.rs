//! The binary.

use std::process::ExitCode;

/// An event is some hundred small pieces of memory that come and go on several threads; the
/// system's allocator took a sixth of the processor time of one.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    api::cli::run(std::env::args_os())
}
