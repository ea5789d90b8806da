//! What people send and get about their accounts, invitations and mails.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::{ID, TIME};

const PASSWORD: &str = "correct horse battery staple";
const TOKEN: &str = "q0pJ7c1m9Zt3vH5s8LxK2fWbYd6aRnEuGiTo4CyMlPQ";

fn invitation() -> Value {
    json!({
        "id": ID, "email": "ada@example.com", "role": "operator", "invited_by": "admin@localhost",
        "created_at": TIME, "expires_at": TIME, "expired": false, "revision": 1
    })
}

fn self_registration() -> Value {
    json!({
        "enabled": true, "email_domains": ["example.com"], "role": "viewer", "automatic": false
    })
}

/// An example by the name of each schema that stands in a body.
pub(super) fn all() -> HashMap<&'static str, Value> {
    HashMap::from([
        ("SecondFactorCode", json!({"code": "287082"})),
        ("ConfirmIdentity", json!({"password": PASSWORD})),
        (
            "PasswordToJudge",
            json!({"password": PASSWORD, "hints": ["ada@example.com", "Ada"]}),
        ),
        (
            "PasswordStrength",
            json!({"score": 4, "acceptable": true, "advice": []}),
        ),
        ("ForgottenPassword", json!({"email": "ada@example.com"})),
        (
            "ResetPassword",
            json!({"token": TOKEN, "password": PASSWORD}),
        ),
        ("LinkToken", json!({"token": TOKEN})),
        (
            "AcceptInvitation",
            json!({"token": TOKEN, "name": "Ada", "password": PASSWORD}),
        ),
        (
            "InvitationShown",
            json!({"workspace": "Main", "email": "ada@example.com", "role": "operator", "expires_at": TIME}),
        ),
        (
            "Member",
            json!({
                "id": ID, "email": "ada@example.com", "name": "Ada", "role": "operator",
                "enabled": true, "joined_at": TIME, "last_seen_at": TIME, "second_factor": true,
                "revision": 1
            }),
        ),
        ("ChangeMember", json!({"role": "viewer"})),
        (
            "MemberPolicy",
            json!({"require_second_factor": true, "self_registration": self_registration()}),
        ),
        (
            "ChangeMemberPolicy",
            json!({"self_registration": self_registration()}),
        ),
        ("Invitation", invitation()),
        (
            "NewInvitation",
            json!({"email": "ada@example.com", "role": "operator", "expires_in_days": 7}),
        ),
        (
            "InvitationSent",
            json!({
                "invitation": invitation(), "mailed": false,
                "link": format!("https://signalbox.example.com/invitation#{TOKEN}")
            }),
        ),
        (
            "Profile",
            json!({
                "user": {"id": ID, "email": "ada@example.com", "name": "Ada"}, "created_at": TIME,
                "has_password": true, "password_changed_at": TIME, "second_factor_since": TIME,
                "recovery_codes_left": 9
            }),
        ),
        ("ChangeProfile", json!({"name": "Ada"})),
        (
            "ChangePassword",
            json!({"current_password": PASSWORD, "new_password": "seven purple ducks rehearse"}),
        ),
        (
            "OwnSession",
            json!({
                "id": ID, "current": true, "remote_addr": "192.0.2.10", "user_agent": "Firefox",
                "started_at": TIME, "last_seen_at": TIME, "expires_at": TIME
            }),
        ),
        (
            "NewSecondFactor",
            json!({
                "secret": "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ",
                "uri": "otpauth://totp/Signalbox:ada%40example%2Ecom?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Signalbox",
                "qr_svg": "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 45 45\"></svg>"
            }),
        ),
        (
            "RecoveryCodes",
            json!({
                "codes": ["h3kd-w9ra-0xqm-7tcp"],
                "csrf_token": "xw2m0cQ3Jw0aQK2dYt0m1mJ3c7n0N9m3cM2b6q1lq3E"
            }),
        ),
        ("RegistrationOffer", json!({"open": true})),
        (
            "AskToJoin",
            json!({"email": "ada@example.com", "workspace": "main"}),
        ),
        (
            "RegistrationShown",
            json!({"workspace": "Main", "email": "ada@example.com", "expires_at": TIME}),
        ),
        (
            "Register",
            json!({"token": TOKEN, "name": "Ada", "password": PASSWORD}),
        ),
        ("Registered", json!({"approved": false})),
        (
            "Registration",
            json!({"id": ID, "email": "ada@example.com", "name": "Ada", "asked_at": TIME, "expires_at": TIME}),
        ),
        ("ApproveRegistration", json!({"role": "viewer"})),
        ("ChangeEmail", json!({"email": "ada.lee@example.com"})),
        (
            "MailEntry",
            json!({
                "id": ID, "kind": "invitation", "to": "a…@example.com", "state": "waiting",
                "attempts": 1, "created_at": TIME, "next_try_at": TIME, "ended_at": null,
                "error": "the mail server could not be reached", "can_retry": true
            }),
        ),
    ])
}

#[cfg(test)]
mod tests {
    use openapi::{mail, people};
    use serde::de::DeserializeOwned;

    use super::*;

    fn reads<T: DeserializeOwned>(name: &str) {
        let example = all().remove(name).unwrap();
        serde_json::from_value::<T>(example).unwrap_or_else(|e| panic!("{name}: {e}"));
    }

    #[test]
    fn examples_have_the_form_of_their_types() {
        reads::<people::Member>("Member");
        reads::<people::MemberPolicy>("MemberPolicy");
        reads::<people::ChangeMemberPolicy>("ChangeMemberPolicy");
        reads::<people::Registration>("Registration");
        reads::<people::RegistrationOffer>("RegistrationOffer");
        reads::<people::RegistrationShown>("RegistrationShown");
        reads::<people::AskToJoin>("AskToJoin");
        reads::<people::Register>("Register");
        reads::<people::Registered>("Registered");
        reads::<people::ApproveRegistration>("ApproveRegistration");
        reads::<mail::MailEntry>("MailEntry");
    }
}
