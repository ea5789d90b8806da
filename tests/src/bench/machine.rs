//! What the figures were measured on.

use std::path::Path;
use std::process::Command;

use serde::Serialize;

/// The machine and the state it was in.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    /// Model of the processor.
    pub processor: String,
    /// Processors that this program may use.
    pub cores: usize,
    /// Memory in bytes.
    pub memory: u64,
    /// System and kernel.
    pub system: String,
    /// Load average of the last minute when the run began: what else the machine was doing.
    pub load_before: f64,
    /// The same when the run ended, this program's own load with it.
    pub load_after: f64,
}

impl Machine {
    /// This one, now.
    pub fn look() -> Self {
        let processor = line_of("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown".into());
        let memory = line_of("/proc/meminfo", "MemTotal")
            .and_then(|text| text.split_whitespace().next()?.parse::<u64>().ok())
            .unwrap_or_default();
        Self {
            processor,
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory: memory * 1024,
            system: said("uname", &["-srm"]).unwrap_or_else(|| "unknown".into()),
            load_before: load(),
            load_after: 0.0,
        }
    }

    /// Notes the load at the end.
    pub fn end(&mut self) {
        self.load_after = load();
    }
}

/// The revision of the source, with a mark if it was changed since.
pub fn commit() -> String {
    let Some(revision) = said("git", &["rev-parse", "--short=12", "HEAD"]) else {
        return "unknown".into();
    };
    match said("git", &["status", "--porcelain", "--untracked-files=no"]) {
        Some(changes) if !changes.is_empty() => format!("{revision} (changed since)"),
        _ => revision,
    }
}

/// Type of the file system and the device that hold this folder.
pub fn file_system(folder: &Path) -> String {
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap_or_default();
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    mounts
        .lines()
        .filter_map(|line| {
            let mut words = line.split(' ');
            Some((words.next()?, words.next()?, words.next()?))
        })
        .filter(|(_, place, _)| folder.starts_with(place))
        // The last one is the one that covers the others.
        .max_by_key(|(_, place, _)| place.len())
        .map_or_else(
            || "unknown".into(),
            |(device, _, kind)| format!("{kind} on {device}"),
        )
}

fn line_of(file: &str, name: &str) -> Option<String> {
    let text = std::fs::read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn load() -> f64 {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let first = text.split(' ').next().and_then(|word| word.parse().ok());
    first.unwrap_or_default()
}

fn said(program: &str, arguments: &[&str]) -> Option<String> {
    let said = Command::new(program).args(arguments).output().ok()?;
    if !said.status.success() {
        return None;
    }
    Some(String::from_utf8(said.stdout).ok()?.trim().to_owned())
}
