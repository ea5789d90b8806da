//! A new password, judged by the server while it is typed.

use gloo_timers::callback::Timeout;
use leptos::prelude::*;
use leptos::task::spawn_local;
use openapi::account::{PasswordStrength, PasswordToJudge};

use super::field::{Faults, TextField};
use crate::api::use_api;

/// Milliseconds without a key after which a password is judged.
const PAUSE_MS: u32 = 350;

/// A field for a new password, with a meter.
#[component]
pub fn PasswordField(
    /// Its label.
    #[prop(into)]
    label: String,
    /// The password.
    value: RwSignal<String>,
    /// What should not be in it: address and name.
    #[prop(into)]
    hints: Signal<Vec<String>>,
    /// The faults of the form.
    faults: Faults,
    /// Its name in them.
    #[prop(into)]
    at: String,
    /// For tests.
    #[prop(into)]
    testid: String,
) -> impl IntoView {
    let api = use_api();
    let judged = RwSignal::new(None::<PasswordStrength>);
    Effect::new(move |before: Option<Option<Timeout>>| {
        // Dropping the timer stops it.
        drop(before);
        let password = value.get();
        if password.is_empty() {
            judged.set(None);
            return None;
        }
        Some(Timeout::new(PAUSE_MS, move || {
            let body = PasswordToJudge {
                password: password.clone(),
                hints: hints.get_untracked(),
            };
            spawn_local(async move {
                let answer = api
                    .post::<_, PasswordStrength>("auth/password-strength", &body)
                    .await;
                // Only what is still in the field is of interest.
                let same = value.try_with_untracked(|now| *now == password);
                if let (Ok(strength), Some(true)) = (answer, same) {
                    judged.try_set(Some(strength));
                }
            });
        }))
    });
    view! {
        <div class="stack-s">
            <TextField
                label=label
                value=value
                kind="password"
                autocomplete="new-password"
                required=true
                help="12 characters or more. Several words that do not belong together are good."
                faults=faults
                at=at
                testid=testid
            />
            <div role="status" data-testid="strength">
                {move || judged.get().map(meter)}
            </div>
        </div>
    }
    .into_any()
}

fn meter(judged: PasswordStrength) -> AnyView {
    let word = if judged.acceptable {
        "Good: this one is taken."
    } else {
        "Not yet."
    };
    let advice = judged.advice.join(" ");
    view! {
        <meter
            class="strength"
            min="0"
            max="4"
            low="3"
            high="3"
            optimum="4"
            value=judged.score.to_string()
            aria-label="Strength of the password"
        ></meter>
        <p class="help">{word} " " {advice}</p>
    }
    .into_any()
}
