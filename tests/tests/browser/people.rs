//! People in the console: invited, with a second factor, in sessions that they end themselves.

use openapi::page::Page;
use openapi::people::{Invitation, Member, MemberPolicy};
use openapi::problem::Code;
use serde_json::{Value, json};
use tests::fakes::MailSink;
use tests::yaml::File;
use tests::{Options, phone, wait_until};

use crate::browser::{Person, with_person, with_person_on};

const ADA: &str = "ada@example.com";
const PASSWORD: &str = "seven purple ducks rehearse";

/// Seconds since 1970, for codes.
fn now() -> i64 {
    #[expect(clippy::disallowed_methods, reason = "codes go by the real time")]
    let now = chrono::Utc::now();
    now.timestamp()
}

async fn text(person: &Person, mark: &str) -> String {
    person.see(mark).await.text().await.unwrap()
}

async fn sign_out(person: &Person) {
    person.click("profile").await;
    person.click("sign-out").await;
    person.see("sign-in").await;
}

/// How many of a mark stand on the page.
async fn count(person: &Person, mark: &str) -> i64 {
    let script = format!("return document.querySelectorAll('[data-testid={mark}]').length;");
    person.script(&script).await.as_i64().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn browser_invites_somebody_who_sets_up_a_second_factor() {
    with_person(File::new(), async |person| {
        person.sign_in().await;
        person.open("/people").await;
        person.see("members").await;
        person.click("invite").await;
        person.fill("invite-email", ADA).await;
        person.choose("invite-role", "operator").await;
        person.click("invite-send").await;
        let link = text(&person, "invitation-link").await;
        let (_, path) = link.split_once("/invitation#").expect("a link");
        person
            .click_css("[data-testid=invited-dialog] [aria-label=Close]")
            .await;
        person.see_text("invitations", ADA).await;
        let open: Page<Invitation> = person.server.client().read("/api/v1/invitations").await;
        assert_eq!(open.items[0].email, ADA);
        sign_out(&person).await;

        person.open(&format!("/invitation#{path}")).await;
        person.see_text("invited-email", ADA).await;
        person.fill("join-name", "Ada").await;
        person.fill("join-password", "aaaaaaaaaaaa").await;
        person.see_text("strength", "Not yet").await;
        person.click("join").await;
        person.see("join-failed").await;
        person.fill("join-password", PASSWORD).await;
        person.see_text("strength", "Good").await;
        person.click("join").await;
        person.see("dashboard").await;

        person.open("/profile").await;
        person.click("factor-setup").await;
        let secret = text(&person, "factor-secret").await;
        person
            .fill("factor-code", &phone::code(&secret, now()))
            .await;
        person.click("factor-confirm").await;
        let recovery = text(&person, "recovery-code").await;
        assert_eq!(count(&person, "recovery-code").await, 10);
        person
            .click_css("[data-testid=codes-dialog] [aria-label=Close]")
            .await;
        person.see_text("codes-left", "10").await;
        let left = person
            .script("return document.documentElement.outerHTML;")
            .await;
        assert!(!left.as_str().unwrap().contains(&recovery), "shown once");
        sign_out(&person).await;

        person.fill("email", ADA).await;
        person.fill("password", PASSWORD).await;
        person.click("sign-in-submit").await;
        person.fill("code", "000000").await;
        person.click("code-submit").await;
        person.see("code-failed").await;
        // The code that confirmed it was used; the next one is good a little before its time.
        person.fill("code", &phone::code(&secret, now() + 30)).await;
        person.click("code-submit").await;
        // Where she was before.
        person.see("profile-page").await;

        // Somewhere else, by a recovery code; ended from here.
        let anonymous = person.server.anonymous();
        let body = json!({ "email": ADA, "password": PASSWORD });
        let half = anonymous.post("/api/v1/auth/login", &body).await;
        let elsewhere = anonymous.header("cookie", &half.cookie().unwrap());
        let body = json!({ "code": recovery });
        let answer = elsewhere.post("/api/v1/auth/second-factor", &body).await;
        answer.done();
        let elsewhere = person
            .server
            .anonymous()
            .header("cookie", &answer.cookie().unwrap());
        elsewhere.get("/api/v1/me").await.done();
        person.open("/profile").await;
        person.see("sessions").await;
        wait_until("two sessions", async || {
            (count(&person, "session").await == 2).then_some(())
        })
        .await;
        person.click("session-end").await;
        wait_until("one session", async || {
            (count(&person, "session").await == 1).then_some(())
        })
        .await;
        elsewhere
            .get("/api/v1/me")
            .await
            .problem(Code::Unauthenticated);
        person.no_faults().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn browser_asks_again_who_it_is_before_what_is_dangerous() {
    with_person(File::new(), async |person| {
        person.sign_in().await;
        // Half an hour later.
        let back = "UPDATE session SET created_at = created_at - 1800000, \
                    proved_at = proved_at - 1800000";
        person.server.store.run(back).await;
        person.open("/people").await;
        person.click("invite").await;
        person.fill("invite-email", ADA).await;
        person.click("invite-send").await;
        person.fill("proof-password", "wrong").await;
        person.click("proof-confirm").await;
        person.see_css("[data-testid=proof] [role=alert]").await;
        let password = person.server.credentials.admin.password.clone();
        person.fill("proof-password", &password).await;
        person.click("proof-confirm").await;
        // What was begun goes on by itself.
        person.see("invitation-link").await;
        person
            .click_css("[data-testid=invited-dialog] [aria-label=Close]")
            .await;
        person.click("invitation-revoke").await;
        wait_until("it is taken back", async || {
            let open: Page<Value> = person.server.client().read("/api/v1/invitations").await;
            open.items.is_empty().then_some(())
        })
        .await;
        // The last owner stays, and the console says why.
        person.choose("member-role", "viewer").await;
        person.see_text("toasts", "owner").await;
        let members: Page<Member> = person.server.client().read("/api/v1/members").await;
        assert_eq!(members.items[0].role, "owner");
        person.no_faults().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn browser_lets_somebody_register_who_is_approved() {
    let sink = MailSink::start().await;
    let options = sink.settings(Options::default());
    with_person_on(options, File::new(), async |person| {
        person.sign_in().await;
        person.open("/people").await;
        person.click("registration-enabled").await;
        person.fill("registration-domains", "example.com").await;
        person.choose("registration-role", "operator").await;
        person.click("registration-save").await;
        let client = person.server.client();
        wait_until("the policy is stored", async || {
            let policy: MemberPolicy = client.read("/api/v1/member-policy").await;
            policy.self_registration.enabled.then_some(())
        })
        .await;
        person.open("/mail").await;
        person.see_text("mail-page", "box@example.com").await;
        sign_out(&person).await;

        person.click("register-link").await;
        person.fill("register-email", ADA).await;
        person.click("register-send").await;
        person.see("register-sent").await;
        let mail = wait_until("the mail has come", async || {
            let all = sink.received();
            all.into_iter().find(|mail| mail.to == [ADA])
        })
        .await;
        let link = mail.link();
        let (_, token) = link.split_once('#').expect("a link");
        person.open(&format!("/register#{token}")).await;
        person.see_text("register-address", ADA).await;
        person.fill("register-name", "Ada").await;
        person.fill("register-password", PASSWORD).await;
        person.click("register").await;
        person.see("register-waits").await;

        person.sign_in().await;
        person.open("/people").await;
        person.see_text("registrations", ADA).await;
        person.click("registration-approve").await;
        let ada = wait_until("she is a member", async || {
            let all: Page<Member> = client.read("/api/v1/members").await;
            all.items.into_iter().find(|member| member.email == ADA)
        })
        .await;
        assert_eq!(ada.role, "operator");
        person.open("/mail").await;
        person.see_text("mails", "a…@example.com").await;
        person.no_faults().await;
    })
    .await;
}
