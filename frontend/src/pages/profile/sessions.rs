//! The browsers in which one is signed in.

use leptos::prelude::*;
use leptos::task::spawn_local;
use openapi::account::OwnSession;
use openapi::page::Page;

use crate::api::{Load, load, use_api};
use crate::ui::{Ago, Badge, Button, Card, Kind, Tone, show, use_toasts};

pub(super) fn card() -> AnyView {
    let api = use_api();
    let toasts = use_toasts();
    let list = load::<Page<OwnSession>>(|| "me/sessions".to_owned());
    let busy = RwSignal::new(false);
    let others = move |_| {
        busy.set(true);
        spawn_local(async move {
            match api.act::<()>("me/sessions/end-others").await {
                Ok(()) => list.reload(),
                Err(failure) => toasts.failed(&failure),
            }
            busy.try_set(false);
        });
    };
    let actions = view! {
        <Button small=true busy=busy attr:data-testid="end-others" press=others>
            "End all others"
        </Button>
    }
    .into_any();
    view! {
        <Card
            title="Sessions"
            text="Where you are signed in. End what you do not know, and change the password."
            flush=true
            actions=actions
        >
            {show(list, move |page| table(page.items, list))}
        </Card>
    }
    .into_any()
}

fn table(rows: Vec<OwnSession>, list: Load<Page<OwnSession>>) -> AnyView {
    view! {
        <div class="table-wrap" tabindex="0" role="group" aria-label="Sessions">
            <table class="table stacked" data-testid="sessions">
                <thead>
                    <tr>
                        <th scope="col">"Browser"</th>
                        <th scope="col">"Last seen"</th>
                        <th scope="col">
                            <span class="visually-hidden">"What can be done"</span>
                        </th>
                    </tr>
                </thead>
                <tbody>
                    <For
                        each=move || rows.clone()
                        key=|row| (row.id, row.last_seen_at)
                        children=move |row| line(row, list)
                    />
                </tbody>
            </table>
        </div>
    }
    .into_any()
}

fn line(row: OwnSession, list: Load<Page<OwnSession>>) -> AnyView {
    let api = use_api();
    let toasts = use_toasts();
    let busy = RwSignal::new(false);
    let path = format!("me/sessions/{}", row.id);
    let press = move |_| {
        let path = path.clone();
        busy.set(true);
        spawn_local(async move {
            if let Err(failure) = api.take::<()>(&path).await {
                toasts.failed(&failure);
            }
            list.reload();
            busy.try_set(false);
        });
    };
    let what = if row.current {
        view! { <Badge text="this one" tone=Tone::Green /> }.into_any()
    } else {
        view! {
            <Button small=true kind=Kind::Danger busy=busy attr:data-testid="session-end" press=press>
                "End"
            </Button>
        }
        .into_any()
    };
    view! {
        <tr data-testid="session">
            <td class="title-cell">
                {if row.user_agent.is_empty() { "A program".to_owned() } else { row.user_agent }}
                <span class="small faint block">
                    {format!("from {}, signed in ", row.remote_addr)}
                    <Ago at=row.started_at />
                </span>
            </td>
            <td>
                <Ago at=row.last_seen_at />
            </td>
            <td class="actions">{what}</td>
        </tr>
    }
    .into_any()
}
