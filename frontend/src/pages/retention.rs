//! How long things are kept, how much there is, and how the clean-up goes.

use leptos::prelude::*;
use leptos::task::spawn_local;
use openapi::problem::FieldError;
use openapi::retention::{
    ChangeRetention, Retention, RetentionCounts, RetentionPreview, RetentionRun, StorageSizes,
};
use web_sys::SubmitEvent;

use crate::api::{Load, load, use_api};
use crate::format;
use crate::pages::stale::explain_failure;
use crate::ui::{
    Ago, Button, Card, CheckField, FaultList, Faults, Kind, PageHead, TextField, show, use_toasts,
};

/// The page.
#[component]
pub fn RetentionPage() -> impl IntoView {
    let retention = load::<Retention>(|| "retention".to_owned());
    let sizes = load::<StorageSizes>(|| "retention/sizes".to_owned());
    // Outlives what is drawn anew after a save.
    let preview = RwSignal::new(None::<RetentionPreview>);
    view! {
        <PageHead title="Retention" text="What is old is deleted in the background, oldest first. What is still needed stays." />
        <div class="split" data-testid="retention">
            <div class="stack">{show(retention, move |r| form(r, retention))}</div>
            <div class="stack">
                {show(retention, move |r| runs(r, retention, sizes, preview))}
                <Card title="In the database" text="Rows and sizes are estimates." flush=true>
                    {show(sizes, table)}
                </Card>
            </div>
        </div>
    }
    .into_any()
}

/// The numbers of the form: name, label, help.
const FIELDS: [(&str, &str, &str); 10] = [
    (
        "events",
        "Events",
        "With all that was made of them. A source can have its own number.",
    ),
    (
        "deliveries",
        "Deliveries",
        "Finished ones; no longer than events.",
    ),
    (
        "attempts",
        "Attempts",
        "What was said to upstreams; no longer than deliveries.",
    ),
    (
        "dead_letters",
        "Dead letters",
        "For so long they keep their event too.",
    ),
    (
        "refusals",
        "Refused requests",
        "Within the newest of each source.",
    ),
    ("audit", "Audit log", "What people and keys changed."),
    ("jobs", "Ended jobs", ""),
    ("stats", "Counters", "What the dashboard is made of."),
    (
        "links",
        "Closed links",
        "Since their last change; as long as events at least.",
    ),
    (
        "sandbox",
        "Sandbox records",
        "Since their last change; not those of open links.",
    ),
];

fn form(retention: Retention, load: Load<Retention>) -> AnyView {
    let api = use_api();
    let toasts = use_toasts();
    let faults: Faults = RwSignal::new(Vec::new());
    let busy = RwSignal::new(false);
    let days = &retention.days;
    let numbers = [
        days.events,
        days.deliveries,
        days.attempts,
        days.dead_letters,
        days.refusals,
        days.audit,
        days.jobs,
        days.stats,
        days.links,
        days.sandbox,
    ];
    let values = numbers.map(|n| RwSignal::new(n.to_string()));
    let archive = RwSignal::new(days.archive);
    let revision = retention.revision;
    let submit = move |event: SubmitEvent| {
        event.prevent_default();
        faults.set(Vec::new());
        let number = |index: usize| -> Option<u32> {
            let text = values.get(index)?.get_untracked();
            let number = text.trim().parse().ok();
            if number.is_none() {
                faults.update(|list| {
                    list.push(FieldError {
                        field: FIELDS.get(index).map_or("", |f| f.0).to_owned(),
                        code: "value_kind".to_owned(),
                        message: "This must be a whole number of days.".to_owned(),
                        offset: None,
                    });
                });
            }
            number
        };
        let change = ChangeRetention {
            events: number(0),
            deliveries: number(1),
            attempts: number(2),
            dead_letters: number(3),
            refusals: number(4),
            audit: number(5),
            jobs: number(6),
            stats: number(7),
            links: number(8),
            sandbox: number(9),
            archive: Some(archive.get_untracked()),
        };
        if !faults.with_untracked(Vec::is_empty) {
            return;
        }
        busy.set(true);
        spawn_local(async move {
            match api
                .patch::<_, Retention>("retention", &change, Some(revision))
                .await
            {
                Ok(saved) => {
                    toasts.good("Saved.");
                    load.put(saved);
                }
                Err(failure) => {
                    faults.try_set(failure.errors());
                    explain_failure(toasts, &failure);
                }
            }
            busy.try_set(false);
        });
    };
    let fields = FIELDS
        .into_iter()
        .zip(values)
        .map(|((name, label, help), value)| {
            view! {
                <TextField label=label value=value help=help faults=faults at=name testid=format!("days-{name}") />
            }
        })
        .collect_view();
    let has_archive = !retention.archive.is_empty();
    let places = retention.archive.join(" and ");
    let sources = retention.sources;
    view! {
        <form class="stack" on:submit=submit data-testid="retention-form">
            <FaultList faults=faults />
            <Card title="Days" text="0 keeps a kind for good.">
                <div class="stack">
                    <div class="form-grid">{fields}</div>
                    {if has_archive {
                        view! {
                            <CheckField
                                label="Archive before deleting"
                                value=archive
                                help=format!("Rows are written to the server's archive ({places}) before they go.")
                                testid="retention-archive"
                            />
                        }
                            .into_any()
                    } else {
                        view! { <p class="small muted">"This server has no archive: what is deleted is gone."</p> }
                            .into_any()
                    }}
                </div>
            </Card>
            {(!sources.is_empty())
                .then(|| {
                    view! {
                        <Card title="Sources with their own number">
                            <dl class="facts">
                                {sources
                                    .into_iter()
                                    .map(|s| {
                                        view! {
                                            <dt>{s.source}</dt>
                                            <dd>
                                                {if s.days == 0 {
                                                    "for good".to_owned()
                                                } else {
                                                    format::plural(usize::try_from(s.days).unwrap_or_default(), "day")
                                                }}
                                            </dd>
                                        }
                                    })
                                    .collect_view()}
                            </dl>
                        </Card>
                    }
                })}
            <div class="form-foot">
                <Button kind=Kind::Primary submit=true busy=busy attr:data-testid="retention-save">
                    "Save changes"
                </Button>
            </div>
        </form>
    }
    .into_any()
}

fn runs(
    retention: Retention,
    load: Load<Retention>,
    sizes: Load<StorageSizes>,
    preview: RwSignal<Option<RetentionPreview>>,
) -> AnyView {
    let api = use_api();
    let toasts = use_toasts();
    let busy = RwSignal::new(false);
    let run = move |_| {
        busy.set(true);
        spawn_local(async move {
            match api.act::<serde_json::Value>("retention/run").await {
                Ok(_) => {
                    toasts.good("The clean-up begins. Reload the numbers to follow it.");
                    load.reload();
                    sizes.reload();
                }
                Err(failure) => toasts.failed(&failure),
            }
            busy.try_set(false);
        });
    };
    let count = move |_| {
        spawn_local(async move {
            match api.get::<RetentionPreview>("retention/preview").await {
                Ok(found) => {
                    preview.try_set(Some(found));
                }
                Err(failure) => toasts.failed(&failure),
            }
        });
    };
    let reload = move |_| {
        load.reload();
        sizes.reload();
    };
    view! {
        <Card title="Clean-up">
            <div class="stack">
                <dl class="facts">
                    <dt>"Last"</dt>
                    <dd data-testid="last-run">{last(retention.last_run)}</dd>
                    <dt>"Next"</dt>
                    <dd>
                        {match retention.next_run_at {
                            Some(at) => view! { <Ago at=at /> }.into_any(),
                            None => "soon".into_any(),
                        }}
                    </dd>
                    {retention
                        .max_mb
                        .map(|mb| {
                            view! {
                                <dt>"Largest size"</dt>
                                <dd>
                                    {format!(
                                        "{mb} MiB ({}); above that the oldest finished events go",
                                        format::bytes(i64::try_from(mb << 20).unwrap_or(i64::MAX)),
                                    )}
                                </dd>
                            }
                        })}
                </dl>
                <div class="row">
                    <Button attr:data-testid="retention-preview" press=count>
                        "What would go?"
                    </Button>
                    <Button busy=busy attr:data-testid="retention-run" press=run>
                        "Run now"
                    </Button>
                    <Button attr:data-testid="retention-reload" press=reload>
                        "Reload"
                    </Button>
                </div>
                {move || {
                    preview
                        .get()
                        .map(|found| {
                            let more = if found.at_least { "At least " } else { "" };
                            view! {
                                <p class="notice" role="status" data-testid="preview">
                                    {format!("{more}{} would be deleted now.", counts(&found.would_delete))}
                                </p>
                            }
                        })
                }}
            </div>
        </Card>
    }
    .into_any()
}

fn last(run: Option<RetentionRun>) -> AnyView {
    let Some(run) = run else {
        return "none yet".into_any();
    };
    let gone = counts(&run.deleted);
    let state = match (&run.finished_at, &run.error) {
        (None, _) => format!("goes on; {gone} deleted so far"),
        (Some(_), None) => format!("{gone} deleted"),
        (Some(_), Some(_)) => format!("not all was done; {gone} deleted"),
    };
    view! {
        <Ago at=run.started_at />
        ": "
        {state}
        {(run.archived_bytes > 0)
            .then(|| format!(", {} archived", format::bytes(run.archived_bytes)))}
        {run.error.map(|error| view! { <p class="notice red small">{error}</p> })}
    }
    .into_any()
}

/// `3 events, 12 deliveries`, or `nothing`.
fn counts(counts: &RetentionCounts) -> String {
    let all = [
        (counts.events, "event"),
        (counts.deliveries, "delivery"),
        (counts.attempts, "attempt"),
        (counts.refusals, "refusal"),
        (counts.audit, "audit line"),
        (counts.jobs, "job"),
        (counts.stats, "counter"),
        (counts.links, "closed link"),
        (counts.sandbox, "sandbox record"),
    ];
    let parts: Vec<String> = all
        .into_iter()
        .filter(|(n, _)| *n > 0)
        .map(|(n, one)| {
            let shown = format::count(i64::try_from(n).unwrap_or(i64::MAX));
            match (n, one) {
                (1, one) => format!("1 {one}"),
                (_, "delivery") => format!("{shown} deliveries"),
                (_, one) => format!("{shown} {one}s"),
            }
        })
        .collect();
    if parts.is_empty() {
        "nothing".to_owned()
    } else {
        parts.join(", ")
    }
}

fn table(sizes: StorageSizes) -> AnyView {
    let whose = if sizes.all_workspaces {
        "All workspaces together."
    } else {
        "What this workspace has."
    };
    view! {
        <p class="small muted card-note">{whose}</p>
        <div class="table-wrap" tabindex="0" role="group" aria-label="Sizes">
            <table class="table stacked" data-testid="sizes">
                <thead>
                    <tr>
                        <th scope="col">"Table"</th>
                        <th scope="col" class="right">"Rows"</th>
                        <th scope="col" class="right">"Size"</th>
                        <th scope="col">"Oldest"</th>
                    </tr>
                </thead>
                <tbody>
                    {sizes
                        .tables
                        .into_iter()
                        .map(|table| {
                            view! {
                                <tr>
                                    <td class="title-cell">{format::words(&table.table)}</td>
                                    <td class="right num">{format::count(table.rows)}</td>
                                    <td class="right num">{format::bytes(table.bytes)}</td>
                                    <td class="nowrap">
                                        {table.oldest_at.map(|at| view! { <Ago at=at /> })}
                                    </td>
                                </tr>
                            }
                        })
                        .collect_view()}
                </tbody>
            </table>
        </div>
        <p class="small muted card-foot">
            {format!(
                "{} on disk, {} of it in use.",
                format::bytes(sizes.bytes),
                format::bytes(sizes.used_bytes),
            )}
        </p>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_words() {
        assert_eq!(counts(&RetentionCounts::default()), "nothing");
        let some = RetentionCounts {
            events: 1,
            deliveries: 2,
            jobs: 3,
            ..RetentionCounts::default()
        };
        assert_eq!(counts(&some), "1 event, 2 deliveries, 3 jobs");
    }
}
