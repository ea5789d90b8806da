//! What a process uses, as the kernel counts it.

use std::process::Command;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context as _;

/// How often memory is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// Used so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// Processor time, user and system together.
    pub cpu: Duration,
    /// Memory that is resident, in bytes.
    pub memory: u64,
}

impl Usage {
    /// Of this process.
    ///
    /// # Errors
    /// There is no such process, or no `/proc`.
    pub fn of(pid: u32) -> anyhow::Result<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
        // The name in parentheses may hold spaces; what follows is numbers.
        let rest = stat.rsplit_once(')').context("/proc/PID/stat")?.1;
        let field = |n: usize| -> anyhow::Result<u64> {
            let text = rest.split_whitespace().nth(n).context("/proc/PID/stat")?;
            Ok(text.parse()?)
        };
        // Counted from the state, the first after the name: user, system, resident pages.
        let ticks = field(11)? + field(12)?;
        Ok(Self {
            cpu: Duration::from_secs_f64(ticks as f64 / number_of("CLK_TCK", 100) as f64),
            memory: field(21)? * number_of("PAGESIZE", 4096),
        })
    }
}

/// How long a slice of a figure of processor time is.
const SLICE: Duration = Duration::from_secs(1);

/// Processor time of a process in each second of some work, in milliseconds for each of what is done
/// at a fixed rate.
///
/// Whoever shares the processors takes caches and clock rate from it, for seconds at a time, and the
/// kernel charges the process for that: the middle of many slices says what the work costs.
#[derive(Debug, Default)]
pub struct Slices(Vec<f64>);

impl Slices {
    /// Watches `pid` until `work`, at so many a second, is done.
    ///
    /// # Errors
    /// The work failed, there is no such process, or no `/proc`.
    pub async fn of<T>(
        pid: u32,
        rate: u32,
        work: impl Future<Output = anyhow::Result<T>>,
    ) -> anyhow::Result<(Self, T)> {
        let mut slices = Vec::new();
        let (mut before, mut begun) = (Usage::of(pid)?.cpu, Instant::now());
        let mut tick = tokio::time::interval_at((begun + SLICE).into(), SLICE);
        tokio::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return Ok((Self(slices), done?)),
                _ = tick.tick() => {}
            }
            let (cpu, now) = (Usage::of(pid)?.cpu, Instant::now());
            let used = cpu.saturating_sub(before).as_secs_f64() * 1000.0;
            slices.push(used / ((now - begun).as_secs_f64() * f64::from(rate)));
            (before, begun) = (cpu, now);
        }
    }

    /// The one in the middle; none where the work took no longer than one.
    pub fn median(&self) -> Option<f64> {
        self.ordered().get(self.0.len() / 2).copied()
    }

    /// The lowest and the highest.
    pub fn extremes(&self) -> Option<(f64, f64)> {
        let all = self.ordered();
        Some((*all.first()?, *all.last()?))
    }

    fn ordered(&self) -> Vec<f64> {
        let mut all = self.0.clone();
        all.sort_by(f64::total_cmp);
        all
    }
}

/// Time of all processors, as the kernel counts it.
#[derive(Clone, Copy, Debug)]
pub struct Processors {
    all: u64,
    idle: u64,
}

impl Processors {
    /// How much of the time since then they were busy, of 1.
    pub fn since(&self, before: &Self) -> f64 {
        let all = self.all.saturating_sub(before.all).max(1);
        let idle = self.idle.saturating_sub(before.idle);
        1.0 - idle as f64 / all as f64
    }
}

/// Of this machine, since it was started.
///
/// # Errors
/// There is no `/proc`.
pub fn busy() -> anyhow::Result<Processors> {
    let stat = std::fs::read_to_string("/proc/stat")?;
    let line = stat.lines().next().context("/proc/stat")?;
    // user, nice, system, idle, iowait, irq, softirq, steal: what guests use is in user already.
    let ticks = line
        .split_whitespace()
        .skip(1)
        .take(8)
        .map(|field| Ok(field.parse()?))
        .collect::<anyhow::Result<Vec<u64>>>()?;
    Ok(Processors {
        all: ticks.iter().sum(),
        idle: ticks.iter().skip(3).take(2).sum(),
    })
}

fn number_of(name: &'static str, usual: u64) -> u64 {
    static ASKED: OnceLock<parking_lot::Mutex<std::collections::HashMap<&'static str, u64>>> =
        OnceLock::new();
    let mut asked = ASKED.get_or_init(Default::default).lock();
    *asked.entry(name).or_insert_with(|| {
        let said = Command::new("getconf").arg(name).output().ok();
        said.and_then(|said| String::from_utf8(said.stdout).ok()?.trim().parse().ok())
            .unwrap_or(usual)
    })
}

/// Watches the memory of a process until dropped.
#[derive(Debug)]
pub struct Watch {
    most: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Begins.
    pub fn start(pid: u32) -> Self {
        let most = Arc::new(AtomicU64::new(0));
        let stop = Arc::new(AtomicBool::new(false));
        let (seen, ended) = (Arc::clone(&most), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            while !ended.load(Ordering::Relaxed) {
                let Ok(usage) = Usage::of(pid) else { return };
                seen.fetch_max(usage.memory, Ordering::Relaxed);
                std::thread::sleep(LOOK);
            }
        });
        Self {
            most,
            stop,
            thread: Some(thread),
        }
    }

    /// The most that was seen, in bytes.
    pub fn most(&self) -> u64 {
        self.most.load(Ordering::Relaxed)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It only reads files; it cannot fail in a way that matters.
            thread.join().ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_of_slices_is_not_moved_by_one_that_was_disturbed() {
        let slices = Slices(vec![0.3, 2.0, 0.2, 0.25, 0.3]);
        assert_eq!(slices.median(), Some(0.3));
        assert_eq!(slices.extremes(), Some((0.2, 2.0)));
        assert_eq!(Slices::default().median(), None);
        assert_eq!(Slices::default().extremes(), None);
    }
}
