//! Banners: what wants attention, on every page.

use leptos::prelude::*;
use leptos_router::components::A;
use openapi::notices::Notice;
use openapi::page::Page;
use openapi::problem::Code;
use openapi::stream::Message;

use crate::api::{Failure, Remote, load, use_live};
use crate::ui::{Ago, Tick};

/// After a message, at most this often.
const REFRESH_MS: u32 = 2_000;

/// The banners. They follow the stream, and look by themselves a few times a minute.
#[component]
pub fn Notices() -> impl IntoView {
    let notices = load::<Page<Notice>>(|| "notices".to_owned());
    use_live().after(
        REFRESH_MS,
        |message| matches!(message, Message::Configuration { .. } | Message::Reset),
        move || notices.reload(),
    );
    if let Some(Tick(tick)) = use_context::<Tick>() {
        Effect::new(move |before: Option<()>| {
            tick.track();
            if before.is_some() {
                notices.reload();
            }
        });
    }
    view! {
        <section class="banners" aria-label="Notices" aria-live="polite" data-testid="notices">
            {move || match notices.stage() {
                Remote::Loading => ().into_any(),
                Remote::Failed(failure) => trouble(&failure),
                Remote::Ready(()) => {
                    let items = notices.get().map(|page| page.items).unwrap_or_default();
                    items.into_iter().map(banner).collect_view().into_any()
                }
            }}
        </section>
    }
    .into_any()
}

/// What a failed look says about the server.
fn trouble(failure: &Failure) -> AnyView {
    let text = match failure.code() {
        // Not for this person to see, or signed out.
        Some(Code::ScopeMissing | Code::Unauthenticated | Code::RateLimited) => {
            return ().into_any();
        }
        Some(_) => {
            "The server cannot reach its database, or its disk is full: new events are refused until that is mended. Senders try again."
        }
        None => "The server cannot be reached from here. What is shown may be old.",
    };
    view! {
        <p class="notice red banner" role="alert" data-testid="notice-server">
            {text}
        </p>
    }
    .into_any()
}

fn banner(notice: Notice) -> AnyView {
    let href = match (notice.kind.as_str(), notice.id) {
        ("connection", Some(id)) => Some(format!("/connections/{id}")),
        ("source", Some(id)) => Some(format!("/sources/{id}")),
        ("maintenance", _) => Some("/maintenance".to_owned()),
        ("credential", _) => Some("/credentials".to_owned()),
        _ => None,
    };
    let class = if notice.colour == "red" {
        "notice red banner"
    } else {
        "notice amber banner"
    };
    let name = match href {
        Some(href) => view! { <A href=href>{notice.name}</A> }.into_any(),
        None => notice.name.into_any(),
    };
    view! {
        <p class=class data-testid=format!("notice-{}", notice.kind)>
            <span>
                <strong>{name}</strong>
                ": "
                {notice.text}
                {notice.since.map(|at| view! { " (" <Ago at=at /> ")" })}
            </span>
        </p>
    }
    .into_any()
}
