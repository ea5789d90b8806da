//! The rule as JSON: everything the language can say, also where the form has no control for it.

use leptos::prelude::*;

use super::context::keep;
use super::form::RuleForm;

/// The text area. Each text that is a rule goes into the form at once.
pub fn json_tab(form: RuleForm) -> AnyView {
    let text = RwSignal::new(untrack(|| form.json()));
    let fault = RwSignal::new(None::<String>);
    let typed = move |event| {
        let now = event_target_value(&event);
        fault.set(keep(|| form.take_json(&now)).err());
        text.set(now);
    };
    view! {
        <div class="field">
            <label for="rule-json-text">"Conditions and steps"</label>
            <textarea
                class="textarea code"
                id="rule-json-text"
                rows="28"
                spellcheck="false"
                aria-describedby="rule-json-fault"
                aria-invalid=move || fault.with(Option::is_some).then_some("true")
                data-testid="rule-json-text"
                prop:value=move || text.get()
                on:input=typed
            ></textarea>
            <div id="rule-json-fault" role="status">
                {move || {
                    fault
                        .get()
                        .map(|fault| {
                            view! {
                                <p class="fault" data-testid="rule-json-fault">
                                    {format!("Not taken over: {fault}")}
                                </p>
                            }
                        })
                }}
            </div>
        </div>
    }
    .into_any()
}
