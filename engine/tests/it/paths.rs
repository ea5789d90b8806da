use engine::FaultCode;
use engine::fuel::Fuel;
use engine::path::JsonPath;
use proptest::prelude::*;
use serde_json::{Value, json};

fn store() -> Value {
    json!({
        "o": {"j j": {"k.k": 3}, "'": {"@": 2}, "": 0},
        "a": [5, 3, [{"j": 4}, {"k": 6}], "x", null, true, 1.0, -0.5],
        "b": [{"n": "kilo", "q": 1}, {"n": "ball", "q": 3}, {"n": "kite", "q": 5}, {"q": "7"}],
        "s": "kiln",
        "e": {"deep": {"deep": {"n": "x"}}},
        "ü": {"☺": "é\r\nz"},
        "want": 3
    })
}

fn all(path: &str) -> Vec<Value> {
    let document = store();
    let path = JsonPath::parse(path).unwrap_or_else(|fault| panic!("{path}: {fault}"));
    path.all(&document).into_iter().cloned().collect()
}

/// Our own table after the sections of RFC 9535.
#[test]
fn paths_follow_the_standard() {
    for (path, expected) in [
        // names
        ("$.s", json!(["kiln"])),
        ("$['s']", json!(["kiln"])),
        ("$[\"s\"]", json!(["kiln"])),
        ("$.o['j j']['k.k']", json!([3])),
        (r#"$.o["'"]["@"]"#, json!([2])),
        (r"$.o['\'']['@']", json!([2])),
        ("$.o['']", json!([0])),
        ("$.ü.☺", json!(["é\r\nz"])),
        (r"$['\u00fc']['\u263a']", json!(["é\r\nz"])),
        ("$.missing", json!([])),
        ("$.s.x", json!([])),
        // indices and slices
        ("$.a[0]", json!([5])),
        ("$.a[-1]", json!([-0.5])),
        ("$.a[-9]", json!([])),
        ("$.a[99]", json!([])),
        ("$.a[1:3]", json!([3, [{"j": 4}, {"k": 6}]])),
        ("$.a[:2]", json!([5, 3])),
        ("$.a[-2:]", json!([1.0, -0.5])),
        ("$.a[0:4:2]", json!([5, [{"j": 4}, {"k": 6}]])),
        ("$.a[1::-1]", json!([3, 5])),
        ("$.a[::0]", json!([])),
        ("$.a[0,0]", json!([5, 5])),
        ("$.a[0, 3]", json!([5, "x"])),
        // every
        ("$.b[*].q", json!([1, 3, 5, "7"])),
        ("$.e.*", json!([{"deep": {"n": "x"}}])),
        ("$.s[*]", json!([])),
        // descent
        ("$..n", json!(["kilo", "ball", "kite", "x"])),
        ("$.e..deep.n", json!(["x"])),
        ("$.a..[0]", json!([5, {"j": 4}])),
        // filters
        ("$.b[?@.q > 2].n", json!(["ball", "kite"])),
        ("$.b[?(@.q >= 3 && @.n != 'kite')].n", json!(["ball"])),
        ("$.b[?@.n == 'kilo' || @.q == 5].n", json!(["kilo", "kite"])),
        ("$.b[?!@.n]", json!([{"q": "7"}])),
        ("$.b[?@.q == $.want].n", json!(["ball"])),
        ("$.b[?@.q == '7'].q", json!(["7"])),
        ("$.b[?@.missing == @.other].q", json!([1, 3, 5, "7"])),
        ("$.a[?@ == 1]", json!([1.0])),
        ("$.a[?@ == null]", json!([null])),
        ("$.a[?@ == true]", json!([true])),
        ("$.a[?@[0].j == 4][1].k", json!([6])),
        ("$[?@.deep].deep.deep.n", json!(["x"])),
        // functions
        ("$.b[?length(@.n) == 4].q", json!([1, 3, 5])),
        ("$.b[?match(@.n, 'ki.*')].n", json!(["kilo", "kite"])),
        ("$.b[?match(@.n, 'i')].n", json!([])),
        ("$.b[?search(@.n, 'al+')].n", json!(["ball"])),
        ("$.b[?search(@.n, '(')].n", json!([])),
        ("$.b[?match(@.n, 'kilo)|(ball')].n", json!([])),
        ("$.b[?match(@.n, 'kilo|ball')].n", json!(["kilo", "ball"])),
        ("$[?count(@.*) == 4][0].n", json!(["kilo"])),
        ("$.b[?value(@.q) == 1].n", json!(["kilo"])),
        ("$[?match(@.☺, 'é.*')]", json!([])),
        // the root, and paths without it
        ("want", json!([3])),
        ("e.deep.deep.n", json!(["x"])),
        ("['o']['']", json!([0])),
        ("b[*].n", json!(["kilo", "ball", "kite"])),
        (" $.want ", json!([3])),
    ] {
        assert_eq!(json!(all(path)), expected, "{path}");
    }
    assert_eq!(all("$"), [store()]);
}

#[test]
fn faults_say_where() {
    for (path, code, offset) in [
        ("", FaultCode::PathSyntax, None),
        ("$.a[", FaultCode::PathSyntax, Some(4)),
        ("$.a[0)", FaultCode::PathSyntax, Some(5)),
        ("a b", FaultCode::PathSyntax, Some(1)),
        ("$.a[?@.b = 1]", FaultCode::PathSyntax, None),
        ("$.a['b]", FaultCode::PathSyntax, Some(7)),
        ("$.a[01]", FaultCode::PathSyntax, None),
        ("$.a[9007199254740992]", FaultCode::PathSyntax, None),
        ("$.a[?length(@.*) == 1]", FaultCode::PathSyntax, None),
        ("$.a[?nothing(@)]", FaultCode::PathSyntax, None),
        ("@.a", FaultCode::PathSyntax, None),
    ] {
        let fault = JsonPath::parse(path).unwrap_err();
        assert_eq!(fault.code, code, "{path}");
        if offset.is_some() {
            assert_eq!(fault.offset, offset, "{path}");
        }
        assert!(fault.offset.is_none_or(|at| at <= path.len()), "{path}");
    }
    let long = format!("$.{}", "a".repeat(2000));
    assert_eq!(
        JsonPath::parse(&long).unwrap_err().code,
        FaultCode::PathTooLong
    );
}

#[test]
fn brackets_in_quotes_do_not_count() {
    let path = format!("$['{}']", "[(?".repeat(100));
    assert!(JsonPath::parse(&path).is_ok());
    let path = format!("$[?@.a == \"{}\"]", "[?(".repeat(100));
    assert!(JsonPath::parse(&path).is_ok());
}

#[test]
fn fuel_and_node_cap_end_an_explosion() {
    let path = JsonPath::parse(&format!("${}", "[0,0]".repeat(40))).unwrap();
    let mut nested = json!(1);
    for _ in 0..50 {
        nested = json!([nested]);
    }
    let fault = path.nodes(&nested, &mut Fuel::new(10_000)).unwrap_err();
    assert_eq!(fault.code, FaultCode::FuelExhausted);
    let fault = path.nodes(&nested, &mut Fuel::new(u64::MAX)).unwrap_err();
    assert_eq!(fault.code, FaultCode::TooManyNodes);
    assert!(path.all(&nested).is_empty());
}

fn name() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["a", "b", "n"])
}

fn document() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(Value::from),
        (-3_i64..4).prop_map(Value::from),
        Just(json!(1.0)),
        Just(json!(0.5)),
        prop::sample::select(vec!["", "a", "ab", "1", "é"]).prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((name(), inner), 0..4).prop_map(|members| {
                Value::Object(
                    members
                        .into_iter()
                        .map(|(k, v)| (k.to_owned(), v))
                        .collect(),
                )
            }),
        ]
    })
}

fn segments(filter: BoxedStrategy<String>) -> impl Strategy<Value = String> {
    let bound = || prop_oneof![Just(String::new()), (-3_i64..4).prop_map(|n| n.to_string())];
    let selector = prop_oneof![
        name().prop_map(|n| format!("'{n}'")),
        (-3_i64..4).prop_map(|n| n.to_string()),
        Just("*".to_owned()),
        (bound(), bound(), -2_i64..3).prop_map(|(a, b, s)| format!("{a}:{b}:{s}")),
        filter.prop_map(|f| format!("?{f}")),
    ];
    let bracket = prop::collection::vec(selector, 1..3).prop_map(|s| format!("[{}]", s.join(" ,")));
    let segment = prop_oneof![
        name().prop_map(|n| format!(".{n}")),
        name().prop_map(|n| format!("..{n}")),
        Just(".*".to_owned()),
        Just("..*".to_owned()),
        bracket.clone(),
        bracket.prop_map(|b| format!("..{b}")),
    ];
    prop::collection::vec(segment, 0..4).prop_map(|s| s.concat())
}

fn singular() -> impl Strategy<Value = String> {
    let segment = prop_oneof![
        name().prop_map(|n| format!(".{n}")),
        (-2_i64..3).prop_map(|n| format!("[{n}]")),
    ];
    (
        prop::sample::select(vec!["@", "$"]),
        prop::collection::vec(segment, 0..3),
    )
        .prop_map(|(root, segments)| format!("{root}{}", segments.concat()))
}

fn literal() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "1", "-1", "1.0", "0.5e0", "'a'", "\"ab\"", "true", "null",
    ])
    .prop_map(str::to_owned)
}

fn filter() -> BoxedStrategy<String> {
    let term = || {
        prop_oneof![
            singular(),
            singular().prop_map(|q| format!("length({q})")),
            name().prop_map(|n| format!("count(@..{n})")),
            name().prop_map(|n| format!("value($..{n})")),
            literal(),
        ]
    };
    let relation = prop::sample::select(vec!["==", "!=", "<", ">"]);
    // Two absent values are equal, so `<=` holds between them (RFC 9535, 2.3.5.2.2); the reference
    // says no. With a literal on one side, both agree.
    let or_equal = prop::sample::select(vec!["<=", ">="]);
    let basic = prop_oneof![
        (term(), relation, term()).prop_map(|(a, r, b)| format!("{a} {r}{b}")),
        (term(), or_equal, literal()).prop_map(|(a, r, b)| format!("{a} {r}{b}")),
        singular(),
        singular().prop_map(|q| format!("!{q}")),
        singular().prop_map(|q| format!("match({q}, 'a.?')")),
        singular().prop_map(|q| format!("search({q},'b')")),
        (singular(), singular()).prop_map(|(a, b)| format!("match({a}, {b})")),
    ];
    basic
        .prop_recursive(3, 8, 2, |inner| {
            prop_oneof![
                (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a}&& {b}")),
                (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}) ||{b}")),
                inner.clone().prop_map(|a| format!("!({a})")),
                inner.prop_map(|a| format!("@[?{a}]")),
            ]
        })
        .boxed()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    /// Our own walk yields what the reference implementation yields, in the same order.
    #[test]
    fn the_walk_agrees_with_the_reference(
        path in segments(filter()),
        document in document(),
    ) {
        let path = format!("${path}");
        let Ok(reference) = serde_json_path::JsonPath::parse(&path) else {
            return Ok(());
        };
        match JsonPath::parse(&path) {
            Ok(ours) => prop_assert_eq!(
                ours.all(&document),
                reference.query(&document).all(),
                "{}", path
            ),
            Err(fault) => prop_assert_eq!(fault.code, FaultCode::PathTooDeep, "{}", path),
        }
    }
}
