//! Code and JSON with colours, and copying.

use leptos::prelude::*;
use leptos::task::spawn_local;
use wasm_bindgen_futures::JsFuture;

use super::icon::{Icon, icon};
use super::toast::use_toasts;
use super::tokens::{Token, cut};

use crate::api::to_pretty;

/// Beyond this many characters a text is shown without colours: each colour is an element.
const COLOURED: usize = 60_000;

/// Copies a text.
#[component]
pub fn CopyButton(
    /// What is copied.
    #[prop(into)]
    text: Signal<String>,
    /// What it is, for screen readers: "Copy {label}".
    #[prop(into)]
    label: String,
    /// For tests.
    #[prop(optional, into)]
    testid: String,
) -> impl IntoView {
    let toasts = use_toasts();
    let done = RwSignal::new(false);
    let copy = move |_| {
        let text = text.get_untracked();
        spawn_local(async move {
            // Without a secure context there is no clipboard at all.
            let clipboard = window().navigator().clipboard();
            let there = !wasm_bindgen::JsValue::from(clipboard.clone()).is_undefined();
            if there && JsFuture::from(clipboard.write_text(&text)).await.is_ok() {
                done.try_set(true);
                toasts.good("Copied.");
            } else {
                toasts
                    .bad("The browser did not allow copying. Select the text and copy it by hand.");
            }
        });
    };
    view! {
        <button
            type="button"
            class="button quiet icon small"
            aria-label=format!("Copy {label}")
            title="Copy"
            data-testid=testid
            on:click=copy
        >
            {move || icon(if done.get() { Icon::Check } else { Icon::Copy })}
        </button>
    }
    .into_any()
}

/// One line to copy, such as an address or a secret.
#[component]
pub fn CopyLine(
    /// The text.
    #[prop(into)]
    text: String,
    /// What it is.
    #[prop(into)]
    label: String,
    /// For tests.
    #[prop(optional, into)]
    testid: String,
) -> impl IntoView {
    let shown = text.clone();
    view! {
        <div class="copy-line">
            <code data-testid=testid tabindex="0">
                {shown}
            </code>
            <CopyButton text=Signal::stored(text) label=label />
        </div>
    }
    .into_any()
}

/// A block of code; JSON gets colours.
#[component]
pub fn CodeBlock(
    /// The text.
    #[prop(into)]
    text: String,
    /// What it is.
    #[prop(into)]
    label: String,
    /// No colours.
    #[prop(optional)]
    plain: bool,
    /// Long lines are broken.
    #[prop(optional)]
    wrapped: bool,
    /// Less high.
    #[prop(optional)]
    short: bool,
    /// For tests.
    #[prop(optional, into)]
    testid: String,
) -> impl IntoView {
    let body = if plain || text.len() > COLOURED {
        text.clone().into_any()
    } else {
        cut(&text)
            .into_iter()
            .map(|(token, piece)| match token {
                Token::Plain => piece.to_owned().into_any(),
                token => view! { <span class=token.class()>{piece.to_owned()}</span> }.into_any(),
            })
            .collect_view()
            .into_any()
    };
    view! {
        <div class="code-view" class:wrapped=wrapped class:short=short>
            // Focusable, so that the arrow keys scroll it.
            <pre tabindex="0" role="group" aria-label=label.clone() data-testid=testid>
                <code>{body}</code>
            </pre>
            <div class="copy">
                <CopyButton text=Signal::stored(text) label=label />
            </div>
        </div>
    }
    .into_any()
}

/// A value as indented JSON.
#[component]
pub fn JsonView(
    /// The value.
    value: serde_json::Value,
    /// What it is.
    #[prop(into)]
    label: String,
    /// Less high.
    #[prop(optional)]
    short: bool,
    /// For tests.
    #[prop(optional, into)]
    testid: String,
) -> impl IntoView {
    let text = to_pretty(&value);
    view! { <CodeBlock text=text label=label short=short testid=testid /> }
}
