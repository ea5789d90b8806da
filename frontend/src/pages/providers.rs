//! Signing in with a provider: the links on the sign-in page.

use leptos::prelude::*;
use leptos_router::hooks::{use_location, use_query_map};
use openapi::auth::SignInProvider;
use openapi::page::Page;

use crate::api::{encode, load};

/// One link for each provider, and what became of the last try; nothing where there are none.
#[component]
pub fn ProviderLinks() -> impl IntoView {
    let list = load::<Page<SignInProvider>>(|| "auth/providers".to_owned());
    let query = use_query_map();
    let path = use_location().pathname;
    let said = move || {
        let text = match query.with(|query| query.get("sign_in"))?.as_str() {
            "unavailable" => {
                "The provider does not answer. Sign in another way, or try again later."
            }
            "later" => "Too many tries. Wait a little.",
            "refused" => "The provider did not lead in. Ask who looks after this server.",
            _ => return None,
        };
        Some(view! {
            <p class="notice red" role="alert" data-testid="provider-failed">
                {text}
            </p>
        })
    };
    let links = move || {
        let back = encode(&path.get());
        let providers = list.get().map(|page| page.items).unwrap_or_default();
        providers
            .into_iter()
            .map(|provider| {
                let address = format!(
                    "/api/v1/auth/providers/{}/start?return_to={back}",
                    encode(&provider.name)
                );
                view! {
                    // The server sends the browser on; it is no page of the console.
                    <a class="button" href=address rel="external" data-testid="provider">
                        {format!("Sign in with {}", provider.title)}
                    </a>
                }
            })
            .collect_view()
    };
    view! {
        {said}
        {links}
    }
    .into_any()
}

/// Links to providers that ask a person anew, for what has to be confirmed. The page is left and come
/// back to, so what was begun is begun once more.
#[component]
pub fn ProviderProof() -> impl IntoView {
    let list = load::<Page<SignInProvider>>(|| "auth/providers".to_owned());
    let place = use_location();
    (move || {
        let back = format!("{}{}", place.pathname.get(), place.search.get());
        let providers = list.get().map(|page| page.items).unwrap_or_default();
        providers
            .into_iter()
            .filter(|provider| provider.confirms)
            .map(|provider| {
                let address = format!(
                    "/api/v1/auth/providers/{}/start?confirm=true&return_to={}",
                    encode(&provider.name),
                    encode(&back)
                );
                view! {
                    <a class="button" href=address rel="external" data-testid="provider-proof">
                        {format!("Confirm with {}, then begin again", provider.title)}
                    </a>
                }
            })
            .collect_view()
    })
    .into_any()
}

/// Whether a provider has led to the second step.
pub fn at_second_step() -> bool {
    use_query_map().with_untracked(|query| {
        query
            .get("sign_in")
            .is_some_and(|word| word == "second_factor")
    })
}
