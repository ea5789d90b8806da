//! What a form or a button sends: busy meanwhile, and what went wrong is told.

use leptos::prelude::*;
use leptos::task::spawn_local;
use openapi::problem::FieldError;

use super::toast::{Toasts, use_toasts};
use crate::api::Failure;

/// Sends one thing at a time.
#[derive(Clone, Copy)]
pub struct Sending {
    /// Whether something is under way.
    pub busy: RwSignal<bool>,
    /// Faults of the fields of the last try.
    pub faults: RwSignal<Vec<FieldError>>,
    /// What went wrong the last time.
    pub failure: RwSignal<Option<Failure>>,
    toasts: Option<Toasts>,
}

impl Sending {
    /// What goes wrong is shown where `failure` is.
    pub fn here() -> Self {
        Self {
            busy: RwSignal::new(false),
            faults: RwSignal::new(Vec::new()),
            failure: RwSignal::new(None),
            toasts: None,
        }
    }

    /// What goes wrong is shown in a corner too.
    pub fn with_toasts() -> Self {
        Self {
            toasts: Some(use_toasts()),
            ..Self::here()
        }
    }

    /// Makes a call, unless one is under way, and goes on with its answer.
    pub fn run<T: 'static>(
        self,
        call: impl Future<Output = Result<T, Failure>> + 'static,
        done: impl FnOnce(T) + 'static,
    ) {
        if self.busy.get_untracked() {
            return;
        }
        self.busy.set(true);
        self.failure.set(None);
        self.faults.set(Vec::new());
        spawn_local(async move {
            match call.await {
                Ok(answer) => done(answer),
                Err(failure) => self.told(failure),
            }
            // The page may be another one by now.
            self.busy.try_set(false);
        });
    }

    fn told(self, failure: Failure) {
        self.faults.try_set(failure.errors());
        if let Some(toasts) = self.toasts {
            toasts.failed(&failure);
        }
        self.failure.try_set(Some(failure));
    }
}
