//! What needs no upstream: settings, operations, plans.

use serde_json::json;

use super::*;

#[test]
fn every_described_setting_is_known_to_the_type() {
    for field in settings::fields() {
        let mut all = json!({"base_url": "https://x.test/v4_6_release/apis/3.0", "company": "acme", "client_id": "guid"});
        if !field.required {
            all[&field.name] = field.default.unwrap_or_else(|| json!("x"));
        }
        assert!(
            serde_json::from_value::<Settings>(all).is_ok(),
            "{}",
            field.name
        );
    }
}

#[test]
fn links_for_people_are_derived() {
    let link = |base: &str, url: &str| {
        let settings: Settings = serde_json::from_value(
            json!({"base_url": base, "company": "a", "client_id": "b", "ticket_url": url}),
        )
        .unwrap();
        settings.ticket_link(7)
    };
    assert_eq!(
        link("https://api-eu.myconnectwise.net/v4_6_release/apis/3.0", "").unwrap(),
        "https://eu.myconnectwise.net/v4_6_release/ConnectWise.aspx?routeTo=ServiceFV&recid=7"
    );
    assert_eq!(link("https://x.test/api", ""), None);
    assert_eq!(
        link("https://x.test/api", "https://y.test/t/{id}").unwrap(),
        "https://y.test/t/7"
    );
}
