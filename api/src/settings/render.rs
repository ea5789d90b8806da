//! The settings as a page of the documentation and as an example file.

use std::fmt::Write as _;

use super::table::TABLE;
use super::{Flag, OTHER_VARIABLES, Setting};

/// The text of `.env.example`: every setting, commented out, with its default.
pub fn env_example() -> String {
    let mut text = String::from(
        "# Every setting of Signalbox with its default. Take the # away to change one.\n\
         # Printed by `signalbox env-example`.\n",
    );
    for (section, settings) in sections() {
        let _ = write!(text, "\n# --- {section} ---\n");
        for setting in settings {
            let _ = write!(
                text,
                "\n{}#{}={}\n",
                comment(setting),
                setting.variable(),
                setting.default
            );
        }
    }
    text
}

/// The tables of `docs/configuration.md`.
pub fn markdown() -> String {
    let mut text = String::new();
    for (section, settings) in sections() {
        let _ = write!(
            text,
            "\n### {section}\n\n| Key | Variable | Flag | Default | What it is for |\n|---|---|---|---|---|\n"
        );
        for s in settings {
            let flag = match s.flag {
                Flag::Never => String::new(),
                Flag::Store | Flag::Serve => format!("`--{}`", s.long()),
            };
            let default = match s.default {
                "" => String::new(),
                default => format!("`{default}`"),
            };
            let _ = writeln!(
                text,
                "| `{}` | `{}` | {flag} | {default} | {} |",
                s.name,
                s.variable(),
                s.summary()
            );
        }
    }
    text.push_str("\n### Variables that are not settings\n\n| Variable | Used by |\n|---|---|\n");
    for (name, what) in OTHER_VARIABLES {
        let star = if name.ends_with('_') { "…" } else { "" };
        let _ = writeln!(text, "| `{name}{star}` | {what} |");
    }
    text
}

fn sections() -> Vec<(&'static str, Vec<&'static Setting>)> {
    let mut sections: Vec<(&'static str, Vec<&'static Setting>)> = Vec::new();
    for setting in TABLE {
        match sections.last_mut() {
            Some((name, settings)) if *name == setting.section => settings.push(setting),
            _ => sections.push((setting.section, vec![setting])),
        }
    }
    sections
}

fn comment(setting: &Setting) -> String {
    setting
        .doc
        .lines()
        .map(|line| format!("#{line}\n"))
        .collect()
}
