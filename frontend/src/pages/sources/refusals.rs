//! Requests that were not accepted, and why.

use leptos::prelude::*;
use openapi::page::Page;
use openapi::sources::Refusal;
use openapi::stream::Message;

use crate::api::{load, use_live};
use crate::format;
use crate::ui::{Ago, Badge, Card, Empty, Icon, Tone, show};

/// The latest refusals of a source.
pub fn refusals(id: String) -> AnyView {
    let list = load::<Page<Refusal>>(move || format!("sources/{id}/refusals"));
    use_live().after(
        1_000,
        |message| matches!(message, Message::Refusal(_)),
        move || list.reload(),
    );
    view! {
        <Card title="Refused requests" text="The latest ones, with the reason. They are not events." flush=true>
            {show(list, |list| table(list.items))}
        </Card>
    }
    .into_any()
}

fn table(rows: Vec<Refusal>) -> AnyView {
    if rows.is_empty() {
        return view! {
            <Empty compact=true mark=Icon::Check title="Nothing was refused" text="Requests with a wrong secret, a bad body or too many at once would show up here." />
        }
        .into_any();
    }
    view! {
        <div class="table-wrap">
            <table class="table stacked" data-testid="refusals">
                <thead>
                    <tr>
                        <th scope="col">"Reason"</th>
                        <th scope="col">"Answer"</th>
                        <th scope="col">"Sender"</th>
                        <th scope="col">"Body"</th>
                        <th scope="col">"When"</th>
                    </tr>
                </thead>
                <tbody>
                    {rows
                        .into_iter()
                        .map(|refusal| {
                            view! {
                                <tr>
                                    <td class="title-cell">
                                        <Badge text=format::words(&refusal.reason) tone=Tone::Red />
                                    </td>
                                    <td class="num">{refusal.status}</td>
                                    <td class="mono small">{refusal.remote_addr}</td>
                                    <td class="small muted">
                                        {format::bytes(refusal.size)}
                                        " "
                                        {refusal.content_type}
                                    </td>
                                    <td class="nowrap">
                                        <Ago at=refusal.at />
                                    </td>
                                </tr>
                            }
                        })
                        .collect_view()}
                </tbody>
            </table>
        </div>
    }
    .into_any()
}
