use engine::split::{Parts, Split, SplitPreset, SplitSpec, view};
use proptest::prelude::*;
use serde_json::{Value, json};

fn by_path(path: &str) -> Split {
    Split::compile(&SplitSpec {
        path: Some(path.into()),
        ..SplitSpec::default()
    })
    .unwrap()
}

fn apply(split: &Split, text: &str) -> Parts {
    let value = serde_json::from_str(text).unwrap();
    split.apply(value, Some(text.as_bytes()))
}

#[test]
fn items_keep_the_senders_bytes_and_see_the_envelope() {
    let text =
        r#"{ "receiver" : "ops",  "alerts": [ {"a" : 1.50, "status":"firing"},7 ], "x": {"y": 1}}"#;
    let Parts::Items(items, envelope) = apply(&by_path("$.alerts[*]"), text) else {
        panic!("items expected");
    };
    let envelope = envelope.unwrap();
    assert_eq!(items[0].body, br#"{"a" : 1.50, "status":"firing"}"#);
    assert_eq!(items[1].body, b"7");
    assert_eq!(envelope, br#"{"receiver":"ops","x":{"y": 1}}"#);
    let around = json!({ "receiver": "ops", "x": { "y": 1 } });
    assert_eq!(
        items[0].view,
        json!({ "a": 1.5, "status": "firing", "_envelope": around })
    );
    assert_eq!(items[1].view, json!({ "value": 7, "_envelope": around }));
    assert_eq!(items[0].key, None);
}

#[test]
fn a_nested_list_leaves_its_neighbours_in_the_envelope() {
    let text = r#"{"data":{"list":[1,2],"page":3},"v":1}"#;
    let Parts::Items(items, envelope) = apply(&by_path("data.list[*]"), text) else {
        panic!("items expected");
    };
    assert_eq!(items.len(), 2);
    assert_eq!(envelope.unwrap(), br#"{"data":{"page":3},"v":1}"#);
    let Parts::Items(items, None) = apply(&by_path("$[*]"), "[1, {\"b\":2}]") else {
        panic!("items without an envelope expected");
    };
    assert_eq!(items[0].view, json!(1));
    assert_eq!(items[1].view, json!({ "b": 2 }));
}

#[test]
fn what_has_no_list_stays_whole_and_too_much_is_said() {
    let split = by_path("$.alerts[*]");
    for text in [
        r#"{"alerts":[]}"#,
        r#"{"alerts":{}}"#,
        "[]",
        "1",
        r#"{"b":1}"#,
    ] {
        let value: Value = serde_json::from_str(text).unwrap();
        assert_eq!(apply(&split, text), Parts::Whole(value));
    }
    let many = json!({ "alerts": vec![0; 501] });
    assert_eq!(apply(&split, &many.to_string()), Parts::TooMany(many));
}

#[test]
fn presets_make_their_key() {
    for preset in [SplitPreset::Alertmanager, SplitPreset::Grafana] {
        let split = Split::compile(&SplitSpec {
            preset: Some(preset),
            ..SplitSpec::default()
        })
        .unwrap();
        let text = r#"{"alerts":[{"fingerprint":"f","status":"firing","startsAt":"t"},{"status":"firing"}]}"#;
        let Parts::Items(items, _) = apply(&split, text) else {
            panic!("items expected");
        };
        assert_eq!(items[0].key.as_deref(), Some("f|firing|t"));
        assert_eq!(items[1].key, None, "a missing part makes no key");
    }
}

#[test]
fn faults_name_their_place() {
    let faults = |spec: Value| -> Vec<String> {
        let spec: SplitSpec = serde_json::from_value(spec).unwrap();
        let found = Split::compile(&spec).unwrap_err();
        found.into_iter().map(|fault| fault.at).collect()
    };
    assert_eq!(faults(json!({})), ["path"]);
    assert_eq!(faults(json!({ "path": "$.alerts" })), ["path"]);
    assert_eq!(faults(json!({ "path": "$..a[*]" })), ["path"]);
    assert_eq!(
        faults(json!({ "preset": "grafana", "path": "$[*]" })),
        ["preset"]
    );
    assert_eq!(
        faults(json!({ "path": "$[*]", "key": ["$..["] })),
        ["key[0]"]
    );
    assert_eq!(faults(json!({ "path": "$[*]", "limit": 1001 })), ["limit"]);
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 20, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-c\"\\\\é]{1,2}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn the_bytes_give_the_view_back(
        items in prop::collection::vec(any_json(), 1..6),
        around in prop::collection::btree_map("[a-c]{1,2}", any_json(), 0..4),
        sent in any::<bool>(),
        pretty in any::<bool>(),
    ) {
        let mut whole: serde_json::Map<String, Value> = around.into_iter().collect();
        whole.insert("list".into(), Value::from(items.clone()));
        let whole = Value::Object(whole);
        let text = if pretty { serde_json::to_string_pretty(&whole) } else { serde_json::to_string(&whole) }.unwrap();
        let parts = by_path("$.list[*]").apply(whole, sent.then_some(text.as_bytes()));
        let Parts::Items(parts, Some(envelope)) = parts else { panic!("items expected") };
        let envelope: Value = serde_json::from_slice(&envelope).unwrap();
        prop_assert_eq!(parts.len(), items.len());
        for (part, item) in parts.iter().zip(items) {
            let body: Value = serde_json::from_slice(&part.body).unwrap();
            prop_assert_eq!(&body, &item);
            prop_assert_eq!(&view(body, Some(envelope.clone())), &part.view);
        }
    }
}
