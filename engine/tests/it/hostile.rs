//! Inputs made to hurt, on the stack of an ordinary thread.

use engine::model::RuleSpec;
use engine::path::JsonPath;
use engine::rules::{RuleSet, validate};
use engine::template::Template;
use engine::{FaultCode, limits};
use serde_json::{Value, json};
use std::sync::mpsc;
use std::time::Duration;

use crate::support::{Ask, deliver, rule};

/// Far more than any of these needs; only a run-away reaches it.
const LIMIT: Duration = Duration::from_secs(20);

fn on_a_small_stack(work: impl FnOnce() + Send + 'static) {
    let (done, wait) = mpsc::sync_channel(1);
    let thread = std::thread::Builder::new()
        .stack_size(2 << 20)
        .spawn(move || {
            work();
            let _ = done.send(());
        })
        .unwrap();
    match wait.recv_timeout(LIMIT) {
        Ok(()) | Err(mpsc::RecvTimeoutError::Disconnected) => thread.join().unwrap(),
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("still running after {LIMIT:?}"),
    }
}

fn nest(open: &str, core: &str, close: &str, times: usize) -> String {
    format!("{}{core}{}", open.repeat(times), close.repeat(times))
}

fn deep(levels: usize) -> Value {
    let mut value = json!(1);
    for _ in 0..levels {
        value = Value::Object([("a".to_owned(), value)].into_iter().collect());
    }
    value
}

#[test]
fn hostile_paths_are_refused_or_end_soon() {
    on_a_small_stack(|| {
        for path in [
            format!("$[?{}]", nest("(", "@.a", ")", 10_000)),
            format!("$[?{}]", nest("(", "@.a", ")", 31)),
            format!("$[?{}]", nest("!(", "@.a", ")", 31)),
            format!("${}", nest("[?@", "", "]", 5000)),
            format!("${}", nest("[?@", "", "]", 30)),
            format!("${}", nest("[?@", "", "]", 4)),
            format!("${}", nest("[?@..", "a", "]", 4)),
            format!("$[?{}==1]", nest("length(", "@", ")", 30)),
            format!("$[?{}==1]", nest("value(", "@", ")", 30)),
            format!("$[?{}]", nest("match(@,", "@", ")", 30)),
            format!("$[?({})]", nest("(@[?", "@.a", "])", 4)),
            format!("$[?{}]", nest("((@[?(", "@.a==1", ")]))", 4)),
            format!("${}", ".a".repeat(100_000)),
            format!("${}", ".a".repeat(500)),
            format!("${}", "[0,0]".repeat(190)),
            format!("${}", "..*".repeat(300)),
            format!("$[?@.a{}]", "&&@.a".repeat(50_000)),
            format!("$[?@.a{}]", "&&@.a".repeat(190)),
            format!("$[?{}]", "!".repeat(900)),
            "$[?(@.a".to_owned(),
            "[".repeat(1000),
            "$[".to_owned() + &"'".repeat(999),
            "$[99999999999999999999]".to_owned(),
            "$[::0]".to_owned(),
            "\u{0}".to_owned(),
            format!("$['{}']", "\\u0000".repeat(100)),
        ] {
            if let Ok(path) = JsonPath::parse(&path) {
                for document in [json!([[[1]], {"a": [1]}]), deep(100)] {
                    path.all(&document);
                }
            }
        }
    });
}

#[test]
fn quadratic_filters_run_out_of_fuel() {
    on_a_small_stack(|| {
        let items: Vec<Value> = (0..20_000).map(|n| json!({"n": n})).collect();
        let payload = json!(items);
        let set = RuleSet::compile(vec![rule(
            "r",
            1,
            1,
            json!({
                "when": [{"path": "$[?count($..n) == @.n]", "op": "exists"}],
                "then": "drop",
            }),
        )])
        .unwrap();
        let fault = Ask::default().evaluate(&set, &payload).unwrap_err();
        assert_eq!(fault.code, FaultCode::FuelExhausted);
    });
}

#[test]
fn deep_documents_do_not_overflow_the_stack() {
    on_a_small_stack(|| {
        let payload = deep(20_000);
        for path in ["$..a", "$..[?@.a]", "$.a.a.a", "$..zz", "$[?@ == $]"] {
            JsonPath::parse(path).unwrap().all(&payload);
        }
        let set = RuleSet::compile(vec![
            rule(
                "1",
                1,
                1,
                json!({
                    "when": [{"path": "$.a", "op": "equals", "value": "{}"}],
                    "then": "drop",
                }),
            ),
            rule(
                "2",
                2,
                2,
                json!({"then": deliver(json!({"x": {"path": "$"}, "y": "{{ $ | json }}"}))}),
            ),
        ])
        .unwrap();
        let ask = Ask::default();
        let fault = ask.evaluate(&set, &payload).unwrap_err();
        assert_eq!(fault.code, FaultCode::PayloadTooDeep);
        let explanation = ask.explain(&set, &payload);
        assert_eq!(explanation.fault.unwrap().code, FaultCode::PayloadTooDeep);
        // Dropping such a value recurses; no parser of ours lets one be made.
        std::mem::forget(payload);
    });
}

#[test]
fn hostile_patterns_are_refused_or_linear() {
    on_a_small_stack(|| {
        let long = format!("{}!", "a".repeat(200_000));
        for (pattern, good) in [
            ("(a+)+$".to_owned(), true),
            (r"(\pL{1,500}){1,500}".to_owned(), false),
            (nest("(", "a", ")", 500), false),
            ("(".repeat(100_000), false),
            ("a{1000}{1000}{1000}".to_owned(), false),
            (r"(?=a)".to_owned(), false),
            (r"\1".to_owned(), false),
        ] {
            let spec: RuleSpec = serde_json::from_value(json!({
                "when": [{"path": "$", "op": "regex", "value": pattern}],
                "then": "drop",
            }))
            .unwrap();
            assert_eq!(validate(&spec).is_ok(), good);
            if good {
                let set = RuleSet::compile(vec![rule("r", 1, 1, json!(spec))]).unwrap();
                Ask::default().evaluate(&set, &json!(long)).unwrap();
            }
        }
    });
}

#[test]
fn hostile_templates_are_refused_or_capped() {
    on_a_small_stack(|| {
        for text in [
            "{{".repeat(8000),
            "{{a}}".repeat(3000),
            format!("{{{{ a {} }}}}", "| upper".repeat(2000)),
            format!("{{{{ {} }}}}", "[".repeat(5000)),
            "{{ 'a".to_owned(),
            "{{ a | replace: '', 'x' }}".to_owned(),
            "{{ a | truncate: 99999999999999999999999 }}".to_owned(),
        ] {
            assert!(Template::parse(&text).is_err());
        }
        let bomb = "| replace: 'a', 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'";
        let text = format!("{{{{ a {} }}}}", bomb.repeat(15));
        let set = RuleSet::compile(vec![rule(
            "r",
            1,
            1,
            json!({"then": deliver(json!({"x": text}))}),
        )])
        .unwrap();
        let verdict = Ask::default().evaluate(&set, &json!({"a": "a"})).unwrap();
        let fault = verdict.matches[0].steps[0].fault.clone().unwrap();
        assert_eq!(fault.code, FaultCode::OutputTooLong);
        assert_eq!(fault.at, "then[0].deliver.map.x");
    });
}

#[test]
fn nested_rules_are_refused_without_overflow() {
    on_a_small_stack(|| {
        let nested = |levels| {
            let field = nest(
                r#"{"path":"$.a","values":{"a":1},"default":"#,
                "1",
                "}",
                levels,
            );
            format!(
                r#"{{"then":[{{"deliver":{{"connection":"c","operation":"o","map":{{"x":{field}}}}}}}]}}"#
            )
        };
        // serde_json itself stops at 128 levels.
        assert!(serde_json::from_str::<RuleSpec>(&nested(5000)).is_err());
        let spec: RuleSpec = serde_json::from_str(&nested(115)).unwrap();
        let faults = validate(&spec).unwrap_err();
        assert_eq!(faults[0].code, FaultCode::TooDeep);
        let spec: RuleSpec = serde_json::from_str(&nested(limits::FIELD_DEPTH - 1)).unwrap();
        validate(&spec).unwrap();
    });
}
