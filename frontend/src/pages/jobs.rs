//! Long work in the background: how far it is, and a way to stop it.

use leptos::prelude::*;
use leptos::task::spawn_local;
use openapi::jobs::{Job, JobState};
use openapi::page::Page;
use openapi::stream::Message;

use crate::api::{Load, load, query, use_api, use_live};
use crate::format;
use crate::ui::{
    Ago, Badge, Button, Card, Empty, Filter, FilterSelect, Icon, Kind, PageHead, Tone, pages,
    use_toasts,
};

/// All jobs.
#[component]
pub fn Jobs() -> impl IntoView {
    let state = Filter::of("state");
    let jobs = pages::<Job>(move |cursor| {
        query("jobs", &[("state", state.value.get()), ("cursor", cursor)])
    });
    follow(jobs.load);
    view! {
        <PageHead title="Jobs" text="Long work in the background, such as the replay of many dead letters." />
        <div class="toolbar">
            <FilterSelect
                label="State"
                all="Every state"
                filter=state
                options=Signal::stored(
                    ["running", "done", "failed", "cancelled"]
                        .map(|word| (word.to_owned(), word.to_owned()))
                        .to_vec(),
                )
                testid="job-state-filter"
            />
        </div>
        <div class="card">
            {jobs.view(
                || {
                    view! {
                        <Empty
                            mark=Icon::Clock
                            title="No jobs"
                            text="A job is started when much is to be done at once, for example when many dead letters are replayed."
                        />
                    }
                        .into_any()
                },
                move |rows| table(rows, jobs.load),
            )}
        </div>
    }
    .into_any()
}

/// The jobs that run now, as a card; nothing while there are none.
pub fn running(on_end: impl Fn() + Send + Sync + Copy + 'static) -> AnyView {
    let jobs = load::<Page<Job>>(|| "jobs?state=running".to_owned());
    follow(jobs);
    use_live().after(
        500,
        |message| matches!(message, Message::Job(job) if job.state != JobState::Running),
        on_end,
    );
    (move || {
        let rows = jobs.get()?.items;
        (!rows.is_empty()).then(|| {
            view! {
                <Card title="Under way" flush=true>
                    {table(rows, jobs)}
                </Card>
            }
            .into_any()
        })
    })
    .into_any()
}

/// Takes what the stream tells into a list.
fn follow(jobs: Load<Page<Job>>) {
    use_live().after(
        300,
        |message| matches!(message, Message::Job(_) | Message::Reset),
        // Further pages would be lost by reading anew; the person is looking at them.
        move || {
            if jobs.peek().is_none_or(|page| page.items.len() <= 50) {
                jobs.reload();
            }
        },
    );
}

fn table(rows: Vec<Job>, jobs: Load<Page<Job>>) -> AnyView {
    view! {
        <div class="table-wrap" tabindex="0" role="group" aria-label="Jobs">
            <table class="table stacked" data-testid="jobs">
                <thead>
                    <tr>
                        <th scope="col">"Job"</th>
                        <th scope="col">"State"</th>
                        <th scope="col">"Progress"</th>
                        <th scope="col">"Started"</th>
                        <th scope="col">
                            <span class="visually-hidden">"What can be done"</span>
                        </th>
                    </tr>
                </thead>
                <tbody>{rows.into_iter().map(|job| row(job, jobs)).collect_view()}</tbody>
            </table>
        </div>
    }
    .into_any()
}

fn row(job: Job, jobs: Load<Page<Job>>) -> AnyView {
    let api = use_api();
    let toasts = use_toasts();
    let id = job.id;
    let cancel = move |_| {
        spawn_local(async move {
            match api.act::<Job>(&format!("jobs/{id}/cancel")).await {
                Ok(_) => toasts.good("Cancelled. What was done stays done."),
                Err(failure) => toasts.failed(&failure),
            }
            jobs.reload();
        });
    };
    let looked = job.done + job.failed;
    let reasons: Vec<String> = job
        .reasons
        .iter()
        .map(|(code, count)| format!("{count} × {}", format::words(code)))
        .collect();
    let mut progress = format!(
        "{} of {}",
        format::count(job.done),
        format::count(job.total)
    );
    if job.failed > 0 {
        progress.push_str(&format!(
            ", {} left as they were",
            format::count(job.failed)
        ));
    }
    view! {
        <tr data-testid="job">
            <td class="title-cell">
                {title(&job.kind)}
                <span class="small faint block">{job.actor.clone()}</span>
                {job.error.clone().map(|error| view! { <span class="small block">{error}</span> })}
            </td>
            <td data-testid="job-state">
                <Badge text=job.state.as_str() tone=tone(job.state) />
            </td>
            <td class="job-progress">
                <progress
                    class="progress"
                    max=job.total.max(1).to_string()
                    value=looked.to_string()
                    aria-label=format!("Progress of {}", title(&job.kind))
                ></progress>
                <span class="small muted block" data-testid="job-progress">{progress}</span>
                {(!reasons.is_empty())
                    .then(|| view! { <span class="small faint block">{reasons.join(", ")}</span> })}
            </td>
            <td class="nowrap">
                <Ago at=job.created_at />
            </td>
            <td class="actions">
                {(job.state == JobState::Running)
                    .then(|| {
                        view! {
                            <Button small=true kind=Kind::Danger attr:data-testid="cancel-job" press=cancel>
                                "Cancel"
                            </Button>
                        }
                    })}
            </td>
        </tr>
    }
    .into_any()
}

/// What a job does, in words.
fn title(kind: &str) -> String {
    match kind {
        "dead_letters.replay" => "Replay of dead letters".to_owned(),
        "dead_letters.discard" => "Discard of dead letters".to_owned(),
        "connections.retry_parked" => "Another try of lanes that waited".to_owned(),
        "deliveries.discard" => "Discard of what waits for a connection".to_owned(),
        "rules.release_parked" => "Release of what a rule parked".to_owned(),
        other => format::words(&other.replace('.', " ")),
    }
}

const fn tone(state: JobState) -> Tone {
    match state {
        JobState::Running => Tone::Blue,
        JobState::Done => Tone::Green,
        JobState::Failed => Tone::Red,
        JobState::Cancelled => Tone::Grey,
    }
}
