//! API credentials in the console.

use openapi::credentials::{Credential, CredentialKind, CredentialStatus};
use openapi::page::Page;
use tests::wait_until;
use tests::yaml::File;

use crate::browser::{Person, with_person};

/// The one that this test makes: the first of the list.
async fn robot(person: &Person) -> Option<Credential> {
    let page: Page<Credential> = person.server.client().read("/api/v1/credentials").await;
    page.items.into_iter().find(|row| row.name == "A robot")
}

/// Waits until so many of a mark stand in the first row.
async fn in_first_row(person: &Person, mark: &str, wanted: i64) {
    let script = format!(
        "return document.querySelector('[data-testid=credential]')\
         .querySelectorAll('[data-testid={mark}]').length;"
    );
    wait_until(&format!("{wanted} of {mark}"), async || {
        (person.script(&script).await.as_i64() == Some(wanted)).then_some(())
    })
    .await;
}

/// The secret on the page, which is gone from it once the dialog is closed.
async fn copied(person: &Person) -> String {
    let secret = person.see("secret").await.text().await.unwrap();
    person
        .click_css("[data-testid=credential-secret] [aria-label=Close]")
        .await;
    let left = person
        .script("return document.documentElement.outerHTML.includes('sbs_');")
        .await;
    assert_eq!(left, serde_json::Value::Bool(false));
    secret
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn browser_makes_rotates_and_revokes_a_credential() {
    with_person(File::new(), async |person| {
        person.sign_in().await;
        // What the first start has made is there already; the new one is the first by name.
        person.open("/credentials").await;
        person.see("credentials").await;
        person.click("new-credential").await;
        person.fill("credential-name", "A robot").await;
        person.choose("credential-kind", "bearer").await;
        person.click("credential-scope-rules:read").await;
        person.click("credential-save").await;
        // A token needs networks: the fault stands at its field.
        person.see_text("field-fault", "networks").await;
        person.choose("credential-kind", "hmac").await;
        person.fill("credential-rotation", "90").await;
        person.click("credential-save").await;
        let first = copied(&person).await;
        let row = robot(&person).await.unwrap();
        assert_eq!(
            (row.kind, row.scopes.as_slice()),
            (CredentialKind::Hmac, &["rules:read".to_owned()][..])
        );
        assert_eq!(row.rotation.map(|rotation| rotation.every_days), Some(90));
        assert!(first.starts_with("sbs_"));
        wait_until("it stands first", async || {
            let script = "return document.querySelector('[data-testid=credential]').textContent;";
            let text = person.script(script).await;
            text.as_str()?.contains("A robot").then_some(())
        })
        .await;
        person.click("credential-add").await;
        let second = copied(&person).await;
        assert_ne!(first, second);
        // The row is drawn anew while the question stands; a yes still means what it says.
        let both = "const row = document.querySelector('[data-testid=credential]');
            row.dataset.before = '';
            row.querySelector('[data-testid=credential-promote]').click();
            row.querySelector('[data-testid=credential-retire]').click();";
        person.script(both).await;
        wait_until("the row is drawn anew", async || {
            let left = "return document.querySelectorAll('[data-before]').length;";
            (person.script(left).await == 0).then_some(())
        })
        .await;
        person.click("confirm-yes").await;
        in_first_row(&person, "credential-slot", 1).await;
        assert_eq!(robot(&person).await.unwrap().secrets.len(), 1);
        person.click("credential-off").await;
        in_first_row(&person, "credential-on", 1).await;
        assert_eq!(
            robot(&person).await.unwrap().status,
            CredentialStatus::Disabled
        );
        person.click("credential-on").await;
        in_first_row(&person, "credential-off", 1).await;
        person.click("credential-revoke").await;
        person.click("confirm-yes").await;
        person.see_text("credential-state", "revoked").await;
        assert_eq!(
            robot(&person).await.unwrap().status,
            CredentialStatus::Revoked
        );
        person.click("credential-delete").await;
        person.click("confirm-yes").await;
        wait_until("it is off the list", async || {
            robot(&person).await.is_none().then_some(())
        })
        .await;
        person.no_faults().await;
    })
    .await;
}
