//! Fuzzing on the stable compiler: arbitrary input must end soon and never panic.
//!
//! `SIGNALBOX_FUZZ_CASES` sets the number of cases of each target; the default is a short round.
#![expect(clippy::unwrap_used, reason = "tests")]

use chrono::DateTime;
use engine::compare::{Ordered, Ranges, pattern};
use engine::fuel::Fuel;
use engine::limits;
use engine::model::{FieldSpec, MatchMode, NoMatch, RuleSpec};
use engine::path::JsonPath;
use engine::rules::{CompiledNoMatch, Input, Meta, RuleInput, RuleSet, validate};
use engine::secret::Secret;
use engine::signature::{
    PRESETS, RequestSignature, Scheme, SignatureHeaders, SignedRequest, verify,
};
use engine::template::{Context, Template};
use proptest::prelude::*;
use proptest::strategy::BoxedStrategy;
use serde_json::{Value, json};

fn config() -> ProptestConfig {
    let cases = std::env::var("SIGNALBOX_FUZZ_CASES")
        .ok()
        .map_or(256, |cases| cases.parse().unwrap());
    ProptestConfig {
        cases,
        // A fault is reported with its input; files beside the sources would be surprising.
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// Text made of the words of a language and of anything else.
fn text(words: &'static [&'static str]) -> BoxedStrategy<String> {
    let word = prop_oneof![
        8 => prop::sample::select(words).prop_map(str::to_owned),
        1 => any::<char>().prop_map(|c| c.to_string()),
        1 => "[a-z0-9]{0,3}",
    ];
    prop::collection::vec(word, 0..40)
        .prop_map(|words| words.concat())
        .boxed()
}

const PATH: &[&str] = &[
    "$", "@", ".", "..", "[", "]", "(", ")", "?", "?@.", "*", "'", "\"", "\\", "\\u00e9",
    "\\ud83d", "a", "b", "0", "-1", ":", ",", "==", "!=", "<", ">=", "&&", "||", "!", "length(",
    "count(", "match(", "search(", "value(", "true", "null", "1e9", " ", "['a']", "[0]", "[*]",
    "[?@.a]",
];

const TEMPLATE: &[&str] = &[
    "{{",
    "}}",
    "{",
    "}",
    "|",
    ":",
    ",",
    "'",
    "\"",
    "\\",
    " ",
    "a",
    "$.b[*]",
    "@event_id",
    "@",
    "default",
    "lower",
    "upper",
    "trim",
    "truncate",
    "replace",
    "date",
    "join",
    "json",
    "3",
    "0",
    "'%Y'",
    "'%'",
    "'x'",
    "''",
    "'+02:00'",
    "{{ a",
    " | ",
    "{{ $ | json }}",
    "{{ a | truncate: 2 }}",
];

const PATTERN: &[&str] = &[
    "(", ")", "[", "]", "{1,500}", "{", "}", "*", "+", "?", "|", "\\", "\\pL", "\\w", "^", "$",
    ".", "a", "(?i)", "(?:", "[^a]", "-", "\\b",
];

fn value() -> BoxedStrategy<Value> {
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        // Eighths: what a JSON parser reads back to the last bit.
        any::<i32>().prop_map(|n| Value::from(f64::from(n) / 8.0)),
        text(PATH).prop_map(Value::from),
        text(TEMPLATE).prop_map(Value::from),
        text(PATTERN).prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        prop::sample::select(vec![
            "2026-11-21T00:00:00Z",
            "10.0.0.0/8",
            "::ffff:1.2.3.4",
            "::/0",
            "inf",
            "NaN",
            "1e400",
            "-0",
        ])
        .prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((prop::sample::select(KEYS), inner), 0..5).prop_map(|members| {
                Value::Object(
                    members
                        .into_iter()
                        .map(|(k, v)| (k.to_owned(), v))
                        .collect(),
                )
            }),
        ]
    })
    .boxed()
}

const KEYS: &[&str] = &[
    "a",
    "b",
    "when",
    "then",
    "path",
    "op",
    "value",
    "values",
    "template",
    "cases",
    "else",
    "default",
    "deliver",
    "hold",
    "connection",
    "operation",
    "key",
    "lifecycle",
    "open",
    "close",
    "otherwise",
    "map",
    "ignore_case",
    "",
];

const OPS: &[&str] = &[
    "equals",
    "not_equals",
    "in",
    "not_in",
    "contains",
    "not_contains",
    "starts_with",
    "ends_with",
    "regex",
    "exists",
    "is_empty",
    "gt",
    "gte",
    "lt",
    "lte",
    "cidr",
];

fn path() -> BoxedStrategy<String> {
    prop_oneof![
        text(PATH),
        prop::sample::select(vec![
            "$",
            "$.a",
            "$..*",
            "a.b",
            "$.a[*]",
            "$[?@.a == 1]",
            "$..[?@]"
        ])
        .prop_map(str::to_owned),
    ]
    .boxed()
}

fn condition() -> BoxedStrategy<Value> {
    (
        path(),
        prop::sample::select(OPS),
        prop::option::of(value()),
        any::<bool>(),
    )
        .prop_map(|(path, op, value, ignore_case)| {
            let mut condition = json!({"path": path, "op": op, "ignore_case": ignore_case});
            if let Some(value) = value {
                condition["value"] = value;
            }
            condition
        })
        .boxed()
}

fn field() -> BoxedStrategy<Value> {
    let leaf = prop_oneof![
        text(TEMPLATE).prop_map(Value::from),
        path().prop_map(|path| json!({"path": path})),
        value().prop_map(|value| json!({"value": value})),
        value(),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            (path(), value(), inner.clone())
                .prop_map(|(path, value, default)| json!({"path": path, "values": {"a": value}, "default": default})),
            (condition(), value(), inner)
                .prop_map(|(when, value, other)| json!({"cases": [{"when": when, "value": value}], "else": other})),
        ]
    })
    .boxed()
}

/// A rule that is nearly right.
fn rule() -> BoxedStrategy<Value> {
    let operation = (field(), field(), text(TEMPLATE), path()).prop_map(|(x, y, key, path)| {
        json!({
            "connection": "c", "operation": "o", "key": key, "map": {"x": x, "y": y},
            "lifecycle": {"path": path, "open": ["1", true], "close": [0]},
        })
    });
    let step = prop_oneof![
        Just(json!("drop")),
        operation
            .clone()
            .prop_map(|operation| json!({"deliver": operation})),
        operation.prop_map(|operation| json!({"hold": operation})),
    ];
    (
        prop::collection::vec(condition(), 0..4),
        prop::collection::vec(step, 0..3),
    )
        .prop_map(|(when, then)| json!({"when": when, "then": then}))
        .boxed()
}

/// Any of the value kinds with a part of it replaced.
fn broken(whole: BoxedStrategy<Value>) -> BoxedStrategy<Value> {
    (whole, value(), any::<prop::sample::Index>())
        .prop_map(|(mut whole, other, place)| {
            let mut pointers = vec![String::new()];
            let mut at = 0;
            while let Some(pointer) = pointers.get(at).cloned() {
                match whole.pointer(&pointer) {
                    Some(Value::Object(m)) => {
                        pointers.extend(m.keys().map(|k| format!("{pointer}/{k}")))
                    }
                    Some(Value::Array(a)) => {
                        pointers.extend((0..a.len()).map(|n| format!("{pointer}/{n}")))
                    }
                    _ => {}
                }
                at += 1;
            }
            if let Some(part) = whole.pointer_mut(&pointers[place.index(pointers.len())]) {
                *part = other;
            }
            whole
        })
        .boxed()
}

fn meta() -> Meta {
    Meta {
        event_id: "e".into(),
        correlation_id: "c".into(),
        received_at: DateTime::UNIX_EPOCH,
        source: "s".into(),
    }
}

fn ask(rules: Vec<RuleInput>, payload: &Value, mode: MatchMode) {
    let (set, _) = RuleSet::compile_lenient(rules);
    let no_match = CompiledNoMatch::keep();
    let meta = meta();
    for fuel in [0, 50, limits::FUEL / 10] {
        let input = Input {
            source: "s",
            mode,
            no_match: &no_match,
            payload,
            meta: &meta,
            now: DateTime::UNIX_EPOCH,
            fuel,
        };
        if let Ok(verdict) = set.evaluate(&input) {
            let text = serde_json::to_string(&verdict).unwrap();
            assert_eq!(
                serde_json::from_str::<engine::rules::Verdict>(&text).unwrap(),
                verdict
            );
        }
        set.explain(&input);
    }
}

fn input(id: usize, spec: RuleSpec) -> RuleInput {
    RuleInput {
        id: id.to_string(),
        name: String::new(),
        source: None,
        priority: 0,
        order: 0,
        enabled: true,
        spec,
    }
}

const SIGNED: &[&str] = &[
    "v1=",
    "v0=",
    "V1=",
    ",",
    " ",
    "=",
    "0",
    "1767225600",
    "-",
    "_",
    "a",
    "F",
    "nonce-000000000001",
    "bb2601dfa6369400eae9660ed868260af3c9e7fe1fcf4bc845ba3d3bd18081a2",
    "v1=bb2601dfa6369400eae9660ed868260af3c9e7fe1fcf4bc845ba3d3bd18081a2",
];

/// The values of a header: none, one, several; words of signatures, or any bytes.
fn sent() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let value = prop_oneof![
        4 => text(SIGNED).prop_map(String::into_bytes),
        4 => prop::sample::select(SIGNED).prop_map(|word| word.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..200),
    ];
    prop::collection::vec(value, 0..3)
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn request_signatures(client in sent(), timestamp in sent(), nonce in sent(), signature in sent(), body in any::<Vec<u8>>()) {
        fn views(all: &[Vec<u8>]) -> Vec<&[u8]> {
            all.iter().map(Vec::as_slice).collect()
        }
        let headers = SignatureHeaders {
            client: views(&client),
            timestamp: views(&timestamp),
            nonce: views(&nonce),
            signature: views(&signature),
        };
        if let Ok(read) = RequestSignature::parse(&headers) {
            prop_assert!(headers.is_signed() && client.len() == 1 && timestamp.len() == 1);
            prop_assert!((1..=64).contains(&read.client.len()));
            prop_assert!(read.timestamp > 0);
            prop_assert!((16..=128).contains(&read.replay_key().len()));
            let request = SignedRequest { method: "GET", path: "/", query: "", body: &body };
            prop_assert_eq!(read.signed_by(&request, &["another key".into()]), None);
        }
    }

    #[test]
    fn json_path(text in path(), document in value()) {
        match JsonPath::parse(&text) {
            Ok(path) => {
                path.all(&document);
                prop_assert_eq!(path.as_str(), text.trim());
                prop_assert!(JsonPath::parse(&path.canonical()).is_ok());
                prop_assert!(path.nodes(&document, &mut Fuel::new(0)).is_err());
            }
            Err(fault) => {
                prop_assert!(fault.offset.is_none_or(|at| at <= text.len()));
                prop_assert!(fault.message.len() < 1000);
            }
        }
    }

    #[test]
    fn template(text in text(TEMPLATE), payload in value()) {
        match Template::parse(&text) {
            Ok(template) => {
                let context = Context {
                    payload: &payload,
                    event_id: "e",
                    correlation_id: "c",
                    received_at: DateTime::UNIX_EPOCH,
                    source: "s",
                    rule: "r",
                    now: DateTime::UNIX_EPOCH,
                };
                if let Ok(rendered) = template.render(&context, &mut Fuel::new(100_000)) {
                    prop_assert!(rendered.len() <= limits::TEMPLATE_OUTPUT);
                }
            }
            Err(fault) => {
                prop_assert!(fault.offset.is_none_or(|at| at <= text.len()));
                prop_assert!(fault.message.len() < 1000);
            }
        }
    }

    #[test]
    fn rule_spec(value in broken(rule()), payload in value(), all in any::<bool>()) {
        let mode = if all { MatchMode::All } else { MatchMode::First };
        match serde_json::from_value::<RuleSpec>(value) {
            Ok(spec) => {
                let written = serde_json::to_value(&spec).unwrap();
                let again: RuleSpec = serde_json::from_value(written).unwrap();
                prop_assert_eq!(&again, &spec);
                if let Err(faults) = validate(&spec) {
                    prop_assert!(!faults.is_empty() && faults.len() <= limits::FAULTS);
                }
                ask(vec![input(1, spec)], &payload, mode);
            }
            Err(error) => prop_assert!(!error.to_string().is_empty()),
        }
    }

    #[test]
    fn rule_sets(values in prop::collection::vec(rule(), 0..6), payload in value()) {
        let rules = values
            .into_iter()
            .enumerate()
            .filter_map(|(id, value)| Some(input(id, serde_json::from_value(value).ok()?)))
            .collect();
        ask(rules, &payload, MatchMode::All);
    }

    #[test]
    fn forms_from_nowhere(value in value()) {
        let text = value.to_string();
        let _ = serde_json::from_str::<RuleSpec>(&text);
        let _ = serde_json::from_str::<NoMatch>(&text);
        let _ = serde_json::from_str::<Scheme>(&text);
        if let Ok(field) = serde_json::from_str::<FieldSpec>(&text) {
            let written = serde_json::to_string(&field).unwrap();
            prop_assert_eq!(serde_json::from_str::<FieldSpec>(&written).unwrap(), field);
        }
    }

    #[test]
    fn condition_values(a in value(), b in value(), text in text(PATTERN)) {
        if let (Some(x), Some(y)) = (Ordered::read(&a), Ordered::read(&b)) {
            prop_assert_eq!(x.order(&y), y.order(&x).map(std::cmp::Ordering::reverse));
        }
        if let Ok(ranges) = Ranges::read(&a) {
            ranges.contain(&b);
        }
        if let Ok(regex) = pattern(&text, true) {
            regex.is_match(&b.to_string());
        }
    }

    #[test]
    fn signature_headers(
        preset in 0..PRESETS.len(),
        values in prop::collection::vec(
            prop_oneof![
                prop::collection::vec(any::<u8>(), 0..80),
                text(&["t=", "v1=", "v1,", "v0=", "sha256=", ",", " ", "00", "ff", "1800000000", "AAAA", "="])
                    .prop_map(String::into_bytes),
            ],
            3,
        ),
        secret in prop::collection::vec(any::<u8>(), 0..20),
        body in prop::collection::vec(any::<u8>(), 0..50),
        now in any::<i64>(),
    ) {
        let mut schemes: Vec<Scheme> = vec![
            Scheme::Bearer,
            Scheme::Basic { username: "u".into() },
        ];
        schemes.push(serde_json::from_value(json!({"type": PRESETS[preset].name})).unwrap());
        let headers = |name: &str| values.get(name.len() % 4).map(Vec::as_slice);
        for scheme in schemes {
            let secrets = [Secret::new(secret.clone())];
            // A guess is never right; an honest sender is tested elsewhere.
            if !matches!(scheme, Scheme::Bearer | Scheme::Basic { .. }) {
                prop_assert!(verify(&scheme, &secrets, &headers, &body, now).is_err());
            } else {
                let _ = verify(&scheme, &secrets, &headers, &body, now);
            }
        }
    }
}
