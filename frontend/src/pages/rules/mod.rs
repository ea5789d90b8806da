//! Rules: the firewall lines, in the order in which they are asked.

mod editor;
mod history;
mod order;
mod parked;
mod row;
mod words;

use gloo_timers::callback::Timeout;
use leptos::prelude::*;
use leptos::task::spawn_local;
use leptos_router::components::A;
use openapi::page::Page;
use openapi::rules::{Reorder, Rule};
use uuid::Uuid;
use wasm_bindgen::JsCast;

use crate::api::{Api, Load, load, use_api, use_live};
use crate::ui::{Empty, Icon, PageHead, Toasts, icon, keyed, show, use_toasts};
use order::moved;
use row::row;

pub use editor::{NewRulePage, RulePage};

/// A pause in moving rules, after which the new order is saved.
const SETTLED_MS: u32 = 700;

/// The order of the rules on the page, and how to change it.
#[derive(Clone, Copy)]
pub struct Order {
    /// The rules as shown.
    pub rules: RwSignal<Vec<Rule>>,
    /// The rule being dragged.
    pub dragged: RwSignal<Option<Uuid>>,
    /// The rule it is over.
    pub over: RwSignal<Option<Uuid>>,
    /// Said to screen readers.
    pub said: RwSignal<String>,
    load: Load<Page<Rule>>,
    api: Api,
    toasts: Toasts,
    save: StoredValue<Option<Timeout>, LocalStorage>,
}

impl Order {
    /// Reads the rules again.
    pub fn reload(self) {
        self.load.reload();
    }

    /// Moves a rule to the place of another, and saves after a pause.
    pub fn put(self, id: Uuid, place: usize) {
        let Some(list) = self
            .rules
            .with_untracked(|list| moved(list, |r| r.id == id, place))
        else {
            return;
        };
        let at = list.iter().position(|r| r.id == id).map_or(0, |n| n + 1);
        let name = list
            .iter()
            .find(|r| r.id == id)
            .map(|r| r.name.clone())
            .unwrap_or_default();
        self.said
            .set(format!("{name} is now number {at} of {}.", list.len()));
        self.rules.set(list);
        self.save
            .set_value(Some(Timeout::new(SETTLED_MS, move || self.send())));
    }

    /// Moves a rule up or down, and keeps the focus on its grip.
    pub fn nudge(self, id: Uuid, down: bool) {
        let Some(now) = self
            .rules
            .with_untracked(|list| list.iter().position(|r| r.id == id))
        else {
            return;
        };
        let to = if down { now + 1 } else { now.saturating_sub(1) };
        self.put(id, to);
        // Moving an element in the page takes its focus.
        focus_soon(format!("grip-{id}"));
    }

    fn send(self) {
        let (api, toasts) = (self.api, self.toasts);
        let ids = self
            .rules
            .with_untracked(|list| list.iter().map(|r| r.id).collect());
        spawn_local(async move {
            match api
                .post::<_, serde_json::Value>("rules/reorder", &Reorder { ids })
                .await
            {
                Ok(_) => toasts.good("The new order is saved."),
                Err(failure) => toasts.failed(&failure),
            }
            self.reload();
        });
    }
}

/// Gives an element the focus once the page is drawn.
fn focus_soon(id: String) {
    request_animation_frame(move || {
        let element = document().get_element_by_id(&id);
        if let Some(element) = element.and_then(|e| e.dyn_into::<web_sys::HtmlElement>().ok()) {
            // Without the focus the new order still holds.
            drop(element.focus());
        }
    });
}

/// The list of rules.
#[component]
pub fn Rules() -> impl IntoView {
    let load = load::<Page<Rule>>(|| "rules".to_owned());
    let order = Order {
        rules: RwSignal::new(Vec::new()),
        dragged: RwSignal::new(None),
        over: RwSignal::new(None),
        said: RwSignal::new(String::new()),
        load,
        api: use_api(),
        toasts: use_toasts(),
        save: StoredValue::new_local(None),
    };
    Effect::new(move |_| {
        if let Some(list) = load.get() {
            let mut rules = list.items;
            rules.sort_by_key(|r| (r.priority, r.created_at, r.id));
            let held = document().active_element().map(|element| element.id());
            order.rules.set(rules);
            // Rows with a new revision are made anew: a grip that had the focus gets it back.
            if let Some(grip) = held.filter(|id| id.starts_with("grip-")) {
                focus_soon(grip);
            }
        }
    });
    use_live().after(
        1_000,
        |message| matches!(message, openapi::stream::Message::Configuration { .. }),
        move || load.reload(),
    );
    let count = Memo::new(move |_| order.rules.with(Vec::len));
    view! {
        <PageHead
            title="Rules"
            text="Asked from top to bottom. Drag a rule by its grip, or focus the grip and use the arrow keys."
        >
            <A href="/rules/new" attr:class="button primary" attr:data-testid="new-rule">
                {icon(Icon::Plus)}
                "New rule"
            </A>
        </PageHead>
        <p class="visually-hidden" role="status" aria-live="polite">
            {move || order.said.get()}
        </p>
        <div class="card">
            {show(load, |_| ().into_any())}
            {move || (count.get() == 0 && load.get().is_some()).then(nothing)}
            <ol class="rules" data-testid="rules">
                {keyed(
                    move || order.rules.get(),
                    |rule| format!("{}-{}", rule.id, rule.revision),
                    move |rule| row(rule, order),
                )}
            </ol>
        </div>
    }
    .into_any()
}

fn nothing() -> AnyView {
    view! {
        <Empty
            mark=Icon::Rule
            title="No rules yet"
            text="A rule says which events it takes and what is done with them. Until there is one, events are kept as unmatched."
        >
            <A href="/rules/new" attr:class="button primary">
                "Write the first one"
            </A>
        </Empty>
    }
    .into_any()
}
