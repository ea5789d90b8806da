//! The switch between the workspaces of a person. It keeps the page, and leaves a thing of the old
//! workspace for the list that it stood in.

use leptos::prelude::*;
use leptos_router::NavigateOptions;
use leptos_router::hooks::{use_location, use_navigate};

use crate::api::{SignedIn, use_api};
use crate::ui::next_id;

/// The switch; nothing for somebody with one workspace.
#[component]
pub fn WorkspaceSwitch() -> impl IntoView {
    let api = use_api();
    let navigate = use_navigate();
    let path = use_location().pathname;
    let all = Memo::new(move |_| {
        api.session.with(|session| match session {
            SignedIn::Yes(session) => session
                .workspaces
                .iter()
                .map(|own| (own.workspace.slug.clone(), own.workspace.name.clone()))
                .collect(),
            _ => Vec::new(),
        })
    });
    let change = StoredValue::new_local(move |slug: String| {
        let path = path.get_untracked();
        let list = path.split('/').nth(1).unwrap_or_default();
        if path.matches('/').count() > 1 {
            navigate(&format!("/{list}"), NavigateOptions::default());
        }
        api.choose(&slug);
    });
    move || {
        let all = all.get();
        (all.len() > 1).then(|| {
            let id = next_id("workspace");
            let now = api.membership().map(|own| own.workspace.slug);
            view! {
                <div class="nav-switch">
                    <label class="visually-hidden" for=id.clone()>
                        "Workspace"
                    </label>
                    <select
                        class="select"
                        id=id
                        data-testid="workspace-switch"
                        on:change=move |event| {
                            change.with_value(|change| change(event_target_value(&event)));
                        }
                    >
                        {all
                            .into_iter()
                            .map(|(slug, name)| {
                                let chosen = now.as_deref() == Some(slug.as_str());
                                view! {
                                    <option value=slug selected=chosen>
                                        {name}
                                    </option>
                                }
                            })
                            .collect_view()}
                    </select>
                </div>
            }
        })
    }
}
