//! Lanes of a connection that wait for a person: all of a cause are tried again at once.

use leptos::prelude::*;
use leptos::task::spawn_local;
use openapi::connections::{ParkedCause, RetryParked};
use openapi::deliveries::DeadResult;
use uuid::Uuid;

use crate::api::use_api;
use crate::format;
use crate::pages::dead_letters::told;
use crate::ui::{Button, Question, use_confirm, use_toasts};

/// A notice with a button for each cause and one for all; nothing while no lane waits. `done` is
/// called after each try.
pub fn parked(
    id: Uuid,
    causes: Vec<ParkedCause>,
    done: impl Fn() + Copy + Send + Sync + 'static,
) -> AnyView {
    if causes.is_empty() {
        return ().into_any();
    }
    let lanes: i64 = causes.iter().map(|cause| cause.count).sum();
    let several = causes.len() > 1;
    view! {
        <div class="notice amber" data-testid="parked-lanes">
            <div class="stack-s grow">
                <strong>{format!("{} for a person", wait(lanes))}</strong>
                <p>"What failed at their head keeps its place. Once the cause is mended, try it again; what waits behind it follows."</p>
                <ul class="stack-s">
                    {causes.into_iter().map(|cause| line(id, cause, done)).collect_view()}
                </ul>
            </div>
            {several.then(|| again(id, None, lanes, done))}
        </div>
    }
    .into_any()
}

fn wait(lanes: i64) -> String {
    let words = if lanes == 1 {
        "lane waits"
    } else {
        "lanes wait"
    };
    format!("{} {words}", format::count(lanes))
}

fn line(id: Uuid, cause: ParkedCause, done: impl Fn() + Copy + Send + Sync + 'static) -> AnyView {
    let words = format!(
        "{}: {}",
        format::words(&cause.error_code),
        format::count(cause.count)
    );
    let testid = format!("parked-{}", cause.error_code);
    view! {
        <li class="row-between" data-testid=testid>
            <span>{words}</span>
            {again(id, Some(cause.error_code), cause.count, done)}
        </li>
    }
    .into_any()
}

fn again(
    id: Uuid,
    cause: Option<String>,
    lanes: i64,
    done: impl Fn() + Copy + Send + Sync + 'static,
) -> AnyView {
    let api = use_api();
    let toasts = use_toasts();
    let confirm = use_confirm();
    let busy = RwSignal::new(false);
    let (words, testid) = match &cause {
        Some(code) => ("Try again", format!("retry-parked-{code}")),
        None => ("Try all again", "retry-parked".to_owned()),
    };
    let press = move |_| {
        let body = RetryParked {
            error_code: cause.clone(),
        };
        let question = Question {
            title: "Try them again?".to_owned(),
            text: format!("{}; each is sent anew, in its place.", wait(lanes)),
            yes: "Try again",
            danger: false,
        };
        confirm.ask(question, move || {
            let body = body.clone();
            busy.try_set(true);
            spawn_local(async move {
                let path = format!("connections/{id}/retry-parked");
                match api.post::<_, DeadResult>(&path, &body).await {
                    Ok(result) => toasts.good(told(&result)),
                    Err(failure) => toasts.failed(&failure),
                }
                busy.try_set(false);
                done();
            });
        });
    };
    view! {
        <Button small=true busy=busy attr:data-testid=testid press=press>
            {words}
        </Button>
    }
    .into_any()
}
