//! Asking again who somebody is, once for all calls that wait for it.

use js_sys::{Function, Promise};
use leptos::prelude::*;
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::JsFuture;

/// The question, and who waits for its answer.
#[derive(Clone, Copy)]
pub struct Proof {
    /// Whether it is being asked.
    pub open: RwSignal<bool>,
    waiting: StoredValue<Vec<Function>, LocalStorage>,
}

impl Proof {
    /// Nothing asked.
    pub fn new() -> Self {
        Self {
            open: RwSignal::new(false),
            waiting: StoredValue::new_local(Vec::new()),
        }
    }

    /// Asks, and waits; false if the person does not want to.
    pub async fn given(self) -> bool {
        let promise = Promise::new(&mut |resolve, _| {
            self.waiting.update_value(|waiting| waiting.push(resolve));
        });
        self.open.set(true);
        JsFuture::from(promise)
            .await
            .is_ok_and(|given| given.is_truthy())
    }

    /// Tells those who wait.
    pub fn answer(self, given: bool) {
        let waiting = self.waiting.try_update_value(std::mem::take);
        for resolve in waiting.unwrap_or_default() {
            // Whoever waits may be gone with the page.
            drop(resolve.call1(&JsValue::NULL, &given.into()));
        }
    }
}
