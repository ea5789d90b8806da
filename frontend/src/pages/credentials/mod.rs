//! API credentials: what there is, who uses which secret, and what can be done to them.
//!
//! A secret stands on the page only while the dialog that shows it is open.

mod create;

use leptos::prelude::*;
use leptos::task::spawn_local;
use openapi::credentials::{
    ChangeCredential, Credential, CredentialKind, CredentialRevealed, CredentialSecret,
    CredentialStatus, RetireCredentialSecret, SecretSlot,
};
use openapi::page::Page;

use crate::api::{Api, Failure, Load, load, use_api};
use crate::format;
use crate::pages::stale::explain_failure;
use crate::ui::{
    Ago, Badge, Button, CopyLine, Dialog, Empty, Icon, Kind, PageHead, Question, Tone, icon, show,
    use_confirm, use_toasts,
};
use create::create_dialog;

/// The list, and the secret that was just made.
#[derive(Clone, Copy)]
struct Shown {
    list: Load<Page<Credential>>,
    revealed: RwSignal<Option<(String, String)>>,
    open: RwSignal<bool>,
}

impl Shown {
    /// Shows a secret once, and the list as it is now.
    fn reveal(self, made: CredentialRevealed) {
        self.revealed
            .try_set(Some((made.credential.client_id, made.secret)));
        self.open.try_set(true);
        self.list.reload();
    }
}

/// API credentials.
#[component]
pub fn Credentials() -> impl IntoView {
    let shown = Shown {
        list: load::<Page<Credential>>(|| "credentials".to_owned()),
        revealed: RwSignal::new(None),
        open: RwSignal::new(false),
    };
    let creating = RwSignal::new(false);
    Effect::new(move |_| {
        if !shown.open.get() {
            shown.revealed.set(None);
        }
    });
    view! {
        <PageHead
            title="API credentials"
            text="What programs call the API with. Which of two secrets is in use shows who has moved."
        >
            <Button
                kind=Kind::Primary
                attr:data-testid="new-credential"
                press=move |_| creating.set(true)
            >
                {icon(Icon::Plus)}
                "New credential"
            </Button>
        </PageHead>
        <div class="card">{show(shown.list, move |page| table(page.items, shown))}</div>
        <Dialog open=creating title="New credential" wide=true testid="credential-dialog">
            {create_dialog(creating, shown)}
        </Dialog>
        <Dialog open=shown.open title="Shown this one time" testid="credential-secret">
            {move || shown.revealed.get().map(secret_once)}
        </Dialog>
    }
    .into_any()
}

fn secret_once((client, secret): (String, String)) -> AnyView {
    view! {
        <div class="dialog-body stack-s">
            <p>"Copy it now: the server does not show it again."</p>
            <CopyLine text=client label="client id" testid="client-id" />
            <CopyLine text=secret label="secret" testid="secret" />
        </div>
    }
    .into_any()
}

fn table(rows: Vec<Credential>, shown: Shown) -> AnyView {
    if rows.is_empty() {
        return view! {
            <Empty
                mark=Icon::Key
                title="No credentials"
                text="A program needs one to call the API: it signs its calls, or sends a token."
            />
        }
        .into_any();
    }
    view! {
        <div class="table-wrap" tabindex="0" role="group" aria-label="API credentials">
            <table class="table stacked" data-testid="credentials">
                <thead>
                    <tr>
                        <th scope="col">"Credential"</th>
                        <th scope="col">"State"</th>
                        <th scope="col">"Secrets"</th>
                        <th scope="col">
                            <span class="visually-hidden">"What can be done"</span>
                        </th>
                    </tr>
                </thead>
                <tbody>
                    // A row is made anew when it changes: one that is drawn over keeps its buttons.
                    <For
                        each=move || rows.clone()
                        key=|row| (row.id, row.revision, row.last_used_at)
                        children=move |row| line(row, shown)
                    />
                </tbody>
            </table>
        </div>
    }
    .into_any()
}

fn line(credential: Credential, shown: Shown) -> AnyView {
    let kind = match credential.kind {
        CredentialKind::Hmac => "signs",
        CredentialKind::Bearer => "token",
    };
    let (state, tone) = match credential.status {
        CredentialStatus::Active => ("active", Tone::Green),
        CredentialStatus::Disabled => ("off", Tone::Grey),
        CredentialStatus::Expired => ("expired", Tone::Amber),
        CredentialStatus::Revoked => ("revoked", Tone::Red),
    };
    let networks = if credential.allow_cidrs.is_empty() {
        "from anywhere".to_owned()
    } else {
        format!("from {}", credential.allow_cidrs.join(", "))
    };
    let rate = credential.rate_per_minute;
    let rate = rate.map_or_else(String::new, |n| format!(", {n} requests a minute at most"));
    let warnings = credential.warnings.iter().map(|warning| {
        let text = warning.message.clone();
        view! { <span class="small block" data-testid="credential-warning">{text}</span> }
    });
    let warnings = warnings.collect_view();
    let secrets = credential.secrets.iter().map(secret).collect_view();
    let expires = credential
        .expires_at
        .map(|at| view! { <span class="small faint block">"until " {format::moment(at)}</span> });
    let actions = actions(&credential, shown);
    view! {
        <tr data-testid="credential">
            <td class="title-cell">
                {credential.name}
                <span class="small faint block">
                    <span class="mono">{credential.client_id}</span>
                    {format!(", {kind}, {networks}{rate}")}
                </span>
                <details class="small">
                    <summary>{format!("{} scopes", credential.scopes.len())}</summary>
                    <span class="mono">{credential.scopes.join(" ")}</span>
                </details>
                {warnings}
            </td>
            <td data-testid="credential-state">
                <Badge text=state tone=tone />
                {expires}
            </td>
            <td>{secrets}</td>
            <td class="actions">{actions}</td>
        </tr>
    }
    .into_any()
}

fn secret(secret: &CredentialSecret) -> AnyView {
    let name = match secret.slot {
        SecretSlot::Primary => "primary",
        SecretSlot::Secondary => "second",
    };
    let used = match secret.last_used_at {
        None => view! { " not used yet" }.into_any(),
        Some(at) => {
            let from = secret.last_used_addr.clone().unwrap_or_default();
            view! { " used " <Ago at=at /> {format!(" from {from}")} }.into_any()
        }
    };
    let ends = secret
        .retires_at
        .map(|at| format!(", ends {}", format::moment(at)));
    view! {
        <span class="small block" data-testid="credential-slot">
            {name}
            ":"
            {used}
            {ends}
        </span>
    }
    .into_any()
}

/// What a button of a row does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Does {
    AddSecret,
    Promote,
    Retire,
    SwitchOn,
    SwitchOff,
    Revoke,
    Delete,
}

impl Does {
    /// What is offered for a credential.
    fn offered(credential: &Credential) -> Vec<Self> {
        if credential.status == CredentialStatus::Revoked {
            return vec![Self::Delete];
        }
        let mut offered = match credential.secrets.len() {
            1 => vec![Self::AddSecret],
            _ => vec![Self::Promote, Self::Retire],
        };
        offered.push(match credential.status {
            CredentialStatus::Disabled => Self::SwitchOn,
            _ => Self::SwitchOff,
        });
        offered.push(Self::Revoke);
        offered
    }

    /// The words on the button, and its name for tests.
    const fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::AddSecret => ("Add second secret", "credential-add"),
            Self::Promote => ("Make second primary", "credential-promote"),
            Self::Retire => ("Retire second", "credential-retire"),
            Self::SwitchOn => ("Switch on", "credential-on"),
            Self::SwitchOff => ("Switch off", "credential-off"),
            Self::Revoke => ("Revoke", "credential-revoke"),
            Self::Delete => ("Delete", "credential-delete"),
        }
    }

    /// What is asked before something that cannot be taken back.
    fn question(self, name: &str) -> Option<Question> {
        let (title, text, yes) = match self {
            Self::Retire => (
                format!("Retire the second secret of {name}?"),
                "Whoever still uses it is refused from now on.",
                "Retire",
            ),
            Self::Revoke => (
                format!("Revoke {name}?"),
                "It is refused for good, and its secrets are destroyed.",
                "Revoke",
            ),
            Self::Delete => (
                format!("Delete {name}?"),
                "It leaves this list. The audit log keeps what was done with it.",
                "Delete",
            ),
            _ => return None,
        };
        Some(Question {
            title,
            text: text.to_owned(),
            yes,
            danger: true,
        })
    }

    /// Does it; a new secret comes back from adding one.
    async fn done(
        self,
        api: Api,
        path: &str,
        revision: i64,
    ) -> Result<Option<CredentialRevealed>, Failure> {
        let post = |what: &str| format!("{path}/{what}");
        let switch = |on: bool| ChangeCredential {
            enabled: Some(on),
            ..ChangeCredential::default()
        };
        match self {
            Self::AddSecret => return api.act(&post("secrets")).await.map(Some),
            Self::Delete => return api.delete(path, revision).await.map(|()| None),
            Self::Promote => api.act::<Credential>(&post("promote")).await,
            Self::Retire => {
                let second = RetireCredentialSecret::default();
                api.post(&post("retire"), &second).await
            }
            Self::SwitchOn => api.patch(path, &switch(true), Some(revision)).await,
            Self::SwitchOff => api.patch(path, &switch(false), Some(revision)).await,
            Self::Revoke => api.act(&post("revoke")).await,
        }
        .map(|_| None)
    }
}

fn actions(credential: &Credential, shown: Shown) -> AnyView {
    Does::offered(credential)
        .into_iter()
        .map(|does| button(does, credential, shown))
        .collect_view()
        .into_any()
}

fn button(does: Does, credential: &Credential, shown: Shown) -> AnyView {
    let api = use_api();
    let toasts = use_toasts();
    let confirm = use_confirm();
    let busy = RwSignal::new(false);
    let path = format!("credentials/{}", credential.id);
    let (revision, name) = (credential.revision, credential.name.clone());
    let act = move || {
        let path = path.clone();
        busy.try_set(true);
        spawn_local(async move {
            match does.done(api, &path, revision).await {
                Ok(Some(made)) => shown.reveal(made),
                Ok(None) => shown.list.reload(),
                Err(failure) => {
                    explain_failure(toasts, &failure);
                    shown.list.reload();
                }
            }
            busy.try_set(false);
        });
    };
    let click = move |_| match does.question(&name) {
        Some(question) => confirm.ask(question, act.clone()),
        None => act(),
    };
    let (words, testid) = does.words();
    let kind = match does {
        Does::Revoke | Does::Delete => Kind::Danger,
        _ => Kind::Plain,
    };
    view! {
        <Button small=true kind=kind busy=busy attr:data-testid=testid press=click>
            {words}
        </Button>
    }
    .into_any()
}
