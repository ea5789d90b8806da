//! What to say when somebody else was quicker.

use crate::api::Failure;
use crate::ui::Toasts;

/// Says what failed, and what to do when the thing was changed meanwhile.
pub fn explain_failure(toasts: Toasts, failure: &Failure) {
    if failure.is_stale() {
        toasts.bad(
            "Somebody changed this since you opened it. Your changes are still here: copy what you need, reload the page and make them again.",
        );
    } else {
        toasts.failed(failure);
    }
}
