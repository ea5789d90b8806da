//! The form of a source, for a new one and for a change.

use engine::model::{MatchMode, NoMatch};
use engine::split::{SplitPreset, SplitSpec};
use leptos::prelude::*;
use openapi::sources::{ChangeSource, Heartbeat, NewSource, Source};

use super::auth::{AuthForm, fault, number};
use crate::api::{from_person, to_pretty};
use crate::ui::{AreaField, Faults, SelectField, TextField};

/// What stands in the field of the default target at first.
const TARGET: &str = r#"{
  "connection": "",
  "operation": "http.request",
  "map": { "body": { "path": "$" } }
}"#;

/// What the form holds.
#[derive(Clone, Copy)]
pub struct SourceForm {
    pub name: RwSignal<String>,
    pub slug: RwSignal<String>,
    pub auth: AuthForm,
    cidrs: RwSignal<String>,
    rate: RwSignal<String>,
    limit: RwSignal<String>,
    days: RwSignal<String>,
    mode: RwSignal<String>,
    no_match: RwSignal<String>,
    event_id: RwSignal<String>,
    split: RwSignal<String>,
    split_path: RwSignal<String>,
    split_key: RwSignal<String>,
    split_limit: RwSignal<String>,
    heartbeat: RwSignal<String>,
    rotate: RwSignal<String>,
    /// The default target as JSON, for events that no rule takes.
    target: RwSignal<String>,
    pub faults: Faults,
}

pub(super) fn text(value: &str) -> RwSignal<String> {
    RwSignal::new(value.to_owned())
}

impl SourceForm {
    /// An empty one.
    pub fn empty() -> Self {
        let faults = RwSignal::new(Vec::new());
        Self {
            name: text(""),
            slug: text(""),
            auth: AuthForm::empty(faults),
            cidrs: text(""),
            rate: text(""),
            limit: text(""),
            days: text(""),
            mode: text("first"),
            no_match: text("keep"),
            event_id: text(""),
            split: text(""),
            split_path: text("$.alerts[*]"),
            split_key: text(""),
            split_limit: text(""),
            heartbeat: text(""),
            rotate: text(""),
            target: text(TARGET),
            faults,
        }
    }

    /// One filled from a saved source.
    pub fn of(source: &Source) -> Self {
        let form = Self::empty();
        let number = |n: Option<u32>| n.map(|n| n.to_string()).unwrap_or_default();
        form.name.set(source.name.clone());
        form.slug.set(source.slug.clone());
        form.rotate.set(number(source.rotate_days));
        form.cidrs.set(source.allow_cidrs.join("\n"));
        form.rate.set(number(source.rate_per_minute));
        form.limit.set(number(source.body_limit));
        form.days.set(number(source.retention_days));
        form.event_id
            .set(source.event_id_path.clone().unwrap_or_default());
        form.heartbeat
            .set(number(source.heartbeat.map(|h| h.after)));
        if let Some(split) = &source.split {
            form.split.set(
                match split.preset {
                    Some(SplitPreset::Alertmanager) => "alertmanager",
                    Some(SplitPreset::Grafana) => "grafana",
                    None => "path",
                }
                .to_owned(),
            );
            if let Some(path) = &split.path {
                form.split_path.set(path.clone());
            }
            form.split_key.set(split.key.join("\n"));
            form.split_limit.set(number(split.limit));
        }
        form.mode.set(match source.match_mode {
            MatchMode::First => "first".to_owned(),
            MatchMode::All => "all".to_owned(),
        });
        form.no_match.set(match &source.on_no_match {
            NoMatch::Keep => "keep".to_owned(),
            NoMatch::Drop => "drop".to_owned(),
            NoMatch::Deliver(_) => "deliver".to_owned(),
        });
        if let NoMatch::Deliver(target) = &source.on_no_match {
            form.target.set(to_pretty(target));
        }
        form.auth.fill(&source.auth);
        form
    }

    fn policy(self) -> NoMatch {
        match self.no_match.get_untracked().as_str() {
            "drop" => NoMatch::Drop,
            "deliver" => match from_person(&self.target.get_untracked()) {
                Ok(target) => NoMatch::Deliver(target),
                Err(_) => {
                    fault(
                        self.faults,
                        "on_no_match",
                        "This is not the JSON of an operation: connection, operation, map.",
                    );
                    NoMatch::Keep
                }
            },
            _ => NoMatch::Keep,
        }
    }

    fn mode(self) -> MatchMode {
        if self.mode.get_untracked() == "all" {
            MatchMode::All
        } else {
            MatchMode::First
        }
    }

    fn networks(self) -> Vec<String> {
        self.cidrs
            .get_untracked()
            .split([',', '\n'])
            .map(|line| line.trim().to_owned())
            .filter(|line| !line.is_empty())
            .collect()
    }

    fn optional(value: RwSignal<String>) -> Option<String> {
        let text = value.get_untracked();
        (!text.trim().is_empty()).then(|| text.trim().to_owned())
    }

    /// The new source, unless a field is faulty.
    pub fn create(self) -> Option<NewSource> {
        self.faults.set(Vec::new());
        let new = NewSource {
            name: self.name.get_untracked().trim().to_owned(),
            slug: self.slug.get_untracked().trim().to_owned(),
            auth: self.auth.scheme(),
            secret: Self::optional(self.auth.secret),
            enabled: true,
            allow_cidrs: self.networks(),
            rate_per_minute: number(self.faults, "rate_per_minute", self.rate),
            body_limit: number(self.faults, "body_limit", self.limit),
            retention_days: number(self.faults, "retention_days", self.days),
            match_mode: self.mode(),
            on_no_match: self.policy(),
            event_id_path: Self::optional(self.event_id),
            split: self.split(),
            heartbeat: number(self.faults, "heartbeat", self.heartbeat)
                .map(|after| Heartbeat { after }),
            rotate_days: number(self.faults, "rotate_days", self.rotate),
        };
        self.faults.with_untracked(Vec::is_empty).then_some(new)
    }

    /// The change, unless a field is faulty.
    pub fn change(self) -> Option<ChangeSource> {
        let new = self.create()?;
        Some(ChangeSource {
            name: Some(new.name),
            slug: Some(new.slug),
            auth: Some(new.auth),
            secret: new.secret,
            enabled: None,
            allow_cidrs: Some(new.allow_cidrs),
            rate_per_minute: Some(new.rate_per_minute),
            body_limit: Some(new.body_limit),
            retention_days: Some(new.retention_days),
            match_mode: Some(new.match_mode),
            on_no_match: Some(new.on_no_match),
            event_id_path: Some(new.event_id_path),
            split: Some(new.split),
            heartbeat: Some(new.heartbeat),
            rotate_days: Some(new.rotate_days),
        })
    }

    fn split_fields(self) -> AnyView {
        let faults = self.faults;
        view! {
            <TextField label="Path of the list" value=self.split_path code=true required=true faults=faults at="split.path" testid="source-split-path" />
            <AreaField
                label="Paths of an item's id"
                value=self.split_key
                code=true
                rows=2
                help="One for each line, such as $.id. Their values together make repeats harmless."
                faults=faults
                at="split.key"
                testid="source-split-key"
            />
            <TextField label="Most items" value=self.split_limit placeholder="500" faults=faults at="split.limit" testid="source-split-limit" />
        }
        .into_any()
    }

    fn split(self) -> Option<SplitSpec> {
        let preset = match self.split.get_untracked().as_str() {
            "alertmanager" => Some(SplitPreset::Alertmanager),
            "grafana" => Some(SplitPreset::Grafana),
            "path" => None,
            _ => return None,
        };
        let limit = number(self.faults, "split.limit", self.split_limit);
        if preset.is_some() {
            return Some(SplitSpec {
                preset,
                limit,
                ..SplitSpec::default()
            });
        }
        let lines = self.split_key.get_untracked();
        Some(SplitSpec {
            preset: None,
            path: Some(self.split_path.get_untracked().trim().to_owned()),
            key: lines
                .lines()
                .map(str::trim)
                .filter(|line| !line.is_empty())
                .map(str::to_owned)
                .collect(),
            limit,
        })
    }

    /// What becomes of events, and limits.
    pub fn more_fields(self) -> AnyView {
        let faults = self.faults;
        let modes = [
            ("first", "The first rule that matches"),
            ("all", "Every rule that matches"),
        ];
        let policies = [
            ("keep", "Keep it as unmatched"),
            ("drop", "Drop it"),
            ("deliver", "Send it to a default target"),
        ];
        let target = move || {
            (self.no_match.get() == "deliver").then(|| {
                view! {
                    <AreaField
                        label="Default target"
                        value=self.target
                        code=true
                        rows=8
                        help="Written like the deliver step of a rule."
                        faults=faults
                        at="on_no_match"
                        testid="source-target"
                    />
                }
            })
        };
        view! {
            <div class="form-grid">
                <SelectField label="Who takes an event" value=self.mode options=Signal::stored(pairs(&modes)) testid="source-mode" />
                <SelectField label="When no rule matches" value=self.no_match options=Signal::stored(pairs(&policies)) testid="source-no-match" />
                <TextField
                    label="Path of the sender's id"
                    value=self.event_id
                    code=true
                    placeholder="$.delivery.id"
                    help="Makes repeats of the sender harmless."
                    faults=faults
                    at="event_id_path"
                />
                <SelectField label="One request carries" value=self.split options=Signal::stored(pairs(&SPLITS)) testid="source-split" />
                {move || (self.split.get() == "path").then(|| self.split_fields())}
                <TextField
                    label="Alert when silent for (seconds)"
                    value=self.heartbeat
                    placeholder="never"
                    help="The source then raises an event of the type source.silent, and source.recovered when it is heard again."
                    faults=faults
                    at="heartbeat"
                    testid="source-heartbeat"
                />
                <TextField label="Requests a minute" value=self.rate placeholder="unlimited" faults=faults at="rate_per_minute" />
                <TextField label="Largest body in bytes" value=self.limit placeholder="the server's limit" faults=faults at="body_limit" />
                <TextField label="Remind to replace the secret after (days)" value=self.rotate placeholder="never" faults=faults at="rotate_days" testid="source-rotate" />
                <TextField label="Days its events are kept" value=self.days placeholder="as the workspace" help="0: for good." faults=faults at="retention_days" testid="source-days" />
                <AreaField
                    label="Allowed networks"
                    value=self.cidrs
                    code=true
                    rows=2
                    help="One for each line, such as 10.0.0.0/8. Empty: any address."
                    faults=faults
                    at="allow_cidrs"
                />
            </div>
            {target}
        }
        .into_any()
    }
}

/// How many events a request carries.
const SPLITS: [(&str, &str); 4] = [
    ("", "One event"),
    ("alertmanager", "Alerts of Prometheus Alertmanager"),
    ("grafana", "Alerts of Grafana"),
    ("path", "A list at a path"),
];

pub(super) fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter()
        .map(|(key, words)| ((*key).to_owned(), (*words).to_owned()))
        .collect()
}
