//! Sending a test event to a source.

use leptos::prelude::*;
use leptos::task::spawn_local;
use leptos_router::components::A;
use openapi::problem::FieldError;
use openapi::sources::{Accepted, TestEvent};

use super::curl::SAMPLE;
use crate::api::{from_person, from_text, query, to_pretty, use_api};
use crate::ui::{AreaField, Button, Card, Faults, Icon, Kind, SelectField, icon, use_toasts};

const SAMPLES: [(&str, &str); 6] = [
    ("uptime-kuma-down", "Uptime Kuma: a monitor is down"),
    ("uptime-kuma-up", "Uptime Kuma: it is up again"),
    ("alertmanager", "Alertmanager: a group of two alerts"),
    ("grafana", "Grafana: an alert fires"),
    ("github", "GitHub: a push"),
    ("", "My own payload"),
];

/// The card.
pub fn test_event(id: String) -> AnyView {
    let api = use_api();
    let toasts = use_toasts();
    let sample = RwSignal::new("uptime-kuma-down".to_owned());
    let pretty = from_text::<serde_json::Value>(SAMPLE)
        .map(|value| to_pretty(&value))
        .unwrap_or_default();
    let payload = RwSignal::new(pretty);
    let faults: Faults = RwSignal::new(Vec::new());
    let busy = RwSignal::new(false);
    let sent = RwSignal::new(None::<Accepted>);
    let send = move |_| {
        faults.set(Vec::new());
        let name = sample.get_untracked();
        let mut test = TestEvent::default();
        if name.is_empty() {
            match from_person(&payload.get_untracked()) {
                Ok(value) => test.payload = Some(value),
                Err(error) => {
                    faults.set(vec![FieldError {
                        field: "payload".to_owned(),
                        code: "json".to_owned(),
                        message: format!("This is not JSON: {error}"),
                        offset: None,
                    }]);
                    return;
                }
            }
        } else {
            test.sample = Some(name);
        }
        let path = format!("sources/{id}/test");
        busy.set(true);
        spawn_local(async move {
            match api.post::<_, Accepted>(&path, &test).await {
                Ok(accepted) => {
                    toasts.good("The test event was accepted.");
                    sent.try_set(Some(accepted));
                }
                Err(failure) => {
                    faults.try_set(failure.errors());
                    toasts.failed(&failure);
                }
            }
            busy.try_set(false);
        });
    };
    let options = SAMPLES
        .iter()
        .map(|(key, words)| ((*key).to_owned(), (*words).to_owned()))
        .collect::<Vec<_>>();
    view! {
        <Card title="Send a test event" text="It goes through the rules as if it had come in, cut into its events where the source does that, and is marked as a test.">
            <div class="stack">
                <SelectField label="Payload" value=sample options=Signal::stored(options) testid="test-sample" />
                {move || {
                    sample
                        .with(String::is_empty)
                        .then(|| {
                            view! {
                                <AreaField label="JSON" value=payload code=true rows=8 faults=faults at="payload" testid="test-payload" />
                            }
                        })
                }}
                <div class="row">
                    <Button kind=Kind::Primary busy=busy attr:data-testid="send-test" press=send>
                        {icon(Icon::Flask)}
                        "Send test event"
                    </Button>
                    {move || sent.get().and_then(result)}
                </div>
            </div>
        </Card>
    }
    .into_any()
}

/// Where to look: at the event, or at all that the source made of it.
fn result(accepted: Accepted) -> Option<AnyView> {
    let (href, words) = match accepted.event_ids.as_slice() {
        [] => return None,
        [id] => (format!("/events/{id}"), "See what became of it".to_owned()),
        several => (
            query("/events", &[("q", accepted.correlation_id.clone())]),
            format!("It became {} events: see them", several.len()),
        ),
    };
    let link = view! {
        <A href=href attr:data-testid="test-result">
            {words}
        </A>
    };
    Some(link.into_any())
}
