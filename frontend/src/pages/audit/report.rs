//! What an auditor asks for about a period.

use leptos::prelude::*;
use leptos::task::spawn_local;
use openapi::audit::{AuditCount, ComplianceReport};
use web_sys::SubmitEvent;

use super::verdict;
use crate::api::{query, use_api};
use crate::format;
use crate::ui::{Ago, Button, Dialog, FaultList, Faults, Kind, TextField, use_toasts};

/// A day so many days from today, as a field for dates has it.
fn day(ahead: f64) -> String {
    let at = js_sys::Date::new_0();
    at.set_time(at.get_time() + ahead * 86_400_000.0);
    String::from(at.to_iso_string()).chars().take(10).collect()
}

/// Midnight UTC before a day.
fn midnight(day: &str) -> String {
    format!("{day}T00:00:00Z")
}

/// The dialog that asks for the period and shows the report.
pub(super) fn dialog(open: RwSignal<bool>) -> AnyView {
    view! {
        <Dialog open=open title="Report on a period" wide=true testid="audit-report-dialog">
            {form()}
        </Dialog>
    }
    .into_any()
}

fn form() -> AnyView {
    let api = use_api();
    let toasts = use_toasts();
    let (from, to) = (RwSignal::new(day(-90.0)), RwSignal::new(day(1.0)));
    let faults: Faults = RwSignal::new(Vec::new());
    let busy = RwSignal::new(false);
    let made = RwSignal::new(None::<ComplianceReport>);
    let period = move || [("from", midnight(&from.get())), ("to", midnight(&to.get()))];
    let submit = move |event: SubmitEvent| {
        event.prevent_default();
        faults.set(Vec::new());
        busy.set(true);
        let path = query("audit/report", &untrack(period));
        spawn_local(async move {
            match api.get::<ComplianceReport>(&path).await {
                Ok(report) => {
                    made.try_set(Some(report));
                }
                Err(failure) => {
                    faults.try_set(failure.errors());
                    toasts.failed(&failure);
                }
            }
            busy.try_set(false);
        });
    };
    let file = move || api.link("audit/report", &period());
    view! {
        <form class="stack" on:submit=submit>
            <div class="dialog-body stack">
                <FaultList faults=faults />
                <div class="form-grid">
                    <TextField label="From, midnight UTC" kind="date" value=from required=true faults=faults at="from" testid="report-from" />
                    <TextField label="Until, midnight UTC" kind="date" value=to required=true faults=faults at="to" testid="report-to" />
                </div>
                {move || made.get().map(shown)}
            </div>
            <div class="dialog-foot">
                {move || {
                    made.with(Option::is_some)
                        .then(|| {
                            view! {
                                <a class="button" href=file download="report.json" rel="external" data-testid="report-json">
                                    "JSON"
                                </a>
                            }
                        })
                }}
                <Button kind=Kind::Primary submit=true busy=busy attr:data-testid="report-make">
                    "Make the report"
                </Button>
            </div>
        </form>
    }
    .into_any()
}

fn shown(report: ComplianceReport) -> AnyView {
    let (tone, words) = verdict(&report.log);
    let gone = &report.deleted;
    let deleted = format!(
        "Clean-ups deleted {} events, {} deliveries and {} lines of this log.",
        format::natural(gone.events),
        format::natural(gone.deliveries),
        format::natural(gone.audit)
    );
    let who = format!(
        "{} members and {} credentials as of now; the file has them with roles, scopes and last use.",
        format::natural(report.members.len() as u64),
        format::natural(report.credentials.len() as u64)
    );
    view! {
        <div class="stack" data-testid="report">
            <p class=format!("notice {tone}")>{words}</p>
            <code class="block small wrap">{report.log.hash}</code>
            {(!report.complete)
                .then(|| {
                    view! {
                        <p class="notice amber" data-testid="report-incomplete">
                            "The period begins before the oldest line that is left: older ones were deleted by age."
                        </p>
                    }
                })}
            {report.more.then(|| view! { <p class="notice amber">"There are more kinds of lines than a report counts: the rarest are left out."</p> })}
            {counts("Access", report.access)}
            {counts("Secrets", report.secrets)}
            {counts("Changes", report.changes)}
            {counts("By hand", report.operations)}
            {counts("Taken out", report.exports)}
            {counts("Retention", report.retention)}
            <p class="small muted">{deleted} " " {who}</p>
        </div>
    }
    .into_any()
}

fn counts(title: &'static str, counts: Vec<AuditCount>) -> AnyView {
    if counts.is_empty() {
        return view! {
            <h3>{title}</h3>
            <p class="small muted">"Nothing."</p>
        }
        .into_any();
    }
    let rows = counts
        .into_iter()
        .map(|row| {
            view! {
                <tr>
                    <td class="mono small title-cell">{row.action}</td>
                    <td class="small">{row.actor}</td>
                    <td class="nowrap">{format::natural(row.count)} "×"</td>
                    <td class="nowrap"><Ago at=row.last_at /></td>
                </tr>
            }
        })
        .collect_view();
    view! {
        <h3>{title}</h3>
        <div class="table-wrap" tabindex="0" role="group" aria-label=title>
            <table class="table stacked">
                <thead>
                    <tr>
                        <th scope="col">"What"</th>
                        <th scope="col">"Who"</th>
                        <th scope="col">"How often"</th>
                        <th scope="col">"Last"</th>
                    </tr>
                </thead>
                <tbody>{rows}</tbody>
            </table>
        </div>
    }
    .into_any()
}
