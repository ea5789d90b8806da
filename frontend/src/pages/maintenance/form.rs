//! The form of a window, for a new one and for a change.

use engine::window::{Day, Schedule};
use leptos::prelude::*;
use openapi::connections::Connection;
use openapi::maintenance::{
    ChangeMaintenanceWindow, MaintenanceWindow, NewMaintenanceWindow, WindowMode, WindowScope,
};
use openapi::page::Page;
use openapi::problem::FieldError;
use openapi::sources::Source;

use crate::api::{Load, load};
use crate::ui::{Card, Faults, SelectField, TextField};

const DAYS: [(Day, &str); 7] = [
    (Day::Mon, "Mon"),
    (Day::Tue, "Tue"),
    (Day::Wed, "Wed"),
    (Day::Thu, "Thu"),
    (Day::Fri, "Fri"),
    (Day::Sat, "Sat"),
    (Day::Sun, "Sun"),
];
const KINDS: [(&str, &str); 4] = [
    ("weekly", "On days of the week"),
    ("daily", "Every day"),
    ("once", "Once"),
    ("cron", "By a cron expression"),
];
const MODES: [(&str, &str); 2] = [
    ("queue", "Wait until it closes, then go in order"),
    ("skip", "Are discarded; closes of tickets wait"),
];
const SCOPES: [(&str, &str); 3] = [
    ("workspace", "Everything"),
    ("sources", "Events of some sources"),
    ("connections", "Deliveries to some connections"),
];

/// When a window is open, for people.
pub fn schedule_words(schedule: &Schedule) -> String {
    match schedule {
        Schedule::Once { start, end } => format!("once, {start} to {end}"),
        Schedule::Daily { start, end } => format!("daily, {start} to {end}"),
        Schedule::Weekly { days, start, end } => {
            let names: Vec<&str> = DAYS
                .iter()
                .filter(|(day, _)| days.contains(day))
                .map(|(_, name)| *name)
                .collect();
            format!("{}, {start} to {end}", names.join(" "))
        }
        Schedule::Cron { cron, minutes } => format!("{cron} for {minutes} min"),
    }
}

/// What the form holds.
#[derive(Clone, Copy)]
pub struct WindowForm {
    pub name: RwSignal<String>,
    mode: RwSignal<String>,
    zone: RwSignal<String>,
    kind: RwSignal<String>,
    start: RwSignal<String>,
    end: RwSignal<String>,
    from: RwSignal<String>,
    to: RwSignal<String>,
    days: RwSignal<Vec<Day>>,
    cron: RwSignal<String>,
    minutes: RwSignal<String>,
    scope: RwSignal<String>,
    members: RwSignal<Vec<String>>,
    sources: Load<Page<Source>>,
    connections: Load<Page<Connection>>,
    pub faults: Faults,
}

fn text(value: &str) -> RwSignal<String> {
    RwSignal::new(value.to_owned())
}

impl WindowForm {
    /// An empty one, in the zone of the browser.
    pub fn empty() -> Self {
        Self {
            name: text(""),
            mode: text("queue"),
            zone: text(&own_zone()),
            kind: text("weekly"),
            start: text("22:00"),
            end: text("06:00"),
            from: text(""),
            to: text(""),
            days: RwSignal::new(Vec::new()),
            cron: text("0 22 * * mon"),
            minutes: text("60"),
            scope: text("workspace"),
            members: RwSignal::new(Vec::new()),
            sources: load(|| "sources".to_owned()),
            connections: load(|| "connections".to_owned()),
            faults: RwSignal::new(Vec::new()),
        }
    }

    /// One filled from a saved window.
    pub fn of(window: &MaintenanceWindow) -> Self {
        let form = Self::empty();
        form.name.set(window.name.clone());
        form.mode.set(window.mode.word().to_owned());
        form.zone.set(window.zone.clone());
        let kind = match &window.schedule {
            Schedule::Once { start, end } => {
                form.from.set(start.clone());
                form.to.set(end.clone());
                "once"
            }
            Schedule::Daily { start, end } => {
                form.start.set(start.clone());
                form.end.set(end.clone());
                "daily"
            }
            Schedule::Weekly { days, start, end } => {
                form.days.set(days.clone());
                form.start.set(start.clone());
                form.end.set(end.clone());
                "weekly"
            }
            Schedule::Cron { cron, minutes } => {
                form.cron.set(cron.clone());
                form.minutes.set(minutes.to_string());
                "cron"
            }
        };
        form.kind.set(kind.to_owned());
        let (scope, members) = match &window.scope {
            WindowScope::Workspace => ("workspace", Vec::new()),
            WindowScope::Sources { sources } => ("sources", sources.clone()),
            WindowScope::Connections { connections } => ("connections", connections.clone()),
        };
        form.scope.set(scope.to_owned());
        form.members.set(members);
        form
    }

    /// The window to be made; none: a field does not fit, and says so.
    pub fn create(self) -> Option<NewMaintenanceWindow> {
        self.faults.set(Vec::new());
        let schedule = match self.kind.get_untracked().as_str() {
            "once" => Schedule::Once {
                start: self.from.get_untracked(),
                end: self.to.get_untracked(),
            },
            "daily" => Schedule::Daily {
                start: self.start.get_untracked(),
                end: self.end.get_untracked(),
            },
            "cron" => Schedule::Cron {
                cron: self.cron.get_untracked(),
                minutes: match self.minutes.get_untracked().trim().parse() {
                    Ok(minutes) => minutes,
                    Err(_) => {
                        self.faults.set(vec![FieldError {
                            field: "schedule.minutes".to_owned(),
                            code: "value_kind".to_owned(),
                            message: "This must be a whole number.".to_owned(),
                            offset: None,
                        }]);
                        return None;
                    }
                },
            },
            _ => Schedule::Weekly {
                days: self.days.get_untracked(),
                start: self.start.get_untracked(),
                end: self.end.get_untracked(),
            },
        };
        let members = self.members.get_untracked();
        let scope = match self.scope.get_untracked().as_str() {
            "sources" => WindowScope::Sources { sources: members },
            "connections" => WindowScope::Connections {
                connections: members,
            },
            _ => WindowScope::Workspace,
        };
        Some(NewMaintenanceWindow {
            name: self.name.get_untracked(),
            enabled: true,
            mode: if self.mode.get_untracked() == "skip" {
                WindowMode::Skip
            } else {
                WindowMode::Queue
            },
            zone: self.zone.get_untracked().trim().to_owned(),
            schedule,
            scope,
        })
    }

    /// The change; none: a field does not fit, and says so.
    pub fn change(self) -> Option<ChangeMaintenanceWindow> {
        let new = self.create()?;
        Some(ChangeMaintenanceWindow {
            name: Some(new.name),
            enabled: None,
            mode: Some(new.mode),
            zone: Some(new.zone),
            schedule: Some(new.schedule),
            scope: Some(new.scope),
        })
    }

    /// The fields.
    pub fn fields(self) -> AnyView {
        let faults = self.faults;
        view! {
            <Card title="Name">
                <TextField label="Name" value=self.name required=true placeholder="Patch night" faults=faults at="name" testid="window-name" />
            </Card>
            <Card title="When">
                <div class="form-grid">
                    <SelectField label="It opens" value=self.kind options=pairs(&KINDS) testid="window-kind" />
                    <TextField
                        label="Time zone"
                        value=self.zone
                        required=true
                        placeholder="Europe/Madrid"
                        help="A name of the IANA database. Summer time is kept."
                        faults=faults
                        at="zone"
                        testid="window-zone"
                    />
                    {move || self.times()}
                </div>
            </Card>
            <Card title="What">
                <div class="form-grid">
                    <SelectField label="It is about" value=self.scope options=pairs(&SCOPES) testid="window-scope" />
                    <SelectField label="Deliveries that are made then" value=self.mode options=pairs(&MODES) testid="window-mode" />
                </div>
                {move || self.choice()}
            </Card>
        }
        .into_any()
    }

    fn times(self) -> AnyView {
        let faults = self.faults;
        match self.kind.get().as_str() {
 "once" => view! {
                <TextField label="From" value=self.from kind=moment_kind(self.from) required=true faults=faults at="schedule.start" testid="window-from" />
                <TextField label="To" value=self.to kind=moment_kind(self.to) required=true faults=faults at="schedule.end" testid="window-to" />
            }
            .into_any(),
            "cron" => view! {
                <TextField
                    label="Cron expression"
                    value=self.cron
                    code=true
                    required=true
                    help="Minute, hour, day of the month, month, day of the week."
                    faults=faults
                    at="schedule.cron"
                    testid="window-cron"
                />
                <TextField label="Open for minutes" value=self.minutes required=true faults=faults at="schedule.minutes" testid="window-minutes" />
            }
            .into_any(),
            kind => {
                let days = (kind == "weekly").then(|| self.day_boxes());
                view! {
                    <TextField label="Start" value=self.start kind="time" required=true faults=faults at="schedule.start" testid="window-start" />
                    <TextField
                        label="End"
                        value=self.end
                        kind="time"
                        required=true
                        help="Not later than the start: on the next day."
                        faults=faults
                        at="schedule.end"
                        testid="window-end"
                    />
                    {days}
                }
                .into_any()
            }
        }
    }

    fn day_boxes(self) -> AnyView {
        let tick = move |day: Day, on: bool| {
            self.days.update(|days| {
                let wanted = |other: &Day| {
                    if *other == day {
                        on
                    } else {
                        days.contains(other)
                    }
                };
                *days = DAYS
                    .iter()
                    .map(|(other, _)| *other)
                    .filter(wanted)
                    .collect();
            });
        };
        let boxes = DAYS.map(|(day, name)| {
            view! {
                <label class="check">
                    <input
                        type="checkbox"
                        data-testid=format!("window-day-{}", name.to_ascii_lowercase())
                        prop:checked=move || self.days.with(|days| days.contains(&day))
                        on:change=move |event| tick(day, event_target_checked(&event))
                    />
                    <span>{name}</span>
                </label>
            }
        });
        boxed("Days on which it begins", boxes.collect_view())
    }

    /// The sources or connections that it is about.
    fn choice(self) -> AnyView {
        let known: Vec<(String, String)> = match self.scope.get().as_str() {
            "sources" => self.sources.get().map(|page| {
                let pair = |s: Source| (s.slug, s.name);
                page.items.into_iter().map(pair).collect()
            }),
            "connections" => self.connections.get().map(|page| {
                let pair = |c: Connection| (c.name.clone(), c.name);
                page.items.into_iter().map(pair).collect()
            }),
            _ => return ().into_any(),
        }
        .unwrap_or_default();
        let tick = move |key: String, on: bool| {
            self.members.update(|members| {
                members.retain(|other| *other != key);
                if on {
                    members.push(key);
                }
            });
        };
        let boxes = known.into_iter().map(|(key, name)| {
            let (own, ticked) = (key.clone(), key);
            view! {
                <label class="check">
                    <input
                        type="checkbox"
                        data-testid=format!("window-member-{own}")
                        prop:checked=move || self.members.with(|all| all.contains(&own))
                        on:change=move |event| tick(ticked.clone(), event_target_checked(&event))
                    />
                    <span>{name}</span>
                </label>
            }
        });
        boxed("Which of them", boxes.collect_view())
    }
}

fn boxed(legend: &'static str, boxes: impl IntoView + 'static) -> AnyView {
    view! {
        <fieldset class="field choices-field">
            <legend>{legend}</legend>
            <div class="row">{boxes}</div>
        </fieldset>
    }
    .into_any()
}

/// A moment with an offset, as files may have it, is none of the browser's own field.
fn moment_kind(value: RwSignal<String>) -> &'static str {
    if value.with_untracked(|text| text.len() > "2026-12-24T22:00:00".len()) {
        "text"
    } else {
        "datetime-local"
    }
}

/// The time zone of the browser.
fn own_zone() -> String {
    let options = js_sys::Intl::DateTimeFormat::default().resolved_options();
    js_sys::Reflect::get(&options, &"timeZone".into())
        .ok()
        .and_then(|zone| zone.as_string())
        .unwrap_or_else(|| "UTC".to_owned())
}

fn pairs(list: &'static [(&'static str, &'static str)]) -> Signal<Vec<(String, String)>> {
    Signal::stored(
        list.iter()
            .map(|(key, words)| ((*key).to_owned(), (*words).to_owned()))
            .collect(),
    )
}
