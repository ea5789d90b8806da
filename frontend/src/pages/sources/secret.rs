//! A secret that is shown once.

use leptos::prelude::*;

use crate::ui::CopyLine;

/// The secret, with the warning that it will not be shown again.
pub fn secret_once(secret: String) -> AnyView {
    view! {
        <div class="secret-once" role="status" data-testid="secret-once">
            <strong>"The secret is shown this one time"</strong>
            <p class="small">
                "Copy it now and give it to the sender. The server stores it sealed and will not show it again."
            </p>
            <CopyLine text=secret label="secret" testid="secret" />
        </div>
    }
    .into_any()
}
