//! An address that is not one of the console's.

use leptos::prelude::*;
use leptos_router::components::A;

use crate::ui::{Card, Empty, Icon, PageHead};

/// Nothing here.
#[component]
pub fn Missing() -> impl IntoView {
    view! {
        <PageHead title="Not found" />
        <Card title="There is no such page" flush=true>
            <Empty mark=Icon::Search title="Nothing at this address" text="The address may be mistyped, or the page has moved.">
                <A href="/" attr:class="button primary">
                    "Go to the dashboard"
                </A>
            </Empty>
        </Card>
    }
    .into_any()
}
