//! What a test that takes too long was waiting for.
//!
//! The runner sends SIGTERM before it kills. Whoever is told so says which processes there are and
//! what each of their threads does, so that a hang that was seen once can be understood.

use std::fmt::Write as _;
use std::process::Command;
use std::sync::Once;

use tokio::signal::unix::{SignalKind, signal};

/// Says it when this process is told to end. From the first call on.
///
/// # Panics
/// The signal cannot be listened to.
pub(crate) fn watch() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let (tell, told) = std::sync::mpsc::sync_channel(1);
        // A thread of its own: those of the test may be what hangs.
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let mut end = signal(SignalKind::terminate()).unwrap();
                tell.send(()).unwrap();
                end.recv().await;
                say("told to end");
                // One by one: there may be no time for all.
                for process in family(std::process::id()) {
                    say(&state(process));
                }
                std::process::exit(143);
            });
        });
        told.recv().unwrap();
    });
}

#[expect(clippy::print_stderr, reason = "the last words of a test")]
pub(crate) fn say(text: &str) {
    eprintln!("{text}");
}

/// A process and all that it started.
pub(crate) fn family(pid: u32) -> Vec<u32> {
    let mut all = vec![pid];
    for child in children(pid) {
        all.extend(family(child));
    }
    all
}

/// What a process is called, and what its threads wait for.
pub(crate) fn state(pid: u32) -> String {
    let read = |path: String| std::fs::read_to_string(path).unwrap_or_default();
    let command = read(format!("/proc/{pid}/cmdline")).replace('\0', " ");
    let mut text = format!("process {pid}: {command}\n");
    for thread in threads(pid) {
        let of = |name: &str| read(format!("/proc/{pid}/task/{thread}/{name}"));
        let (name, waits, call) = (of("comm"), of("wchan"), of("syscall"));
        let (name, call) = (name.trim(), call.trim());
        let _ = writeln!(text, "  thread {thread} {name}: {waits} ({call})");
    }
    if pid != std::process::id() {
        text.push_str(&frames(pid));
    }
    text
}

/// Where there is a debugger, it knows more. It stops whom it looks at, so never this process.
fn frames(pid: u32) -> String {
    let frames = Command::new("timeout")
        .args(["-s", "KILL", "20", "gdb", "-batch", "-nx", "-p"])
        .arg(pid.to_string())
        .args(["-ex", "thread apply all backtrace 30"])
        .output();
    frames.map_or_else(
        |_| String::new(),
        |frames| String::from_utf8_lossy(&frames.stdout).into_owned(),
    )
}

fn threads(pid: u32) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(format!("/proc/{pid}/task")) else {
        return Vec::new();
    };
    let names = entries.map_while(Result::ok);
    names
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect()
}

fn children(pid: u32) -> Vec<u32> {
    let of = |thread| std::fs::read_to_string(format!("/proc/{pid}/task/{thread}/children"));
    let lists = threads(pid).into_iter().map_while(|thread| of(thread).ok());
    let lists: Vec<String> = lists.collect();
    let ids = lists.iter().flat_map(|list| list.split_whitespace());
    ids.filter_map(|id| id.parse().ok()).collect()
}
