//! The conditions of a rule or of a case: all of them must hold.

use engine::model::Op;
use leptos::prelude::*;

use super::context::{editor, fault_line, keep};
use super::model::Condition;
use super::scalar::takes_list;
use crate::pages::rules::words::op_words;
use crate::ui::{Button, Combo, Icon, icon, keyed, next_id};

/// The rows, and a button for another one. `base` is their place in the rule, such as `when`.
pub fn conditions(list: RwSignal<Vec<Condition>>, base: Signal<String>) -> AnyView {
    let add = move |_| list.update(|list| list.push(keep(Condition::empty)));
    view! {
        <div class="stack-s">
            {keyed(
                move || list.get(),
                |condition| condition.id,
                move |condition| row(condition, list, base),
            )}
            <div>
                <Button small=true attr:data-testid="add-condition" press=add>
                    {icon(Icon::Plus)}
                    "Add a condition"
                </Button>
            </div>
        </div>
    }
    .into_any()
}

fn row(condition: Condition, list: RwSignal<Vec<Condition>>, base: Signal<String>) -> AnyView {
    let place = Memo::new(move |_| {
        list.with(|list| list.iter().position(|other| other.id == condition.id))
    });
    let at = move || place.get().map(|n| format!("{}[{n}]", base.get()));
    let paths = editor().map_or_else(|| Signal::stored(Vec::new()), |editor| editor.paths);
    let remove = move |_| list.update(|list| list.retain(|other| other.id != condition.id));
    let (op_id, value_id) = (next_id("op"), next_id("value"));
    let op = condition.op;
    let ignore = condition.ignore_case;
    let hint = move || {
        let op = condition.op();
        if op.value_is_optional() {
            "true or false; empty means true"
        } else if takes_list(op) {
            "values, between commas"
        } else if op == Op::Regex {
            "a pattern"
        } else {
            "value"
        }
    };
    view! {
        <div class="condition-row" data-testid="condition">
            {move || (place.get() > Some(0)).then(|| view! { <span class="and">"and"</span> })}
            <div class="condition">
                <Combo
                    label="Path"
                    labelled=true
                    value=condition.path
                    choices=paths
                    placeholder="$.monitor.name"
                    testid="condition-path"
                />
                <div class="field">
                    <label for=op_id.clone()>"Comparison"</label>
                    <select
                        class="select"
                        id=op_id
                        data-testid="condition-op"
                        on:change=move |event| op.set(event_target_value(&event))
                    >
                        {Op::ALL
                            .iter()
                            .map(|choice| {
                                let word = choice.as_str();
                                view! {
                                    <option value=word selected=move || op.with(|op| op == word)>
                                        {op_words(*choice)}
                                    </option>
                                }
                            })
                            .collect_view()}
                    </select>
                </div>
                <div class="field">
                    <label for=value_id.clone()>"Value"</label>
                    <input
                        class="input code"
                        id=value_id
                        spellcheck="false"
                        autocomplete="off"
                        placeholder=hint
                        data-testid="condition-value"
                        prop:value=move || condition.value.get()
                        on:input=move |event| condition.value.set(event_target_value(&event))
                    />
                </div>
                <div class="last">
                    <button
                        type="button"
                        class="button quiet small"
                        aria-pressed=move || if ignore.get() { "true" } else { "false" }
                        title="Upper and lower case are the same"
                        data-testid="condition-case"
                        on:click=move |_| ignore.update(|on| *on = !*on)
                    >
                        {move || if ignore.get() { "aa" } else { "Aa" }}
                        <span class="visually-hidden">
                            {move || if ignore.get() { " any case" } else { " exact case" }}
                        </span>
                    </button>
                    <button
                        type="button"
                        class="button quiet icon small"
                        aria-label="Remove the condition"
                        data-testid="remove-condition"
                        on:click=remove
                    >
                        {icon(Icon::Trash)}
                    </button>
                </div>
            </div>
            {fault_line(at)}
        </div>
    }
    .into_any()
}
