//! One event: what came in and what became of it.

use leptos::prelude::*;
use leptos::task::spawn_local;
use leptos_router::components::A;
use leptos_router::hooks::use_params_map;
use openapi::deliveries::ReplayRules;
use openapi::events::{EventDetail, ReplayEvent, Replayed};
use openapi::stream::Message;

use super::load_event;
use super::trace::trace;
use crate::api::{Load, use_api, use_live};
use crate::format;
use crate::ui::{
    Button, Card, CodeBlock, CopyButton, Dialog, Empty, Icon, JsonView, Kind, PageHead,
    SelectField, Sending, Tabs, icon, show, use_toasts,
};

/// One event.
#[component]
pub fn EventPage() -> impl IntoView {
    let params = use_params_map();
    let id = Memo::new(move |_| params.with(|p| p.get("id").unwrap_or_default()));
    let event = load_event(move || Some(format!("events/{}", id.get())));
    use_live().after(
        500,
        move |message| match message {
            Message::Delivery(delivery) => id
                .try_with_untracked(|id| *id == delivery.event_id.to_string())
                .unwrap_or(false),
            Message::Reset => true,
            _ => false,
        },
        move || event.reload(),
    );
    let tab = RwSignal::new("payload");
    let title = Signal::derive(move || {
        event.get().map_or_else(
            || "Event".to_owned(),
            |e| {
                if e.summary.title.is_empty() {
                    "Untitled event".to_owned()
                } else {
                    e.summary.title
                }
            },
        )
    });
    view! {
        <PageHead title=title back=("/events", "Events")>
            {move || actions(id.get(), event)}
        </PageHead>
        {show(event, move |event| page(event, tab))}
    }
    .into_any()
}

fn actions(id: String, event: Load<EventDetail>) -> AnyView {
    let api = use_api();
    let toasts = use_toasts();
    let open = RwSignal::new(false);
    let sending = Sending::with_toasts();
    let busy = sending.busy;
    let rules = RwSignal::new("today".to_owned());
    let rule = format!("/rules/new?event={id}");
    let path = StoredValue::new(format!("events/{id}/replay"));
    let replay = move |_| {
        let then = rules.with_untracked(|rules| rules == "then");
        let body = ReplayEvent {
            rules: Some(if then {
                ReplayRules::Then
            } else {
                ReplayRules::Today
            }),
        };
        let call = async move { api.post::<_, Replayed>(&path.get_value(), &body).await };
        sending.run(call, move |done| {
            let made = format::plural(done.delivery_ids.len(), "new delivery");
            let made = made.replace("deliverys", "deliveries");
            toasts.good(format!("Replayed: {}, {made}.", done.disposition));
            open.try_set(false);
            event.reload();
        });
    };
    view! {
        <A href=rule attr:class="button" attr:data-testid="make-rule">
            {icon(Icon::Rule)}
            "Make a rule from this"
        </A>
        <Button attr:data-testid="replay" press=move |_| open.set(true)>
            {icon(Icon::Replay)}
            "Replay"
        </Button>
        <Dialog open=open title="Replay this event?" testid="replay-event">
            <div class="dialog-body stack">
                <p>"Its original bytes are routed again. Deliveries that come of it are new ones and go out at once."</p>
                <SelectField
                    label="Rules"
                    value=rules
                    options=Signal::stored(
                        vec![
                            ("today".to_owned(), "Today's rules".to_owned()),
                            ("then".to_owned(), "The rules of when it was received".to_owned()),
                        ],
                    )
                    testid="replay-rules"
                />
            </div>
            <div class="dialog-foot">
                <Button attr:data-testid="confirm-no" press=move |_| open.set(false)>
                    "Cancel"
                </Button>
                <Button kind=Kind::Primary busy=busy attr:data-testid="confirm-yes" press=replay>
                    "Replay"
                </Button>
            </div>
        </Dialog>
    }
    .into_any()
}

fn page(event: EventDetail, tab: RwSignal<&'static str>) -> AnyView {
    let facts = facts(event.clone());
    let trace = trace(event.clone());
    let body = format!("/api/v1/events/{}/body", event.summary.id);
    let payload = StoredValue::new(event.payload);
    let headers = StoredValue::new(event.headers);
    view! {
        <div class="split" data-testid="event">
            <div class="stack">
                <Card title="Trace" text="From the request to the upstream record.">
                    {trace}
                </Card>
                <Card title="What came in">
                    <Tabs
                        name="event"
                        label="Parts of the request"
                        tabs=vec![("payload", "Payload"), ("headers", "Headers"), ("raw", "Raw body")]
                        chosen=tab
                    />
                    <div id="event-panel" role="tabpanel" tabindex="0" aria-labelledby=move || format!("event-{}", tab.get())>
                        {move || match tab.get() {
                            "headers" => header_table(headers.get_value()),
                            "raw" => raw(&body),
                            _ => match payload.get_value() {
                                Some(value) => {
                                    view! { <JsonView value=value label="payload" testid="payload" /> }
                                        .into_any()
                                }
                                None => {
                                    view! {
                                        <Empty
                                            compact=true
                                            mark=Icon::Event
                                            title="No parsed payload"
                                            text="The body is neither JSON, form nor query. The raw body is kept."
                                        />
                                    }
                                        .into_any()
                                }
                            },
                        }}
                    </div>
                </Card>
            </div>
            {facts}
        </div>
    }
    .into_any()
}

fn facts(event: EventDetail) -> AnyView {
    let summary = event.summary;
    let id = summary.id.to_string();
    view! {
        <Card title="About">
            <dl class="facts">
                <dt>"Received"</dt>
                <dd>{format::moment(summary.received_at)}</dd>
                <dt>"Source"</dt>
                <dd>
                    <A href=format!("/sources/{}", summary.source_id)>{summary.source.clone()}</A>
                </dd>
                <dt>"Sender"</dt>
                <dd>{event.remote_addr.clone()}</dd>
                <dt>"Request"</dt>
                <dd>
                    {event.method.clone()}
                    " "
                    <span class="faint">{event.content_type.clone()}</span>
                </dd>
                {(!event.query.is_empty())
                    .then(|| {
                        view! {
                            <dt>"Query"</dt>
                            <dd class="mono small">{event.query.clone()}</dd>
                        }
                    })}
                <dt>"Size"</dt>
                <dd>{format::bytes(summary.size)}</dd>
                <dt>"Correlation"</dt>
                <dd class="mono small">{summary.correlation_id.clone()}</dd>
                {event
                    .idempotency_key
                    .clone()
                    .map(|key| {
                        view! {
                            <dt>"Sender's id"</dt>
                            <dd class="mono small">{key}</dd>
                        }
                    })}
                <dt>"Event id"</dt>
                <dd class="mono small">
                    <span class="row">
                        <span class="grow">{id.clone()}</span>
                        <CopyButton text=Signal::stored(id) label="event id" />
                    </span>
                </dd>
            </dl>
        </Card>
    }
    .into_any()
}

fn header_table(headers: Vec<(String, String)>) -> AnyView {
    view! {
        <dl class="facts" data-testid="headers">
            {headers
                .into_iter()
                .map(|(name, value)| {
                    view! {
                        <dt class="mono small">{name}</dt>
                        <dd class="mono small">{value}</dd>
                    }
                })
                .collect_view()}
        </dl>
    }
    .into_any()
}

fn raw(address: &str) -> AnyView {
    let api = use_api();
    let path = address.trim_start_matches("/api/v1/").to_owned();
    let text = RwSignal::new(None::<Result<String, crate::api::Failure>>);
    spawn_local(async move {
        let answer = api.text(&path, None).await;
        text.try_set(Some(answer));
    });
    view! {
        {move || match text.get() {
            None => view! { <crate::ui::Skeleton /> }.into_any(),
            Some(Ok(text)) => {
                view! { <CodeBlock text=text label="raw body" wrapped=true testid="raw-body" /> }.into_any()
            }
            Some(Err(failure)) => view! { <crate::ui::FailureView failure=failure /> }.into_any(),
        }}
    }
    .into_any()
}
