//! Sources: where events come from.

mod auth;
mod create;
mod curl;
mod detail;
mod form;
mod refusals;
mod secret;
mod test_event;

use engine::signature::Scheme;
use leptos::prelude::*;
use leptos::task::spawn_local;
use leptos_router::components::A;
use openapi::page::Page;
use openapi::sources::{ChangeSource, Source};

use crate::api::{Load, load, use_api};
use crate::ui::{
    Ago, Badge, CopyButton, Empty, Icon, PageHead, Switch, Tone, icon, show, use_toasts,
};

pub use create::NewSourcePage;
pub use detail::SourcePage;

/// What follows the address, where a token does.
fn address_words(auth: &Scheme) -> &'static str {
    if auth.has_address_token() {
        "A slash and the token follow: give the sender both."
    } else {
        ""
    }
}

/// The list of sources.
#[component]
pub fn Sources() -> impl IntoView {
    let sources = load::<Page<Source>>(|| "sources".to_owned());
    view! {
        <PageHead title="Sources" text="Where events come from. Each has its own address and its own authentication.">
            <A href="/sources/new" attr:class="button primary" attr:data-testid="new-source">
                {icon(Icon::Plus)}
                "New source"
            </A>
        </PageHead>
        <div class="card">{show(sources, move |list| table(list.items, sources))}</div>
    }
    .into_any()
}

fn table(rows: Vec<Source>, sources: Load<Page<Source>>) -> AnyView {
    if rows.is_empty() {
        return view! {
            <Empty
                mark=Icon::Source
                title="No sources yet"
                text="A source is an address that a monitoring system, a repository or any other sender can post to."
            >
                <A href="/sources/new" attr:class="button primary">
                    "Make the first one"
                </A>
            </Empty>
        }
        .into_any();
    }
    view! {
        <div class="table-wrap">
            <table class="table stacked" data-testid="sources">
                <thead>
                    <tr>
                        <th scope="col">"Source"</th>
                        <th scope="col">"Authentication"</th>
                        <th scope="col">"Address"</th>
                        <th scope="col">"Last event"</th>
                        <th scope="col">"State"</th>
                    </tr>
                </thead>
                <tbody>
                    {rows.into_iter().map(|source| row(source, sources)).collect_view()}
                </tbody>
            </table>
        </div>
    }
    .into_any()
}

/// The words for a scheme.
pub fn scheme_words(name: &str) -> &'static str {
    auth::SCHEMES
        .iter()
        .find(|(key, _)| *key == name)
        .map_or("Other", |(_, words)| words)
}

fn row(source: Source, sources: Load<Page<Source>>) -> AnyView {
    let api = use_api();
    let toasts = use_toasts();
    let (id, revision) = (source.id, source.revision);
    let switch = Callback::new(move |on: bool| {
        spawn_local(async move {
            let change = ChangeSource {
                enabled: Some(on),
                ..ChangeSource::default()
            };
            if let Err(failure) = api
                .patch::<_, serde_json::Value>(&format!("sources/{id}"), &change, Some(revision))
                .await
            {
                toasts.failed(&failure);
            }
            sources.reload();
        });
    });
    let open = source.auth.name() == "none";
    let label = format!("Accept requests of {}", source.name);
    view! {
        <tr data-testid="source-row">
            <td class="title-cell">
                <A href=format!("/sources/{id}")>{source.name}</A>
                <span class="block small faint">{source.slug}</span>
            </td>
            <td>
                {if open {
                    view! { <Badge text="open" tone=Tone::Amber /> }.into_any()
                } else {
                    scheme_words(source.auth.name()).into_any()
                }}
            </td>
            <td>
                <span class="row nowrap-row">
                    <code class="small wrap">{source.url.clone()}</code>
                    <CopyButton text=Signal::stored(source.url) label="address" />
                </span>
            </td>
            <td class="nowrap">
                {source
                    .silent_since
                    .map(|_| view! { <span class="block" data-testid="source-silent"><Badge text="silent" tone=Tone::Red /></span> })}
                {match source.last_event_at {
                    Some(at) => view! { <Ago at=at /> }.into_any(),
                    None => view! { <span class="faint">"never"</span> }.into_any(),
                }}
            </td>
            <td>
                <Switch
                    on=Signal::stored(source.enabled)
                    label=label
                    change=switch
                    testid="source-enabled"
                />
            </td>
        </tr>
    }
    .into_any()
}
