//! Deleting the workspace: what would go, and its name typed by hand.

use leptos::prelude::*;
use leptos::task::spawn_local;
use openapi::workspaces::{RemoveWorkspace, Workspace, WorkspaceRemoval};
use web_sys::SubmitEvent;

use super::read_session;
use crate::api::{load, use_api};
use crate::format;
use crate::ui::{Button, Card, Dialog, FaultList, Faults, Kind, TextField, show, use_toasts};

/// The card, with its dialog.
pub(super) fn card(workspace: Workspace) -> AnyView {
    let open = RwSignal::new(false);
    let title = format!("Delete {}", workspace.name);
    let workspace = StoredValue::new(workspace);
    view! {
        <Card
            title="Delete this workspace"
            text="With everything in it. An owner can do it, and nobody can take it back."
        >
            <div class="form-foot">
                <Button
                    kind=Kind::Danger
                    press=move |_| open.set(true)
                    attr:data-testid="workspace-delete"
                >
                    "Delete the workspace …"
                </Button>
            </div>
        </Card>
        <Dialog open=open title=title testid="workspace-delete-dialog">
            {form(workspace.get_value(), open)}
        </Dialog>
    }
    .into_any()
}

fn form(workspace: Workspace, open: RwSignal<bool>) -> AnyView {
    let api = use_api();
    let toasts = use_toasts();
    let path = format!("workspaces/{}/removal", workspace.id);
    let preview = {
        let path = path.clone();
        load::<WorkspaceRemoval>(move || path.clone())
    };
    let typed = RwSignal::new(String::new());
    let faults: Faults = RwSignal::new(Vec::new());
    let busy = RwSignal::new(false);
    let slug = workspace.slug.clone();
    let other = Signal::derive(move || typed.with(|typed| typed.trim() != slug));
    let submit = move |event: SubmitEvent| {
        event.prevent_default();
        let path = path.clone();
        let word = RemoveWorkspace {
            slug: typed.get_untracked().trim().to_owned(),
        };
        busy.set(true);
        spawn_local(async move {
            match api.post::<_, ()>(&path, &word).await {
                Ok(()) => {
                    open.try_set(false);
                    toasts.good("Deleted. Its rows go in the background.");
                    read_session(api).await;
                    if let Some(own) = api.membership() {
                        api.choose(&own.workspace.slug);
                    }
                }
                Err(failure) => {
                    faults.try_set(failure.errors());
                    toasts.failed(&failure);
                }
            }
            busy.try_set(false);
        });
    };
    let label = format!("Type {} to confirm", workspace.slug);
    view! {
        <form class="stack" on:submit=submit>
            <div class="dialog-body stack">
                {show(preview, what_goes)}
                <FaultList faults=faults />
                <TextField
                    label=label
                    value=typed
                    required=true
                    code=true
                    faults=faults
                    at="slug"
                    testid="workspace-delete-slug"
                />
            </div>
            <div class="dialog-foot">
                <Button press=move |_| open.set(false)>"Cancel"</Button>
                <Button
                    kind=Kind::Danger
                    submit=true
                    busy=busy
                    disabled=other
                    attr:data-testid="workspace-delete-yes"
                >
                    "Delete for good"
                </Button>
            </div>
        </form>
    }
    .into_any()
}

fn what_goes(found: WorkspaceRemoval) -> AnyView {
    let rows = [
        ("Events", found.events),
        ("Deliveries", found.deliveries),
        ("… still to be made", found.open_deliveries),
        ("Sources", found.sources),
        ("Rules", found.rules),
        ("Connections", found.connections),
        ("Credentials", found.credentials),
        ("Members", found.members),
        ("… who are nowhere else", found.members_only_here),
    ];
    let rows = rows
        .into_iter()
        .map(|(name, count)| {
            let more = if count >= 100_000 { " or more" } else { "" };
            view! {
                <dt>{name}</dt>
                <dd>{format::natural(count)} {more}</dd>
            }
        })
        .collect_view();
    view! {
        <p>
            "Addresses of its sources stop answering at once, and its credentials working. What is still to be made will not be made."
        </p>
        <dl class="facts" data-testid="workspace-delete-preview">
            {rows}
        </dl>
    }
    .into_any()
}
