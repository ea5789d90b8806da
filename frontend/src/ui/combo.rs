//! A select with search: type to filter, arrows to move, Enter to take, Escape to close.
//! What is typed and is not in the list may be kept: lists are help, not a fence.

use leptos::prelude::*;
use web_sys::KeyboardEvent;

use super::field::next_id;
use crate::format::lower;

/// Most rows shown at once.
const SHOWN: usize = 60;

/// One row.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    /// What is kept.
    pub value: String,
    /// What people see.
    pub label: String,
    /// A second line.
    pub detail: String,
}

/// A text with a list of choices.
#[component]
pub fn Combo(
    /// Its label, for screen readers when `labelled` is false.
    #[prop(into)]
    label: String,
    /// Whether the label is shown above.
    #[prop(optional)]
    labelled: bool,
    /// The kept value.
    value: RwSignal<String>,
    /// The rows.
    #[prop(into)]
    choices: Signal<Vec<Choice>>,
    /// Only values of the list are kept; the field shows the label of the kept one.
    #[prop(optional)]
    closed: bool,
    /// Grey text while it is empty.
    #[prop(optional, into)]
    placeholder: String,
    /// Called when the list is opened.
    #[prop(optional)]
    opened: Option<Callback<()>>,
    /// For tests.
    #[prop(optional, into)]
    testid: String,
) -> impl IntoView {
    let id = next_id("combo");
    let list_id = format!("{id}-list");
    let open = RwSignal::new(false);
    let typed = RwSignal::new(None::<String>);
    let active = RwSignal::new(0usize);

    let shown = Memo::new(move |_| {
        let wanted = lower(&typed.get().unwrap_or_default());
        choices.with(|all| {
            all.iter()
                .filter(|choice| {
                    wanted.is_empty()
                        || lower(&choice.label).contains(&wanted)
                        || lower(&choice.value).contains(&wanted)
                        || lower(&choice.detail).contains(&wanted)
                })
                .take(SHOWN)
                .cloned()
                .collect::<Vec<_>>()
        })
    });
    let text = move || {
        typed.get().unwrap_or_else(|| {
            let kept = value.get();
            if closed {
                choices.with(|all| {
                    all.iter()
                        .find(|c| c.value == kept)
                        .map_or(kept.clone(), |c| c.label.clone())
                })
            } else {
                kept
            }
        })
    };
    let close = move || {
        // Also called when the field is taken off the page with the focus inside.
        open.try_set(false);
        typed.try_set(None);
    };
    let take = move |choice: &Choice| {
        value.set(choice.value.clone());
        close();
    };
    let show_list = move || {
        if !open.get_untracked() {
            active.set(0);
            open.set(true);
            if let Some(opened) = opened {
                opened.run(());
            }
        }
    };
    let key = move |event: KeyboardEvent| {
        let rows = shown.with_untracked(Vec::len);
        match event.key().as_str() {
            "ArrowDown" | "ArrowUp" => {
                event.prevent_default();
                if !open.get_untracked() {
                    show_list();
                } else if rows > 0 {
                    let step = if event.key() == "ArrowDown" {
                        1
                    } else {
                        rows - 1
                    };
                    active.update(|n| *n = (*n + step) % rows);
                }
            }
            "Enter" if open.get_untracked() => {
                if let Some(choice) = shown.get_untracked().get(active.get_untracked()) {
                    event.prevent_default();
                    take(choice);
                }
            }
            "Escape" if open.get_untracked() => {
                event.prevent_default();
                event.stop_propagation();
                close();
            }
            _ => {}
        }
    };
    let option_id = {
        let id = id.clone();
        move |n: usize| format!("{id}-{n}")
    };
    let active_id = option_id.clone();
    view! {
        <div class="field">
            {if labelled {
                view! { <label for=id.clone()>{label.clone()}</label> }.into_any()
            } else {
                view! { <label class="visually-hidden" for=id.clone()>{label.clone()}</label> }.into_any()
            }}
            <div class="combo">
                <input
                    class="input"
                    id=id
                    type="text"
                    role="combobox"
                    autocomplete="off"
                    spellcheck="false"
                    placeholder=placeholder
                    data-testid=testid
                    aria-autocomplete="list"
                    aria-controls=list_id.clone()
                    aria-expanded=move || if open.get() { "true" } else { "false" }
                    aria-activedescendant=move || {
                        (open.get() && shown.with(|rows| !rows.is_empty()))
                            .then(|| active_id(active.get()))
                    }
                    prop:value=text
                    on:focus=move |_| show_list()
                    on:click=move |_| show_list()
                    on:blur=move |_| close()
                    on:keydown=key
                    on:input=move |event| {
                        let now = event_target_value(&event);
                        if !closed {
                            value.set(now.clone());
                        }
                        typed.set(Some(now));
                        active.set(0);
                        open.set(true);
                    }
                />
                <div
                    class="combo-list"
                    role="listbox"
                    id=list_id
                    aria-label=label
                    hidden=move || !open.get() || (!closed && shown.with(Vec::is_empty))
                >
                    {move || {
                        let rows = if open.get() { shown.get() } else { Vec::new() };
                        if rows.is_empty() && open.get() {
                            return view! { <div class="combo-none">"Nothing fits"</div> }.into_any();
                        }
                        rows.into_iter()
                            .enumerate()
                            .map(|(n, choice)| {
                                let kept = choice.value.clone();
                                let picked = choice.clone();
                                view! {
                                    <div
                                        class="combo-option"
                                        class:active=move || active.get() == n
                                        role="option"
                                        id=option_id(n)
                                        aria-selected=move || {
                                            if value.with(|v| *v == kept) { "true" } else { "false" }
                                        }
                                        // Before the field loses the focus and the list closes.
                                        on:mousedown=move |event| {
                                            event.prevent_default();
                                            take(&picked);
                                        }
                                    >
                                        {choice.label}
                                        {(!choice.detail.is_empty())
                                            .then(|| view! { <div class="small">{choice.detail}</div> })}
                                    </div>
                                }
                            })
                            .collect_view()
                            .into_any()
                    }}
                </div>
            </div>
        </div>
    }
    .into_any()
}
