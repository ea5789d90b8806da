//! Mail to people: how it stands, what waits or failed, and a mail to try it.

use leptos::prelude::*;
use openapi::mail::{MailEntry, MailProgress, MailState, TestMail, TestMailSent};

use crate::api::{Load, SignedIn, load, query, use_api};
use crate::format;
use crate::ui::{
    Ago, Badge, Button, Card, Empty, Filter, FilterSelect, Icon, PageHead, Sending, Tone, pages,
    show, use_toasts,
};

/// The page.
#[component]
pub fn MailPage() -> impl IntoView {
    let state = load::<MailState>(|| "mail".to_owned());
    let filter = Filter::of("state");
    let mails = pages::<MailEntry>(move |cursor| {
        query(
            "mail/messages",
            &[("state", filter.value.get()), ("cursor", cursor)],
        )
    });
    let again = Callback::new(move |()| {
        state.reload();
        mails.reload();
    });
    let words = ["waiting", "sent", "failed"].map(|word| (word.to_owned(), word.to_owned()));
    view! {
        <PageHead title="Mail" text="Invitations and links to people, and how far they are.">
            <Button attr:data-testid="mail-reload" press=move |_| again.run(())>
                "Look again"
            </Button>
        </PageHead>
        <div class="stack" data-testid="mail-page">
            {show(state, move |now| state_card(now, state))}
            <div class="toolbar">
                <FilterSelect
                    label="State"
                    all="Every state"
                    filter=filter
                    options=Signal::stored(words.to_vec())
                    testid="mail-state-filter"
                />
            </div>
            <div class="card">
                {mails.view(
                    || {
                        view! {
                            <Empty
                                mark=Icon::Out
                                title="No mails"
                                text="Mails about this workspace and to its members are listed for seven days. What they say is shown nowhere."
                            />
                        }
                            .into_any()
                    },
                    move |rows| table(rows, again),
                )}
            </div>
        </div>
    }
    .into_any()
}

fn state_card(now: MailState, shown: Load<MailState>) -> AnyView {
    let api = use_api();
    let toasts = use_toasts();
    let sending = Sending::with_toasts();
    let own = move || {
        api.session.with_untracked(|session| match session {
            SignedIn::Yes(session) => session.user.email.clone(),
            _ => String::new(),
        })
    };
    let test = move |_| {
        let wanted = TestMail { to: own() };
        let call = async move { api.post::<_, TestMailSent>("mail/test", &wanted).await };
        sending.run(call, move |_| {
            toasts.good("The mail server took it.");
            shown.reload();
        });
    };
    if !now.configured {
        return view! {
            <Card title="How it stands">
                <p data-testid="mail-off">
                    "This server sends no mail: links are shown to whoever makes them. Whoever looks after the server sets smtp_host and mail_from."
                </p>
            </Card>
        }
        .into_any();
    }
    let last = match now.last_sent_at {
        Some(at) => view! { <Ago at=at /> }.into_any(),
        None => "never".into_any(),
    };
    view! {
        <Card title="How it stands" text="Of the whole server.">
            <div class="stack">
                <dl class="facts">
                    <dt>"From"</dt>
                    <dd data-testid="mail-from">{now.from.unwrap_or_default()}</dd>
                    <dt>"Waiting"</dt>
                    <dd data-testid="mail-waiting">{format::count(now.waiting)}</dd>
                    <dt>"Given up in seven days"</dt>
                    <dd data-testid="mail-failed">{format::count(now.failed)}</dd>
                    <dt>"Last taken"</dt>
                    <dd>{last}</dd>
                    {now
                        .last_error
                        .map(|error| {
                            view! {
                                <dt>"Last fault"</dt>
                                <dd data-testid="mail-error">{error}</dd>
                            }
                        })}
                </dl>
                <div>
                    <Button busy=sending.busy attr:data-testid="mail-test" press=test>
                        "Send a test mail to me"
                    </Button>
                </div>
            </div>
        </Card>
    }
    .into_any()
}

fn table(rows: Vec<MailEntry>, again: Callback<()>) -> AnyView {
    view! {
        <div class="table-wrap" tabindex="0" role="group" aria-label="Mails">
            <table class="table stacked" data-testid="mails">
                <thead>
                    <tr>
                        <th scope="col">"Mail"</th>
                        <th scope="col">"State"</th>
                        <th scope="col">"Written"</th>
                        <th scope="col">
                            <span class="visually-hidden">"What can be done"</span>
                        </th>
                    </tr>
                </thead>
                <tbody>{rows.into_iter().map(|mail| row(mail, again)).collect_view()}</tbody>
            </table>
        </div>
    }
    .into_any()
}

fn row(mail: MailEntry, again: Callback<()>) -> AnyView {
    let api = use_api();
    let toasts = use_toasts();
    let sending = Sending::with_toasts();
    let path = format!("mail/messages/{}/retry", mail.id);
    let retry = move |_| {
        let path = path.clone();
        let call = async move { api.act::<MailEntry>(&path).await };
        sending.run(call, move |_| {
            toasts.good("It is sent once more.");
            again.run(());
        });
    };
    let next = mail.next_try_at.map(|at| {
        view! {
            <span class="small faint block">"Next try " <Ago at=at /></span>
        }
    });
    view! {
        <tr data-testid="mail">
            <td class="title-cell">
                {title(&mail.kind)}
                <span class="small faint block">{mail.to}</span>
                {mail.error.map(|error| view! { <span class="small block">{error}</span> })}
            </td>
            <td data-testid="mail-state">
                {badge(mail.state)}
                <span class="small faint block">{tries(mail.attempts)}</span>
                {next}
            </td>
            <td class="nowrap">
                <Ago at=mail.created_at />
            </td>
            <td class="actions">
                {mail
                    .can_retry
                    .then(|| {
                        view! {
                            <Button small=true busy=sending.busy attr:data-testid="mail-retry" press=retry>
                                "Send now"
                            </Button>
                        }
                    })}
            </td>
        </tr>
    }
    .into_any()
}

fn tries(attempts: i32) -> String {
    match attempts {
        1 => "1 try".to_owned(),
        n => format!("{n} tries"),
    }
}

fn badge(state: MailProgress) -> AnyView {
    let (text, tone) = match state {
        MailProgress::Waiting => ("waiting", Tone::Blue),
        MailProgress::Sent => ("sent", Tone::Green),
        MailProgress::Failed => ("failed", Tone::Red),
    };
    view! { <Badge text=text tone=tone /> }.into_any()
}

/// What a mail is, in words.
fn title(kind: &str) -> &'static str {
    match kind {
        "invitation" => "Invitation",
        "password_reset" => "Link to a new password",
        "registration" => "Link to register",
        "registration_approved" => "Registration approved",
        "account_exists" => "There is an account already",
        "new_email" => "Link to a new address",
        "email_changed" => "Notice of a new address",
        _ => "Mail",
    }
}
