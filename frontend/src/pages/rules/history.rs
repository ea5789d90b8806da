//! The versions of a rule: what changed, who changed it, and a way back.

use leptos::prelude::*;
use leptos::task::spawn_local;
use openapi::page::Page;
use openapi::rules::{RestoreRule, Rule, RuleChange, RuleDiff, RuleRevision};
use uuid::Uuid;

use crate::api::{Load, load_when, query, to_pretty, use_api};
use crate::ui::{
    Ago, Badge, Button, Card, Empty, Icon, Question, Tone, pages, show, use_confirm, use_toasts,
};

/// The history of a rule. `rule` is read again after a version was restored.
pub fn history(id: Uuid, rule: Load<Rule>) -> AnyView {
    let versions = pages::<RuleRevision>(move |cursor| {
        query(&format!("rules/{id}/revisions"), &[("cursor", cursor)])
    });
    let compared = RwSignal::new(None::<(i64, i64)>);
    let diff = load_when::<RuleDiff>(move || {
        let (from, to) = compared.get()?;
        Some(format!("rules/{id}/revisions/diff?from={from}&to={to}"))
    });
    view! {
        <div class="stack" data-testid="rule-history">
            <Card title="Versions" flush=true>
                {versions.view(
                    || {
                        view! {
                            <Empty compact=true mark=Icon::Clock title="No versions yet" text="Every version that is saved is kept here." />
                        }
                            .into_any()
                    },
                    move |rows| table(rows, rule, versions.load, compared),
                )}
            </Card>
            {move || {
                compared
                    .get()
                    .map(|(from, to)| {
                        view! {
                            <Card title=format!("From version {from} to version {to}")>
                                {show(diff, |diff| changes(diff.changes))}
                            </Card>
                        }
                    })
            }}
        </div>
    }
    .into_any()
}

fn table(
    rows: Vec<RuleRevision>,
    rule: Load<Rule>,
    versions: Load<Page<RuleRevision>>,
    compared: RwSignal<Option<(i64, i64)>>,
) -> AnyView {
    let newest = rows.first().map_or(0, |version| version.revision);
    view! {
        <div class="table-wrap" tabindex="0" role="group" aria-label="Versions">
            <table class="table stacked" data-testid="versions">
                <thead>
                    <tr>
                        <th scope="col">"Version"</th>
                        <th scope="col">"Saved by"</th>
                        <th scope="col">"When"</th>
                        <th scope="col">
                            <span class="visually-hidden">"What can be done"</span>
                        </th>
                    </tr>
                </thead>
                <tbody>
                    {rows
                        .into_iter()
                        .map(|version| row(version, newest, rule, versions, compared))
                        .collect_view()}
                </tbody>
            </table>
        </div>
    }
    .into_any()
}

fn row(
    version: RuleRevision,
    newest: i64,
    rule: Load<Rule>,
    versions: Load<Page<RuleRevision>>,
    compared: RwSignal<Option<(i64, i64)>>,
) -> AnyView {
    let api = use_api();
    let toasts = use_toasts();
    let confirm = use_confirm();
    let number = version.revision;
    let path = format!("rules/{}/restore", version.rule_id);
    let restore = move |_| {
        let path = path.clone();
        let question = Question {
            title: format!("Restore version {number}?"),
            text: "It is saved as the newest version and is in force at once.".to_owned(),
            yes: "Restore",
            danger: false,
        };
        confirm.ask(question, move || {
            let path = path.clone();
            let current = rule.peek().map_or(newest, |rule| rule.revision);
            spawn_local(async move {
                let body = RestoreRule { revision: number };
                match api.post_on::<_, Rule>(&path, &body, current).await {
                    Ok(_) => {
                        toasts.good(format!("Version {number} is in force again."));
                        rule.reload();
                        versions.reload();
                    }
                    Err(failure) => toasts.failed(&failure),
                }
            });
        });
    };
    let current = number == newest;
    view! {
        <tr data-testid="version">
            <td class="title-cell">
                {format!("{number}: {}", version.name)}
                {current.then(|| view! { " " <Badge text="in force" tone=Tone::Green /> })}
                {(!version.enabled).then(|| view! { " " <Badge text="off" tone=Tone::Grey /> })}
            </td>
            <td class="small muted">{version.actor}</td>
            <td class="nowrap">
                <Ago at=version.saved_at />
            </td>
            <td class="actions">
                <span class="row end">
                    {(number > 1)
                        .then(|| {
                            view! {
                                <Button
                                    small=true
                                    attr:data-testid="compare-before"
                                    press=move |_| compared.set(Some((number - 1, number)))
                                >
                                    "What changed"
                                </Button>
                            }
                        })}
                    {(!current)
                        .then(|| {
                            view! {
                                <Button
                                    small=true
                                    attr:data-testid="compare-newest"
                                    press=move |_| compared.set(Some((number, newest)))
                                >
                                    "Compare with today"
                                </Button>
                                <Button small=true attr:data-testid="restore-version" press=restore>
                                    "Restore"
                                </Button>
                            }
                        })}
                </span>
            </td>
        </tr>
    }
    .into_any()
}

fn changes(changes: Vec<RuleChange>) -> AnyView {
    if changes.is_empty() {
        return view! { <p data-testid="diff">"The two are the same."</p> }.into_any();
    }
    let text = |value: Option<serde_json::Value>| {
        value.map_or_else(|| "not there".to_owned(), |value| to_pretty(&value))
    };
    view! {
        <dl class="facts" data-testid="diff">
            {changes
                .into_iter()
                .map(|change| {
                    view! {
                        <dt class="mono small">{change.path}</dt>
                        <dd class="small">
                            <del class="mono">{text(change.before)}</del>
                            " → "
                            <ins class="mono">{text(change.after)}</ins>
                        </dd>
                    }
                })
                .collect_view()}
        </dl>
    }
    .into_any()
}
