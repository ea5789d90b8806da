use engine::FaultCode;
use engine::model::Op;
use engine::rules::validate;
use serde_json::{Value, json};

use crate::support::{holds, spec};

fn payload() -> Value {
    json!({
        "s": "Maintenance window",
        "zero": 0, "one": 1, "onef": 1.0, "half": 0.5, "text1": "1", "big": 9_007_199_254_740_993_i64,
        "t": true, "f": false, "null": null,
        "empty": "", "none": [], "nothing": {},
        "list": ["prod", "core", 7],
        "items": [{"q": 1, "n": "a"}, {"q": 5, "n": ""}],
        "obj": {"a": 1},
        "json": "{\"a\":1}",
        "date": "2026-11-21T10:00:00+01:00",
        "ip": "10.1.2.3", "ip6": "2001:db8::5", "mapped": "::ffff:10.1.2.3",
        "ß": "STRASSE"
    })
}

/// `(path, op, value, holds)`; the value `null` written as `~` is left out.
#[test]
fn every_operator() {
    let absent = json!("~");
    for (path, op, value, expected) in [
        ("$.zero", "equals", json!("0"), true),
        ("$.zero", "equals", json!(0), true),
        ("$.zero", "equals", json!(""), false),
        ("$.zero", "equals", json!(false), false),
        ("$.one", "equals", json!(1.0), true),
        ("$.onef", "equals", json!(1), true),
        ("$.onef", "equals", json!("1"), false),
        ("$.onef", "equals", json!("1.0"), true),
        ("$.text1", "equals", json!(1), true),
        ("$.big", "equals", json!(9_007_199_254_740_993_i64), true),
        ("$.big", "equals", json!(9_007_199_254_740_992_i64), false),
        ("$.t", "equals", json!("true"), true),
        ("$.t", "equals", json!(true), true),
        ("$.t", "equals", json!("True"), false),
        ("$.null", "equals", json!(null), true),
        ("$.null", "equals", json!("null"), true),
        ("$.missing", "equals", json!(null), false),
        ("$.s", "equals", json!("maintenance window"), false),
        ("$.obj", "equals", json!({"a": 1}), true),
        ("$.obj", "equals", json!("{\"a\":1}"), true),
        ("$.json", "equals", json!({"a": 1}), true),
        ("$.obj", "equals", json!("x"), false),
        // any node; negatives no node; a missing path satisfies them
        ("$.list[*]", "equals", json!("core"), true),
        ("$.list[*]", "not_equals", json!("core"), false),
        ("$.list[*]", "not_equals", json!("dev"), true),
        ("$.missing", "not_equals", json!("x"), true),
        ("$.missing", "not_in", json!(["x"]), true),
        ("$.missing", "not_contains", json!("x"), true),
        ("$.list[*]", "in", json!(["dev", "core"]), true),
        ("$.list[*]", "in", json!(["dev", "7"]), true),
        ("$.list[*]", "in", json!(["dev"]), false),
        ("$.list[*]", "not_in", json!(["core"]), false),
        ("$.list[*]", "not_in", json!(["dev"]), true),
        ("$.onef", "in", json!([3, 1]), true),
        ("$.obj", "in", json!([{"a": 1}]), true),
        ("$.t", "in", json!(["true"]), true),
        // parts
        ("$.s", "contains", json!("window"), true),
        ("$.s", "contains", json!("Window"), false),
        ("$.s", "not_contains", json!("window"), false),
        ("$.half", "contains", json!(5), true),
        ("$.list", "contains", json!("core"), true),
        ("$.list", "contains", json!("cor"), false),
        ("$.list", "contains", json!("7"), true),
        ("$.list", "not_contains", json!("cor"), true),
        ("$.obj", "contains", json!("\"a\""), true),
        ("$.s", "starts_with", json!("Main"), true),
        ("$.s", "starts_with", json!("window"), false),
        ("$.s", "ends_with", json!("window"), true),
        ("$.s", "ends_with", json!("Main"), false),
        ("$.missing", "starts_with", json!("x"), false),
        // patterns are unanchored
        ("$.s", "regex", json!("ten.nce"), true),
        ("$.s", "regex", json!("^window"), false),
        ("$.one", "regex", json!("^[0-9]$"), true),
        ("$.missing", "regex", json!(".*"), false),
        // existence
        ("$.null", "exists", absent.clone(), true),
        ("$.missing", "exists", absent.clone(), false),
        ("$.missing", "exists", json!(false), true),
        ("$.s", "exists", json!(false), false),
        ("$.s", "exists", json!(true), true),
        ("$.missing", "is_empty", absent.clone(), true),
        ("$.null", "is_empty", absent.clone(), true),
        ("$.empty", "is_empty", absent.clone(), true),
        ("$.none", "is_empty", absent.clone(), true),
        ("$.nothing", "is_empty", absent.clone(), true),
        ("$.zero", "is_empty", absent.clone(), false),
        ("$.f", "is_empty", absent.clone(), false),
        ("$.s", "is_empty", json!(false), true),
        ("$.missing", "is_empty", json!(false), false),
        ("$.items[*].n", "is_empty", absent.clone(), true),
        // order: numbers, texts that spell them, dates
        ("$.one", "gt", json!(0), true),
        ("$.one", "gt", json!(1), false),
        ("$.one", "gte", json!(1), true),
        ("$.one", "lt", json!("1.5"), true),
        ("$.text1", "lte", json!(1), true),
        ("$.text1", "lt", json!(1), false),
        ("$.s", "gt", json!(0), false),
        ("$.t", "gte", json!(0), false),
        ("$.items[*].q", "gt", json!(4), true),
        ("$.items[*].q", "gt", json!(5), false),
        ("$.big", "gt", json!(9_007_199_254_740_992_i64), true),
        ("$.date", "gt", json!("2026-11-21T08:59:59Z"), true),
        ("$.date", "lte", json!("2026-11-21T09:00:00Z"), true),
        ("$.date", "lt", json!("2026-11-21T09:00:00Z"), false),
        ("$.date", "gt", json!(5), false),
        // addresses
        ("$.ip", "cidr", json!("10.0.0.0/8"), true),
        ("$.ip", "cidr", json!("11.0.0.0/8"), false),
        ("$.ip", "cidr", json!("10.1.2.3"), true),
        (
            "$.ip",
            "cidr",
            json!(["192.168.0.0/16", "10.1.0.0/16"]),
            true,
        ),
        ("$.ip", "cidr", json!("::ffff:10.0.0.0/104"), true),
        ("$.ip", "cidr", json!("::/0"), false),
        ("$.mapped", "cidr", json!("10.0.0.0/8"), true),
        ("$.ip6", "cidr", json!("2001:db8::/32"), true),
        ("$.ip6", "cidr", json!("10.0.0.0/8"), false),
        ("$.s", "cidr", json!("0.0.0.0/0"), false),
        ("$.one", "cidr", json!("0.0.0.0/0"), false),
    ] {
        let mut condition = json!({"path": path, "op": op});
        if value != absent {
            condition["value"] = value;
        }
        assert_eq!(
            holds(condition.clone(), &payload()),
            expected,
            "{condition}"
        );
    }
}

#[test]
fn ignoring_case() {
    for (path, op, value) in [
        ("$.s", "equals", json!("MAINTENANCE WINDOW")),
        ("$.s", "in", json!(["x", "maintenance WINDOW"])),
        ("$.s", "contains", json!("WINDOW")),
        ("$.list", "contains", json!("CORE")),
        ("$.s", "starts_with", json!("mAIN")),
        ("$.s", "ends_with", json!("WINDOW")),
        ("$.s", "regex", json!("^main")),
        ("$['ß']", "equals", json!("strasse")),
        ("$.t", "equals", json!("TRUE")),
    ] {
        let mut condition = json!({"path": path, "op": op, "value": value});
        assert!(!holds(condition.clone(), &payload()), "{condition}");
        condition["ignore_case"] = json!(true);
        assert!(holds(condition.clone(), &payload()), "{condition}");
    }
    for (op, value) in [
        ("not_equals", json!("MAINTENANCE WINDOW")),
        ("not_in", json!(["maintenance WINDOW"])),
    ] {
        let condition = json!({"path": "$.s", "op": op, "value": value, "ignore_case": true});
        assert!(!holds(condition, &payload()));
    }
}

#[test]
fn what_cannot_be_compared_is_refused_at_its_place() {
    let long = "x".repeat(2000);
    let many: Vec<usize> = (0..2000).collect();
    for (op, value, code) in [
        ("equals", None, FaultCode::ValueMissing),
        ("gt", None, FaultCode::ValueMissing),
        ("in", Some(json!("x")), FaultCode::ValueKind),
        ("in", Some(json!([])), FaultCode::Empty),
        ("not_in", Some(json!(many)), FaultCode::TooMany),
        ("contains", Some(json!("")), FaultCode::Empty),
        ("contains", Some(json!([])), FaultCode::ValueKind),
        ("contains", Some(json!(null)), FaultCode::ValueKind),
        ("starts_with", Some(json!({})), FaultCode::ValueKind),
        ("regex", Some(json!(1)), FaultCode::ValueKind),
        ("regex", Some(json!("(")), FaultCode::RegexSyntax),
        ("regex", Some(json!(long)), FaultCode::RegexTooLarge),
        ("exists", Some(json!("yes")), FaultCode::ValueKind),
        ("is_empty", Some(json!(1)), FaultCode::ValueKind),
        ("gt", Some(json!("soon")), FaultCode::ValueKind),
        ("lt", Some(json!("inf")), FaultCode::ValueKind),
        ("lte", Some(json!(true)), FaultCode::ValueKind),
        ("cidr", Some(json!("10.0.0.0/33")), FaultCode::BadCidr),
        ("cidr", Some(json!("host")), FaultCode::BadCidr),
        ("cidr", Some(json!([])), FaultCode::Empty),
        ("cidr", Some(json!([1])), FaultCode::ValueKind),
        (
            "equals",
            Some(json!("x".repeat(100_000))),
            FaultCode::TooLong,
        ),
    ] {
        let mut condition = json!({"path": "$.a", "op": op});
        if let Some(value) = value {
            condition["value"] = value;
        }
        let faults = validate(&spec(json!({"when": [condition], "then": "drop"}))).unwrap_err();
        assert_eq!(faults.len(), 1, "{op}");
        assert_eq!(
            (faults[0].code, faults[0].at.as_str()),
            (code, "when[0].value"),
            "{op}"
        );
        assert!(faults[0].message.len() < 400);
    }
}

#[test]
fn names_of_operators_are_their_json_form() {
    for op in Op::ALL {
        assert_eq!(json!(op), json!(op.as_str()));
    }
}
