//! The dialog before a replay: what would be sent, by which rules, and how fast.

use leptos::prelude::*;
use leptos::task::spawn_local;
use openapi::deliveries::{
    DeadFilter, DeadOutcome, DeadPreview, DeadReplay, DeadResult, DeadSample, DeadShare,
    ReplayRules, ReplayedDelivery,
};

use crate::api::{Failure, to_pretty, use_api};
use crate::format;
use crate::ui::{
    Badge, Button, Dialog, FailureView, FaultList, Kind, SelectField, Skeleton, TextField, Tone,
    icon, use_toasts,
};

/// What the dialog is about: a title and a filter.
pub type Wanted = RwSignal<Option<(String, DeadFilter)>>;

/// The dialog; open while something is wanted.
pub fn dialog(wanted: Wanted, done: impl Fn() + Send + Sync + Copy + 'static) -> AnyView {
    let open = RwSignal::new(false);
    Effect::new(move |_| open.set(wanted.with(Option::is_some)));
    Effect::new(move |_| {
        if !open.get() && wanted.with_untracked(Option::is_some) {
            wanted.set(None);
        }
    });
    let title = Signal::derive(move || {
        wanted.with(|w| {
            w.as_ref()
                .map_or_else(String::new, |(what, _)| format!("Replay {what}"))
        })
    });
    view! {
        <Dialog open=open title=title wide=true testid="replay-dialog">
            {move || wanted.get().map(|(_, filter)| form(filter, open, done))}
        </Dialog>
    }
    .into_any()
}

fn form(
    filter: DeadFilter,
    open: RwSignal<bool>,
    done: impl Fn() + Send + Sync + Copy + 'static,
) -> AnyView {
    let api = use_api();
    let toasts = use_toasts();
    let preview = RwSignal::new(None::<Result<DeadPreview, Failure>>);
    let asked = filter.clone();
    spawn_local(async move {
        let answer = api.post("dead-letters/preview", &asked).await;
        preview.try_set(Some(answer));
    });
    let rules = RwSignal::new(String::new());
    let rate = RwSignal::new(String::new());
    let per = RwSignal::new("second".to_owned());
    let faults = RwSignal::new(Vec::new());
    let busy = RwSignal::new(false);
    let send = move |event: web_sys::SubmitEvent| {
        event.prevent_default();
        let Ok(number) = number(&rate.get_untracked()) else {
            faults.set(vec![openapi::problem::FieldError {
                field: "rate".to_owned(),
                code: "number".to_owned(),
                message: "A whole number is expected, or nothing.".to_owned(),
                offset: None,
            }]);
            return;
        };
        let minute = per.with_untracked(|p| p == "minute");
        let body = DeadReplay {
            ids: filter.ids.clone(),
            error_code: filter.error_code.clone(),
            connection_id: filter.connection_id,
            rule_id: filter.rule_id,
            rules: match rules.get_untracked().as_str() {
                "today" => Some(ReplayRules::Today),
                "then" => Some(ReplayRules::Then),
                _ => None,
            },
            per_second: number.filter(|_| !minute),
            per_minute: number.filter(|_| minute),
        };
        busy.set(true);
        spawn_local(async move {
            match api
                .post::<_, DeadResult>("dead-letters/replay", &body)
                .await
            {
                Ok(result) => {
                    toasts.good(told(&result));
                    open.try_set(false);
                    done();
                }
                Err(failure) => {
                    faults.try_set(failure.errors());
                    toasts.failed(&failure);
                }
            }
            busy.try_set(false);
        });
    };
    view! {
        <form on:submit=send>
            <div class="dialog-body stack">
                <FaultList faults=faults />
                {move || match preview.get() {
                    None => view! { <Skeleton lines=3 /> }.into_any(),
                    Some(Err(failure)) => view! { <FailureView failure=failure /> }.into_any(),
                    Some(Ok(preview)) => shown(preview),
                }}
                <SelectField
                    label="Rules"
                    value=rules
                    options=Signal::stored(
                        vec![
                            (String::new(), "Send what was rendered then".to_owned()),
                            ("today".to_owned(), "Ask today's rules again".to_owned()),
                            ("then".to_owned(), "Ask the rules of that day again".to_owned()),
                        ],
                    )
                    help="The original bytes of each event are what the rules see."
                    testid="replay-rules"
                />
                <div class="row wrap">
                    <TextField
                        label="At most"
                        value=rate
                        help="Empty: as fast as it goes."
                        faults=faults
                        at="rate"
                        testid="replay-rate"
                    />
                    <SelectField
                        label="Per"
                        value=per
                        options=Signal::stored(
                            vec![
                                ("second".to_owned(), "second".to_owned()),
                                ("minute".to_owned(), "minute".to_owned()),
                            ],
                        )
                        testid="replay-per"
                    />
                </div>
            </div>
            <div class="dialog-foot">
                <Button press=move |_| open.set(false)>"Cancel"</Button>
                <Button kind=Kind::Primary submit=true busy=busy attr:data-testid="replay-start">
                    {icon(crate::ui::Icon::Replay)}
                    "Replay"
                </Button>
            </div>
        </form>
    }
    .into_any()
}

fn number(text: &str) -> Result<Option<u32>, std::num::ParseIntError> {
    match text.trim() {
        "" => Ok(None),
        text => text.parse().map(Some),
    }
}

/// What came of a request, for people.
pub fn told(result: &DeadResult) -> String {
    if result.job.is_some() {
        return format!("A job was started for {}.", result.count);
    }
    if result.failed == 0 {
        return format!("{} done.", result.count);
    }
    let reasons: Vec<String> = result
        .reasons
        .keys()
        .map(|code| format::words(code))
        .collect();
    format!(
        "{} done, {} left as they were: {}.",
        result.count,
        result.failed,
        reasons.join(", ")
    )
}

/// What came of the replay of one delivery, for people.
pub fn sent_again(done: &ReplayedDelivery) -> String {
    if done.count > 1 {
        return format!(
            "Sent again with its lane: {} new deliveries, in order.",
            done.count
        );
    }
    "Sent again as a new delivery.".to_owned()
}

fn shown(preview: DeadPreview) -> AnyView {
    view! {
        <div class="stack-s" data-testid="replay-preview">
            <p>
                <strong data-testid="replay-count">{format::count(preview.count)}</strong>
                " dead letters"
                {preview
                    .oldest_at
                    .zip(preview.newest_at)
                    .map(|(oldest, newest)| {
                        format!(", from {} to {}", format::moment(oldest), format::moment(newest))
                    })}
            </p>
            {(preview.with_lanes > 0)
                .then(|| {
                    view! {
                        <p class="small muted" data-testid="replay-lanes">
                            {format!(
                                "{} of them go along: they were set aside with their lane, which is sent whole and in order.",
                                format::count(preview.with_lanes),
                            )}
                        </p>
                    }
                })}
            <dl class="facts">
                {share("Connections", &preview.connections)}
                {share("Causes", &preview.causes)}
                {share("Rules", &preview.rules)}
            </dl>
            {preview.samples.into_iter().map(sample).collect_view()}
        </div>
    }
    .into_any()
}

fn share(label: &'static str, shares: &[DeadShare]) -> AnyView {
    let words: Vec<String> = shares
        .iter()
        .take(5)
        .map(|s| {
            let name = if s.id.is_none() {
                format::words(&s.name)
            } else {
                s.name.clone()
            };
            format!("{name} ({})", format::count(s.count))
        })
        .collect();
    view! {
        <dt>{label}</dt>
        <dd>{words.join(", ")}</dd>
    }
    .into_any()
}

fn sample(sample: DeadSample) -> AnyView {
    let key = sample.delivery.key.clone().unwrap_or_default();
    view! {
        <details class="small" data-testid="replay-sample">
            <summary>
                {sample.delivery.operation.clone()} " " {key} " "
                {if sample.differ {
                    view! { <Badge text="today's rules send something else" tone=Tone::Amber /> }.into_any()
                } else {
                    view! { <Badge text="same today and then" tone=Tone::Grey /> }.into_any()
                }}
            </summary>
            <div class="stack-s">
                <strong>"As it was rendered"</strong>
                {outcome(&sample.again)}
                <strong>"By today's rules"</strong>
                {outcome(&sample.today)}
                <strong>"By the rules of that day"</strong>
                {outcome(&sample.then)}
            </div>
        </details>
    }
    .into_any()
}

fn outcome(outcome: &DeadOutcome) -> AnyView {
    if let Some(reason) = &outcome.reason {
        return view! { <p>"Not replayed: " {format::words(reason)}</p> }.into_any();
    }
    outcome
        .operations
        .iter()
        .map(|operation| {
            let fields = to_pretty(&operation.fields);
            let head = format!(
                "{} on {}, rule {} (version {})",
                operation.operation, operation.connection, operation.rule, operation.revision
            );
            view! {
                <p>{head}</p>
                <pre class="code small">{fields}</pre>
            }
        })
        .collect_view()
        .into_any()
}
