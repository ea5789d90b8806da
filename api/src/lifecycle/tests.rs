use std::collections::BTreeMap;

use openapi::webhooks::{Kind, WebhookConnection};
use serde_json::{Value, json};
use uuid::Uuid;

use super::subscription::matches;
use super::*;
use crate::connectors::{Connection, webhook};

fn subscription(settings: Value) -> Option<Subscription> {
    Subscription::of(&Connection {
        id: Uuid::from_u128(7),
        workspace_id: Uuid::from_u128(1),
        name: "hub".to_owned(),
        connector: webhook::KIND.to_owned(),
        settings,
        secrets: BTreeMap::new(),
        allow_private: false,
        revision: 1,
        parsed: crate::connectors::Parsed::default(),
    })
}

#[test]
fn patterns_name_one_type_a_family_or_all() {
    assert!(matches("*", "delivery.dead"));
    assert!(matches("delivery.*", "delivery.dead"));
    assert!(matches("delivery.dead", "delivery.dead"));
    assert!(!matches("delivery.*", "event.received"));
    assert!(!matches("delivery", "delivery.dead"));
}

#[test]
fn a_subscription_gets_what_it_asks_for() {
    let all = subscription(json!({ "url": "https://a.example/", "types": ["*"] })).unwrap();
    for kind in Kind::ALL {
        assert!(all.wants(*kind, None) && all.wants(*kind, Some("kuma")));
    }
    let some = subscription(json!({
        "url": "https://a.example/", "types": ["delivery.*", "breaker.opened"], "sources": ["kuma"],
    }))
    .unwrap();
    assert!(some.wants(Kind::DeliveryDead, Some("kuma")));
    assert!(!some.wants(Kind::DeliveryDead, Some("grafana")));
    assert!(some.wants(Kind::BreakerOpened, None));
    assert!(!some.wants(Kind::BreakerClosed, None));
    assert!(!some.wants(Kind::EventReceived, Some("kuma")));
    assert_eq!(subscription(json!({ "types": ["*"] })), None);
}

#[test]
fn ids_alone_leave_texts_out() {
    let data = Data::Connection(WebhookConnection {
        connection_id: Uuid::from_u128(3),
        connection: "psa".to_owned(),
        connector: "connectwise".to_owned(),
        code: Some("credentials_refused".to_owned()),
        reason: Some("the password expired".to_owned()),
    });
    assert_eq!(data.value(true)["reason"], "the password expired");
    assert!(data.value(false).get("reason").is_none());
    assert_eq!(data.value(false)["code"], "credentials_refused");
}
