//! What the sandbox would have sent.

use leptos::prelude::*;
use openapi::connections::SandboxRecord;
use openapi::page::Page;
use openapi::stream::Message;

use crate::api::{load, use_live};
use crate::format;
use crate::ui::{Ago, Badge, Card, Empty, Icon, JsonView, Tone, show};

/// The records of a sandbox connection.
pub fn records(id: String) -> AnyView {
    let list = load::<Page<SandboxRecord>>(move || format!("connections/{id}/records"));
    use_live().after(
        1_000,
        |message| matches!(message, Message::Delivery(_) | Message::Reset),
        move || list.reload(),
    );
    view! {
        <Card title="Records" text="What a real upstream would have got." flush=true>
            {show(list, |list| rows(list.items))}
        </Card>
    }
    .into_any()
}

fn rows(records: Vec<SandboxRecord>) -> AnyView {
    if records.is_empty() {
        return view! {
            <Empty
                compact=true
                mark=Icon::Flask
                title="Nothing was sent here yet"
                text="Let a rule deliver to this connection and send a test event."
            />
        }
        .into_any();
    }
    view! { <div class="records" data-testid="records">{records.into_iter().map(record).collect_view()}</div> }
        .into_any()
}

fn record(record: SandboxRecord) -> AnyView {
    let tone = if record.state == "open" {
        Tone::Blue
    } else {
        Tone::Grey
    };
    let notes = record.notes;
    view! {
        <details class="record" data-testid="record">
            <summary>
                <strong>{format!("#{}", record.number)}</strong>
                <span class="grow wrap">{record.title}</span>
                <Badge text=record.state tone=tone />
                <span class="small faint nowrap">
                    <Ago at=record.updated_at />
                </span>
            </summary>
            <div class="stack-s">
                <p class="small muted">
                    {record.operation}
                    " "
                    {record.key.map(|key| view! { <span class="tag">{key}</span> })}
                </p>
                <JsonView value=record.fields label="fields of the record" short=true />
                {(!notes.is_empty())
                    .then(|| {
                        view! {
                            <p class="small">{format::plural(notes.len(), "note")}</p>
                            <ul class="small notes">
                                {notes
                                    .into_iter()
                                    .map(|note| {
                                        view! {
                                            <li class="wrap">
                                                {note.text}
                                                " "
                                                <span class="faint">
                                                    <Ago at=note.at />
                                                </span>
                                            </li>
                                        }
                                    })
                                    .collect_view()}
                            </ul>
                        }
                    })}
            </div>
        </details>
    }
    .into_any()
}
