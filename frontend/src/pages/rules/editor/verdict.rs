//! An explanation for people: the verdict, every condition with what it saw, what is rendered.

use engine::rules::{
    Action, ConditionExplanation, Disposition, Explanation, Matched, Rendered, RuleExplanation,
    StepKind,
};
use leptos::prelude::*;
use serde_json::Value;

use crate::api::{to_pretty, to_text};
use crate::format;
use crate::pages::rules::words::{op_words, value_words};
use crate::ui::{Badge, Icon, JsonView, Tone, icon};

/// The explanation; the rule of this id comes first and is open.
pub fn verdict(explanation: Explanation, own: &str) -> AnyView {
    let (tone, word) = match explanation.disposition {
        Disposition::Routed => (Tone::Green, "routed"),
        Disposition::Unmatched => (Tone::Amber, "unmatched"),
        Disposition::Dropped => (Tone::Grey, "dropped"),
        Disposition::Unrouted => (Tone::Red, "unrouted"),
    };
    let winners: Vec<String> = explanation
        .rules
        .iter()
        .filter(|rule| rule.won)
        .map(|rule| rule.name.clone())
        .collect();
    let taken = if winners.is_empty() {
        "No rule takes this event".to_owned()
    } else {
        format!("Taken by {}", winners.join(", "))
    };
    let fault = explanation.fault.map(|fault| {
        view! { <p class="notice red">{fault.to_string()}</p> }
    });
    let (mine, others): (Vec<_>, Vec<_>) = explanation
        .rules
        .into_iter()
        .partition(|rule| rule.id == own);
    view! {
        <div class="stack" data-testid="explanation">
            <div class="verdict" data-testid="verdict">
                <Badge text=word tone=tone />
                <strong class="wrap">{taken}</strong>
            </div>
            {fault}
            {mine.into_iter().map(|r| rule(r, true)).collect_view()}
            {matches(explanation.matches)}
            {other_rules(others)}
        </div>
    }
    .into_any()
}

fn other_rules(others: Vec<RuleExplanation>) -> AnyView {
    if others.is_empty() {
        return ().into_any();
    }
    view! {
        <div class="stack-s">
            <h3>"The other rules"</h3>
            {others.into_iter().map(|r| rule(r, false)).collect_view()}
        </div>
    }
    .into_any()
}

fn rule(rule: RuleExplanation, own: bool) -> AnyView {
    let (text, tone) = if !rule.faults.is_empty() {
        ("quarantined", Tone::Red)
    } else if rule.won {
        ("takes it", Tone::Green)
    } else if !rule.enabled {
        ("switched off", Tone::Grey)
    } else if !rule.evaluated {
        ("other source", Tone::Grey)
    } else if rule.matched {
        ("matches, comes too late", Tone::Amber)
    } else {
        ("does not match", Tone::Grey)
    };
    let none = rule.conditions.is_empty() && rule.faults.is_empty();
    let name = if own {
        format!("This rule: {}", rule.name)
    } else {
        rule.name
    };
    let testid = if own { "explain-own" } else { "explain-other" };
    view! {
        <details class="explain-rule" class:won=rule.won open=own data-testid=testid>
            <summary>
                <span class="grow wrap">{name}</span>
                <Badge text=text tone=tone />
            </summary>
            <div class="explain-conditions">
                {none
                    .then(|| view! { <p class="small muted">"No conditions: it takes every event."</p> })}
                {rule
                    .faults
                    .into_iter()
                    .map(|fault| view! { <p class="fault wrap">{fault.to_string()}</p> })
                    .collect_view()}
                {rule.conditions.into_iter().map(condition).collect_view()}
            </div>
        </details>
    }
    .into_any()
}

fn condition(condition: ConditionExplanation) -> AnyView {
    let expected = match &condition.expected {
        Value::Null => String::new(),
        other => value_words(other),
    };
    let more = condition.seen_count.saturating_sub(condition.seen.len());
    let seen = if condition.seen_count == 0 {
        "nothing at this path".to_owned()
    } else {
        let values: Vec<String> = condition
            .seen
            .iter()
            .map(|value| to_text(value).unwrap_or_default())
            .collect();
        let more = if more > 0 {
            format!(" and {more} more")
        } else {
            String::new()
        };
        format!("{}{more}", values.join(", "))
    };
    view! {
        <div
            class="explain-condition"
            class:yes=condition.holds
            class:no=!condition.holds
            data-testid="explain-condition"
            data-holds=if condition.holds { "true" } else { "false" }
        >
            {icon(if condition.holds { Icon::Check } else { Icon::Cross })}
            <div>
                <span class="visually-hidden">
                    {if condition.holds { "Holds: " } else { "Does not hold: " }}
                </span>
                <code>{condition.path}</code>
                {format!(" {} ", op_words(condition.op))}
                <code>{expected}</code>
                <p class="muted wrap">"saw " <code>{seen}</code></p>
            </div>
        </div>
    }
    .into_any()
}

fn matches(matches: Vec<Matched>) -> AnyView {
    let steps: Vec<(String, Rendered)> = matches
        .into_iter()
        .flat_map(|matched| {
            let name = matched.rule_name;
            matched
                .steps
                .into_iter()
                .map(move |step| (name.clone(), step))
        })
        .collect();
    if steps.is_empty() {
        return ().into_any();
    }
    view! {
        <div class="stack-s">
            <h3>"What would be sent"</h3>
            {steps.into_iter().map(|(_, step)| rendered(step)).collect_view()}
        </div>
    }
    .into_any()
}

fn rendered(step: Rendered) -> AnyView {
    let kind = match step.kind {
        StepKind::Deliver => ("deliver", Tone::Accent),
        StepKind::Hold => ("hold", Tone::Amber),
    };
    let action = step.action.map(|action| match action {
        Action::Open => "opens the record",
        Action::Close => "closes the record",
        Action::Note => "adds a note",
        Action::Ignore => "sends nothing",
    });
    view! {
        <div class="stack-s rendered" data-testid="rendered">
            <div class="row small">
                <Badge text=kind.0 tone=kind.1 />
                <strong>{format!("{} on {}", step.operation, step.connection)}</strong>
            </div>
            <p class="small muted">
                {step.key.map(|key| view! { "Key " <span class="tag">{key}</span> " " })}
                {action}
            </p>
            {step.fault.map(|fault| view! { <p class="fault">{fault.to_string()}</p> })}
            <JsonView value=Value::Object(step.fields) label="rendered fields" short=true testid="rendered-fields" />
        </div>
    }
    .into_any()
}

/// The requests that the server would send.
pub fn requests(answer: openapi::rules::ExplainResponse) -> AnyView {
    if answer.requests.is_empty() {
        return view! { <p class="small muted">"Nothing would be sent."</p> }.into_any();
    }
    answer
        .requests
        .into_iter()
        .map(|request| {
            let headers: String = request
                .headers
                .iter()
                .map(|(name, value)| format!("{name}: {value}\n"))
                .collect();
            let body = request
                .body
                .as_ref()
                .map(to_pretty)
                .unwrap_or_default();
            let text = format!("{} {}\n{headers}\n{body}", request.method, request.url);
            view! {
                <div class="stack-s" data-testid="planned-request">
                    <p class="small">
                        <strong>{format!("{} on {}", request.operation, request.connection)}</strong>
                        {request.note.map(|note| format!(": {}", format::words(&note)))}
                    </p>
                    {request.fault.map(|fault| view! { <p class="fault">{fault.message}</p> })}
                    <crate::ui::CodeBlock text=text label="request" wrapped=true short=true />
                </div>
            }
        })
        .collect_view()
        .into_any()
}
