//! What waits for a connection, as the console shows and discards it.

use openapi::connections::{Connection, Waiting};
use openapi::deliveries::{Delivery, State};
use openapi::page::Page;
use serde_json::json;
use tests::wait_until;
use tests::yaml::{File, copy_to};

use crate::browser::{Person, with_person};

/// More than are discarded without a job.
const MANY: usize = 25;
/// So few that they are discarded at once.
const FEW: usize = 3;

/// Sends so many, and waits until none of them is held by the server any more; returns the page of
/// their connection.
async fn let_wait(person: &Person, count: usize) -> String {
    for n in 0..count {
        let event = json!({ "msg": format!("event {n}") });
        person.server.anonymous().hook("a", &event).await;
    }
    let connections: Page<Connection> = person.server.client().read("/api/v1/connections").await;
    let page = format!("/connections/{}", connections.items[0].id);
    wait_until("all of them wait", async || {
        (in_state(person, State::Ready).await == count).then_some(())
    })
    .await;
    page
}

async fn in_state(person: &Person, state: State) -> usize {
    let path = format!(
        "/api/v1/deliveries?connection=desk&state={}&limit=200",
        state.as_str()
    );
    let page: Page<Delivery> = person.server.client().read(&path).await;
    page.items.len()
}

/// Waits until the card shows that nothing is left to be discarded.
async fn nothing_shown(person: &Person) {
    let gone = "return document.querySelector('[data-testid=waiting]') !== null \
                && document.querySelector('[data-testid=discard-waiting]') === null;";
    wait_until("the page shows that nothing waits", async || {
        (person.script(gone).await == true).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn browser_discards_what_waits_for_a_connection() {
    // What goes to a connection that is switched off waits.
    let file = File::new()
        .connection("desk", "sandbox", json!({ "enabled": false }))
        .source("a")
        .rule("all", json!([]), json!([copy_to("desk")]));
    with_person(file, async |person| {
        let page = let_wait(&person, FEW).await;
        person.sign_in().await;
        person.open(&page).await;
        person.see_text("waiting-ready", "3").await;
        person.click("discard-waiting").await;
        person.see_text("confirm", "will not be sent").await;
        person.click("confirm-no").await;
        assert_eq!(in_state(&person, State::Ready).await, FEW);
        person.click("discard-waiting").await;
        person.click("confirm-yes").await;
        person.see_text("toast-good", "3 done.").await;
        nothing_shown(&person).await;
        assert_eq!(in_state(&person, State::Discarded).await, FEW);

        // Many become a job, whose progress has a page of its own.
        let_wait(&person, MANY).await;
        person.open(&page).await;
        person.see_text("waiting-ready", "25").await;
        person.click("discard-waiting").await;
        person.click("confirm-yes").await;
        person
            .see_text("toast-good", "A job was started for 25.")
            .await;
        nothing_shown(&person).await;
        person.click("nav-jobs").await;
        person
            .see_text("job", "Discard of what waits for a connection")
            .await;
        person.see_text("job-progress", "25 of 25").await;
        person.see_text("job-state", "done").await;
        let path = format!("/api/v1{page}/waiting");
        let left: Waiting = person.server.client().read(&path).await;
        assert_eq!(left.oldest_at, None);
        assert_eq!(in_state(&person, State::Discarded).await, FEW + MANY);
        person.no_faults().await;
    })
    .await;
}
