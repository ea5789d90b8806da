//! The workspace itself: its name, what it may have, its roles, and making another one.

mod quotas;
mod removal;
mod roles;

use leptos::prelude::*;
use leptos::task::spawn_local;
use openapi::auth::Session;
use openapi::page::Page;
use openapi::quotas::Usage;
use openapi::roles::Role;
use openapi::workspaces::{NewWorkspace, RenameWorkspace, Workspace};
use web_sys::SubmitEvent;

use crate::api::{Api, SignedIn, load, use_api};
use crate::ui::{
    Button, Card, Dialog, FaultList, Faults, Icon, Kind, PageHead, TextField, icon, show,
    use_toasts,
};

/// The page.
#[component]
pub fn WorkspacePage() -> impl IntoView {
    let api = use_api();
    // All pages are made anew when another workspace is chosen.
    let Some(own) = untrack(|| api.membership()) else {
        return ().into_any();
    };
    let id = own.workspace.id;
    let workspace = own.workspace.clone();
    let usage = load::<Usage>(move || format!("workspaces/{id}/usage"));
    let roles = load::<Page<Role>>(|| "roles".to_owned());
    let making = RwSignal::new(false);
    view! {
        <PageHead title="Workspace" text="Its name, how much it may have, and what its members may do.">
            <Button attr:data-testid="new-workspace" press=move |_| making.set(true)>
                {icon(Icon::Plus)}
                "New workspace"
            </Button>
        </PageHead>
        <div class="split" data-testid="workspace">
            <div class="stack">
                {name_form(own.workspace)}
                {show(usage, move |now| quotas::form(id, now, usage))}
            </div>
            <div class="stack">
                {roles::card(roles)}
                {removal::card(workspace)}
            </div>
        </div>
        <Dialog open=making title="New workspace" testid="workspace-dialog">
            {new_form(making)}
        </Dialog>
    }
    .into_any()
}

/// Reads anew who is signed in, with the workspaces and their names.
async fn read_session(api: Api) {
    if let Ok(session) = api.get::<Session>("auth/session").await {
        api.session.try_set(SignedIn::Yes(Box::new(session)));
    }
}

fn name_form(workspace: Workspace) -> AnyView {
    let api = use_api();
    let toasts = use_toasts();
    let name = RwSignal::new(workspace.name);
    let faults: Faults = RwSignal::new(Vec::new());
    let busy = RwSignal::new(false);
    let path = format!("workspaces/{}", workspace.id);
    let submit = move |event: SubmitEvent| {
        event.prevent_default();
        let path = path.clone();
        let new = RenameWorkspace {
            name: name.get_untracked().trim().to_owned(),
        };
        busy.set(true);
        spawn_local(async move {
            match api.patch::<_, Workspace>(&path, &new, None).await {
                Ok(_) => {
                    faults.try_set(Vec::new());
                    toasts.good("Renamed.");
                    read_session(api).await;
                }
                Err(failure) => {
                    faults.try_set(failure.errors());
                    toasts.failed(&failure);
                }
            }
            busy.try_set(false);
        });
    };
    view! {
        <Card title="Name" text="An owner can change it. The name in addresses stays.">
            <form class="stack" on:submit=submit>
                <FaultList faults=faults />
                <TextField label="Name" value=name required=true faults=faults at="name" testid="workspace-rename" />
                <p class="small muted">
                    "In addresses: "
                    <code>{workspace.slug}</code>
                </p>
                <div class="form-foot">
                    <Button submit=true busy=busy attr:data-testid="workspace-rename-save">
                        "Rename"
                    </Button>
                </div>
            </form>
        </Card>
    }
    .into_any()
}

fn new_form(open: RwSignal<bool>) -> AnyView {
    let api = use_api();
    let toasts = use_toasts();
    let (name, slug) = (RwSignal::new(String::new()), RwSignal::new(String::new()));
    let faults: Faults = RwSignal::new(Vec::new());
    let busy = RwSignal::new(false);
    let submit = move |event: SubmitEvent| {
        event.prevent_default();
        let new = NewWorkspace {
            slug: slug.get_untracked().trim().to_owned(),
            name: name.get_untracked().trim().to_owned(),
        };
        busy.set(true);
        spawn_local(async move {
            match api.post::<_, Workspace>("workspaces", &new).await {
                Ok(made) => {
                    open.try_set(false);
                    toasts.good("Made. You are its owner.");
                    read_session(api).await;
                    api.choose(&made.slug);
                }
                Err(failure) => {
                    faults.try_set(failure.errors());
                    toasts.failed(&failure);
                }
            }
            busy.try_set(false);
        });
    };
    view! {
        <form class="stack" on:submit=submit data-testid="workspace-form">
            <div class="dialog-body stack">
                <FaultList faults=faults />
                <TextField label="Name" value=name required=true faults=faults at="name" testid="workspace-name-new" />
                <TextField
                    label="In addresses"
                    value=slug
                    required=true
                    code=true
                    help="Lower-case letters, digits and hyphens. It cannot be changed later."
                    faults=faults
                    at="slug"
                    testid="workspace-slug-new"
                />
            </div>
            <div class="dialog-foot">
                <Button press=move |_| open.set(false)>"Cancel"</Button>
                <Button kind=Kind::Primary submit=true busy=busy attr:data-testid="workspace-make">
                    "Make the workspace"
                </Button>
            </div>
        </form>
    }
    .into_any()
}
