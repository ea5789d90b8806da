//! Settings: what a person can turn, from flags, the environment, a file and the defaults.
//!
//! Invariant: a setting exists in one place, the table in `table.rs`. The struct, the defaults, the
//! flags, the page of the documentation and `.env.example` are all made from it. A flag goes before
//! a variable, a variable before the file, the file before the default. What cannot be read stops
//! the process before it has touched anything.

mod flags;
mod load;
mod render;
mod table;
mod value;

pub use flags::{ServeFlags, StoreFlags};
pub use load::{Given, Loaded, Origin, SettingsError};
pub use render::{env_example, markdown};
pub use table::Settings;
pub use value::{LogFormat, Role, SmtpTls, Value};

/// What every variable of ours begins with.
pub const PREFIX: &str = "SIGNALBOX_";

/// Variables of ours that are not settings: the file itself, and what scripts and tests use.
/// They are never warned about. One that ends in an underscore stands for all that begin with it.
pub const OTHER_VARIABLES: &[(&str, &str)] = &[
    ("SIGNALBOX_CONFIG", "the settings file, as `--config`"),
    ("SIGNALBOX_URL", "address that `scripts/api-curl.sh` calls"),
    ("SIGNALBOX_TOKEN", "bearer token of `scripts/api-curl.sh`"),
    ("SIGNALBOX_ROOT", "the scripts: root of the clone"),
    (
        "SIGNALBOX_CACHE",
        "the scripts: where what they fetch is kept",
    ),
    (
        "SIGNALBOX_RUST_LIBRARY",
        "the scripts: source of the wasm target",
    ),
    (
        "SIGNALBOX_ADVISORY_DB",
        "`scripts/test`: database of advisories",
    ),
    ("SIGNALBOX_AXE", "`scripts/test`: the accessibility checker"),
    ("SIGNALBOX_CHROMIUM", "`scripts/test`: the browser"),
    ("SIGNALBOX_CHROMEDRIVER", "`scripts/test`: its driver"),
    (
        "SIGNALBOX_BIN",
        "`scripts/test` and `scripts/bench`: the built binary",
    ),
    ("SIGNALBOX_RUN_", "`scripts/run`"),
    ("SIGNALBOX_TEST_", "`scripts/test` and the tests"),
    ("SIGNALBOX_BENCH_", "`scripts/bench`"),
    ("SIGNALBOX_DEMO_", "secrets of the demonstration file"),
    (
        "SIGNALBOX_SSO_SECRET_",
        "secrets at the providers of `sso_file`",
    ),
];

/// Where a setting may be given on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flag {
    /// By every command that opens the database.
    Store,
    /// By `serve` only.
    Serve,
    /// Nowhere.
    Never,
}

/// One row of the table of settings.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Heading it stands under.
    pub section: &'static str,
    /// Its key in the file.
    pub name: &'static str,
    /// What it is for.
    pub doc: &'static str,
    /// Text of the default; empty: none, or derived as `doc` says.
    pub default: &'static str,
    /// Where it is a flag.
    pub flag: Flag,
}

impl Setting {
    /// Its environment variable.
    pub fn variable(&self) -> String {
        format!("{PREFIX}{}", self.name.to_uppercase())
    }

    /// What it is for, on one line.
    pub fn summary(&self) -> String {
        self.doc.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// Its flag, without the dashes.
    pub fn long(&self) -> String {
        self.name.replace('_', "-")
    }
}

#[cfg(test)]
mod tests;
