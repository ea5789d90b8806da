//! `ticket.upsert`: which ticket is made, noted, closed.

use api::connectors::connectwise::ConnectWise;
use api::connectors::{Connector as _, Link};
use serde_json::json;
use tests::fakes::FakeConnectWise;
use tests::fakes::connectwise::Options;

use super::*;

/// A tenant and a connector that speaks to it.
pub struct Desk {
    pub fake: FakeConnectWise,
    pub connector: ConnectWise,
    pub connection: Connection,
}

impl Desk {
    pub fn open() -> Self {
        Self::with(Options::default(), json!({}))
    }

    /// A tenant with these habits and a connection with these settings beside the usual ones.
    pub fn with(options: Options, settings: Value) -> Self {
        let fake = FakeConnectWise::start_with(0, options).unwrap();
        let mut all = json!({
            "base_url": fake.url, "company": "acme", "client_id": "00000000-0000-4000-8000-000000000000",
            "default_company": "DEF", "default_board": "Service Board",
        });
        for (name, value) in settings.as_object().unwrap() {
            all[name] = value.clone();
        }
        let keys = [("public_key", "public"), ("private_key", "private")];
        let connector = ConnectWise::new(egress(), clock());
        assert_eq!(connector.validate(&all, &["public_key", "private_key"]), []);
        Self {
            connection: connection("connectwise", all, &keys),
            connector,
            fake,
        }
    }

    pub async fn run(&self, job: &Job) -> Report {
        self.connector.execute(&self.connection, job).await
    }

    /// Runs a first attempt for this key and ledger entry, and tells both back.
    pub async fn step(
        &self,
        message: &str,
        action: Option<Action>,
        key: &str,
        link: &mut Option<Link>,
    ) -> Report {
        let report = self.run(&ticket(message, action, key, link.clone())).await;
        *link = super::link(&report, link.take());
        report
    }
}

pub fn ticket(message: &str, action: Option<Action>, key: &str, link: Option<Link>) -> Job {
    Job {
        key: Some(key.to_owned()),
        action,
        link,
        ..job(
            "ticket.upsert",
            message,
            &json!({"summary": format!("Alert: {key}"), "initialDescription": "down"}),
        )
    }
}

fn texts(desk: &Desk, ticket: i64) -> Vec<String> {
    let text = |note: &Value| note["text"].as_str().unwrap().to_owned();
    desk.fake.notes(ticket).iter().map(text).collect()
}

#[tokio::test]
async fn a_ticket_opens_is_noted_and_closes() {
    let desk = Desk::open();
    let mut link = None;
    let report = desk.step("m1", OPEN, "kuma:1", &mut link).await;
    assert_eq!(effect(&report), Effect::Created);
    assert_eq!(
        link,
        Some(Link {
            record_id: "1001".to_owned(),
            open: true
        })
    );
    assert_eq!(
        effect(&desk.step("m2", OPEN, "kuma:1", &mut link).await),
        Effect::Noted
    );
    assert_eq!(
        effect(&desk.step("m3", NOTE, "kuma:1", &mut link).await),
        Effect::Noted
    );
    assert_eq!(
        effect(&desk.step("m4", CLOSE, "kuma:1", &mut link).await),
        Effect::Closed
    );
    assert_eq!(link.as_ref().map(|link| link.open), Some(false));
    let tickets = desk.fake.tickets();
    assert_eq!(tickets.len(), 1);
    assert_eq!(tickets[0]["externalXRef"], "kuma:1");
    assert_eq!(tickets[0]["company"]["identifier"], "DEF");
    assert_eq!(tickets[0]["board"]["name"], "Service Board");
    assert_eq!(tickets[0]["closedFlag"], true);
    assert_eq!(tickets[0]["status"]["id"], 105);
    let texts = texts(&desk, 1001);
    assert_eq!(texts.len(), 4);
    assert!(
        texts[0].starts_with("down\n\n[Signalbox opened ") && texts[0].ends_with(" · corr-m1]"),
        "{}",
        texts[0]
    );
    assert_eq!(desk.fake.notes(1001)[3]["resolutionFlag"], true);
    // Closing and noting what is closed changes nothing.
    assert_eq!(
        effect(&desk.step("m5", CLOSE, "kuma:1", &mut link).await),
        Effect::None
    );
    assert_eq!(
        effect(&desk.step("m6", NOTE, "kuma:1", &mut link).await),
        Effect::None
    );
    assert_eq!(desk.fake.notes(1001).len(), 4);
    // What is closed is followed by a new one.
    assert_eq!(
        effect(&desk.step("m7", OPEN, "kuma:1", &mut link).await),
        Effect::Created
    );
    assert_eq!(link.unwrap().record_id, "1002");
}

#[tokio::test]
async fn without_a_ticket_there_is_nothing_to_close_or_note() {
    let desk = Desk::open();
    let mut link = None;
    assert_eq!(
        effect(&desk.step("m1", CLOSE, "kuma:1", &mut link).await),
        Effect::None
    );
    assert_eq!(
        effect(&desk.step("m2", NOTE, "kuma:1", &mut link).await),
        Effect::None
    );
    assert_eq!((desk.fake.tickets().len(), link), (0, None));
}

#[tokio::test]
async fn an_open_ticket_is_found_without_a_ledger() {
    let desk = Desk::open();
    desk.step("m1", OPEN, "kuma:1", &mut None).await;
    assert_eq!(
        effect(&desk.step("m2", OPEN, "kuma:1", &mut None).await),
        Effect::Noted
    );
    assert_eq!(
        effect(&desk.step("m3", CLOSE, "kuma:1", &mut None).await),
        Effect::Closed
    );
    assert_eq!(desk.fake.tickets().len(), 1);
}

#[tokio::test]
async fn a_ticket_that_is_gone_is_replaced() {
    let desk = Desk::open();
    let mut link = None;
    desk.step("m1", OPEN, "kuma:1", &mut link).await;
    desk.fake.delete_ticket(1001);
    let ghost = desk.step("m2", OPEN, "kuma:1", &mut link).await;
    assert!(ghost.is_ghost(), "{ghost:?}");
    assert_eq!(desk.fake.called("POST /service/tickets"), 1, "nothing yet");
    assert_eq!(
        effect(&desk.step("m2", OPEN, "kuma:1", &mut link).await),
        Effect::Created
    );
    assert_eq!(link.as_ref().unwrap().record_id, "1002");
    desk.fake.delete_ticket(1002);
    let ghost = desk.step("m3", CLOSE, "kuma:1", &mut link).await;
    assert!(ghost.is_ghost(), "{ghost:?}");
    assert_eq!(
        effect(&desk.step("m3", CLOSE, "kuma:1", &mut link).await),
        Effect::None
    );
    assert_eq!(link, None);
}

#[tokio::test]
async fn a_repeat_changes_what_is_mapped_for_it() {
    let desk = Desk::open();
    let mut link = None;
    let mut run = async |message: &str, more: &Value| {
        let mut job = ticket(message, OPEN, "kuma:1", link.clone());
        job.fields.extend(more.as_object().unwrap().clone());
        let report = desk.run(&job).await;
        link = super::link(&report, link.take());
        report
    };
    let patches = || desk.fake.called("PATCH /service/tickets/{id}");
    let raise = json!({ "on_repeat.priority": "Priority 1", "on_repeat.status": "In Progress" });
    assert_eq!(effect(&run("m1", &raise).await), Effect::Created);
    let made = &desk.fake.tickets()[0];
    assert_eq!(
        made["priority"]["name"], "Priority 3",
        "a new ticket is not a repeat: {made}"
    );

    // Both, unless it is said; what the ticket has already is not sent again.
    assert_eq!(effect(&run("m2", &raise).await), Effect::Updated);
    let changed = &desk.fake.tickets()[0];
    assert_eq!(changed["priority"]["name"], "Priority 1");
    assert_eq!(changed["status"]["name"], "In Progress");
    assert_eq!((texts(&desk, 1001).len(), patches()), (2, 1));
    assert_eq!(effect(&run("m3", &raise).await), Effect::Noted);
    assert_eq!((texts(&desk, 1001).len(), patches()), (3, 1));

    let mut alone = raise;
    alone["on_repeat"] = json!("update");
    assert_eq!(effect(&run("m4", &alone).await), Effect::None);
    alone["on_repeat.priority"] = json!("Priority 2");
    // One that is blank changes nothing.
    alone["on_repeat.status"] = json!(" ");
    assert_eq!(effect(&run("m5", &alone).await), Effect::Updated);
    assert_eq!(desk.fake.tickets()[0]["priority"]["name"], "Priority 2");
    assert_eq!(texts(&desk, 1001).len(), 3);
    alone["on_repeat"] = json!("note");
    alone["on_repeat.priority"] = json!("Priority 4");
    assert_eq!(effect(&run("m6", &alone).await), Effect::Noted);
    assert_eq!(desk.fake.tickets()[0]["priority"]["name"], "Priority 2");
    alone["on_repeat"] = json!("never");
    assert_eq!(code(&run("m7", &alone).await), "invalid_field");
}

#[tokio::test]
async fn a_census_tells_which_tickets_are_there() {
    let desk = Desk::with(Options::default(), json!({ "page_size": 25 }));
    for n in 0..120 {
        desk.step(&format!("m{n}"), OPEN, &format!("kuma:{n}"), &mut None)
            .await;
    }
    desk.fake.delete_ticket(1003);
    desk.fake.hide_tickets([1119]);
    let mut asked: Vec<String> = (1001..=1120).map(|id: i64| id.to_string()).collect();
    asked.push("another kind".to_owned());
    let census = desk.connector.census(&desk.connection, &asked).await;
    asked.retain(|id| id != "1003" && id != "1119");
    assert_eq!(census.there.unwrap(), asked.into_iter().collect());
    let other = Desk::with(Options::default(), json!({ "company": "other" }));
    let census = other
        .connector
        .census(&other.connection, &["1".to_owned()])
        .await;
    assert!(
        matches!(census.there, Err(Outcome::AuthFailed(_))),
        "{census:?}"
    );
}

#[tokio::test]
async fn a_ticket_that_a_person_closed_is_replaced() {
    let desk = Desk::open();
    let mut link = None;
    desk.step("m1", OPEN, "kuma:1", &mut link).await;
    desk.fake.set_status(1001, "Closed");
    assert_eq!(
        effect(&desk.step("m2", OPEN, "kuma:1", &mut link).await),
        Effect::Created
    );
    assert_eq!(desk.fake.tickets().len(), 2);
}

#[tokio::test]
async fn what_only_looks_alike_is_another_ticket() {
    // A tenant whose search finds too much must not lead to another's ticket.
    for sloppy in [false, true] {
        let desk = Desk::with(
            Options {
                sloppy,
                ..Options::default()
            },
            json!({}),
        );
        for key in [
            "web10",
            "web1",
            "WEB1",
            "a' or '1'='1",
            "a\" or \"1\"=\"1",
            "x%",
            "x",
        ] {
            let report = desk.step(key, OPEN, key, &mut None).await;
            assert_eq!(effect(&report), Effect::Created, "{key}");
        }
        assert_eq!(
            effect(&desk.step("m9", OPEN, "web1", &mut None).await),
            Effect::Noted
        );
        assert_eq!(texts(&desk, 1002).len(), 2);
        assert_eq!(texts(&desk, 1001).len(), 1);
    }
}

#[tokio::test]
async fn two_companies_never_share_a_ticket() {
    for sloppy in [false, true] {
        let desk = Desk::with(
            Options {
                sloppy,
                ..Options::default()
            },
            json!({}),
        );
        let of = |message: &str, company: &str, action, link: Option<Link>| {
            let mut job = ticket(message, action, "disk", link);
            job.fields.insert("company".to_owned(), company.into());
            job
        };
        let first = desk.run(&of("m1", "ACME", OPEN, None)).await;
        // The ledger knows keys, not companies: it points at the other customer's ticket.
        let wrong = super::link(&first, None);
        let second = desk.run(&of("m2", "GLOBEX", OPEN, wrong.clone())).await;
        assert_eq!(
            (effect(&first), effect(&second)),
            (Effect::Created, Effect::Created)
        );
        assert_eq!(
            effect(&desk.run(&of("m3", "globex", CLOSE, wrong)).await),
            Effect::Closed
        );
        let closed = |n: usize| desk.fake.tickets()[n]["closedFlag"] == true;
        assert!(!closed(0) && closed(1));
        assert_eq!(texts(&desk, 1001).len(), 1);
    }
}

#[tokio::test]
async fn long_summaries_and_keys_fit() {
    let desk = Desk::open();
    let key = "k".repeat(300);
    let mut job = ticket("m1", OPEN, &key, None);
    job.fields
        .insert("summary".to_owned(), "ä".repeat(150).into());
    assert_eq!(effect(&desk.run(&job).await), Effect::Created);
    let made = &desk.fake.tickets()[0];
    assert_eq!(made["summary"].as_str().unwrap().chars().count(), 100);
    assert!(made["summary"].as_str().unwrap().ends_with('…'));
    assert_eq!(made["externalXRef"].as_str().unwrap().len(), 43);
    assert_eq!(
        effect(&desk.step("m2", OPEN, &key, &mut None).await),
        Effect::Noted
    );
    let other = format!("{key}2");
    assert_eq!(
        effect(&desk.step("m3", OPEN, &other, &mut None).await),
        Effect::Created
    );
}

#[tokio::test]
async fn fields_reach_the_ticket() {
    let desk = Desk::open();
    let mut job = ticket("m1", OPEN, "k", None);
    let fields = json!({
        "summary": "s", "board": "Projects Board", "status": "In Progress", "type": "Incident", "subType": "Server",
        "item": "Hardware", "priority": "Priority 1", "company": {"id": 3}, "severity": "High", "impact": "Low",
        "owner": "jdoe", "source": "Monitor", "contact": 12, "site": "", "customFields.Serial": "X1",
        "budgetHours": 2.5, "initialInternalAnalysis": "internal",
    });
    job.fields = fields.as_object().unwrap().clone();
    assert_eq!(effect(&desk.run(&job).await), Effect::Created);
    let made = &desk.fake.tickets()[0];
    for (pointer, value) in [
        ("/board/id", json!(2)),
        ("/status/name", json!("In Progress")),
        ("/type/name", json!("Incident")),
        ("/priority/id", json!(1)),
        ("/company/identifier", json!("GLOBEX")),
        ("/owner/identifier", json!("jdoe")),
        ("/contact/id", json!(12)),
        ("/budgetHours", json!(2.5)),
        ("/customFields/0/caption", json!("Serial")),
    ] {
        assert_eq!(made.pointer(pointer), Some(&value), "{pointer}");
    }
    assert_eq!(made.get("site"), None);
    assert!(texts(&desk, 1001)[0].starts_with("internal\n\n[Signalbox opened "));
}

#[tokio::test]
async fn the_closing_status_is_one_of_the_tickets_own_board() {
    let on = |board: &str, message: &str, action| {
        let mut job = ticket(message, action, board, None);
        job.fields.insert("board".to_owned(), board.into());
        job
    };
    // Without a name: the board's first status that closes.
    let desk = Desk::open();
    desk.run(&on("Projects Board", "m1", OPEN)).await;
    assert_eq!(
        effect(&desk.run(&on("Projects Board", "m2", CLOSE)).await),
        Effect::Closed
    );
    assert_eq!(desk.fake.tickets()[0]["status"]["id"], 206);
    // A name that only sounds like it is refused before anything is changed.
    let desk = Desk::with(Options::default(), json!({"close_status": "Closed"}));
    desk.run(&on("Projects Board", "m1", OPEN)).await;
    let report = desk.run(&on("Projects Board", "m2", CLOSE)).await;
    assert_eq!(
        (report.outcome.word(), code(&report)),
        ("permanent", "status_does_not_close")
    );
    desk.run(&on("Board 07", "m3", OPEN)).await;
    assert_eq!(
        effect(&desk.run(&on("Board 07", "m4", CLOSE)).await),
        Effect::Closed
    );
    assert_eq!(desk.fake.tickets()[1]["status"]["id"], 705);
    // Unless a person is to close later.
    let desk = Desk::with(
        Options::default(),
        json!({"close_status": "completed", "require_closed": false}),
    );
    let mut link = None;
    desk.step("m1", OPEN, "k", &mut link).await;
    assert_eq!(
        effect(&desk.step("m2", CLOSE, "k", &mut link).await),
        Effect::Closed
    );
    assert_eq!(desk.fake.tickets()[0]["status"]["name"], "Completed");
    assert!(link.unwrap().open);
}

#[tokio::test]
async fn a_change_that_is_not_honoured_is_noticed() {
    let deaf = || Options {
        deaf: true,
        ..Options::default()
    };
    let desk = Desk::with(deaf(), json!({"patch_style": "id"}));
    desk.step("m1", OPEN, "k", &mut None).await;
    let report = desk.step("m2", CLOSE, "k", &mut None).await;
    assert_eq!(
        (report.outcome.word(), code(&report)),
        ("permanent", "not_closed")
    );
    let desk = Desk::with(deaf(), json!({}));
    desk.step("m1", OPEN, "k", &mut None).await;
    assert_eq!(
        effect(&desk.step("m2", CLOSE, "k", &mut None).await),
        Effect::Closed
    );
}

#[tokio::test]
async fn a_plan_shows_what_is_sent_and_sends_nothing() {
    let desk = Desk::open();
    for (action, methods) in [
        (OPEN, "GET POST POST"),
        (NOTE, "GET POST"),
        (CLOSE, "GET POST PATCH"),
    ] {
        let plan = desk
            .connector
            .plan(&desk.connection, &ticket("m1", action, "k", None));
        let seen: Vec<&str> = plan.iter().map(|request| request.method.as_str()).collect();
        assert_eq!(seen.join(" "), methods);
        assert!(!format!("{plan:?}").contains("private"));
    }
    let plan = desk
        .connector
        .plan(&desk.connection, &ticket("m1", OPEN, "k", None));
    let body = plan[2].body.clone().unwrap();
    assert!(desk.fake.calls().is_empty());
    desk.step("m1", OPEN, "k", &mut None).await;
    let made = &desk.fake.tickets()[0];
    assert_eq!(
        (&body["summary"], &body["externalXRef"]),
        (&made["summary"], &made["externalXRef"])
    );
}
