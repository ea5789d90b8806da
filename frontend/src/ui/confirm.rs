//! Asking before something is done that is hard to take back. One dialog serves all pages.

use std::sync::Arc;

use leptos::prelude::*;

use super::button::{Button, Kind};
use super::dialog::Dialog;

/// What is asked.
#[derive(Clone)]
pub struct Question {
    /// The heading.
    pub title: String,
    /// What will happen.
    pub text: String,
    /// The words on the button.
    pub yes: &'static str,
    /// Takes something away.
    pub danger: bool,
}

/// What a yes does. It outlives the row or page that asked, which may be drawn anew meanwhile.
type Then = Arc<dyn Fn() + Send + Sync>;

/// Asks.
#[derive(Clone, Copy)]
pub struct Confirm {
    open: RwSignal<bool>,
    question: RwSignal<Option<(Question, Then)>>,
}

/// Asks, from the context.
pub fn use_confirm() -> Confirm {
    use_context::<Confirm>().unwrap_or_else(Confirm::new)
}

impl Confirm {
    /// Nothing asked yet.
    pub fn new() -> Self {
        Self {
            open: RwSignal::new(false),
            question: RwSignal::new(None),
        }
    }

    /// Asks, and calls `then` if the answer is yes.
    pub fn ask(self, question: Question, then: impl Fn() + Send + Sync + 'static) {
        self.question.set(Some((question, Arc::new(then))));
        self.open.set(true);
    }
}

/// The place on the page of the dialog.
#[component]
pub fn ConfirmHost() -> impl IntoView {
    let Confirm { open, question } = use_confirm();
    let title = Signal::derive(move || {
        question.with(|q| {
            q.as_ref()
                .map_or_else(String::new, |(q, _)| q.title.clone())
        })
    });
    view! {
        <Dialog open=open title=title testid="confirm">
            {move || {
                question
                    .get()
                    .map(|(question, then)| {
                        view! {
                            <div class="dialog-body">
                                <p>{question.text}</p>
                            </div>
                            <div class="dialog-foot">
                                <Button
                                    attr:data-testid="confirm-no"
                                    press=move |_| open.set(false)
                                >
                                    "Cancel"
                                </Button>
                                <Button
                                    kind=if question.danger { Kind::Danger } else { Kind::Primary }
                                    attr:data-testid="confirm-yes"
                                    press=move |_| {
                                        open.set(false);
                                        then();
                                    }
                                >
                                    {question.yes}
                                </Button>
                            </div>
                        }
                    })
            }}
        </Dialog>
    }
    .into_any()
}
