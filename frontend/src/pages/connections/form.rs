//! The form of a connection, for a new one and for a change.

use std::collections::BTreeMap;

use engine::lane::OnFailure;
use leptos::prelude::*;
use openapi::connections::{ChangeConnection, Connection, Connector, NewConnection, RetrySettings};
use openapi::problem::FieldError;

use super::fields::{Entry, values};
use crate::api::{decimal, fraction};
use crate::ui::{Card, CheckField, FaultList, Faults, SelectField, TextField};

/// What the form holds.
#[derive(Clone, Copy)]
pub struct ConnectionForm {
    connector: StoredValue<Connector>,
    saved: StoredValue<Option<Connection>>,
    name: RwSignal<String>,
    settings: StoredValue<Vec<Entry>>,
    secrets: StoredValue<Vec<Entry>>,
    allow_private: RwSignal<bool>,
    enabled: RwSignal<bool>,
    concurrency: RwSignal<String>,
    rate: RwSignal<String>,
    first: RwSignal<String>,
    factor: RwSignal<String>,
    longest: RwSignal<String>,
    horizon: RwSignal<String>,
    waits: RwSignal<String>,
    jitter: RwSignal<String>,
    asked: RwSignal<String>,
    permanent: RwSignal<String>,
    retried: RwSignal<String>,
    on_failure: RwSignal<String>,
    coalesce: RwSignal<bool>,
    /// What is wrong.
    pub faults: Faults,
}

impl ConnectionForm {
    /// A form for a connector, filled from a saved connection if there is one.
    pub fn new(connector: Connector, saved: Option<Connection>) -> Self {
        let settings = connector
            .settings
            .iter()
            .map(|field| {
                let value = saved.as_ref().and_then(|c| c.settings.get(&field.name));
                Entry::new(field.clone(), value)
            })
            .collect();
        let secrets = connector
            .secrets
            .iter()
            .map(|field| {
                let mut field = field.clone();
                // One that is left out is made by the server.
                field.required &= connector.kind != "webhook";
                if saved
                    .as_ref()
                    .is_some_and(|c| c.secrets.contains(&field.name))
                {
                    field.required = false;
                    "Stored. Leave it empty to keep it.".clone_into(&mut field.help);
                }
                Entry::secret(field)
            })
            .collect();
        let text = |value: Option<String>| RwSignal::new(value.unwrap_or_default());
        let retry = saved.as_ref().map(|c| c.retry.clone()).unwrap_or_default();
        let number = |n: Option<f64>| text(n.map(fraction));
        Self {
            connector: StoredValue::new(connector),
            name: text(saved.as_ref().map(|c| c.name.clone())),
            settings: StoredValue::new(settings),
            secrets: StoredValue::new(secrets),
            allow_private: RwSignal::new(saved.as_ref().is_some_and(|c| c.allow_private)),
            enabled: RwSignal::new(saved.as_ref().is_none_or(|c| c.enabled)),
            concurrency: text(
                saved
                    .as_ref()
                    .and_then(|c| c.concurrency)
                    .map(|n| n.to_string()),
            ),
            rate: text(
                saved
                    .as_ref()
                    .and_then(|c| c.rate_per_minute)
                    .map(|n| n.to_string()),
            ),
            first: number(retry.first_seconds),
            factor: number(retry.factor),
            longest: number(retry.max_seconds),
            horizon: number(retry.horizon_seconds),
            waits: text(Some(joined(&retry.waits_seconds))),
            jitter: number(retry.jitter),
            asked: number(retry.retry_after_max_seconds),
            permanent: text(Some(joined(&retry.permanent))),
            retried: text(Some(joined(&retry.retried))),
            on_failure: text(Some(
                saved
                    .as_ref()
                    .map(|c| c.on_failure)
                    .unwrap_or_default()
                    .as_str()
                    .to_owned(),
            )),
            coalesce: RwSignal::new(saved.as_ref().is_none_or(|c| c.coalesce)),
            saved: StoredValue::new(saved),
            faults: RwSignal::new(Vec::new()),
        }
    }

    fn decimal(self, at: &str, value: RwSignal<String>) -> Option<f64> {
        self.number(at, value, decimal)
    }

    fn whole(self, at: &str, value: RwSignal<String>) -> Option<u32> {
        self.number(at, value, |text| text.parse().ok())
    }

    fn number<T>(
        self,
        at: &str,
        value: RwSignal<String>,
        read: fn(&str) -> Option<T>,
    ) -> Option<T> {
        let text = value.get_untracked();
        if text.trim().is_empty() {
            return None;
        }
        let number = read(text.trim());
        if number.is_none() {
            self.faults.update(|list| {
                list.push(FieldError {
                    field: at.to_owned(),
                    code: "value_kind".to_owned(),
                    message: "This must be a number, or empty.".to_owned(),
                    offset: None,
                });
            });
        }
        number
    }

    /// A list of waits; what is no number is named.
    fn waits(self) -> Vec<f64> {
        let mut waits = Vec::new();
        for (at, word) in listed(&self.waits.get_untracked()).into_iter().enumerate() {
            match decimal(&word) {
                Some(wait) => waits.push(wait),
                None => self.faults.update(|list| {
                    list.push(FieldError {
                        field: format!("retry.waits_seconds[{at}]"),
                        code: "value_kind".to_owned(),
                        message: "Numbers are expected, separated by commas.".to_owned(),
                        offset: None,
                    });
                }),
            }
        }
        waits
    }

    fn secrets(self) -> BTreeMap<String, String> {
        self.secrets.with_value(|entries| {
            entries
                .iter()
                .filter_map(|entry| Some((entry.field.name.clone(), entry.typed()?)))
                .collect()
        })
    }

    /// The new connection, unless a field is faulty.
    pub fn create(self) -> Option<NewConnection> {
        self.faults.set(Vec::new());
        let saved = self
            .saved
            .with_value(|c| c.as_ref().map(|c| c.settings.clone()));
        let new = NewConnection {
            name: self.name.get_untracked().trim().to_owned(),
            connector: self.connector.with_value(|c| c.kind.clone()),
            settings: self
                .settings
                .with_value(|entries| values(entries, saved.as_ref(), self.faults)),
            secrets: self.secrets(),
            allow_private: self.allow_private.get_untracked(),
            enabled: self.enabled.get_untracked(),
            concurrency: self.whole("concurrency", self.concurrency),
            rate_per_minute: self.whole("rate_per_minute", self.rate),
            retry: RetrySettings {
                first_seconds: self.decimal("retry.first_seconds", self.first),
                factor: self.decimal("retry.factor", self.factor),
                max_seconds: self.decimal("retry.max_seconds", self.longest),
                horizon_seconds: self.decimal("retry.horizon_seconds", self.horizon),
                waits_seconds: self.waits(),
                jitter: self.decimal("retry.jitter", self.jitter),
                retry_after_max_seconds: self.decimal("retry.retry_after_max_seconds", self.asked),
                permanent: listed(&self.permanent.get_untracked()),
                retried: listed(&self.retried.get_untracked()),
            },
            on_failure: OnFailure::parse(&self.on_failure.get_untracked()).unwrap_or_default(),
            coalesce: self.coalesce.get_untracked(),
        };
        self.faults.with_untracked(Vec::is_empty).then_some(new)
    }

    /// The change, unless a field is faulty.
    pub fn change(self) -> Option<ChangeConnection> {
        let new = self.create()?;
        let secrets: BTreeMap<String, Option<String>> = new
            .secrets
            .into_iter()
            .map(|(name, value)| (name, Some(value)))
            .collect();
        Some(ChangeConnection {
            name: Some(new.name),
            settings: Some(new.settings),
            secrets: (!secrets.is_empty()).then_some(secrets),
            allow_private: Some(new.allow_private),
            enabled: Some(new.enabled),
            concurrency: Some(new.concurrency),
            rate_per_minute: Some(new.rate_per_minute),
            retry: Some(new.retry),
            on_failure: Some(new.on_failure),
            coalesce: Some(new.coalesce),
        })
    }

    /// The fields.
    pub fn view(self) -> AnyView {
        let faults = self.faults;
        let title = self.connector.with_value(|c| c.title.clone());
        let settings = self.settings.with_value(|entries| {
            entries
                .iter()
                .map(|entry| entry.view("settings", faults))
                .collect_view()
        });
        let secrets = self.secrets.with_value(|entries| {
            (!entries.is_empty()).then(|| {
                entries
                    .iter()
                    .map(|entry| {
                        let field = entry.field.clone();
                        secret(field, entry.clone(), faults)
                    })
                    .collect_view()
            })
        });
        view! {
            <div class="stack">
                <FaultList faults=faults />
                <Card title=title>
                    <div class="stack">
                        <TextField
                            label="Name"
                            value=self.name
                            required=true
                            help="Rules use it."
                            faults=faults
                            at="name"
                            testid="connection-name"
                        />
                        {settings}
                    </div>
                </Card>
                {secrets
                    .map(|secrets| {
                        view! {
                            <Card title="Secrets" text="Stored sealed; never shown again.">
                                <div class="stack">{secrets}</div>
                            </Card>
                        }
                    })}
                <Card title="Calls">
                    <div class="stack">
                        <div class="form-grid">
                            <TextField label="Calls at once" value=self.concurrency placeholder="the server's default" faults=faults at="concurrency" />
                            <TextField label="Calls a minute" value=self.rate placeholder="unlimited" faults=faults at="rate_per_minute" />
                        </div>
                        <CheckField
                            label="May call private addresses"
                            value=self.allow_private
                            help="Needed for an upstream in your own network; refused otherwise."
                            testid="allow-private"
                        />
                        <CheckField
                            label="Switched on"
                            value=self.enabled
                            help="Switched off, its deliveries wait."
                            testid="connection-enabled"
                        />
                    </div>
                </Card>
                {self.retries()} {self.order()}
            </div>
        }
        .into_any()
    }
}

impl ConnectionForm {
    fn retries(self) -> AnyView {
        let faults = self.faults;
        view! {
            <Card title="Retries" text="What is empty is the server's default.">
                <div class="stack">
                    <div class="form-grid">
                        <TextField label="First retry after seconds" value=self.first placeholder="the server's default" faults=faults at="retry.first_seconds" />
                        <TextField label="Factor of each further wait" value=self.factor placeholder="the server's default" faults=faults at="retry.factor" testid="retry-factor" />
                        <TextField label="Longest wait in seconds" value=self.longest placeholder="the server's default" faults=faults at="retry.max_seconds" />
                        <TextField label="Give up after seconds" value=self.horizon placeholder="a day" faults=faults at="retry.horizon_seconds" />
                        <TextField label="Left to chance, 0 to 1" value=self.jitter placeholder="0.5" faults=faults at="retry.jitter" />
                    </div>
                    <TextField
                        label="Listed waits"
                        value=self.waits
                        placeholder="5, 30, 300, 3600"
                        help="Seconds, separated by commas, instead of growing waits. After the last one a delivery is given up."
                        faults=faults
                        at="retry.waits_seconds"
                        testid="retry-waits"
                    />
                    <div class="form-grid">
                        <TextField
                            label="Longest Retry-After in seconds"
                            value=self.asked
                            placeholder="a day"
                            help="0: what the upstream asks for is not heard."
                            faults=faults
                            at="retry.retry_after_max_seconds"
                        />
                        <TextField
                            label="Final statuses"
                            value=self.permanent
                            placeholder="4xx"
                            help="HTTP statuses that are never tried again."
                            faults=faults
                            at="retry.permanent"
                            testid="retry-permanent"
                        />
                        <TextField
                            label="Statuses to try again"
                            value=self.retried
                            placeholder="404, 500-504"
                            help="They win over the final ones and over the connector."
                            faults=faults
                            at="retry.retried"
                            testid="retry-retried"
                        />
                    </div>
                </div>
            </Card>
        }
        .into_any()
    }

    fn order(self) -> AnyView {
        let policies = [
            (OnFailure::Skip, "Go on with the next one"),
            (OnFailure::Park, "Set the whole lane aside"),
            (OnFailure::Block, "Wait for a person"),
        ];
        let options: Vec<(String, String)> = policies
            .iter()
            .map(|(policy, words)| (policy.as_str().to_owned(), (*words).to_owned()))
            .collect();
        view! {
            <Card title="Order" text="Deliveries with the same key go one after the other.">
                <div class="stack">
                    <SelectField
                        label="When one of them fails for good"
                        value=self.on_failure
                        options=Signal::stored(options)
                        help="What is set aside becomes dead letters together and is replayed in order. A lane that waits goes on when its head is tried again or discarded."
                        faults=self.faults
                        at="on_failure"
                        testid="on-failure"
                    />
                    <CheckField
                        label="Waiting repeats become one"
                        value=self.coalesce
                        help="In a storm a ticket gets one note with a count instead of hundreds. The alert that makes the ticket is sent as it is."
                        testid="coalesce"
                    />
                </div>
            </Card>
        }
        .into_any()
    }
}

/// The words of a list that a person wrote.
fn listed(text: &str) -> Vec<String> {
    text.split(|c: char| c == ',' || c.is_whitespace())
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

/// A list as a person would write it.
fn joined<T: ToString>(items: &[T]) -> String {
    let words: Vec<String> = items.iter().map(ToString::to_string).collect();
    words.join(", ")
}

fn secret(field: openapi::connections::Field, entry: Entry, faults: Faults) -> AnyView {
    view! {
        <TextField
            label=field.title
            value=entry.signal()
            kind="password"
            autocomplete="new-password"
            help=field.help
            required=field.required
            faults=faults
            at=format!("secrets.{}", field.name)
            testid=format!("secret-{}", field.name)
        />
    }
    .into_any()
}
