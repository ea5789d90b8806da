//! Dead letters, grouped by what went wrong.

mod replay;

use leptos::prelude::*;
use leptos::task::spawn_local;
use leptos_router::components::A;
use openapi::deliveries::{DeadFilter, DeadGroup, DeadResult, Delivery, ReplayedDelivery};
use openapi::page::Page;
use openapi::rules::Rule;
use openapi::stream::Message;
use uuid::Uuid;

use super::jobs::running;
use crate::api::{Load, load, query, use_api, use_live};
use crate::format;
use crate::ui::{
    Ago, Badge, Button, Card, Empty, Filter, FilterSelect, Icon, Kind, PageHead, Question, Tone,
    icon, pages, show, use_confirm, use_toasts,
};
use replay::{Wanted, dialog};
pub use replay::{sent_again, told};

/// What the page shows.
#[derive(Clone, Copy)]
struct Shown {
    groups: Load<Page<DeadGroup>>,
    /// The cause that is looked at.
    chosen: RwSignal<Option<DeadGroup>>,
    /// What a replay is wanted of.
    wanted: Wanted,
    /// The rule whose dead letters are shown; empty: all.
    rule: Filter,
}

impl Shown {
    /// Dead letters of the rule that is chosen.
    fn filter(self) -> DeadFilter {
        DeadFilter {
            rule_id: self.rule.value.with(|id| id.parse().ok()),
            ..DeadFilter::default()
        }
    }
}

/// Dead letters.
#[component]
pub fn DeadLetters() -> impl IntoView {
    let rule = Filter::of("rule");
    let groups =
        load::<Page<DeadGroup>>(move || query("dead-letters", &[("rule_id", rule.value.get())]));
    let shown = Shown {
        groups,
        chosen: RwSignal::new(None),
        wanted: RwSignal::new(None),
        rule,
    };
    let rules = load::<Page<Rule>>(|| "rules".to_owned());
    let names = Signal::derive(move || {
        rules.get().map_or_else(Vec::new, |list| {
            let named = list.items.into_iter();
            named.map(|rule| (rule.id.to_string(), rule.name)).collect()
        })
    });
    // What is looked at may have none of another rule.
    Effect::new(move |_| {
        rule.value.track();
        shown.chosen.set(None);
    });
    use_live().after(
        2_000,
        |message| matches!(message, Message::Delivery(_) | Message::Reset),
        move || groups.reload(),
    );
    let any = move || groups.get().is_some_and(|list| !list.items.is_empty());
    view! {
        <PageHead
            title="Dead letters"
            text="Deliveries that were given up. Nothing here is lost: mend the cause, then replay."
        >
            {move || {
                any()
                    .then(|| {
                        let filter = shown.filter();
                        let what = match filter.rule_id {
                            None => "all dead letters",
                            Some(_) => "all dead letters of this rule",
                        };
                        group_actions(filter, what.to_owned(), shown, ("replay-all", "Replay all"))
                    })
            }}
        </PageHead>
        <div class="toolbar">
            <FilterSelect
                label="Rule"
                all="All rules"
                filter=rule
                options=names
                testid="dead-rule"
            />
        </div>
        {dialog(shown.wanted, move || groups.reload())}
        <div class="stack">
            {running(move || groups.reload())}
            <Card title="Causes" flush=true>
                {show(groups, move |list| causes(list.items, shown))}
            </Card>
            {move || shown.chosen.get().map(|group| letters(group, shown))}
        </div>
    }
    .into_any()
}

fn causes(rows: Vec<DeadGroup>, shown: Shown) -> AnyView {
    if rows.is_empty() && shown.filter().rule_id.is_some() {
        return view! {
            <Empty
                mark=Icon::Check
                title="No dead letters of this rule"
                text="Choose all rules to see the others."
            />
        }
        .into_any();
    }
    if rows.is_empty() {
        return view! {
            <Empty
                mark=Icon::Check
                title="No dead letters"
                text="Everything that was accepted has been delivered, or is still being tried."
            />
        }
        .into_any();
    }
    view! {
        <div class="table-wrap">
            <table class="table stacked" data-testid="dead-groups">
                <thead>
                    <tr>
                        <th scope="col">"Cause"</th>
                        <th scope="col">"Connection"</th>
                        <th scope="col" class="right">"How many"</th>
                        <th scope="col">"Newest"</th>
                        <th scope="col">
                            <span class="visually-hidden">"What can be done"</span>
                        </th>
                    </tr>
                </thead>
                <tbody>
                    {rows.into_iter().map(|group| cause(group, shown)).collect_view()}
                </tbody>
            </table>
        </div>
    }
    .into_any()
}

fn cause(group: DeadGroup, shown: Shown) -> AnyView {
    let filter = DeadFilter {
        error_code: Some(group.error_code.clone()),
        connection_id: Some(group.connection_id),
        ..shown.filter()
    };
    let what = format!("{} dead letters of {}", group.count, group.connection);
    let picked = group.clone();
    view! {
        <tr data-testid="dead-group">
            <td class="title-cell">
                <button type="button" class="link" on:click=move |_| shown.chosen.set(Some(picked.clone()))>
                    {format::words(&group.error_code)}
                </button>
                <span class="small faint block clip">{group.error.clone()}</span>
            </td>
            <td>
                <A href=format!("/connections/{}", group.connection_id)>{group.connection.clone()}</A>
            </td>
            <td class="right num">{format::count(group.count)}</td>
            <td class="nowrap">
                <Ago at=group.newest_at />
            </td>
            <td class="actions">
                <span class="row end">
                    {group_actions(filter, what, shown, ("replay-group", "Replay"))}
                </span>
            </td>
        </tr>
    }
    .into_any()
}

fn group_actions(
    filter: DeadFilter,
    what: String,
    shown: Shown,
    (testid, words): (&'static str, &'static str),
) -> AnyView {
    let api = use_api();
    let toasts = use_toasts();
    let confirm = use_confirm();
    let run = move |filter: DeadFilter| {
        spawn_local(async move {
            match api
                .post::<_, DeadResult>("dead-letters/discard", &filter)
                .await
            {
                Ok(result) => {
                    toasts.good(told(&result));
                    shown.chosen.try_set(None);
                    shown.groups.reload();
                }
                Err(failure) => toasts.failed(&failure),
            }
        });
    };
    let text = |id: Option<Uuid>| id.map(|id| id.to_string()).unwrap_or_default();
    let export = api.link(
        "dead-letters/export",
        &[
            ("error_code", filter.error_code.clone().unwrap_or_default()),
            ("connection_id", text(filter.connection_id)),
            ("rule_id", text(filter.rule_id)),
        ],
    );
    let (replay_filter, replay_what) = (filter.clone(), what.clone());
    let replay = move |_| {
        let what = (replay_what.clone(), replay_filter.clone());
        shown.wanted.set(Some(what));
    };
    let discard = move |_| {
        let filter = filter.clone();
        let question = Question {
            title: format!("Discard {what}?"),
            text: "They will not be sent. Their events stay and can be replayed.".to_owned(),
            yes: "Discard",
            danger: true,
        };
        confirm.ask(question, move || {
            run(filter.clone());
        });
    };
    view! {
        <Button small=true attr:data-testid=testid press=replay>
            {icon(Icon::Replay)}
            {words}
        </Button>
        <a class="button small" href=export download rel="external" data-testid="export">
            "Export"
        </a>
        <Button small=true kind=Kind::Danger attr:data-testid="discard-group" press=discard>
            "Discard"
        </Button>
    }
    .into_any()
}

fn letters(group: DeadGroup, shown: Shown) -> AnyView {
    let title = format!(
        "{} on {}",
        format::words(&group.error_code),
        group.connection
    );
    let list = pages::<Delivery>(move |cursor| {
        query(
            "dead-letters/list",
            &[
                ("error_code", group.error_code.clone()),
                ("connection_id", group.connection_id.to_string()),
                ("rule_id", shown.rule.value.get()),
                ("cursor", cursor),
            ],
        )
    });
    view! {
        <Card title=title flush=true>
            {list.view(
                || {
                    view! {
                        <Empty compact=true mark=Icon::Check title="None left" text="This cause has no dead letters any more." />
                    }
                        .into_any()
                },
                move |rows| letter_table(rows, list.load, shown.groups),
            )}
        </Card>
    }
    .into_any()
}

fn letter_table(
    rows: Vec<Delivery>,
    list: Load<Page<Delivery>>,
    groups: Load<Page<DeadGroup>>,
) -> AnyView {
    let api = use_api();
    let toasts = use_toasts();
    let row = move |letter: Delivery| {
        let id = letter.id;
        let replay = move |_| {
            spawn_local(async move {
                match api
                    .act::<ReplayedDelivery>(&format!("deliveries/{id}/replay"))
                    .await
                {
                    Ok(done) => {
                        toasts.good(sent_again(&done));
                        list.reload();
                        groups.reload();
                    }
                    Err(failure) => toasts.failed(&failure),
                }
            });
        };
        view! {
            <tr data-testid="dead-letter">
                <td class="title-cell">
                    <A href=format!("/deliveries/{id}")>{letter.operation}</A>
                    <span class="small faint block clip">{letter.error}</span>
                </td>
                <td class="small muted">{letter.rule}</td>
                <td>{letter.key.map(|key| view! { <span class="tag">{key}</span> })}</td>
                <td>
                    <Badge text=format::plural(usize::try_from(letter.attempts).unwrap_or_default(), "attempt") tone=Tone::Red />
                </td>
                <td class="nowrap">
                    <Ago at=letter.finished_at.unwrap_or(letter.created_at) />
                </td>
                <td class="actions">
                    <Button small=true attr:data-testid="replay-one" press=replay>
                        {icon(Icon::Replay)}
                        "Replay"
                    </Button>
                </td>
            </tr>
        }
        .into_any()
    };
    view! {
        <div class="table-wrap">
            <table class="table stacked" data-testid="dead-letters">
                <thead>
                    <tr>
                        <th scope="col">"Delivery"</th>
                        <th scope="col">"Rule"</th>
                        <th scope="col">"Key"</th>
                        <th scope="col">"Attempts"</th>
                        <th scope="col">"Given up"</th>
                        <th scope="col">
                            <span class="visually-hidden">"What can be done"</span>
                        </th>
                    </tr>
                </thead>
                <tbody>{rows.into_iter().map(row).collect_view()}</tbody>
            </table>
        </div>
    }
    .into_any()
}
