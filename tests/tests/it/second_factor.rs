//! The second factor: set up, asked for, used once, replaced by recovery codes, required.

use openapi::account::{NewSecondFactor, Profile, RecoveryCodes};
use openapi::audit::AuditEntry;
use openapi::auth::{Session, WhoAmI};
use openapi::people::MemberPolicy;
use openapi::problem::Code;
use serde_json::json;
use tests::{Answer, Client, Server, both, phone, wait_until};

use crate::clocks::Hand;
use crate::support::{all, now};

/// A server whose clock is turned, and the app of its admin.
struct House {
    server: Server,
    hand: Hand,
    ahead: i64,
}

impl House {
    async fn make(db: tests::Database) -> Self {
        let hand = Hand::new();
        let server = Server::start_with(db, hand.options()).await;
        Self {
            server,
            hand,
            ahead: 0,
        }
    }

    /// The code of the app now, by the server's clock.
    fn code(&self, secret: &str) -> String {
        phone::code(secret, now() + self.ahead)
    }

    /// Lets a minute pass, so that the app shows another code.
    async fn a_minute_later(&mut self) {
        let client = self.server.client();
        self.ahead += 60;
        self.hand.turn(self.ahead * 1000);
        let wanted = now() + self.ahead - 5;
        wait_until("the clock is turned", async || {
            let me: WhoAmI = client.read("/api/v1/debug/whoami").await;
            (me.server_time.timestamp() >= wanted).then_some(())
        })
        .await;
    }

    async fn password(&self) -> Answer {
        let admin = &self.server.credentials.admin;
        let body = json!({ "email": admin.email, "password": admin.password });
        self.server
            .anonymous()
            .post("/api/v1/auth/login", &body)
            .await
    }

    /// The first step: whoever may do the second.
    async fn half(&self) -> Client {
        let answer = self.password().await;
        let cookie = answer.cookie().unwrap();
        answer.problem(Code::SecondFactorRequired);
        assert!(cookie.starts_with("signalbox_sign_in="), "{cookie}");
        self.server.anonymous().header("cookie", &cookie)
    }

    fn entered(&self, answer: &Answer) -> Client {
        let session: Session = answer.ok();
        self.server
            .anonymous()
            .header("cookie", &answer.cookie().unwrap())
            .header("x-csrf-token", &session.csrf_token)
    }

    /// Sets the app up; returns its secret, the recovery codes and the session that goes on.
    async fn set_up(&self, person: &Client) -> (String, Vec<String>, Client) {
        let answer = person.post("/api/v1/me/second-factor", &json!({})).await;
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        let made: NewSecondFactor = answer.ok();
        assert!(made.uri.contains(&made.secret) && made.qr_svg.starts_with("<svg "));
        let body = json!({ "code": self.code(&made.secret) });
        let answer = person.post("/api/v1/me/second-factor/confirm", &body).await;
        let codes: RecoveryCodes = answer.ok();
        let on = self
            .server
            .anonymous()
            .header("cookie", &answer.cookie().unwrap())
            .header("x-csrf-token", &codes.csrf_token);
        (made.secret, codes.codes, on)
    }
}

async fn second(half: &Client, code: &str) -> Answer {
    half.post("/api/v1/auth/second-factor", &json!({ "code": code }))
        .await
}

both! {
    async fn a_code_is_asked_for_and_works_once(db) {
        let mut house = House::make(db).await;
        let admin = house.server.session().await;
        let elsewhere = house.server.session().await;
        // Set up, but not confirmed: nothing is asked for yet.
        let first: NewSecondFactor = admin.post("/api/v1/me/second-factor", &json!({})).await.ok();
        admin.post("/api/v1/me/second-factor/confirm", &json!({ "code": "000000" })).await.problem(Code::CodeInvalid);
        house.password().await.done();
        let (secret, codes, admin) = house.set_up(&admin).await;
        assert_ne!(first.secret, secret, "a new secret each time");
        assert_eq!(codes.len(), 10);
        elsewhere.get("/api/v1/me").await.problem(Code::Unauthenticated);
        admin.post("/api/v1/me/second-factor", &json!({})).await.problem(Code::Conflict);
        let profile: Profile = admin.read("/api/v1/me").await;
        assert!(profile.second_factor_since.is_some() && profile.recovery_codes_left == 10);

        // The password alone opens nothing, and the half way opens nothing but the second step.
        let half = house.half().await;
        half.get("/api/v1/me").await.problem(Code::Unauthenticated);
        half.get("/api/v1/events").await.problem(Code::Unauthenticated);
        house.server.anonymous().post("/api/v1/auth/second-factor", &json!({ "code": "000000" })).await.problem(Code::Unauthenticated);
        // The code that confirmed it was used.
        second(&half, &house.code(&secret)).await.problem(Code::CodeInvalid);
        house.a_minute_later().await;
        let code = house.code(&secret);
        let answer = second(&half, &code).await;
        let signed_in = house.entered(&answer);
        signed_in.get("/api/v1/events").await.done();
        // Neither the code nor the first step is good again.
        second(&half, &code).await.problem(Code::Unauthenticated);
        let again = house.half().await;
        second(&again, &code).await.problem(Code::CodeInvalid);
        // Of two who send the same code at once, one is let in.
        house.a_minute_later().await;
        let code = house.code(&secret);
        let other = house.half().await;
        let (a, b) = tokio::join!(second(&again, &code), second(&other, &code));
        let let_in = [&a, &b].iter().filter(|answer| answer.status.is_success()).count();
        assert_eq!(let_in, 1, "{} {}", a.text(), b.text());
        // A code confirms as well as a password.
        house.a_minute_later().await;
        let body = json!({ "code": house.code(&secret) });
        let answer = signed_in.post("/api/v1/auth/confirm", &body).await;
        let signed_in = house.entered(&answer);
        signed_in.post("/api/v1/auth/confirm", &body).await.problem(Code::CodeInvalid);

        let lines: Vec<AuditEntry> = all(&house.server.client(), "/api/v1/audit?action=sign_in").await;
        assert_eq!((&lines[0].after["by"], &lines[0].after["code"]), (&json!("second_factor"), &json!("app")));
        // Neither the secret nor a code lies anywhere in clear.
        let dump = house.server.store.dump().await;
        for hidden in codes.iter().chain([&secret]) {
            assert!(!dump.contains(hidden) && !house.server.log().contains(hidden));
        }
        assert!(dump.contains("sealed_secret.owner_kind: user"));
    }

    async fn a_recovery_code_stands_in_once(db) {
        let house = House::make(db).await;
        let admin = house.server.session().await;
        let (_, codes, admin) = house.set_up(&admin).await;
        let typed = codes[3].replace('-', " ").to_uppercase();
        let answer = second(&house.half().await, &typed).await;
        house.entered(&answer).get("/api/v1/events").await.done();
        second(&house.half().await, &codes[3]).await.problem(Code::CodeInvalid);
        let profile: Profile = admin.read("/api/v1/me").await;
        assert_eq!(profile.recovery_codes_left, 9);
        let newer: RecoveryCodes = admin.post("/api/v1/me/second-factor/recovery-codes", &json!({})).await.ok();
        second(&house.half().await, &codes[4]).await.problem(Code::CodeInvalid);
        second(&house.half().await, &newer.codes[0]).await.done();
        let lines: Vec<AuditEntry> = all(&admin, "/api/v1/audit?action=sign_in").await;
        assert_eq!(lines[0].after["code"], json!("recovery"));
        // A new password does not switch it off.
        let email = &house.server.credentials.admin.email;
        let link = house.server.cli(&["users", "reset-password", email, "--link"]).await;
        let link = String::from_utf8(link.stdout).unwrap();
        let (_, token) = link.trim().split_once('#').unwrap();
        let body = json!({ "token": token, "password": "seven purple ducks rehearse" });
        house.server.anonymous().post("/api/v1/auth/password-reset/accept", &body).await.done();
        let body = json!({ "email": email, "password": "seven purple ducks rehearse" });
        house.server.anonymous().post("/api/v1/auth/login", &body).await.problem(Code::SecondFactorRequired);
        // The command line does, for who has lost everything.
        assert!(house.server.cli(&["users", "reset-second-factor", email]).await.status.success());
        house.server.anonymous().post("/api/v1/auth/login", &body).await.done();
        assert!(!house.server.store.dump().await.contains("sealed_secret.owner_kind: user"));
    }

    async fn codes_are_not_guessed(db) {
        let house = House::make(db).await;
        let admin = house.server.session().await;
        let (_, codes, _) = house.set_up(&admin).await;
        let half = house.half().await;
        for _ in 0..10 {
            second(&half, "000000").await.problem(Code::CodeInvalid);
        }
        // Not even the right one is looked at now, on whatever way.
        let answer = second(&half, &codes[0]).await;
        assert!(answer.header("retry-after").is_some());
        answer.problem(Code::RateLimited);
        second(&house.half().await, &codes[0]).await.problem(Code::RateLimited);
        let refused = wait_until("the refusals are noted", async || {
            let lines: Vec<AuditEntry> = all(&house.server.client(), "/api/v1/audit?action=sign_in.refused").await;
            (lines.len() == 10).then_some(lines)
        }).await;
        assert_eq!(refused[0].after["at"], json!("second_factor"));
    }

    async fn a_workspace_can_ask_for_it(db) {
        let house = House::make(db).await;
        let admin = house.server.session().await;
        let on = json!({ "require_second_factor": true });
        let asked: MemberPolicy = admin.call(reqwest::Method::PATCH, "/api/v1/member-policy").json(&on).send().await.ok();
        assert!(asked.require_second_factor);
        admin.get("/api/v1/events").await.problem(Code::SecondFactorMissing);
        // Programs go on, and the own account is where it is set up.
        house.server.client().get("/api/v1/events").await.done();
        admin.get("/api/v1/auth/session").await.done();
        let (_, _, admin) = house.set_up(&admin).await;
        admin.get("/api/v1/events").await.done();
        let gone = admin.call(reqwest::Method::DELETE, "/api/v1/me/second-factor").send().await;
        let without = house.entered(&gone);
        without.get("/api/v1/events").await.problem(Code::SecondFactorMissing);
    }
}
