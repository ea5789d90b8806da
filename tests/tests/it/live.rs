//! The live stream.

use openapi::deliveries::State;
use openapi::stream::Message;
use serde_json::json;
use tests::stream::Stream;
use tests::yaml::{File, copy_to};
use tests::{Client, Server, both};
use uuid::Uuid;

use crate::support::delivered;

fn is_event(message: &Message, id: Uuid) -> bool {
    matches!(message, Message::Event(event) if event.id == id)
}

async fn send(client: &Client, text: &str) -> Uuid {
    client.hook("a", &json!({ "msg": text })).await.event_ids[0]
}

both! {
    async fn a_watcher_sees_what_happens_and_goes_on_where_it_stopped(db) {
        let server = Server::start(db).await;
        let file = File::new().sandbox("box", json!({})).source("a").rule("r", json!([]), json!([copy_to("box")]));
        server.apply(&file.text()).await;
        let (client, anonymous) = (server.client(), server.anonymous());
        let mut stream = Stream::open(&client, None).await;
        let first = send(&anonymous, "first").await;
        let seen = stream.find(|m| is_event(m, first)).await;
        let Message::Event(event) = &seen.message else { unreachable!() };
        assert_eq!((event.title.as_str(), event.source.as_str()), ("first", "a"));
        assert_eq!(event.rules, ["r"]);
        let place = stream.find(|m| matches!(m, Message::Delivery(d) if d.event_id == first && d.state == State::Delivered)).await;
        drop(stream);

        let second = send(&anonymous, "second").await;
        delivered(&client, second).await;
        let mut again = Stream::open(&client, Some(&place.id)).await;
        let next = again.find(|m| matches!(m, Message::Event(_))).await;
        assert!(is_event(&next.message, second), "{next:?}");
        anonymous.call(reqwest::Method::POST, "/hooks/a").body("{").send().await.problem(openapi::problem::Code::MalformedBody);
        let refused = again.find(|m| matches!(m, Message::Refusal(_))).await;
        let Message::Refusal(refusal) = &refused.message else { unreachable!() };
        assert_eq!((refusal.status, refusal.reason.as_str()), (400, "malformed_body"));

        server.restart().await;
        let mut after = Stream::open(&client, Some(&refused.id)).await;
        assert_eq!(after.next().await.message, Message::Reset, "a place of an earlier process is unknown");
        let third = send(&anonymous, "third").await;
        after.find(|m| is_event(m, third)).await;
    }

    async fn a_watcher_of_another_workspace_sees_nothing(db) {
        let server = Server::start(db).await;
        let session = server.session().await;
        session.post("/api/v1/workspaces", &json!({ "slug": "other", "name": "Other" })).await.done();
        server.apply(&File::new().source("a").text()).await;
        let there = session.clone().workspace("other");
        let mut stream = Stream::open(&there, None).await;
        let here = send(&server.anonymous(), "secret").await;
        let new = json!({ "name": "a", "slug": "a", "auth": { "type": "none" } });
        there.post("/api/v1/sources", &new).await.done();
        let theirs: openapi::sources::Accepted = there.post("/hooks/other/a", &json!({ "msg": "theirs" })).await.ok();
        let seen = stream.find(|m| matches!(m, Message::Event(_))).await;
        assert!(is_event(&seen.message, theirs.event_ids[0]) && !is_event(&seen.message, here));
    }
}
