//! A new window, and one that is there.

use leptos::prelude::*;
use leptos::task::spawn_local;
use leptos_router::NavigateOptions;
use leptos_router::components::A;
use leptos_router::hooks::{use_navigate, use_params_map};
use openapi::maintenance::MaintenanceWindow;
use web_sys::SubmitEvent;

use super::form::WindowForm;
use crate::api::{Load, load, use_api};
use crate::pages::stale::explain_failure;
use crate::ui::{
    Button, FaultList, Icon, Kind, PageHead, Question, icon, show, use_confirm, use_toasts,
};

const BACK: (&str, &str) = ("/maintenance", "Maintenance");

/// A new window.
#[component]
pub fn NewWindowPage() -> impl IntoView {
    let api = use_api();
    let toasts = use_toasts();
    let navigate = use_navigate();
    let form = WindowForm::empty();
    let busy = RwSignal::new(false);
    let submit = move |event: SubmitEvent| {
        event.prevent_default();
        let Some(new) = form.create() else { return };
        let navigate = navigate.clone();
        busy.set(true);
        spawn_local(async move {
            match api
                .post::<_, MaintenanceWindow>("maintenance/windows", &new)
                .await
            {
                Ok(window) => {
                    toasts.good(format!("{} is planned.", window.name));
                    navigate("/maintenance", NavigateOptions::default());
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
        <PageHead title="New window" back=BACK text="A time in which deliveries wait or are not made." />
        <form class="stack narrow" on:submit=submit data-testid="window-form">
            <FaultList faults=form.faults />
            {form.fields()}
            <div class="form-foot">
                <Button kind=Kind::Primary submit=true busy=busy attr:data-testid="window-save">
                    "Make the window"
                </Button>
                <A href="/maintenance" attr:class="button quiet">
                    "Cancel"
                </A>
            </div>
        </form>
    }
    .into_any()
}

/// One window.
#[component]
pub fn WindowPage() -> impl IntoView {
    let params = use_params_map();
    let id = Memo::new(move |_| params.with(|p| p.get("id").unwrap_or_default()));
    let window = load::<MaintenanceWindow>(move || format!("maintenance/windows/{}", id.get()));
    let title =
        Signal::derive(move || window.get().map_or_else(|| "Window".to_owned(), |w| w.name));
    view! {
        <PageHead title=title back=BACK>
            {move || window.get().map(delete)}
        </PageHead>
        {show(window, move |w| settings(w, window))}
    }
    .into_any()
}

fn delete(window: MaintenanceWindow) -> AnyView {
    let api = use_api();
    let toasts = use_toasts();
    let confirm = use_confirm();
    let navigate = use_navigate();
    let (id, revision, name) = (window.id, window.revision, window.name);
    let ask = move |_| {
        let navigate = navigate.clone();
        let question = Question {
            title: format!("Delete {name}?"),
            text: "What waits for its end goes on at once.".to_owned(),
            yes: "Delete",
            danger: true,
        };
        confirm.ask(question, move || {
            let navigate = navigate.clone();
            spawn_local(async move {
                let path = format!("maintenance/windows/{id}");
                match api.delete(&path, revision).await {
                    Ok(()) => {
                        toasts.good("Deleted.");
                        navigate("/maintenance", NavigateOptions::default());
                    }
                    Err(failure) => explain_failure(toasts, &failure),
                }
            });
        });
    };
    view! {
        <Button kind=Kind::Danger attr:data-testid="delete" press=ask>
            {icon(Icon::Trash)}
            "Delete"
        </Button>
    }
    .into_any()
}

fn settings(window: MaintenanceWindow, load: Load<MaintenanceWindow>) -> AnyView {
    let api = use_api();
    let toasts = use_toasts();
    let form = WindowForm::of(&window);
    let busy = RwSignal::new(false);
    let (id, revision) = (window.id, window.revision);
    let submit = move |event: SubmitEvent| {
        event.prevent_default();
        let Some(change) = form.change() else { return };
        busy.set(true);
        spawn_local(async move {
            let path = format!("maintenance/windows/{id}");
            match api
                .patch::<_, MaintenanceWindow>(&path, &change, Some(revision))
                .await
            {
                Ok(window) => {
                    toasts.good("Saved.");
                    load.put(window);
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
        <form class="stack narrow" on:submit=submit data-testid="window-form">
            <FaultList faults=form.faults />
            {form.fields()}
            <div class="form-foot">
                <Button kind=Kind::Primary submit=true busy=busy attr:data-testid="window-save">
                    "Save changes"
                </Button>
            </div>
        </form>
    }
    .into_any()
}
