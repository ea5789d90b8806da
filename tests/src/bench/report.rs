//! The report: every figure beside the limits of the same machine in the same run.

use std::fmt::Write as _;
use std::path::Path;

use serde::Serialize;

use super::machine::Machine;

/// What a figure is compared with.
#[derive(Clone, Debug, Serialize)]
pub struct Limit {
    /// What it is.
    pub name: String,
    /// Its value, in the unit of the figure.
    pub value: f64,
    /// Figure divided by limit.
    pub ratio: f64,
    /// What the ratio should be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub goal: Option<Goal>,
}

/// What a ratio or a value should be.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Goal {
    /// No less.
    AtLeast(f64),
    /// No more.
    AtMost(f64),
}

impl Goal {
    fn met(self, value: f64) -> bool {
        match self {
            Self::AtLeast(least) => value >= least,
            Self::AtMost(most) => value <= most,
        }
    }

    fn show(self, value: f64) -> String {
        let (sign, bound) = match self {
            Self::AtLeast(least) => ('≥', least),
            Self::AtMost(most) => ('≤', most),
        };
        let verdict = if self.met(value) { "met" } else { "not met" };
        format!("goal {sign} {}: {verdict}", number(bound))
    }
}

/// One figure.
#[derive(Clone, Debug, Serialize)]
pub struct Figure {
    /// What it is.
    pub name: String,
    /// Its value.
    pub value: f64,
    /// Its unit.
    pub unit: &'static str,
    /// What the value itself should be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub goal: Option<Goal>,
    /// What it is compared with.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub limits: Vec<Limit>,
    /// What else has to be known about it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub note: String,
}

impl Figure {
    /// A figure without a limit.
    pub fn new(name: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self {
            name: name.into(),
            value,
            unit,
            goal: None,
            limits: Vec::new(),
            note: String::new(),
        }
    }

    /// What the value should be.
    #[must_use]
    pub fn goal(mut self, goal: Goal) -> Self {
        self.goal = Some(goal);
        self
    }

    /// Compares it, if the limit was measured.
    #[must_use]
    pub fn against(mut self, name: &str, limit: Option<f64>, goal: Option<Goal>) -> Self {
        if let Some(value) = limit.filter(|value| *value > 0.0) {
            self.limits.push(Limit {
                name: name.to_owned(),
                value,
                ratio: self.value / value,
                goal,
            });
        }
        self
    }

    /// Adds a note.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.note = note.into();
        self
    }

    fn limits_text(&self) -> String {
        let mut parts: Vec<String> = Vec::new();
        parts.extend(self.goal.map(|goal| goal.show(self.value)));
        parts.extend(self.limits.iter().map(|limit| {
            let goal = limit
                .goal
                .map(|goal| format!(", {}", goal.show(limit.ratio)));
            format!(
                "{} × {} ({}){}",
                number(limit.ratio),
                limit.name,
                number(limit.value),
                goal.unwrap_or_default()
            )
        }));
        parts.join("; ")
    }
}

/// Figures that belong together.
#[derive(Clone, Debug, Serialize)]
pub struct Group {
    /// Heading.
    pub title: String,
    /// The figures.
    pub figures: Vec<Figure>,
}

/// All of it.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Revision of the source.
    pub commit: String,
    /// When the run began, in UTC.
    pub begun: String,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// The machine.
    pub machine: Machine,
    /// How it was measured: name and value.
    pub settings: Vec<(String, String)>,
    /// The figures.
    pub groups: Vec<Group>,
    /// What went wrong; figures beside it are to be doubted.
    pub troubles: Vec<String>,
}

impl Report {
    /// As a page for people.
    pub fn markdown(&self) -> String {
        let machine = &self.machine;
        let mut page = format!(
            "# Figures of Signalbox\n\nCommit {}, {}, {:.0} s.\n\n\
             Machine: {}, {} cores, {:.1} GiB of memory, {}. Load average {:.1} before, {:.1} after.\n",
            self.commit,
            self.begun,
            self.seconds,
            machine.processor,
            machine.cores,
            machine.memory as f64 / f64::from(1 << 30),
            machine.system,
            machine.load_before,
            machine.load_after,
        );
        if machine.load_before > 0.5 {
            page.push_str(
                "\nThe machine was shared: something else was running when this run began, so absolute \
                 figures are too low and only ratios mean much.\n",
            );
        }
        if !self.troubles.is_empty() {
            page.push_str("\n## Troubles\n\n");
            for trouble in &self.troubles {
                line(&mut page, format_args!("- {trouble}"));
            }
        }
        page.push_str("\n## Settings\n\n| Setting | Value |\n|---|---|\n");
        for (name, value) in &self.settings {
            line(&mut page, format_args!("| {name} | {value} |"));
        }
        for group in &self.groups {
            line(
                &mut page,
                format_args!(
                    "\n## {}\n\n| Figure | Value | Beside its limit | Note |\n|---|---|---|---|",
                    group.title
                ),
            );
            for figure in &group.figures {
                line(
                    &mut page,
                    format_args!(
                        "| {} | {} {} | {} | {} |",
                        figure.name,
                        number(figure.value),
                        figure.unit,
                        figure.limits_text(),
                        figure.note
                    ),
                );
            }
        }
        page
    }

    /// Writes `FILE.md` and `FILE.json`, whatever ending `file` has.
    ///
    /// # Errors
    /// The files cannot be written.
    pub fn write(&self, file: &Path) -> anyhow::Result<()> {
        std::fs::write(file.with_extension("md"), self.markdown())?;
        let json = serde_json::to_string_pretty(self)?;
        std::fs::write(file.with_extension("json"), json + "\n")?;
        Ok(())
    }
}

fn line(page: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a string does not fail.
    let _ = writeln!(page, "{text}");
}

/// Three digits that count, more for large numbers.
fn number(value: f64) -> String {
    let size = value.abs();
    let places = if size == 0.0 || size >= 100.0 {
        0
    } else if size >= 10.0 {
        1
    } else if size >= 1.0 {
        2
    } else {
        // Below one: three digits after the zeros.
        (2.0 - size.log10().floor()) as usize
    };
    let text = format!("{value:.places$}");
    if size < 10_000.0 {
        return text;
    }
    // Groups of three, for large numbers only.
    let digits = text.len();
    text.char_indices()
        .flat_map(|(at, c)| {
            let comma = at > 0 && (digits - at).is_multiple_of(3);
            comma.then_some(',').into_iter().chain([c])
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        for (value, text) in [
            (0.0, "0"),
            (0.012_345, "0.0123"),
            (0.5, "0.500"),
            (2.345, "2.35"),
            (23.45, "23.4"),
            (234.5, "234"),
            (9999.4, "9999"),
            (12_345.6, "12,346"),
            (1_234_567.0, "1,234,567"),
        ] {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn a_figure_says_how_far_it_is() {
        let figure = Figure::new("accepts", 500.0, "/s")
            .against("inserts", Some(1000.0), Some(Goal::AtLeast(0.4)))
            .against("not measured", None, None);
        assert_eq!(
            figure.limits_text(),
            "0.500 × inserts (1000), goal ≥ 0.400: met"
        );
        assert!(!Goal::AtMost(2.0).met(2.1));
    }
}
