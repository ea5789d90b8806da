//! The audit log: what people and keys changed.

mod diff;
mod report;

use leptos::prelude::*;
use leptos::task::spawn_local;
use openapi::audit::{AuditEntry, AuditVerification};

use crate::api::{query, to_pretty, use_api};
use crate::ui::{
    Ago, Button, CodeBlock, Empty, Filter, FilterSelect, Icon, PageHead, SearchBox, pages,
    use_toasts,
};
use diff::diff;

/// Kinds of what can be changed.
const KINDS: &[&str] = &[
    "rule",
    "source",
    "connection",
    "delivery",
    "dead_letters",
    "event",
    "job",
    "maintenance",
    "credential",
    "user",
    "session",
    "invitation",
    "role",
    "retention",
    "workspace",
    "key",
    "audit",
];

/// How far back, in hours.
const SINCE: &[(&str, &str)] = &[
    ("1", "The last hour"),
    ("24", "The last day"),
    ("168", "The last week"),
    ("720", "The last 30 days"),
];

/// The moment so many hours ago; empty for none.
fn ago(hours: &str) -> String {
    let Ok(hours) = hours.parse::<u32>() else {
        return String::new();
    };
    let at = js_sys::Date::new_0();
    at.set_time(at.get_time() - f64::from(hours) * 3_600_000.0);
    String::from(at.to_iso_string())
}

/// The audit log.
#[component]
pub fn AuditLog() -> impl IntoView {
    let actor = Filter::of("actor");
    let kind = Filter::of("kind");
    let words = Filter::of("q");
    let since = Filter::of("since");
    let api = use_api();
    let chosen = move |last: (&'static str, String)| {
        [
            ("actor", actor.value.get()),
            ("subject_kind", kind.value.get()),
            ("q", words.value.get()),
            ("from", ago(&since.value.get())),
            last,
        ]
    };
    let lines = pages::<AuditEntry>(move |cursor| query("audit", &chosen(("cursor", cursor))));
    let file = move |form: &'static str| {
        move || api.link("audit/export", &chosen(("format", form.to_owned())))
    };
    let reporting = RwSignal::new(false);
    view! {
        <PageHead title="Audit log" text="What people and keys changed, before and after. Secrets are masked.">
            <Button press=move |_| reporting.set(true) attr:data-testid="audit-report">
                "Report"
            </Button>
            <a class="button" href=file("csv") download rel="external" data-testid="audit-csv">
                "CSV"
            </a>
            <a class="button" href=file("jsonl") download rel="external" data-testid="audit-jsonl">
                "JSON Lines"
            </a>
        </PageHead>
        {report::dialog(reporting)}
        {chain()}
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
            <FilterSelect
                label="When"
                all="At any time"
                filter=since
                options=Signal::stored(
                    SINCE.iter().map(|(hours, words)| ((*hours).to_owned(), (*words).to_owned())).collect(),
                )
                testid="audit-since"
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

/// Whether the log is as it was written, when somebody asks.
fn chain() -> AnyView {
    let api = use_api();
    let toasts = use_toasts();
    let found = RwSignal::new(None::<AuditVerification>);
    let busy = RwSignal::new(false);
    let check = move |_| {
        busy.set(true);
        spawn_local(async move {
            match api.get::<AuditVerification>("audit/verification").await {
                Ok(report) => {
                    found.try_set(Some(report));
                }
                Err(failure) => toasts.failed(&failure),
            }
            busy.try_set(false);
        });
    };
    let told = move || {
        found.get().map(|report| {
            let (tone, words) = verdict(&report);
            view! {
                <p class=format!("notice {tone}") role="status" data-testid="audit-chain">
                    {words}
                    <code class="block small wrap">{report.hash}</code>
                </p>
            }
        })
    };
    view! {
        <div class="stack-s">
            <div class="row">
                <Button busy=busy press=check attr:data-testid="audit-verify">
                    {crate::ui::icon(Icon::Key)}
                    "Check the chain"
                </Button>
                <span class="small muted">"Each line is linked to the one before: what was changed or taken out is found."</span>
            </div>
            {told}
        </div>
    }
    .into_any()
}

/// Colour and words of what was found.
fn verdict(report: &AuditVerification) -> (&'static str, String) {
    match &report.broken {
        None => (
            "green",
            format!(
                "{} lines hold, up to number {}; {} have not joined yet. The end of the chain:",
                report.checked, report.seq, report.waiting
            ),
        ),
        Some(broken) => (
            "red",
            format!(
                "Line {} is not as it was written ({}). The end of the chain:",
                broken.seq,
                crate::format::lower(&broken.what)
            ),
        ),
    }
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
    let changed = diff(&entry.before, &entry.after);
    let raw =
        [&entry.before, &entry.after].map(|value| (!value.is_null()).then(|| to_pretty(value)));
    let [before, after] = raw;
    view! {
        <tr data-testid="audit-line">
            <td class="title-cell">
                <span class="mono small">{entry.action}</span>
                " "
                {entry.subject}
                {changed
                    .map(|changed| {
                        view! {
                            <details class="small" data-testid="audit-details">
                                <summary>"What changed"</summary>
                                <div class="stack-s">
                                    {changed}
                                    <details class="small">
                                        <summary>"As JSON"</summary>
                                        <div class="stack-s">
                                            {before.map(|text| view! { <CodeBlock text=text label="before" wrapped=true /> })}
                                            {after.map(|text| view! { <CodeBlock text=text label="after" wrapped=true /> })}
                                        </div>
                                    </details>
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
