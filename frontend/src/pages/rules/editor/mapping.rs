//! Where the value of one field comes from: template, path, literal, value map or cases.

use leptos::prelude::*;

use super::conditions::conditions;
use super::context::{editor, keep};
use super::model::{Case, Mapping, Pair};
use crate::ui::{Button, Choice, Combo, Icon, icon, keyed, next_id};

/// The forms, in the order of the select.
const FORMS: [(&str, &str); 5] = [
    ("template", "Template"),
    ("path", "Path"),
    ("value", "Fixed value"),
    ("map", "Value map"),
    ("cases", "Cases"),
];

/// What is known of the field.
#[derive(Clone, Copy)]
pub struct About {
    /// What it is, for screen readers.
    pub label: StoredValue<String>,
    /// Its values, where the upstream or the connector knows them.
    pub choices: Signal<Vec<Choice>>,
    /// Asks for them.
    pub ask: Option<Callback<()>>,
    /// More than a line is usual.
    pub long: bool,
}

/// The select of the form.
pub fn form_select(mapping: Mapping, label: &str) -> AnyView {
    let form = mapping.form;
    view! {
        <select
            class="select"
            aria-label=format!("Kind of value for {label}")
            data-testid="field-form"
            on:change=move |event| {
                let wanted = event_target_value(&event);
                if wanted == "cases" && mapping.cases.with_untracked(Vec::is_empty) {
                    mapping.cases.update(|list| list.push(keep(Case::empty)));
                }
                if wanted == "map" && mapping.pairs.with_untracked(Vec::is_empty) {
                    mapping.pairs.update(|list| list.push(keep(Pair::empty)));
                }
                form.set(wanted);
            }
        >
            {FORMS
                .iter()
                .map(|(key, words)| {
                    let key = *key;
                    view! {
                        <option value=key selected=move || form.with(|f| f == key)>
                            {*words}
                        </option>
                    }
                })
                .collect_view()}
        </select>
    }
    .into_any()
}

/// The controls of the chosen form. `at` is its place in the rule.
pub fn mapping_view(mapping: Mapping, about: About, at: Signal<String>) -> AnyView {
    (move || match mapping.form.get().as_str() {
        "path" => path(mapping, about),
        "value" => literal(mapping, about),
        "map" => value_map(mapping, about, at),
        "cases" => cases(mapping, about, at),
        _ => template(mapping, about),
    })
    .into_any()
}

fn template(mapping: Mapping, about: About) -> AnyView {
    let label = about
        .label
        .with_value(|label| format!("Template of {label}"));
    let text = mapping.text;
    if about.long {
        view! {
            <textarea
                class="textarea code"
                rows="3"
                aria-label=label
                spellcheck="false"
                placeholder="{{ msg | default: 'no message' }}"
                data-testid="field-text"
                prop:value=move || text.get()
                on:input=move |event| text.set(event_target_value(&event))
            ></textarea>
        }
        .into_any()
    } else {
        view! {
            <input
                class="input code"
                aria-label=label
                spellcheck="false"
                autocomplete="off"
                placeholder="Alert: {{ monitor.name }}"
                data-testid="field-text"
                prop:value=move || text.get()
                on:input=move |event| text.set(event_target_value(&event))
            />
        }
        .into_any()
    }
}

fn path(mapping: Mapping, about: About) -> AnyView {
    let label = about.label.with_value(|label| format!("Path of {label}"));
    let paths = editor().map_or_else(|| Signal::stored(Vec::new()), |editor| editor.paths);
    view! { <Combo label=label value=mapping.text choices=paths placeholder="$.monitor.name" testid="field-text" /> }
        .into_any()
}

fn literal(mapping: Mapping, about: About) -> AnyView {
    let label = about.label.with_value(|label| format!("Value of {label}"));
    let asked = Callback::new(move |()| {
        if let Some(ask) = about.ask {
            ask.run(());
        }
    });
    view! {
        <Combo
            label=label
            value=mapping.text
            choices=about.choices
            opened=asked
            placeholder="text, number or JSON"
            testid="field-text"
        />
    }
    .into_any()
}

fn value_map(mapping: Mapping, about: About, at: Signal<String>) -> AnyView {
    let pairs = mapping.pairs;
    let add = move |_| pairs.update(|list| list.push(keep(Pair::empty)));
    view! {
        <div class="stack-s nested">
            {path(mapping, about)}
            {keyed(
                move || pairs.get(),
                |pair| pair.id,
                move |pair| pair_row(pair, pairs),
            )}
            <div>
                <Button small=true kind=crate::ui::Kind::Quiet press=add>
                    {icon(Icon::Plus)}
                    "Add an entry"
                </Button>
            </div>
            {otherwise(mapping, about, at, "Otherwise", "default")}
        </div>
    }
    .into_any()
}

fn pair_row(pair: Pair, pairs: RwSignal<Vec<Pair>>) -> AnyView {
    let remove = move |_| pairs.update(|list| list.retain(|other| other.id != pair.id));
    view! {
        <div class="pair">
            <input
                class="input code"
                aria-label="When the value is"
                placeholder="when it is"
                prop:value=move || pair.from.get()
                on:input=move |event| pair.from.set(event_target_value(&event))
            />
            <span class="faint" aria-hidden="true">
                "→"
            </span>
            <input
                class="input code"
                aria-label="Then take"
                placeholder="then take"
                prop:value=move || pair.to.get()
                on:input=move |event| pair.to.set(event_target_value(&event))
            />
            <button type="button" class="button quiet icon small" aria-label="Remove the entry" on:click=remove>
                {icon(Icon::Trash)}
            </button>
        </div>
    }
    .into_any()
}

fn cases(mapping: Mapping, about: About, at: Signal<String>) -> AnyView {
    let list = mapping.cases;
    let add = move |_| list.update(|list| list.push(keep(Case::empty)));
    view! {
        <div class="stack-s nested">
            {keyed(
                move || list.get(),
                |case| case.id,
                move |case| case_view(case, list, about, at),
            )}
            <div>
                <Button small=true kind=crate::ui::Kind::Quiet press=add>
                    {icon(Icon::Plus)}
                    "Add a case"
                </Button>
            </div>
            {otherwise(mapping, about, at, "Else", "else")}
        </div>
    }
    .into_any()
}

fn case_view(case: Case, list: RwSignal<Vec<Case>>, about: About, at: Signal<String>) -> AnyView {
    let place = Memo::new(move |_| {
        list.with(|list| {
            list.iter()
                .position(|other| other.id == case.id)
                .unwrap_or_default()
        })
    });
    let own = Signal::derive(move || format!("{}.cases[{}]", at.get(), place.get()));
    let when = Signal::derive(move || format!("{}.when", own.get()));
    let remove = move |_| list.update(|list| list.retain(|other| other.id != case.id));
    view! {
        <div class="stack-s case">
            <div class="row-between">
                <span class="small muted">{move || format!("Case {}", place.get() + 1)}</span>
                <button type="button" class="button quiet icon small" aria-label="Remove the case" on:click=remove>
                    {icon(Icon::Trash)}
                </button>
            </div>
            {conditions(case.when, when)}
            <div class="row">
                <span class="small muted">"then"</span>
                {form_select(case.then, "the case")}
            </div>
            {mapping_view(case.then, about, own)}
        </div>
    }
    .into_any()
}

fn otherwise(
    mapping: Mapping,
    about: About,
    at: Signal<String>,
    words: &'static str,
    name: &'static str,
) -> AnyView {
    let slot = mapping.otherwise;
    let id = next_id("otherwise");
    let control = id.clone();
    let own = Signal::derive(move || format!("{}.{name}", at.get()));
    view! {
        <div class="stack-s">
            <label class="check" for=control>
                <input
                    type="checkbox"
                    id=id
                    prop:checked=move || slot.with(Option::is_some)
                    on:change=move |event| {
                        let on = event_target_checked(&event);
                        slot.set(on.then(|| Box::new(keep(|| Mapping::empty("value")))));
                    }
                />
                <span>{words}</span>
            </label>
            {move || {
                slot.get()
                    .map(|inner| {
                        view! {
                            <div class="stack-s">
                                <div class="row">{form_select(*inner, words)}</div>
                                {mapping_view(*inner, about, own)}
                            </div>
                        }
                    })
            }}
        </div>
    }
    .into_any()
}
