//! The menu of the person: who it is, the theme, sign out.

use leptos::html;
use leptos::prelude::*;
use leptos::task::spawn_local;
use leptos_router::components::A;
use wasm_bindgen::JsCast;
use web_sys::{FocusEvent, KeyboardEvent};

use crate::api::{SignedIn, use_api};
use crate::theme::Theme;
use crate::ui::{Icon, icon, use_toasts};

/// The menu.
#[component]
pub fn ProfileMenu() -> impl IntoView {
    let api = use_api();
    let toasts = use_toasts();
    let theme = use_context::<RwSignal<Theme>>().unwrap_or_else(|| RwSignal::new(Theme::System));
    let open = RwSignal::new(false);
    let menu = NodeRef::<html::Div>::new();
    let button = NodeRef::<html::Button>::new();

    let who = move || {
        let role = api.membership().map(|own| own.role).unwrap_or_default();
        api.session.with(|session| match session {
            SignedIn::Yes(session) => {
                // What a role of the workspace's own is called is for those who may read roles.
                let role = match role.strip_prefix("custom:") {
                    Some(_) => "a role of the workspace".to_owned(),
                    None => role,
                };
                (session.user.name.clone(), session.user.email.clone(), role)
            }
            _ => (String::new(), String::new(), String::new()),
        })
    };
    let key = move |event: KeyboardEvent| {
        if event.key() == "Escape" && open.get_untracked() {
            event.stop_propagation();
            open.set(false);
            if let Some(button) = button.get_untracked() {
                drop(button.focus());
            }
        }
    };
    // Also called when the menu is taken off the page with the focus inside.
    let left = move |event: FocusEvent| {
        let inside = event
            .related_target()
            .and_then(|target| target.dyn_into::<web_sys::Node>().ok())
            .zip(menu.try_get_untracked().flatten())
            .is_some_and(|(target, menu)| menu.contains(Some(&target)));
        if !inside && event.related_target().is_some() {
            open.try_set(false);
        }
    };
    let sign_out = move |_| {
        spawn_local(async move {
            match api.act::<()>("auth/logout").await {
                Ok(()) => api.session.set(SignedIn::No),
                Err(failure) => toasts.failed(&failure),
            }
        });
    };
    view! {
        <div class="menu" node_ref=menu on:keydown=key on:focusout=left>
            <button
                type="button"
                class="button quiet icon"
                node_ref=button
                aria-label="Profile and settings"
                aria-expanded=move || if open.get() { "true" } else { "false" }
                data-testid="profile"
                on:click=move |_| open.update(|open| *open = !*open)
            >
                {icon(Icon::User)}
            </button>
            {move || {
                open.get()
                    .then(|| {
                        let (name, email, role) = who();
                        let name = if name.is_empty() { email.clone() } else { name };
                        view! {
                            <div class="menu-list">
                                <div class="menu-who">
                                    <strong>{name}</strong>
                                    {email}
                                    " · "
                                    {role}
                                </div>
                                <div class="choices" role="group" aria-label="Theme">
                                    {Theme::ALL
                                        .into_iter()
                                        .map(|choice| {
                                            view! {
                                                <button
                                                    type="button"
                                                    data-testid=format!("theme-{}", choice.word())
                                                    aria-pressed=move || {
                                                        if theme.get() == choice { "true" } else { "false" }
                                                    }
                                                    on:click=move |_| theme.set(choice)
                                                >
                                                    {choice.label()}
                                                </button>
                                            }
                                        })
                                        .collect_view()}
                                </div>
                                <A
                                    href="/profile"
                                    attr:class="menu-item"
                                    attr:data-testid="open-profile"
                                    on:click=move |_| open.set(false)
                                >
                                    {icon(Icon::User)}
                                    "Profile"
                                </A>
                                <button
                                    type="button"
                                    class="menu-item"
                                    data-testid="sign-out"
                                    on:click=sign_out
                                >
                                    {icon(Icon::Out)}
                                    "Sign out"
                                </button>
                            </div>
                        }
                    })
            }}
        </div>
    }
    .into_any()
}
