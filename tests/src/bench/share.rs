//! Which processors a process may use.

use std::ops::Range;
use std::process::Command;

use anyhow::{Context as _, ensure};

/// The processors that the n-th of so many processes has for itself, all of them where they are too
/// few for that.
pub fn of(n: usize, processes: usize, processors: usize) -> Range<usize> {
    let each = processors.checked_div(processes).unwrap_or(processors);
    if each == 0 {
        return 0..processors;
    }
    let last = n + 1 == processes;
    n * each..if last { processors } else { (n + 1) * each }
}

/// Lets a process, with all its threads, use these processors only.
///
/// # Errors
/// There is no `taskset` (util-linux), or no such process.
pub fn give(pid: u32, processors: &Range<usize>) -> anyhow::Result<()> {
    let list = format!("{}-{}", processors.start, processors.end.saturating_sub(1));
    let done = Command::new("taskset")
        .args(["--all-tasks", "--cpu-list", "--pid", &list])
        .arg(pid.to_string())
        .output()
        .context("taskset, of util-linux")?;
    let said = String::from_utf8_lossy(&done.stderr);
    ensure!(done.status.success(), "taskset: {}", said.trim());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::of;

    #[test]
    fn shares_are_all_of_them_and_overlap_nowhere() {
        for processors in 1..20 {
            for processes in 1..=processors {
                let shares = (0..processes).flat_map(|n| of(n, processes, processors));
                assert!(shares.eq(0..processors), "{processes} of {processors}");
            }
        }
        assert_eq!(of(1, 2, 1), 0..1, "one is not divided");
    }
}
