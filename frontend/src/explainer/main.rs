//! The rule engine as a module of its own: downloaded when the rule editor opens, so that every
//! other page starts without it. It puts one function on the global object, text in, text out.

#[path = "../clock.rs"]
mod clock;
mod preview;
mod wire;

use js_sys::Reflect;
use wasm_bindgen::JsValue;
use wasm_bindgen::closure::Closure;

use wire::{Answer, FUNCTION, Question};

fn main() {
    console_error_panic_hook::set_once();
    let function =
        Closure::<dyn Fn(String) -> Option<String>>::new(|question: String| answer(&question));
    // On a frozen global object nothing can be put; the console then says that it has no engine.
    drop(Reflect::set(
        &js_sys::global(),
        &JsValue::from_str(FUNCTION),
        &function.into_js_value(),
    ));
}

/// Nothing for a question that cannot be read: console and explainer are of different builds.
fn answer(question: &str) -> Option<String> {
    let question: Question = serde_json::from_str(question).ok()?;
    let faults = engine::rules::validate(&question.draft.spec)
        .err()
        .unwrap_or_default();
    let explanation = question.event.map(|event| {
        preview::preview(
            question.draft,
            &question.saved,
            question.source.as_ref(),
            &event,
            clock::now(),
        )
    });
    serde_json::to_string(&Answer {
        faults,
        explanation,
    })
    .ok()
}
