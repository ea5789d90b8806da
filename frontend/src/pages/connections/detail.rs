//! One connection.

use leptos::prelude::*;
use leptos::task::spawn_local;
use leptos_router::NavigateOptions;
use leptos_router::components::A;
use leptos_router::hooks::{use_navigate, use_params_map};
use openapi::connections::{Connection, Connector, TestResult};
use openapi::page::Page;
use openapi::stream::Message;
use uuid::Uuid;
use web_sys::SubmitEvent;

use super::form::ConnectionForm;
use super::light;
use super::records::records;
use super::waiting::waiting;
use super::webhook::{messages, secret_card};
use crate::api::{Load, load, use_api, use_live};
use crate::format;
use crate::pages::stale::explain_failure;
use crate::ui::{
    Ago, Button, Icon, Kind, PageHead, Question, Skeleton, Tabs, icon, show, use_confirm,
    use_toasts,
};

/// One connection.
#[component]
pub fn ConnectionPage() -> impl IntoView {
    let params = use_params_map();
    let id = Memo::new(move |_| params.with(|p| p.get("id").unwrap_or_default()));
    let connection = load::<Connection>(move || format!("connections/{}", id.get()));
    let connectors = load::<Page<Connector>>(|| "connectors".to_owned());
    // Read apart from the form, which keeps what a person has typed while this changes.
    let now = load::<Connection>(move || format!("connections/{}", id.get()));
    use_live().after(
        1_000,
        move |message| match message {
            Message::Connection(message) => id
                .try_with_untracked(|id| *id == message.id.to_string())
                .unwrap_or(false),
            Message::Configuration { .. } | Message::Reset => true,
            _ => false,
        },
        move || now.reload(),
    );
    let tab = RwSignal::new("settings");
    let secret = RwSignal::new(None::<String>);
    let title = Signal::derive(move || {
        connection
            .get()
            .map_or_else(|| "Connection".to_owned(), |c| c.name)
    });
    view! {
        <PageHead title=title back=("/connections", "Connections")>
            {move || connection.get().map(actions)}
        </PageHead>
        <div data-testid="connection">
            {show(connection, move |c| {
                let tabs = match c.connector.as_str() {
                    "sandbox" => vec![("settings", "Settings"), ("records", "Records")],
                    "webhook" => vec![("settings", "Settings"), ("messages", "Messages")],
                    _ => Vec::new(),
                };
                let is_webhook = c.connector == "webhook";
                view! {
                    {test(c.id, now)} {waiting(c.id, now)}
                    {(!tabs.is_empty())
                        .then(|| {
                            view! {
                                <Tabs
                                    name="connection"
                                    label="Parts of the connection"
                                    tabs=tabs
                                    chosen=tab
                                />
                            }
                        })}
                    <div id="connection-panel">
                        {move || match (tab.get(), connectors.get()) {
                            ("records", _) => records(c.id.to_string()),
                            ("messages", _) => messages(c.id.to_string()),
                            (_, Some(list)) => {
                                view! {
                                    <div class="stack narrow">
                                        {is_webhook.then(|| secret_card(&c, connection, secret))}
                                        {settings(c.clone(), list.items, connection)}
                                    </div>
                                }
                                    .into_any()
                            }
                            (_, None) => view! { <Skeleton /> }.into_any(),
                        }}
                    </div>
                }
                    .into_any()
            })}
        </div>
    }
    .into_any()
}

fn test(id: Uuid, now: Load<Connection>) -> AnyView {
    let api = use_api();
    let toasts = use_toasts();
    let busy = RwSignal::new(false);
    let result = RwSignal::new(None::<TestResult>);
    // What a passed test does not end, a person ends.
    let by_person = move |c: &Connection| c.state_code.as_deref() == Some("mass_gone");
    let go_on = move |_| {
        busy.set(true);
        spawn_local(async move {
            match api
                .act::<Connection>(&format!("connections/{id}/resume"))
                .await
            {
                Ok(saved) => {
                    toasts.good("It goes on.");
                    now.put(saved);
                }
                Err(failure) => toasts.failed(&failure),
            }
            busy.try_set(false);
        });
    };
    let run = move |_| {
        busy.set(true);
        let ends = now
            .peek()
            .is_some_and(|c| c.state != "ok" && !by_person(&c));
        spawn_local(async move {
            match api
                .act::<TestResult>(&format!("connections/{id}/test"))
                .await
            {
                Ok(found) => {
                    let changed = found.ok && ends;
                    result.try_set(Some(found));
                    if changed {
                        toasts.good("The connection works again; its paused deliveries go on.");
                        now.reload();
                    }
                }
                Err(failure) => toasts.failed(&failure),
            }
            busy.try_set(false);
        });
    };
    view! {
        <div class="card connection-state">
            <div class="card-body row-between">
                <div class="row" data-testid="connection-light">
                    {move || now.get().map(state)}
                </div>
                <div class="row">
                    <A href=format!("/deliveries?connection={id}") attr:class="button small quiet">
                        "Its deliveries"
                    </A>
                    {move || {
                        now.get()
                            .filter(by_person)
                            .map(|_| {
                                view! {
                                <Button small=true busy=busy attr:data-testid="resume-connection" press=go_on>
                                    {icon(Icon::Check)}
                                    "I have looked: go on"
                                </Button>
                            }
                        })
                    }}
                    <Button small=true busy=busy attr:data-testid="test-connection" press=run>
                        {icon(Icon::Flask)}
                        "Test connection"
                    </Button>
                </div>
                {move || {
                    result
                        .get()
                        .map(|found| {
                            let class = if found.ok { "notice green" } else { "notice red" };
                            view! {
                                <div class=format!("{class} full") role="status" data-testid="test-result">
                                    <div>
                                        <strong>
                                            {if found.ok { "It works" } else { "It does not work" }}
                                        </strong>
                                        <p>
                                            {found.message}
                                            <span class="faint">
                                                {format!(" ({} ms)", format::count(found.duration_ms))}
                                            </span>
                                        </p>
                                    </div>
                                </div>
                            }
                        })
                }}
            </div>
        </div>
    }
    .into_any()
}

fn state(connection: Connection) -> AnyView {
    view! {
        {light(&connection)}
        <span class="muted small">
            {connection.state_reason.unwrap_or_default()}
            " since "
            <Ago at=connection.state_at />
            {connection
                .failing_since
                .map(|at| {
                    view! {
                        <span data-testid="failing-since">
                            "; every message failed since "
                            <Ago at=at />
                        </span>
                    }
                })}
        </span>
    }
    .into_any()
}

fn actions(connection: Connection) -> AnyView {
    let api = use_api();
    let toasts = use_toasts();
    let confirm = use_confirm();
    let navigate = use_navigate();
    let (id, revision) = (connection.id, connection.revision);
    let delete = move |_| {
        let navigate = navigate.clone();
        let question = Question {
            title: format!("Delete {}?", connection.name),
            text: "Its secrets are erased. Rules that use it must be changed first.".to_owned(),
            yes: "Delete",
            danger: true,
        };
        confirm.ask(question, move || {
            let navigate = navigate.clone();
            spawn_local(async move {
                match api.delete(&format!("connections/{id}"), revision).await {
                    Ok(()) => {
                        toasts.good("Deleted.");
                        navigate("/connections", NavigateOptions::default());
                    }
                    Err(failure) => explain_failure(toasts, &failure),
                }
            });
        });
    };
    view! {
        <Button kind=Kind::Danger attr:data-testid="delete" press=delete>
            {icon(Icon::Trash)}
            "Delete"
        </Button>
    }
    .into_any()
}

fn settings(connection: Connection, list: Vec<Connector>, load: Load<Connection>) -> AnyView {
    let Some(connector) = list.into_iter().find(|c| c.kind == connection.connector) else {
        return view! {
            <p class="notice amber">
                "This server does not know the connector. Its settings cannot be shown."
            </p>
        }
        .into_any();
    };
    let api = use_api();
    let toasts = use_toasts();
    let (id, revision) = (connection.id, connection.revision);
    let form = ConnectionForm::new(connector, Some(connection));
    let busy = RwSignal::new(false);
    let submit = move |event: SubmitEvent| {
        event.prevent_default();
        let Some(change) = form.change() else { return };
        busy.set(true);
        spawn_local(async move {
            let path = format!("connections/{id}");
            match api
                .patch::<_, Connection>(&path, &change, Some(revision))
                .await
            {
                Ok(saved) => {
                    toasts.good("Saved.");
                    load.put(saved);
                }
                Err(failure) => {
                    form.faults.try_set(failure.errors());
                    explain_failure(toasts, &failure);
                }
            }
            busy.try_set(false);
        });
    };
    view! {
        <form class="stack narrow" on:submit=submit data-testid="connection-form">
            {form.view()}
            <div class="form-foot">
                <Button kind=Kind::Primary submit=true busy=busy attr:data-testid="connection-save">
                    "Save changes"
                </Button>
            </div>
        </form>
    }
    .into_any()
}
