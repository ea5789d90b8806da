//! A new connection: first the connector, then its fields.

use leptos::prelude::*;
use leptos::task::spawn_local;
use leptos_router::NavigateOptions;
use leptos_router::components::A;
use leptos_router::hooks::use_navigate;
use openapi::connections::{ConnectionCreated, Connector};
use openapi::page::Page;
use web_sys::SubmitEvent;

use super::form::ConnectionForm;
use super::webhook::signing_secret;
use crate::api::{Failure, Load, Tree, load, use_api};
use crate::ui::{Button, Card, Kind, PageHead, show, use_toasts};

/// A new connection.
#[component]
pub fn NewConnectionPage() -> impl IntoView {
    let connectors = load::<Page<Connector>>(|| "connectors".to_owned());
    let chosen = RwSignal::new(None::<Connector>);
    let created = RwSignal::new(None::<ConnectionCreated>);
    move || match created.get() {
        Some(created) => done(created),
        None => choose(connectors, chosen, created),
    }
}

fn choose(
    connectors: Load<Page<Connector>>,
    chosen: RwSignal<Option<Connector>>,
    created: RwSignal<Option<ConnectionCreated>>,
) -> AnyView {
    view! {
        <PageHead title="New connection" back=("/connections", "Connections") text="Choose what it speaks to, then fill in where and as whom." />
        <div class="stack narrow">
            <Card title="Connector">
                {show(connectors, move |list| choices(list.items, chosen))}
            </Card>
            {move || chosen.get().map(|connector| form(connector, created))}
        </div>
    }
    .into_any()
}

/// A connection with a secret that was generated.
fn done(created: ConnectionCreated) -> AnyView {
    let connection = created.connection;
    view! {
        <PageHead title=connection.name back=("/connections", "Connections") text="The connection is ready." />
        <div class="stack narrow" data-testid="connection-ready">
            {created.generated.into_values().map(signing_secret).collect_view()}
            <div class="form-foot">
                <A
                    href=format!("/connections/{}", connection.id)
                    attr:class="button primary"
                    attr:data-testid="connection-continue"
                >
                    "Go to the connection"
                </A>
            </div>
        </div>
    }
    .into_any()
}

fn read(tree: Tree) -> Result<ConnectionCreated, Failure> {
    Ok(ConnectionCreated {
        connection: tree.read()?,
        generated: tree.part("generated")?,
    })
}

fn choices(list: Vec<Connector>, chosen: RwSignal<Option<Connector>>) -> AnyView {
    view! {
        <div class="choice-grid">
            {list
                .into_iter()
                .map(|connector| {
                    let kind = connector.kind.clone();
                    let picked = connector.clone();
                    view! {
                        <button
                            type="button"
                            class="choice"
                            data-testid=format!("connector-{kind}")
                            aria-pressed=move || {
                                let is = chosen.with(|c| c.as_ref().is_some_and(|c| c.kind == kind));
                                if is { "true" } else { "false" }
                            }
                            on:click=move |_| chosen.set(Some(picked.clone()))
                        >
                            <strong>{connector.title}</strong>
                            <span>{connector.summary}</span>
                        </button>
                    }
                })
                .collect_view()}
        </div>
    }
    .into_any()
}

fn form(connector: Connector, created: RwSignal<Option<ConnectionCreated>>) -> AnyView {
    let api = use_api();
    let toasts = use_toasts();
    let navigate = use_navigate();
    let form = ConnectionForm::new(connector, None);
    let busy = RwSignal::new(false);
    let submit = move |event: SubmitEvent| {
        event.prevent_default();
        let Some(new) = form.create() else { return };
        let navigate = navigate.clone();
        busy.set(true);
        spawn_local(async move {
            match api.post_tree("connections", &new).await.and_then(read) {
                Ok(made) => {
                    let connection = &made.connection;
                    toasts.good(format!(
                        "{} is ready. Test it before you use it.",
                        connection.name
                    ));
                    if made.generated.is_empty() {
                        let path = format!("/connections/{}", connection.id);
                        navigate(&path, NavigateOptions::default());
                    } else {
                        created.try_set(Some(made));
                    }
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
        <form class="stack" on:submit=submit data-testid="connection-form">
            {form.view()}
            <div class="form-foot">
                <Button kind=Kind::Primary submit=true busy=busy attr:data-testid="connection-save">
                    "Make the connection"
                </Button>
                <A href="/connections" attr:class="button quiet">
                    "Cancel"
                </A>
            </div>
        </form>
    }
    .into_any()
}
