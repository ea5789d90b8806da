//! How much the workspace has, and may have.

use leptos::prelude::*;
use leptos::task::spawn_local;
use openapi::problem::FieldError;
use openapi::quotas::{ChangeQuotas, QuotaUse, Usage};
use uuid::Uuid;
use web_sys::SubmitEvent;

use crate::api::{Load, use_api};
use crate::format;
use crate::pages::stale::explain_failure;
use crate::ui::{Button, Card, FaultList, Faults, Kind, TextField, use_toasts};

/// What people call each limit.
fn label(what: &str) -> &'static str {
    match what {
        "events_per_day" => "Events in a day",
        "sources" => "Sources",
        "rules" => "Rules",
        "connections" => "Connections",
        "credentials" => "API credentials",
        "members" => "Members",
        _ => "Another limit",
    }
}

/// A field with a limit.
#[derive(Clone)]
struct Field {
    what: String,
    text: RwSignal<String>,
}

/// The form.
pub(super) fn form(workspace: Uuid, usage: Usage, load: Load<Usage>) -> AnyView {
    let api = use_api();
    let toasts = use_toasts();
    let faults: Faults = RwSignal::new(Vec::new());
    let busy = RwSignal::new(false);
    let revision = usage.revision;
    let fields: Vec<Field> = usage.quotas.iter().map(field).collect();
    let views = usage
        .quotas
        .into_iter()
        .zip(fields.clone())
        .map(|(quota, field)| {
            let help = format!("{} now. Empty: no limit.", format::natural(quota.used));
            let testid = format!("quota-{}", quota.what);
            view! {
                <TextField
                    label=label(&quota.what)
                    value=field.text
                    help=help
                    faults=faults
                    at=quota.what
                    testid=testid
                />
            }
        })
        .collect_view();
    let fields = StoredValue::new(fields);
    let submit = move |event: SubmitEvent| {
        event.prevent_default();
        faults.set(Vec::new());
        let change = fields.with_value(|fields| change(fields, faults));
        if !faults.with_untracked(Vec::is_empty) {
            return;
        }
        busy.set(true);
        spawn_local(async move {
            let path = format!("workspaces/{workspace}/quotas");
            match api.patch::<_, Usage>(&path, &change, Some(revision)).await {
                Ok(saved) => {
                    toasts.good("Saved.");
                    load.put(saved);
                }
                Err(failure) => {
                    faults.try_set(failure.errors());
                    explain_failure(toasts, &failure);
                }
            }
            busy.try_set(false);
        });
    };
    view! {
        <form class="stack" on:submit=submit data-testid="quotas-form">
            <Card
                title="Quotas"
                text="An owner can change them. What would pass a limit is refused; nothing is taken away."
            >
                <div class="stack">
                    <FaultList faults=faults />
                    <div class="form-grid">{views}</div>
                    <div class="form-foot">
                        <Button kind=Kind::Primary submit=true busy=busy attr:data-testid="quotas-save">
                            "Save"
                        </Button>
                    </div>
                </div>
            </Card>
        </form>
    }
    .into_any()
}

fn field(quota: &QuotaUse) -> Field {
    Field {
        what: quota.what.clone(),
        text: RwSignal::new(quota.limit.map_or_else(String::new, |n| n.to_string())),
    }
}

/// What the fields ask for; what is no number is a fault.
fn change(fields: &[Field], faults: Faults) -> ChangeQuotas {
    let mut change = ChangeQuotas::default();
    for Field { what, text } in fields {
        let text = text.get_untracked();
        let text = text.trim();
        let number = (!text.is_empty()).then(|| text.parse::<u64>());
        if matches!(number, Some(Err(_))) {
            faults.update(|list| {
                list.push(FieldError {
                    field: what.clone(),
                    code: "value_kind".to_owned(),
                    message: "This must be a whole number.".to_owned(),
                    offset: None,
                });
            });
            continue;
        }
        let limit = Some(number.and_then(Result::ok));
        match what.as_str() {
            "events_per_day" => change.events_per_day = limit,
            "sources" => change.sources = limit,
            "rules" => change.rules = limit,
            "connections" => change.connections = limit,
            "credentials" => change.credentials = limit,
            "members" => change.members = limit,
            _ => {}
        }
    }
    change
}
