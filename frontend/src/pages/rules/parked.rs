//! What a rule parked while it was in quarantine, and the way to let it go.

use leptos::prelude::*;
use leptos::task::spawn_local;
use openapi::deliveries::{DeadResult, Delivery};
use openapi::page::Page;
use openapi::rules::Rule;

use crate::api::{load_when, query, use_api};
use crate::pages::dead_letters::told;
use crate::ui::{Button, Kind, use_toasts};

/// A notice with a button, while there is something parked and the rule is mended.
pub fn parked(rule: &Rule) -> AnyView {
    let api = use_api();
    let toasts = use_toasts();
    let (id, mended) = (rule.id, rule.validity == "valid");
    let waiting = load_when::<Page<Delivery>>(move || {
        mended.then(|| {
            query(
                "deliveries",
                &[
                    ("rule", id.to_string()),
                    ("state", "parked".to_owned()),
                    ("limit", "1".to_owned()),
                ],
            )
        })
    });
    let busy = RwSignal::new(false);
    let release = move |_| {
        busy.set(true);
        spawn_local(async move {
            let path = format!("rules/{id}/release-parked");
            match api.act::<DeadResult>(&path).await {
                Ok(result) => toasts.good(told(&result)),
                Err(failure) => toasts.failed(&failure),
            }
            busy.try_set(false);
            waiting.reload();
        });
    };
    (move || {
        let any = waiting.get().is_some_and(|page| !page.items.is_empty());
        any.then(|| {
            view! {
                <div class="notice amber" data-testid="parked">
                    <div class="stack-s grow">
                        <strong>"Deliveries are parked"</strong>
                        <p>"This rule took them while it was in quarantine. Now that it is mended, their events can be routed again."</p>
                    </div>
                    <Button
                        small=true
                        kind=Kind::Primary
                        busy=busy
                        attr:data-testid="release-parked"
                        press=release
                    >
                        "Release them"
                    </Button>
                </div>
            }
        })
    })
    .into_any()
}
