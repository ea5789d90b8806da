//! The whole console: sign-in or the frame with its pages.

use leptos::prelude::*;
use leptos::task::spawn_local;
use leptos_router::components::{FlatRoutes, Route, Router};
use leptos_router::path;
use openapi::auth::Session;

use crate::api::{Api, Live, SignedIn};
use crate::frame::{Frame, ProofHost};
use crate::pages;
use crate::theme::theme_signal;
use crate::ui::{Confirm, ConfirmHost, ToastHost, Toasts, provide_tick};

/// The console.
#[component]
pub fn App() -> impl IntoView {
    let api = Api::new();
    let live = Live::new();
    provide_context(api);
    provide_context(live);
    provide_context(Toasts::new());
    provide_context(Confirm::new());
    provide_context(theme_signal());
    provide_tick();

    spawn_local(async move {
        match api.get::<Session>("auth/session").await {
            Ok(session) => api.session.set(SignedIn::Yes(Box::new(session))),
            Err(_) => api.session.set(SignedIn::No),
        }
    });

    live.rest_with_the_page();
    // Everything is of one person in one workspace: another one of either gets pages and a stream of
    // its own, at the same address.
    let who = Memo::new(move |_| {
        let slug = api.membership().map(|own| own.workspace.slug);
        api.session.with(|session| match session {
            SignedIn::Unknown => None,
            SignedIn::No => Some(None),
            SignedIn::Yes(_) => Some(Some(slug)),
        })
    });
    Effect::new(move |_| {
        if matches!(who.get(), Some(Some(_))) {
            live.follow(api.link("stream", &[]));
        } else {
            live.stop();
        }
    });

    view! {
        <Router>
            {move || match who.get() {
                None => {
                    view! {
                        <div class="boot" role="status">
                            <p>"Loading Signalbox…"</p>
                        </div>
                    }
                        .into_any()
                }
                Some(None) => view! { <pages::Outside /> }.into_any(),
                Some(Some(_)) => view! { <Frame><Pages /></Frame> }.into_any(),
            }}
            <ConfirmHost />
            <ProofHost />
            <ToastHost />
        </Router>
    }
}

#[component]
fn Pages() -> impl IntoView {
    view! {
        <FlatRoutes fallback=|| view! { <pages::Missing /> }>
            <Route path=path!("/") view=pages::Dashboard />
            <Route path=path!("/live") view=pages::LiveFeed />
            <Route path=path!("/events") view=pages::Events />
            <Route path=path!("/events/:id") view=pages::EventPage />
            <Route path=path!("/deliveries") view=pages::Deliveries />
            <Route path=path!("/deliveries/:id") view=pages::DeliveryPage />
            <Route path=path!("/dead-letters") view=pages::DeadLetters />
            <Route path=path!("/jobs") view=pages::Jobs />
            <Route path=path!("/audit") view=pages::AuditLog />
            <Route path=path!("/sources") view=pages::Sources />
            <Route path=path!("/sources/new") view=pages::NewSourcePage />
            <Route path=path!("/sources/:id") view=pages::SourcePage />
            <Route path=path!("/rules") view=pages::Rules />
            <Route path=path!("/rules/new") view=pages::NewRulePage />
            <Route path=path!("/rules/:id") view=pages::RulePage />
            <Route path=path!("/maintenance") view=pages::Windows />
            <Route path=path!("/maintenance/new") view=pages::NewWindowPage />
            <Route path=path!("/maintenance/:id") view=pages::WindowPage />
            <Route path=path!("/connections") view=pages::Connections />
            <Route path=path!("/connections/new") view=pages::NewConnectionPage />
            <Route path=path!("/connections/:id") view=pages::ConnectionPage />
            <Route path=path!("/people") view=pages::People />
            <Route path=path!("/profile") view=pages::ProfilePage />
            <Route path=path!("/invitation") view=pages::AcceptAsPerson />
            <Route path=path!("/new-email") view=pages::NewEmailPage />
            <Route path=path!("/mail") view=pages::MailPage />
            <Route path=path!("/credentials") view=pages::Credentials />
            <Route path=path!("/retention") view=pages::RetentionPage />
            <Route path=path!("/workspace") view=pages::WorkspacePage />
        </FlatRoutes>
    }
    .into_any()
}
