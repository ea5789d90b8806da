//! The lists of a tenant: all pages, read once, never stale after a change of the connection.

use std::collections::BTreeMap;

use api::connectors::Connector as _;
use serde_json::json;
use tests::fakes::Fault;
use tests::fakes::connectwise::Options;

use super::connectwise::Desk;

fn board(name: &str) -> BTreeMap<String, String> {
    BTreeMap::from([("board".to_owned(), name.to_owned())])
}

#[tokio::test]
async fn lists_are_read_to_their_end() {
    for (page_size, no_links) in [
        (1000, false),
        (25, false),
        (7, false),
        (25, true),
        (7, true),
        (30, true),
        (1, false),
    ] {
        let desk = Desk::with(
            Options {
                no_links,
                ..Options::default()
            },
            json!({"page_size": page_size}),
        );
        for (list, filter, count) in [
            ("boards", BTreeMap::new(), 30),
            ("priorities", BTreeMap::new(), 30),
            ("companies", BTreeMap::new(), 60),
            ("statuses", board("Projects Board"), 6),
            ("types", board("Board 29"), 3),
            ("subtypes", board("30"), 3),
            ("items", board("service board"), 2),
        ] {
            let items = desk
                .connector
                .metadata(&desk.connection, list, &filter)
                .await
                .unwrap();
            assert_eq!(items.len(), count, "{list} {page_size} {no_links}");
        }
    }
}

#[tokio::test]
async fn a_list_is_read_once_for_a_revision() {
    let mut desk = Desk::open();
    let board = board("Board 12");
    let ask = || {
        desk.connector
            .metadata(&desk.connection, "statuses", &board)
    };
    let (a, b, c) = tokio::join!(ask(), ask(), ask());
    assert!(a.is_ok() && b.is_ok() && c.is_ok());
    assert_eq!(desk.fake.called("GET /service/boards/{id}/statuses"), 1);
    let boards = desk.fake.called("GET /service/boards");
    assert!(ask().await.is_ok());
    assert_eq!(desk.fake.called("GET /service/boards"), boards);
    desk.connection.revision += 1;
    let again = desk
        .connector
        .metadata(&desk.connection, "statuses", &board)
        .await;
    assert!(again.is_ok());
    assert_eq!(desk.fake.called("GET /service/boards/{id}/statuses"), 2);
}

#[tokio::test]
async fn a_failed_read_is_not_kept() {
    let desk = Desk::open();
    let none = BTreeMap::new();
    desk.fake
        .fault(Fault::status(500).on("GET", "/service/boards"));
    let fault = desk
        .connector
        .metadata(&desk.connection, "boards", &none)
        .await
        .unwrap_err();
    assert_eq!(fault.code, "http_500");
    assert!(
        desk.connector
            .metadata(&desk.connection, "boards", &none)
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn unknown_lists_and_boards_are_refused() {
    let desk = Desk::open();
    for (list, filter, code) in [
        ("flowers", BTreeMap::new(), "unknown_list"),
        ("statuses", BTreeMap::new(), "missing_filter"),
        ("statuses", board("nowhere"), "unknown_board"),
    ] {
        let fault = desk
            .connector
            .metadata(&desk.connection, list, &filter)
            .await
            .unwrap_err();
        assert_eq!(fault.code, code, "{list}");
    }
}

#[tokio::test]
async fn a_test_needs_more_than_an_open_door() {
    let mut desk = Desk::open();
    let test = desk.connector.test(&desk.connection).await;
    assert!(test.ok, "{test:?}");
    // `/system/info` answers anybody: only the second call tells.
    desk.connection
        .secrets
        .insert("public_key".to_owned(), api::secrets::Secret::new("other"));
    let test = desk.connector.test(&desk.connection).await;
    assert_eq!((test.ok, test.code.as_deref()), (false, Some("http_401")));
}
