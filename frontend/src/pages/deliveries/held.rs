//! A held delivery: look at the fields, change them, let it go.

use leptos::prelude::*;
use leptos::task::spawn_local;
use openapi::deliveries::{Delivery, EditFields, Release};
use openapi::problem::FieldError;
use serde_json::{Map, Value};

use crate::api::{Failure, Load, from_person, to_pretty, use_api};
use crate::ui::{AreaField, Button, Card, FaultList, Faults, Icon, Kind, icon, use_toasts};

/// The form of a held delivery.
pub fn held(delivery: &Delivery, load: Load<Delivery>) -> AnyView {
    let api = use_api();
    let toasts = use_toasts();
    let id = delivery.id;
    let original = to_pretty(&delivery.fields);
    let text = RwSignal::new(original.clone());
    let faults: Faults = RwSignal::new(Vec::new());
    let busy = RwSignal::new(false);
    let original = StoredValue::new(original);
    let changed = move || text.with(|text| original.with_value(|original| original != text));

    let read = move || -> Option<Map<String, Value>> {
        match from_person(&text.get_untracked()) {
            Ok(fields) => {
                faults.set(Vec::new());
                Some(fields)
            }
            Err(error) => {
                faults.set(vec![FieldError {
                    field: "fields".to_owned(),
                    code: "json".to_owned(),
                    message: format!("The fields must be a JSON object: {error}"),
                    offset: None,
                }]);
                None
            }
        }
    };
    let done = move |answer: Result<Value, Failure>, words: &'static str| {
        match answer {
            Ok(_) => {
                toasts.good(words);
                load.reload();
            }
            Err(failure) => {
                faults.try_set(failure.errors());
                toasts.failed(&failure);
            }
        }
        busy.try_set(false);
    };
    let release = move |_| {
        let fields = if changed() {
            match read() {
                Some(fields) => Some(fields),
                None => return,
            }
        } else {
            None
        };
        busy.set(true);
        spawn_local(async move {
            let path = format!("deliveries/{id}/release");
            done(api.post(&path, &Release { fields }).await, "Released.");
        });
    };
    let save = move |_| {
        let Some(fields) = read() else { return };
        busy.set(true);
        spawn_local(async move {
            let path = format!("deliveries/{id}");
            done(
                api.patch(&path, &EditFields { fields }, None).await,
                "Saved; it is still held.",
            );
        });
    };
    view! {
        <Card title="Held for a person" text="Check the fields, change them if you like, then release it. *** stands for a value that is not shown: leave it to keep that value, or write another.">
            <div class="stack" data-testid="held">
                <FaultList faults=faults />
                <AreaField
                    label="Fields"
                    value=text
                    code=true
                    rows=14
                    faults=faults
                    at="fields"
                    testid="held-fields"
                />
                <div class="form-foot">
                    <Button kind=Kind::Primary busy=busy attr:data-testid="release" press=release>
                        {icon(Icon::Check)}
                        {move || if changed() { "Release with changes" } else { "Release" }}
                    </Button>
                    <Button
                        disabled=Signal::derive(move || !changed())
                        attr:data-testid="save-fields"
                        press=save
                    >
                        "Save and keep held"
                    </Button>
                </div>
            </div>
        </Card>
    }
    .into_any()
}
