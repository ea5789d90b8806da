//! The side of the editor: choose a past event and see, while typing, what the rule makes of it.

use leptos::prelude::*;
use leptos::task::spawn_local;
use openapi::events::{EventDetail, EventSummary};
use openapi::page::Page;
use openapi::rules::{DraftRule, ExplainRequest, ExplainResponse, NewRule};
use uuid::Uuid;

use super::ask::wire::{Answer, DRAFT};
use super::form::RuleForm;
use super::verdict::{requests, verdict};
use crate::api::{Load, load, query, use_api};
use crate::format;
use crate::pages::events::{load_event, too_many};
use crate::ui::{Button, Card, Choice, Combo, Empty, Icon, JsonView, show, use_toasts};

/// The event that is looked at.
#[derive(Clone, Copy)]
pub struct Against {
    /// Its id.
    pub id: RwSignal<String>,
    /// It, once it is read.
    pub event: Load<EventDetail>,
}

impl Against {
    /// An event of the address, or none yet.
    pub fn new(id: String) -> Self {
        let id = RwSignal::new(id);
        let event = load_event(move || {
            let id = id.get();
            (!id.is_empty()).then(|| format!("events/{id}"))
        });
        Self { id, event }
    }

    /// The event, if rules are asked about such a one.
    pub fn asked(self) -> Option<EventDetail> {
        self.event.get().filter(|event| !too_many(&event.summary))
    }

    /// Whether rules are not asked about it.
    fn passed_over(self) -> bool {
        let event = self.event.get();
        event.is_some_and(|event| too_many(&event.summary))
    }
}

/// The side.
pub fn explain(form: RuleForm, against: Against, answer: Signal<Option<Answer>>) -> AnyView {
    let events = load::<Page<EventSummary>>(move || {
        query(
            "events",
            &[("limit", "50".to_owned()), ("source", form.source.get())],
        )
    });
    // The newest one that rules are asked about, until a person chooses.
    Effect::new(move |_| {
        if let Some(page) = events.get()
            && against.id.with_untracked(String::is_empty)
            && let Some(first) = page.items.iter().find(|event| !too_many(event))
        {
            against.id.set(first.id.to_string());
        }
    });
    let choices = Signal::derive(move || {
        let mut list: Vec<Choice> = events.get().map_or_else(Vec::new, |page| {
            page.items.into_iter().map(choice).collect()
        });
        if let Some(event) = against.event.get() {
            let id = event.summary.id.to_string();
            if !list.iter().any(|c| c.value == id) {
                list.insert(0, choice(event.summary));
            }
        }
        list
    });
    let own = form
        .id
        .map_or_else(|| DRAFT.to_owned(), |id| id.to_string());
    view! {
        <div class="stack">
            <Card title="Try it" text="Against a past event, in your browser, while you type.">
                <div class="stack">
                    <Combo
                        label="Past event"
                        labelled=true
                        value=against.id
                        choices=choices
                        closed=true
                        placeholder="Choose an event"
                        testid="explain-event"
                    />
                    {move || match answer.get().and_then(|answer| answer.explanation) {
                        _ if against.passed_over() => unasked(),
                        Some(explanation) => verdict(explanation, &own),
                        None if events.get().is_some_and(|page| page.items.is_empty()) => nothing(),
                        None => ().into_any(),
                    }}
                    {exact(form, against)}
                </div>
            </Card>
            {move || {
                (!against.id.with(String::is_empty))
                    .then(|| {
                        view! {
                            <Card title="The event's payload">
                                {show(
                                    against.event,
                                    |event| {
                                        let payload = event.payload.unwrap_or_default();
                                        view! { <JsonView value=payload label="payload" /> }.into_any()
                                    },
                                )}
                            </Card>
                        }
                    })
            }}
        </div>
    }
    .into_any()
}

fn choice(event: EventSummary) -> Choice {
    Choice {
        value: event.id.to_string(),
        detail: format!(
            "{}, {}, {}",
            event.source,
            event.disposition,
            format::moment(event.received_at)
        ),
        label: if event.title.is_empty() {
            "Untitled event".to_owned()
        } else {
            event.title
        },
    }
}

fn nothing() -> AnyView {
    view! {
        <Empty
            compact=true
            mark=Icon::Event
            title="No event to try it on"
            text="Send a test event to the source; it can then be chosen here."
        />
    }
    .into_any()
}

fn unasked() -> AnyView {
    view! {
        <p class="notice amber" role="status" data-testid="explain-unasked">
            "This event carries more events than its source takes in one request: it was kept whole, and no rule is asked about it, also when it is replayed. Choose an event that is one alert instead. A higher limit of the source counts for the requests to come."
        </p>
    }
    .into_any()
}

fn exact(form: RuleForm, against: Against) -> AnyView {
    let api = use_api();
    let toasts = use_toasts();
    let busy = RwSignal::new(false);
    let answer = RwSignal::new(None::<ExplainResponse>);
    let ask = move |_| {
        let request = ExplainRequest {
            event_id: Uuid::parse_str(&against.id.get_untracked()).ok(),
            draft: Some(DraftRule {
                id: form.id,
                rule: NewRule {
                    enabled: true,
                    ..untrack(|| form.new_rule())
                },
            }),
            ..ExplainRequest::default()
        };
        busy.set(true);
        spawn_local(async move {
            match api
                .post::<_, ExplainResponse>("rules/explain", &request)
                .await
            {
                Ok(found) => {
                    answer.try_set(Some(found));
                }
                Err(failure) => {
                    form.faults.try_set(failure.errors());
                    toasts.failed(&failure);
                }
            }
            busy.try_set(false);
        });
    };
    view! {
        <div class="stack-s">
            <div>
                <Button
                    small=true
                    busy=busy
                    disabled=Signal::derive(move || {
                        against.id.with(String::is_empty) || against.passed_over()
                    })
                    attr:data-testid="exact-request"
                    press=ask
                >
                    "Ask the server for the exact request"
                </Button>
            </div>
            {move || answer.get().filter(|_| !against.passed_over()).map(requests)}
        </div>
    }
    .into_any()
}
