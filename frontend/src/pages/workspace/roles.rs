//! The roles of the workspace: the built-in ones, and the editor of its own.

use leptos::prelude::*;
use leptos::task::spawn_local;
use openapi::auth::WhoAmI;
use openapi::page::Page;
use openapi::roles::{ChangeRole, NewRole, Role};
use web_sys::SubmitEvent;

use crate::api::{Load, load, use_api};
use crate::format;
use crate::pages::stale::explain_failure;
use crate::ui::{
    Badge, Button, Card, Dialog, FaultList, Faults, Icon, Kind, Question, TextField, TickField,
    Tone, icon, show, use_confirm, use_toasts,
};

/// Which role the editor is about.
#[derive(Clone, Copy)]
struct Editor {
    list: Load<Page<Role>>,
    open: RwSignal<bool>,
    /// None: a new one.
    role: RwSignal<Option<Role>>,
}

impl Editor {
    fn edit(self, role: Option<Role>) {
        self.role.set(role);
        self.open.set(true);
    }
}

/// The list with its editor.
pub(super) fn card(list: Load<Page<Role>>) -> AnyView {
    let editor = Editor {
        list,
        open: RwSignal::new(false),
        role: RwSignal::new(None),
    };
    let title = Signal::derive(move || {
        let name = editor.role.with(|r| r.as_ref().map(|r| r.name.clone()));
        name.map_or_else(|| "New role".to_owned(), |name| format!("Role {name}"))
    });
    let new = view! {
        <Button small=true attr:data-testid="new-role" press=move |_| editor.edit(None)>
            {icon(Icon::Plus)}
            "New role"
        </Button>
    }
    .into_any();
    view! {
        <Card
            title="Roles"
            text="A change holds for the next request of everybody who has the role."
            flush=true
            actions=new
        >
            {show(list, move |page| table(page.items, editor))}
        </Card>
        <Dialog open=editor.open title=title wide=true testid="role-dialog">
            {dialog(editor)}
        </Dialog>
    }
    .into_any()
}

fn table(rows: Vec<Role>, editor: Editor) -> AnyView {
    view! {
        <div class="table-wrap" tabindex="0" role="group" aria-label="Roles">
            <table class="table stacked" data-testid="roles">
                <thead>
                    <tr>
                        <th scope="col">"Role"</th>
                        <th scope="col">"Members"</th>
                        <th scope="col">
                            <span class="visually-hidden">"What can be done"</span>
                        </th>
                    </tr>
                </thead>
                <tbody>
                    // A row is made anew when it changes: one that is drawn over keeps its buttons.
                    <For
                        each=move || rows.clone()
                        key=|row| (row.word.clone(), row.revision, row.members)
                        children=move |row| line(row, editor)
                    />
                </tbody>
            </table>
        </div>
    }
    .into_any()
}

fn line(role: Role, editor: Editor) -> AnyView {
    let built_in = role
        .id
        .is_none()
        .then(|| view! { <Badge text="built in" tone=Tone::Grey /> });
    let scopes = role.scopes.join(" ");
    let count = format!("{} scopes", role.scopes.len());
    let members = format::natural(role.members);
    let name = role.name.clone();
    let actions = role.id.is_some().then(|| actions(role, editor));
    view! {
        <tr data-testid="role">
            <td class="title-cell">
                {name}
                " "
                {built_in}
                <details class="small">
                    <summary>{count}</summary>
                    <span class="mono">{scopes}</span>
                </details>
            </td>
            <td>{members}</td>
            <td class="actions">{actions}</td>
        </tr>
    }
    .into_any()
}

fn actions(role: Role, editor: Editor) -> AnyView {
    let api = use_api();
    let toasts = use_toasts();
    let confirm = use_confirm();
    let path = role.id.map_or_else(String::new, |id| format!("roles/{id}"));
    let (revision, name) = (role.revision, role.name.clone());
    let delete = move |_| {
        let path = path.clone();
        let question = Question {
            title: format!("Delete the role {name}?"),
            text: "A role that members have is not deleted.".to_owned(),
            yes: "Delete",
            danger: true,
        };
        confirm.ask(question, move || {
            let path = path.clone();
            spawn_local(async move {
                if let Err(failure) = api.delete(&path, revision).await {
                    explain_failure(toasts, &failure);
                }
                editor.list.reload();
            });
        });
    };
    view! {
        <Button
            small=true
            attr:data-testid="role-edit"
            press=move |_| editor.edit(Some(role.clone()))
        >
            "Edit"
        </Button>
        <Button small=true kind=Kind::Danger attr:data-testid="role-delete" press=delete>
            "Delete"
        </Button>
    }
    .into_any()
}

/// The editor, once it is known what may be handed out.
fn dialog(editor: Editor) -> AnyView {
    let me = load::<WhoAmI>(|| "debug/whoami".to_owned());
    show(me, move |me| form(&me.scopes, editor)).into_any()
}

/// What is before the colon of each scope, once each.
fn areas(scopes: &[String]) -> Vec<String> {
    let mut areas: Vec<String> = Vec::new();
    for scope in scopes {
        let area = scope.split(':').next().unwrap_or_default();
        if !areas.iter().any(|known| known == area) {
            areas.push(area.to_owned());
        }
    }
    areas
}

fn form(own: &[String], editor: Editor) -> AnyView {
    let api = use_api();
    let toasts = use_toasts();
    let role = editor.role.get_untracked();
    let name = RwSignal::new(role.as_ref().map_or_else(String::new, |r| r.name.clone()));
    let chosen = RwSignal::new(role.as_ref().map_or_else(Vec::new, |r| r.scopes.clone()));
    let faults: Faults = RwSignal::new(Vec::new());
    let busy = RwSignal::new(false);
    let place = role.and_then(|role| Some((role.id?, role.revision)));
    let submit = move |event: SubmitEvent| {
        event.prevent_default();
        let (name, scopes) = (
            name.get_untracked().trim().to_owned(),
            chosen.get_untracked(),
        );
        busy.set(true);
        spawn_local(async move {
            let saved = match place {
                None => {
                    let new = NewRole { name, scopes };
                    api.post::<_, Role>("roles", &new).await
                }
                Some((id, revision)) => {
                    let change = ChangeRole {
                        name: Some(name),
                        scopes: Some(scopes),
                    };
                    let path = format!("roles/{id}");
                    api.patch::<_, Role>(&path, &change, Some(revision)).await
                }
            };
            match saved {
                Ok(_) => {
                    editor.open.try_set(false);
                    toasts.good("Saved.");
                    editor.list.reload();
                }
                Err(failure) => {
                    faults.try_set(failure.errors());
                    explain_failure(toasts, &failure);
                }
            }
            busy.try_set(false);
        });
    };
    let groups = areas(own)
        .into_iter()
        .map(|area| {
            let begin = format!("{area}:");
            let of_area = own.iter().filter(|scope| scope.starts_with(&begin));
            let choices: Vec<String> = of_area.cloned().collect();
            view! { <TickField label=area value=chosen choices=choices testid="role-scope" /> }
        })
        .collect_view();
    view! {
        <form class="stack" on:submit=submit data-testid="role-form">
            <div class="dialog-body stack">
                <FaultList faults=faults />
                <TextField label="Name" value=name required=true faults=faults at="name" testid="role-name" />
                <p class="small muted">"What it permits: nothing that you may not."</p>
                {groups}
            </div>
            <div class="dialog-foot">
                <Button press=move |_| editor.open.set(false)>"Cancel"</Button>
                <Button kind=Kind::Primary submit=true busy=busy attr:data-testid="role-save">
                    "Save the role"
                </Button>
            </div>
        </form>
    }
    .into_any()
}
