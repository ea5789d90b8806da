//! The people of the workspace: members, roles, invitations.

mod invite;
mod policy;
mod registrations;

use leptos::prelude::*;
use leptos::task::spawn_local;
use openapi::page::Page;
use openapi::people::{ChangeMember, Invitation, InvitationSent, Member};

use crate::api::{Load, load, use_api};
use crate::format;
use crate::pages::stale::explain_failure;
use crate::ui::{
    Ago, Badge, Button, Card, CopyLine, Dialog, Empty, Icon, Kind, PageHead, Question, SelectField,
    Tone, icon, show, use_confirm, use_toasts,
};

/// The roles that can be handed out, as word and words.
pub(super) const ROLES: [(&str, &str); 4] = [
    ("viewer", "Viewer: reads"),
    ("operator", "Operator: works with events and deliveries"),
    ("admin", "Admin: changes everything"),
    ("owner", "Owner: everything, and makes owners"),
];

/// The lists, and the link that was just made.
#[derive(Clone, Copy)]
pub(super) struct Shown {
    members: Load<Page<Member>>,
    invitations: Load<Page<Invitation>>,
    sent: RwSignal<Option<InvitationSent>>,
    sent_open: RwSignal<bool>,
}

impl Shown {
    /// Shows what became of an invitation: its link once, if there is no mail.
    pub(super) fn reveal(self, sent: InvitationSent) {
        self.sent.try_set(Some(sent));
        self.sent_open.try_set(true);
        self.invitations.reload();
    }
}

/// The page.
#[component]
pub fn People() -> impl IntoView {
    let shown = Shown {
        members: load::<Page<Member>>(|| "members".to_owned()),
        invitations: load::<Page<Invitation>>(|| "invitations".to_owned()),
        sent: RwSignal::new(None),
        sent_open: RwSignal::new(false),
    };
    let inviting = RwSignal::new(false);
    Effect::new(move |_| {
        if !shown.sent_open.get() {
            shown.sent.set(None);
        }
    });
    view! {
        <PageHead title="People" text="Who may do what in this workspace.">
            <Button
                kind=Kind::Primary
                attr:data-testid="invite"
                press=move |_| inviting.set(true)
            >
                {icon(Icon::Plus)}
                "Invite"
            </Button>
        </PageHead>
        <div class="stack">
            <Card title="Members" flush=true>
                {show(shown.members, move |page| members(page.items, shown))}
            </Card>
            <Card title="Invitations" text="Not answered yet." flush=true>
                {show(shown.invitations, move |page| invitations(page.items, shown))}
            </Card>
            {registrations::card(shown.members)}
            {policy::cards()}
        </div>
        <Dialog open=inviting title="Invite somebody" testid="invite-dialog">
            {invite::form(inviting, shown)}
        </Dialog>
        <Dialog open=shown.sent_open title="Invited" testid="invited-dialog">
            {move || shown.sent.get().map(sent)}
        </Dialog>
    }
    .into_any()
}

fn sent(sent: InvitationSent) -> AnyView {
    let email = sent.invitation.email;
    match sent.link {
        Some(link) => view! {
            <div class="dialog-body stack-s">
                <p>
                    "This server sends no mail. Hand the link to "
                    <strong>{email}</strong>
                    " yourself: whoever has it can join. It is not shown again."
                </p>
                <CopyLine text=link label="link" testid="invitation-link" />
            </div>
        }
        .into_any(),
        None => view! {
            <div class="dialog-body">
                <p>"The link is on its way to " <strong>{email}</strong> "."</p>
            </div>
        }
        .into_any(),
    }
}

fn members(rows: Vec<Member>, shown: Shown) -> AnyView {
    view! {
        <div class="table-wrap" tabindex="0" role="group" aria-label="Members">
            <table class="table stacked" data-testid="members">
                <thead>
                    <tr>
                        <th scope="col">"Person"</th>
                        <th scope="col">"Role"</th>
                        <th scope="col">"Last seen"</th>
                        <th scope="col">
                            <span class="visually-hidden">"What can be done"</span>
                        </th>
                    </tr>
                </thead>
                <tbody>
                    <For
                        each=move || rows.clone()
                        key=|row| (row.id, row.revision, row.last_seen_at, row.second_factor)
                        children=move |row| member(row, shown)
                    />
                </tbody>
            </table>
        </div>
    }
    .into_any()
}

fn member(row: Member, shown: Shown) -> AnyView {
    let api = use_api();
    let toasts = use_toasts();
    let confirm = use_confirm();
    let busy = RwSignal::new(false);
    let role = RwSignal::new(row.role.clone());
    let path = format!("members/{}", row.id);
    let revision = row.revision;
    let change = {
        let path = path.clone();
        move |wanted: ChangeMember| {
            let path = path.clone();
            busy.set(true);
            spawn_local(async move {
                let done = api.patch::<_, Member>(&path, &wanted, Some(revision)).await;
                if let Err(failure) = done {
                    explain_failure(toasts, &failure);
                }
                shown.members.reload();
                busy.try_set(false);
            });
        }
    };
    let known = row.role.clone();
    let own = row.role.clone();
    let give = change.clone();
    Effect::new(move |before: Option<String>| {
        let now = role.get();
        if before.is_some_and(|before| before != now) && now != known {
            give(ChangeMember {
                role: Some(now.clone()),
                enabled: None,
            });
        }
        now
    });
    let enabled = row.enabled;
    let switch = move |_| {
        change(ChangeMember {
            role: None,
            enabled: Some(!enabled),
        });
    };
    let remove = move || {
        let path = path.clone();
        spawn_local(async move {
            if let Err(failure) = api.delete(&path, revision).await {
                explain_failure(toasts, &failure);
            }
            shown.members.reload();
        });
    };
    let name = row.name.clone();
    let ask = move |_| {
        let question = Question {
            title: format!("Remove {name}?"),
            text: "There is no way in any more, at once. The account stays.".to_owned(),
            yes: "Remove",
            danger: true,
        };
        confirm.ask(question, remove.clone());
    };
    let mut choices: Vec<(String, String)> = ROLES
        .iter()
        .map(|(word, words)| ((*word).to_owned(), (*words).to_owned()))
        .collect();
    if !choices.iter().any(|(word, _)| *word == own) {
        choices.push((own.clone(), own));
    }
    let state = (!row.enabled).then(|| view! { <Badge text="off" tone=Tone::Grey /> });
    let factor = if row.second_factor {
        view! { <Badge text="second factor" tone=Tone::Green /> }.into_any()
    } else {
        view! { <Badge text="password only" tone=Tone::Amber /> }.into_any()
    };
    let seen = match row.last_seen_at {
        None => view! { "never" }.into_any(),
        Some(at) => view! { <Ago at=at /> }.into_any(),
    };
    view! {
        <tr data-testid="member">
            <td class="title-cell">
                {row.name}
                <span class="small faint block">{row.email}</span>
                {factor}
                {state}
            </td>
            <td>
                <SelectField
                    label="Role"
                    value=role
                    options=Signal::stored(choices)
                    testid="member-role"
                />
            </td>
            <td>{seen}</td>
            <td class="actions">
                <Button small=true busy=busy attr:data-testid="member-switch" press=switch>
                    {if enabled { "Switch off" } else { "Switch on" }}
                </Button>
                <Button
                    small=true
                    kind=Kind::Danger
                    attr:data-testid="member-remove"
                    press=ask
                >
                    "Remove"
                </Button>
            </td>
        </tr>
    }
    .into_any()
}

fn invitations(rows: Vec<Invitation>, shown: Shown) -> AnyView {
    if rows.is_empty() {
        return view! {
            <Empty mark=Icon::User title="Nobody" text="No invitation waits for an answer." />
        }
        .into_any();
    }
    view! {
        <div class="table-wrap" tabindex="0" role="group" aria-label="Invitations">
            <table class="table stacked" data-testid="invitations">
                <thead>
                    <tr>
                        <th scope="col">"Address"</th>
                        <th scope="col">"Until"</th>
                        <th scope="col">
                            <span class="visually-hidden">"What can be done"</span>
                        </th>
                    </tr>
                </thead>
                <tbody>
                    <For
                        each=move || rows.clone()
                        key=|row| (row.id, row.revision)
                        children=move |row| invitation(row, shown)
                    />
                </tbody>
            </table>
        </div>
    }
    .into_any()
}

fn invitation(row: Invitation, shown: Shown) -> AnyView {
    let api = use_api();
    let toasts = use_toasts();
    let busy = RwSignal::new(false);
    let path = format!("invitations/{}", row.id);
    let revision = row.revision;
    let resend = {
        let path = format!("{path}/resend");
        move |_| {
            let path = path.clone();
            busy.set(true);
            spawn_local(async move {
                match api.act::<InvitationSent>(&path).await {
                    Ok(sent) => shown.reveal(sent),
                    Err(failure) => toasts.failed(&failure),
                }
                busy.try_set(false);
            });
        }
    };
    let revoke = move |_| {
        let path = path.clone();
        spawn_local(async move {
            if let Err(failure) = api.delete(&path, revision).await {
                explain_failure(toasts, &failure);
            }
            shown.invitations.reload();
        });
    };
    let ended = row
        .expired
        .then(|| view! { <Badge text="ended" tone=Tone::Amber /> });
    view! {
        <tr data-testid="invitation-row">
            <td class="title-cell">
                {row.email}
                <span class="small faint block">
                    {format!("{}, invited by {}", row.role, row.invited_by)}
                </span>
            </td>
            <td>{format::moment(row.expires_at)} " " {ended}</td>
            <td class="actions">
                <Button small=true busy=busy attr:data-testid="invitation-resend" press=resend>
                    "New link"
                </Button>
                <Button
                    small=true
                    kind=Kind::Danger
                    attr:data-testid="invitation-revoke"
                    press=revoke
                >
                    "Take back"
                </Button>
            </td>
        </tr>
    }
    .into_any()
}
