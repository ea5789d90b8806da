//! Sample payloads, in the form that well-known senders use.

use serde_json::{Value, json};

/// Names of the samples; the first is sent when nothing is chosen.
pub const SAMPLES: &[&str] = &[
    "uptime-kuma-down",
    "uptime-kuma-up",
    "alertmanager",
    "grafana",
    "github",
];

/// The sample of this name.
pub fn sample(name: &str) -> Option<Value> {
    match name {
        "uptime-kuma-down" => Some(kuma(0, "connect ECONNREFUSED 192.0.2.10:443")),
        "uptime-kuma-up" => Some(kuma(1, "200 - OK")),
        "alertmanager" => Some(alertmanager()),
        "grafana" => Some(grafana()),
        "github" => Some(github()),
        _ => None,
    }
}

fn kuma(status: u8, message: &str) -> Value {
    let word = if status == 0 { "🔴 Down" } else { "✅ Up" };
    json!({
        "heartbeat": {
            "monitorID": 7, "status": status, "time": "2026-01-01 12:00:00.000",
            "msg": message, "important": true, "duration": 60, "timezone": "UTC"
        },
        "monitor": {
            "id": 7, "name": "Sample web shop", "url": "https://shop.example.com",
            "type": "http", "weight": 2000, "interval": 60,
            "tags": [{"tag_id": 1, "monitor_id": 7, "value": "", "name": "prod", "color": "#DC2626"}]
        },
        "msg": format!("[Sample web shop] [{word}] {message}")
    })
}

fn alertmanager() -> Value {
    let alert = |instance: &str, fingerprint: &str| {
        json!({
            "status": "firing",
            "labels": {"alertname": "InstanceDown", "instance": instance, "severity": "critical"},
            "annotations": {"summary": format!("{instance} does not answer")},
            "startsAt": "2026-01-01T12:00:00Z", "endsAt": "0001-01-01T00:00:00Z",
            "generatorURL": "https://prometheus.example.com/graph", "fingerprint": fingerprint
        })
    };
    json!({
        "version": "4", "groupKey": "{}:{alertname=\"InstanceDown\"}", "truncatedAlerts": 0,
        "status": "firing", "receiver": "signalbox",
        "groupLabels": {"alertname": "InstanceDown"},
        "commonLabels": {"alertname": "InstanceDown", "severity": "critical"},
        "commonAnnotations": {}, "externalURL": "https://alertmanager.example.com",
        "alerts": [alert("web-1:9100", "5b1c9f2e7a3d4c60"), alert("web-2:9100", "5b1c9f2e7a3d4c61")]
    })
}

fn grafana() -> Value {
    json!({
        "receiver": "signalbox", "status": "firing", "orgId": 1,
        "alerts": [{
            "status": "firing",
            "labels": {"alertname": "High memory use", "instance": "web-1", "severity": "critical"},
            "annotations": {"summary": "Memory use of web-1 is above 90 %"},
            "startsAt": "2026-01-01T12:00:00Z", "endsAt": "0001-01-01T00:00:00Z",
            "values": {"B": 93.5}, "fingerprint": "57c6d9296de2ad39",
            "generatorURL": "https://grafana.example.com/alerting/sample/view"
        }],
        "groupLabels": {"alertname": "High memory use"},
        "commonLabels": {"alertname": "High memory use", "severity": "critical"},
        "commonAnnotations": {"summary": "Memory use of web-1 is above 90 %"},
        "externalURL": "https://grafana.example.com/", "version": "1",
        "groupKey": "{}:{alertname=\"High memory use\"}", "truncatedAlerts": 0,
        "title": "[FIRING:1] High memory use (critical)", "state": "alerting",
        "message": "Memory use of web-1 is above 90 %"
    })
}

fn github() -> Value {
    json!({
        "action": "opened",
        "issue": {
            "number": 42, "title": "Sample: the export stops half way", "state": "open",
            "html_url": "https://github.com/example/shop/issues/42",
            "body": "Exporting more than 1,000 orders stops half way.",
            "user": {"login": "octocat"}, "labels": [{"name": "bug"}]
        },
        "repository": {"full_name": "example/shop", "html_url": "https://github.com/example/shop"},
        "sender": {"login": "octocat"}
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_has_its_sample() {
        for name in SAMPLES {
            assert!(sample(name).is_some_and(|s| s.is_object()), "{name}");
        }
        assert_eq!(sample("none"), None);
    }
}
