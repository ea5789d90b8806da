//! The fake tenant against the vendor's own description, where that is at hand.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};
use tests::fakes::FakeConnectWise;

/// The description, or nothing where it is not at hand, which is said.
fn description() -> Option<(Value, Value)> {
    let Some(folder) = std::env::var_os("SIGNALBOX_VENDOR_DIR").map(PathBuf::from) else {
        eprintln!("not run: SIGNALBOX_VENDOR_DIR does not name a folder with vendor documents");
        return None;
    };
    let packed = folder.join("connectwise/manage-get-subset-openapi.json.xz");
    let unpacked = Command::new("xz").arg("-dc").arg(&packed).output();
    let read = match unpacked {
        Ok(output) if output.status.success() => output.stdout,
        _ => {
            eprintln!("not run: {} cannot be unpacked", packed.display());
            return None;
        }
    };
    let writes = std::fs::read(folder.join("connectwise/write-operations.json")).unwrap();
    Some((
        serde_json::from_slice(&read).unwrap(),
        serde_json::from_slice(&writes).unwrap(),
    ))
}

fn names(schema: &Value) -> BTreeSet<&str> {
    schema["properties"]
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect()
}

/// The members of a row that the schema does not have.
fn strangers(row: &Value, schema: &Value) -> Vec<String> {
    let known = names(schema);
    let members = row.as_object().unwrap();
    members
        .keys()
        .filter(|name| !known.contains(name.as_str()))
        .cloned()
        .collect()
}

#[tokio::test]
async fn the_fake_speaks_the_vendors_names() {
    let Some((reads, writes)) = description() else {
        return;
    };
    let fake = FakeConnectWise::start().await.unwrap();
    let client = api::egress::Egress::new(api::egress::EgressOptions::default()).unwrap();
    let call = async |method: &str, path: &str, body: Value| {
        use base64::Engine as _;
        let keys = base64::engine::general_purpose::STANDARD.encode("acme+public:private");
        let headers = [
            ("authorization", format!("Basic {keys}")),
            ("clientid", "x".to_owned()),
        ];
        let answer = client
            .send(api::egress::Request {
                method: method.parse().unwrap(),
                url: format!("{}{path}", fake.url).parse().unwrap(),
                headers: headers
                    .iter()
                    .map(|(n, v)| (n.parse().unwrap(), v.parse().unwrap()))
                    .collect(),
                body: if body.is_null() {
                    bytes::Bytes::new()
                } else {
                    body.to_string().into()
                },
                timeout: None,
                allow_private: true,
            })
            .await
            .unwrap();
        (
            answer.status,
            serde_json::from_slice::<Value>(&answer.body).unwrap(),
        )
    };
    let schema = |name: &str| &reads["components"]["schemas"][name];
    for (path, documented, name) in [
        ("/service/boards", "/service/boards", "Board"),
        (
            "/service/boards/1/statuses",
            "/service/boards/{parentId}/statuses",
            "BoardStatus",
        ),
        (
            "/service/boards/1/types",
            "/service/boards/{parentId}/types",
            "BoardType",
        ),
        (
            "/service/boards/1/subtypes",
            "/service/boards/{parentId}/subtypes",
            "BoardSubType",
        ),
        (
            "/service/boards/1/items",
            "/service/boards/{parentId}/items",
            "BoardItem",
        ),
        ("/service/priorities", "/service/priorities", "Priority"),
        ("/company/companies", "/company/companies", "Company"),
    ] {
        assert!(reads["paths"].get(documented).is_some(), "{documented}");
        let (status, rows) = call("GET", path, Value::Null).await;
        assert_eq!(status, 200);
        assert_eq!(
            strangers(&rows[0], schema(name)),
            Vec::<String>::new(),
            "{path}"
        );
    }
    let sent = json!({
        "summary": "s", "recordType": "ServiceTicket", "board": {"name": "Service Board"}, "company": {"identifier": "DEF"},
        "externalXRef": "k", "initialDescription": "d", "initialInternalAnalysis": "i", "severity": "Low", "impact": "Low",
    });
    assert_eq!(strangers(&sent, schema("Ticket")), Vec::<String>::new());
    let (status, made) = call("POST", "/service/tickets", sent).await;
    assert_eq!(status, 201);
    assert_eq!(strangers(&made, schema("Ticket")), Vec::<String>::new());
    assert!(made.get("initialDescription").is_none());
    let note = json!({"text": "t", "detailDescriptionFlag": true, "internalAnalysisFlag": false, "resolutionFlag": false});
    let (status, made) = call("POST", "/service/tickets/1001/notes", note).await;
    assert_eq!(status, 201);
    assert_eq!(
        strangers(&made, schema("ServiceNote")),
        Vec::<String>::new()
    );
    let change = json!([{"op": "replace", "path": "status", "value": {"id": 105}}]);
    assert_eq!(call("PATCH", "/service/tickets/1001", change).await.0, 200);
    for (method, path, status) in [
        ("POST", "/service/tickets", 201),
        ("PATCH", "/service/tickets/{id}", 200),
        ("POST", "/service/tickets/{parentId}/notes", 201),
    ] {
        let operations = writes["operations"].as_array().unwrap();
        let found = operations
            .iter()
            .find(|o| o["method"] == method && o["path"] == path);
        assert_eq!(
            found.map(|o| &o["success_status"]),
            Some(&json!(status)),
            "{method} {path}"
        );
    }
}
