//! Asking the explainer, the rule engine in a module of its own, whenever the typing pauses.
//! It is downloaded when the editor opens; until then, and if that fails, there is no answer.

#[path = "../../../explainer/wire.rs"]
pub mod wire;

use std::time::Duration;

use js_sys::{Function, Promise, Reflect};
use leptos::leptos_dom::helpers::TimeoutHandle;
use leptos::prelude::*;
use leptos::task::spawn_local;
use openapi::page::Page;
use openapi::rules::Rule;
use openapi::sources::Source;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;

use super::explain::Against;
use super::form::RuleForm;
use crate::api::{Load, from_text, to_text};
use crate::ui::use_toasts;
use wire::{Answer, Draft, FUNCTION, Question};

/// Function of `boot.js` that downloads the explainer.
const LOADER: &str = "signalboxLoadExplainer";
/// The typing must pause this long before the engine is asked.
const PAUSE: Duration = Duration::from_millis(120);

/// What the engine says of the form as it stands.
pub fn ask(
    form: RuleForm,
    against: Against,
    rules: Load<Page<Rule>>,
    sources: Load<Page<Source>>,
) -> Signal<Option<Answer>> {
    let toasts = use_toasts();
    let ready = RwSignal::new(false);
    let answer = RwSignal::new(None::<Answer>);
    spawn_local(async move {
        if fetch().await.is_some() {
            ready.try_set(true);
        } else {
            toasts.bad("The rule engine could not be downloaded; there is no live explanation. Reload the page to try again.");
        }
    });
    Effect::new(move |before: Option<Option<TimeoutHandle>>| {
        if let Some(Some(before)) = before {
            before.clear();
        }
        if !ready.get() {
            return None;
        }
        let question = question(form, against, rules, sources);
        set_timeout_with_handle(
            move || {
                answer.try_set(call(&question));
            },
            PAUSE,
        )
        .ok()
    });
    answer.into()
}

fn question(
    form: RuleForm,
    against: Against,
    rules: Load<Page<Rule>>,
    sources: Load<Page<Source>>,
) -> Question {
    let event = against.asked();
    let slug = event.as_ref().map(|event| event.summary.source.clone());
    let sources = sources.get().map(|page| page.items).unwrap_or_default();
    let name = form.name.get();
    Question {
        draft: Draft {
            id: form.id.map(|id| id.to_string()),
            name: if name.is_empty() {
                "new rule".to_owned()
            } else {
                name
            },
            source: form.source_of(),
            priority: form.priority.with(|p| p.trim().parse().ok()),
            spec: form.parts.spec(),
        },
        saved: rules.get().map(|page| page.items).unwrap_or_default(),
        source: sources
            .into_iter()
            .find(|source| Some(&source.slug) == slug.as_ref()),
        event,
    }
}

fn function(name: &str) -> Option<Function> {
    Reflect::get(&window(), &JsValue::from_str(name))
        .ok()?
        .dyn_into()
        .ok()
}

/// Downloads the explainer, unless it is there already.
async fn fetch() -> Option<()> {
    if function(FUNCTION).is_some() {
        return Some(());
    }
    let promise: Promise = function(LOADER)?
        .call0(&JsValue::NULL)
        .ok()?
        .dyn_into()
        .ok()?;
    JsFuture::from(promise).await.ok()?;
    function(FUNCTION).map(|_| ())
}

fn call(question: &Question) -> Option<Answer> {
    let text = to_text(question).ok()?;
    let answer = function(FUNCTION)?
        .call1(&JsValue::NULL, &JsValue::from_str(&text))
        .ok()?
        .as_string()?;
    from_text(&answer).ok()
}
