use engine::FaultCode;
use engine::template::{FILTERS, Template, VARIABLES};
use serde_json::json;

use crate::support::fields;

#[test]
fn what_templates_render() {
    let payload = json!({
        "m": {"name": "web 1", "id": 7, "up": true, "ratio": 0.5, "null": null, "tags": ["a", "b", 3]},
        "text": "  Häuser & Gärten  ",
        "empty": "",
        "quote": "say \"hi\"\n",
        "date": "2026-11-21T22:30:00+01:00",
        "unix": 1_763_760_600,
        "millis": 1_763_760_600_123_i64,
        "items": [{"n": "x"}, {"n": null}, {"n": "y"}],
    });
    for (template, expected) in [
        ("", ""),
        ("plain { } }} text", "plain { } }} text"),
        ("Alert: {{ m.name }}!", "Alert: web 1!"),
        ("{{m.name}}{{ $.m.id }}", "web 17"),
        (
            "{{ m.up }} {{ m.ratio }} {{ m.tags }}",
            r#"true 0.5 ["a","b",3]"#,
        ),
        ("[{{ m.null }}|{{ m.missing }}]", "[|]"),
        ("{{ m.tags[*] }}", "a"),
        ("{{ items[?@.n == 'y'].n }}", "y"),
        (
            "{{ items[?@.n == 'x' || @.n == 'y'].n | join: '+' }}",
            "x+y",
        ),
        ("{{ 'a|b}}' }}", "a|b}}"),
        (r"{{ 'it\'s\n' }}", "it's\n"),
        // default
        ("{{ m.missing | default: 'none' }}", "none"),
        ("{{ m.null | default: \"none\" }}", "none"),
        ("{{ empty | default: 'none' }}", "none"),
        ("{{ text | trim | default: 'none' }}", "Häuser & Gärten"),
        ("{{ m.id | default: 0 }}", "7"),
        ("{{ m.missing | default: 0 }}", "0"),
        ("{{ '' | default: 'x' | upper }}", "X"),
        // case and space
        ("{{ text | trim | upper }}", "HÄUSER & GÄRTEN"),
        ("{{ m.name | lower }}", "web 1"),
        // truncate counts characters, the mark included
        ("{{ text | trim | truncate: 6 }}", "Häuser"),
        ("{{ text | trim | truncate: 6, '...' }}", "Häu..."),
        ("{{ m.name | truncate: 5 }}", "web 1"),
        ("{{ m.name | truncate: 2, '...' }}", "we"),
        ("{{ m.name | truncate: 0 }}", ""),
        // replace
        ("{{ m.name | replace: ' ', '-' }}", "web-1"),
        (
            "{{ text | replace: 'ä', 'ae' | trim }}",
            "Haeuser & Gaerten",
        ),
        ("{{ m.name | replace: 'zzz', '-' }}", "web 1"),
        // date
        ("{{ date | date: '%d.%m.%Y %H:%M' }}", "21.11.2026 21:30"),
        ("{{ date | date: '%H:%M', '+02:00' }}", "23:30"),
        (
            "{{ unix | date: '%Y-%m-%dT%H:%M:%SZ' }}",
            "2025-11-21T21:30:00Z",
        ),
        ("{{ millis | date: '%s' }}", "1763760600"),
        ("{{ m.name | date: '%Y' }}", "web 1"),
        ("{{ m.missing | date: '%Y' }}", ""),
        ("{{ date | trim | date: '%Y' }}", "2026"),
        // join
        ("{{ m.tags | join: '; ' }}", "a; b; 3"),
        ("{{ m.tags[*] | join }}", "a, b, 3"),
        ("{{ items[*].n | join: '/' }}", "x/y"),
        ("{{ m.name | join: '/' }}", "web 1"),
        ("{{ m.missing | join: '/' | default: '-' }}", "-"),
        // json
        ("{\"a\": {{ quote | json }}}", r#"{"a": "say \"hi\"\n"}"#),
        ("{{ m.tags | json }}", r#"["a","b",3]"#),
        ("{{ items[*].n | json }}", r#"["x",null,"y"]"#),
        ("{{ m.missing | json }}", "null"),
        ("{{ m.name | upper | json }}", "\"WEB 1\""),
        // variables
        (
            "{{ @event_id }} {{ @correlation_id }} {{ @source }}",
            "evt-1 cor-1 kuma",
        ),
        ("{{ @rule }}", "rule r"),
        ("{{ @received_at }}", "2023-11-14T22:13:20Z"),
        ("{{ @received_at | date: '%Y' }}", "2023"),
        ("{{ @now | date: '%s' }}", "1800000000"),
    ] {
        let rendered = fields(json!({"x": template}), &payload);
        assert_eq!(rendered, json!({"x": expected}), "{template}");
    }
}

#[test]
fn faults_carry_the_offset() {
    for (template, code, offset) in [
        ("ab {{ x", FaultCode::TemplateSyntax, 3),
        ("{{ }}", FaultCode::TemplateSyntax, 3),
        ("{{ a[ }}", FaultCode::TemplateSyntax, 0),
        ("é {{ a..b[01] }}", FaultCode::PathSyntax, 12),
        ("{{ a | nope }}", FaultCode::UnknownFilter, 7),
        ("{{ a | }}", FaultCode::TemplateSyntax, 7),
        ("{{ a |  upper: 1 }}", FaultCode::FilterArgument, 8),
        ("{{ a | truncate }}", FaultCode::FilterArgument, 7),
        ("{{ a | truncate: 'x' }}", FaultCode::FilterArgument, 7),
        ("{{ a | truncate: x }}", FaultCode::TemplateSyntax, 17),
        ("{{ a | default: 'x' 'y' }}", FaultCode::TemplateSyntax, 20),
        ("{{ a | default: 'x }}", FaultCode::TemplateSyntax, 0),
        (r"{{ a | default: '\q' }}", FaultCode::TemplateSyntax, 17),
        ("{{ a | date: '%Q' }}", FaultCode::FilterArgument, 7),
        (
            "{{ a | date: '%Y', 'Berlin' }}",
            FaultCode::FilterArgument,
            7,
        ),
        ("{{ a | replace: '', 'x' }}", FaultCode::FilterArgument, 7),
        ("{{ @nope }}", FaultCode::UnknownVariable, 3),
        ("{{ 'a' b }}", FaultCode::TemplateSyntax, 6),
    ] {
        let fault = Template::parse(template).unwrap_err();
        assert_eq!(
            (fault.code, fault.offset),
            (code, Some(offset)),
            "{template}: {fault}"
        );
    }
}

#[test]
fn the_lists_of_names_are_complete() {
    for name in VARIABLES {
        Template::parse(&format!("{{{{ @{name} }}}}")).unwrap();
    }
    for name in FILTERS {
        let argument = match *name {
            "default" | "join" => ": 'x'",
            "truncate" => ": 3",
            "replace" => ": 'a', 'b'",
            "date" => ": '%Y'",
            _ => "",
        };
        Template::parse(&format!("{{{{ a | {name}{argument} }}}}")).unwrap();
    }
    let template = Template::parse("a {{ b.c }} {{ 'x' }}").unwrap();
    assert!(!template.is_constant());
    assert_eq!(
        template.paths().map(|p| p.as_str()).collect::<Vec<_>>(),
        ["b.c"]
    );
    assert!(Template::parse("abc").unwrap().is_constant());
}
