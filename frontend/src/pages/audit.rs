//! The audit log: what people and keys changed.

use leptos::prelude::*;
use openapi::audit::AuditEntry;

use crate::api::{query, to_pretty};
use crate::ui::{Ago, CodeBlock, Empty, Filter, FilterSelect, Icon, PageHead, SearchBox, pages};

/// Kinds of what can be changed.
const KINDS: &[&str] = &[
    "rule",
    "source",
    "connection",
    "delivery",
    "dead_letters",
    "event",
    "job",
];

/// The audit log.
#[component]
pub fn AuditLog() -> impl IntoView {
    let actor = Filter::of("actor");
    let kind = Filter::of("kind");
    let words = Filter::of("q");
    let lines = pages::<AuditEntry>(move |cursor| {
        query(
            "audit",
            &[
                ("actor", actor.value.get()),
                ("subject_kind", kind.value.get()),
                ("q", words.value.get()),
                ("cursor", cursor),
            ],
        )
    });
    view! {
        <PageHead title="Audit log" text="What people and keys changed, before and after. Secrets are masked." />
        <div class="toolbar">
            <SearchBox label="Words" filter=words testid="audit-words" />
            <SearchBox label="Who, exactly" filter=actor testid="audit-actor" />
            <FilterSelect
                label="What"
                all="Everything"
                filter=kind
                options=Signal::stored(
                    KINDS.iter().map(|kind| ((*kind).to_owned(), kind.replace('_', " "))).collect(),
                )
                testid="audit-kind"
            />
        </div>
        <div class="card">
            {lines.view(
                || {
                    view! {
                        <Empty
                            mark=Icon::Key
                            title="Nothing here"
                            text="Every change of rules, sources and connections, and every replay, is written here."
                        />
                    }
                        .into_any()
                },
                table,
            )}
        </div>
    }
    .into_any()
}

fn table(lines: Vec<AuditEntry>) -> AnyView {
    view! {
        <div class="table-wrap" tabindex="0" role="group" aria-label="Audit log">
            <table class="table stacked" data-testid="audit">
                <thead>
                    <tr>
                        <th scope="col">"What"</th>
                        <th scope="col">"Who"</th>
                        <th scope="col">"When"</th>
                    </tr>
                </thead>
                <tbody>{lines.into_iter().map(line).collect_view()}</tbody>
            </table>
        </div>
    }
    .into_any()
}

fn line(entry: AuditEntry) -> AnyView {
    let pretty = |value: &serde_json::Value| (!value.is_null()).then(|| to_pretty(value));
    let (before, after) = (pretty(&entry.before), pretty(&entry.after));
    let details = before.is_some() || after.is_some();
    view! {
        <tr data-testid="audit-line">
            <td class="title-cell">
                <span class="mono small">{entry.action}</span>
                " "
                {entry.subject}
                {details
                    .then(|| {
                        view! {
                            <details class="small">
                                <summary>"Before and after"</summary>
                                <div class="stack-s">
                                    {before.map(|text| view! { <CodeBlock text=text label="before" wrapped=true testid="audit-before" /> })}
                                    {after.map(|text| view! { <CodeBlock text=text label="after" wrapped=true testid="audit-after" /> })}
                                </div>
                            </details>
                        }
                    })}
            </td>
            <td class="small">
                {entry.actor}
                <span class="faint block">{entry.remote_addr}</span>
                <span class="faint block mono" title="Id of the request">{entry.request_id}</span>
            </td>
            <td class="nowrap">
                <Ago at=entry.at />
            </td>
        </tr>
    }
    .into_any()
}
