//! Form fields: label, control, help and fault, tied together for screen readers.

use std::cell::Cell;

use leptos::prelude::*;
use openapi::problem::FieldError;

/// The faults of a form; the server's and those found here.
pub type Faults = RwSignal<Vec<FieldError>>;

/// An id that no other element of the page has.
pub fn next_id(name: &str) -> String {
    thread_local! {
        static NEXT: Cell<u32> = const { Cell::new(0) };
    }
    let n = NEXT.get();
    NEXT.set(n.wrapping_add(1));
    format!("{name}-{n}")
}

/// Faults of one field: those at its name, or below it.
fn fault_of(faults: Option<Faults>, at: &str) -> Option<String> {
    faults?.with(|list| {
        list.iter()
            .find(|fault| {
                fault.field == at
                    || fault
                        .field
                        .strip_prefix(at)
                        .is_some_and(|rest| rest.starts_with(['.', '[']))
            })
            .map(|fault| fault.message.clone())
    })
}

/// Label, control, help and fault. `control` gets the id of the control and of what describes it.
fn frame(
    label: String,
    help: String,
    required: bool,
    faults: Option<Faults>,
    at: String,
    control: impl FnOnce(String, String, Signal<Option<&'static str>>) -> AnyView,
) -> AnyView {
    let id = next_id("field");
    let described = format!("{id}-help");
    let fault = Memo::new(move |_| fault_of(faults, &at));
    let invalid = Signal::derive(move || fault.with(Option::is_some).then_some("true"));
    view! {
        <div class="field">
            <label for=id.clone()>
                {label}
                {required
                    .then(|| {
                        view! {
                            " "
                            <span class="required" aria-hidden="true">
                                "*"
                            </span>
                        }
                    })}
            </label>
            {control(id, described.clone(), invalid)}
            <div id=described>
                {(!help.is_empty()).then(|| view! { <p class="help">{help}</p> })}
                {move || {
                    fault.get().map(|text| view! { <p class="fault" data-testid="field-fault">{text}</p> })
                }}
            </div>
        </div>
    }
    .into_any()
}

/// One line of text.
#[component]
pub fn TextField(
    /// Its label.
    #[prop(into)]
    label: String,
    /// Its text.
    value: RwSignal<String>,
    /// What it is for.
    #[prop(optional, into)]
    help: String,
    /// Must be filled.
    #[prop(optional)]
    required: bool,
    /// The control's type.
    #[prop(default = "text")]
    kind: &'static str,
    /// Fixed-width letters.
    #[prop(optional)]
    code: bool,
    /// Grey text while it is empty.
    #[prop(optional, into)]
    placeholder: String,
    /// What the browser may fill in.
    #[prop(default = "off")]
    autocomplete: &'static str,
    /// The faults of the form.
    #[prop(optional, into)]
    faults: Option<Faults>,
    /// Its name in them.
    #[prop(optional, into)]
    at: String,
    /// For tests.
    #[prop(optional, into)]
    testid: String,
) -> impl IntoView {
    frame(
        label,
        help,
        required,
        faults,
        at,
        move |id, described, invalid| {
            view! {
                <input
                    class="input"
                    class:code=code
                    id=id
                    type=kind
                    required=required
                    placeholder=placeholder
                    autocomplete=autocomplete
                    spellcheck="false"
                    aria-describedby=described
                    aria-invalid=move || invalid.get()
                    data-testid=testid
                    prop:value=move || value.get()
                    on:input=move |event| value.set(event_target_value(&event))
                />
            }
            .into_any()
        },
    )
}

/// Several lines of text.
#[component]
pub fn AreaField(
    /// Its label.
    #[prop(into)]
    label: String,
    /// Its text.
    value: RwSignal<String>,
    /// What it is for.
    #[prop(optional, into)]
    help: String,
    /// Must be filled.
    #[prop(optional)]
    required: bool,
    /// Fixed-width letters.
    #[prop(optional)]
    code: bool,
    /// Lines shown.
    #[prop(default = 4)]
    rows: u32,
    /// The faults of the form.
    #[prop(optional, into)]
    faults: Option<Faults>,
    /// Its name in them.
    #[prop(optional, into)]
    at: String,
    /// For tests.
    #[prop(optional, into)]
    testid: String,
) -> impl IntoView {
    frame(
        label,
        help,
        required,
        faults,
        at,
        move |id, described, invalid| {
            view! {
                <textarea
                    class="textarea"
                    class:code=code
                    id=id
                    rows=rows
                    required=required
                    spellcheck="false"
                    aria-describedby=described
                    aria-invalid=move || invalid.get()
                    data-testid=testid
                    prop:value=move || value.get()
                    on:input=move |event| value.set(event_target_value(&event))
                ></textarea>
            }
            .into_any()
        },
    )
}

/// One of a few.
#[component]
pub fn SelectField(
    /// Its label.
    #[prop(into)]
    label: String,
    /// The chosen value.
    value: RwSignal<String>,
    /// Value and words of each choice.
    #[prop(into)]
    options: Signal<Vec<(String, String)>>,
    /// What it is for.
    #[prop(optional, into)]
    help: String,
    /// Must be chosen.
    #[prop(optional)]
    required: bool,
    /// The faults of the form.
    #[prop(optional, into)]
    faults: Option<Faults>,
    /// Its name in them.
    #[prop(optional, into)]
    at: String,
    /// For tests.
    #[prop(optional, into)]
    testid: String,
) -> impl IntoView {
    frame(
        label,
        help,
        required,
        faults,
        at,
        move |id, described, invalid| {
            view! {
                <select
                    class="select"
                    id=id
                    required=required
                    aria-describedby=described
                    aria-invalid=move || invalid.get()
                    data-testid=testid
                    on:change=move |event| value.set(event_target_value(&event))
                >
                    {move || {
                        options
                            .get()
                            .into_iter()
                            .map(|(key, words)| {
                                let own = key.clone();
                                view! {
                                    <option value=key selected=move || value.with(|v| *v == own)>
                                        {words}
                                    </option>
                                }
                            })
                            .collect_view()
                    }}
                </select>
            }
            .into_any()
        },
    )
}

/// Yes or no.
#[component]
pub fn CheckField(
    /// Its label.
    #[prop(into)]
    label: String,
    /// Whether it is ticked.
    value: RwSignal<bool>,
    /// What it is for.
    #[prop(optional, into)]
    help: String,
    /// For tests.
    #[prop(optional, into)]
    testid: String,
) -> impl IntoView {
    view! {
        <div class="field">
            <label class="check">
                <input
                    type="checkbox"
                    data-testid=testid
                    prop:checked=move || value.get()
                    on:change=move |event| value.set(event_target_checked(&event))
                />
                <span>{label}</span>
            </label>
            {(!help.is_empty()).then(|| view! { <p class="help">{help}</p> })}
        </div>
    }
    .into_any()
}

/// Several of a few.
#[component]
pub fn TickField(
    /// Its label.
    #[prop(into)]
    label: String,
    /// The ticked values.
    value: RwSignal<Vec<String>>,
    /// What can be ticked.
    choices: Vec<String>,
    /// What it is for.
    #[prop(optional, into)]
    help: String,
    /// At least one.
    #[prop(optional)]
    required: bool,
    /// The faults of the form.
    #[prop(optional, into)]
    faults: Option<Faults>,
    /// Its name in them.
    #[prop(optional, into)]
    at: String,
    /// For tests; each choice adds its value.
    #[prop(optional, into)]
    testid: String,
) -> impl IntoView {
    let described = next_id("ticks");
    let help_id = described.clone();
    let fault = Memo::new(move |_| fault_of(faults, &at));
    let boxes = choices
        .into_iter()
        .map(|choice| {
            let (own, ticked) = (choice.clone(), choice.clone());
            let change = move |event| {
                let on = event_target_checked(&event);
                value.update(|list| {
                    list.retain(|known| *known != own);
                    if on {
                        list.push(own.clone());
                    }
                });
            };
            view! {
                <label class="check">
                    <input
                        type="checkbox"
                        data-testid=format!("{testid}-{choice}")
                        prop:checked=move || value.with(|list| list.contains(&ticked))
                        on:change=change
                    />
                    <span>{choice}</span>
                </label>
            }
        })
        .collect_view();
    view! {
        <fieldset class="field ticks" aria-describedby=described data-testid=testid.clone()>
            <legend>
                {label}
                {required
                    .then(|| {
                        view! {
                            " "
                            <span class="required" aria-hidden="true">
                                "*"
                            </span>
                        }
                    })}
            </legend>
            <div class="form-grid">{boxes}</div>
            <div id=help_id>
                {(!help.is_empty()).then(|| view! { <p class="help">{help}</p> })}
                {move || {
                    fault.get().map(|text| view! { <p class="fault" data-testid="field-fault">{text}</p> })
                }}
            </div>
        </fieldset>
    }
    .into_any()
}

/// All faults of a form, for those whose field is not on the page.
#[component]
pub fn FaultList(
    /// The faults.
    faults: Faults,
) -> impl IntoView {
    move || {
        let list = faults.get();
        (!list.is_empty()).then(|| {
            view! {
                <div class="notice red" role="alert" data-testid="faults">
                    <div class="stack-s">
                        <strong>"Please correct what is marked"</strong>
                        <ul>
                            {list
                                .into_iter()
                                .map(|fault| {
                                    view! {
                                        <li class="small">
                                            <code>{fault.field}</code>
                                            ": "
                                            {fault.message}
                                            {fault.offset.map(|at| format!(" (at character {at})"))}
                                        </li>
                                    }
                                })
                                .collect_view()}
                        </ul>
                    </div>
                </div>
            }
            .into_any()
        })
    }
}
