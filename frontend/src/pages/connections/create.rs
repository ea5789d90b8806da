//! A new connection: first the connector, then its fields.

use leptos::prelude::*;
use leptos::task::spawn_local;
use leptos_router::NavigateOptions;
use leptos_router::components::A;
use leptos_router::hooks::use_navigate;
use openapi::connections::{Connection, Connector};
use openapi::page::Page;
use web_sys::SubmitEvent;

use super::form::ConnectionForm;
use crate::api::{load, use_api};
use crate::ui::{Button, Card, Kind, PageHead, show, use_toasts};

/// A new connection.
#[component]
pub fn NewConnectionPage() -> impl IntoView {
    let connectors = load::<Page<Connector>>(|| "connectors".to_owned());
    let chosen = RwSignal::new(None::<Connector>);
    view! {
        <PageHead title="New connection" back=("/connections", "Connections") text="Choose what it speaks to, then fill in where and as whom." />
        <div class="stack narrow">
            <Card title="Connector">
                {show(connectors, move |list| choices(list.items, chosen))}
            </Card>
            {move || chosen.get().map(form)}
        </div>
    }
    .into_any()
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

fn form(connector: Connector) -> AnyView {
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
            match api.post::<_, Connection>("connections", &new).await {
                Ok(connection) => {
                    toasts.good(format!(
                        "{} is ready. Test it before you use it.",
                        connection.name
                    ));
                    navigate(
                        &format!("/connections/{}", connection.id),
                        NavigateOptions::default(),
                    );
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
