//! Passkeys with the browser's own authenticator: what the server asks is what browsers understand.

use serde_json::{Value, json};
use tests::yaml::File;

use crate::browser::{Person, with_person};

/// Makes a passkey and signs in with it, in the words of the standard alone.
const BY_HAND: &str = "
    const [email, password, done] = arguments;
    const post = async (path, body, token) => {
        const headers = { 'content-type': 'application/json', 'x-csrf-token': token || '' };
        const answer = await fetch('/api/v1/' + path, { method: 'POST', headers, body: JSON.stringify(body) });
        if (!answer.ok) throw new Error(path + ': ' + answer.status + ' ' + await answer.text());
        return answer.json();
    };
    (async () => {
        const session = await post('auth/login', { email, password });
        const csrf = session.csrf_token;
        const making = await post('me/passkeys/start', {}, csrf);
        const creation = PublicKeyCredential.parseCreationOptionsFromJSON(making.options);
        const made = await navigator.credentials.create({ publicKey: creation });
        const passkey = await post('me/passkeys', { token: making.token, name: 'Test', credential: made.toJSON() }, csrf);
        const asking = await post('auth/passkey-sign-in/start', {});
        const request = PublicKeyCredential.parseRequestOptionsFromJSON(asking.options);
        const shown = await navigator.credentials.get({ publicKey: request });
        const again = await post('auth/passkey-sign-in', { token: asking.token, credential: shown.toJSON() });
        return { passkey: passkey.name, email: again.user.email };
    })().then(done, error => done({ error: String(error) }));";

/// Gives the browser an authenticator that verifies its person, and opens a path by our name: a
/// passkey belongs to a name.
async fn open(person: &Person, path: &str) {
    // After the page: the authenticator belongs to the process of a site.
    let address = person.server.url().replace("127.0.0.1", "localhost");
    person.page.goto(format!("{address}{path}")).await.unwrap();
    person.devtools("WebAuthn.enable", json!({})).await;
    let options = json!({ "options": {
        "protocol": "ctap2", "transport": "internal", "hasResidentKey": true,
        "hasUserVerification": true, "isUserVerified": true, "automaticPresenceSimulation": true,
    } });
    person
        .devtools("WebAuthn.addVirtualAuthenticator", options)
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn browser_understands_what_the_server_asks_of_passkeys() {
    with_person(File::new(), async |person| {
        open(&person, "/livez").await;
        let admin = person.server.credentials.admin.clone();
        let arguments = vec![json!(admin.email), json!(admin.password)];
        let done = person.page.execute_async(BY_HAND, arguments).await.unwrap();
        let done: &Value = done.json();
        assert_eq!(
            *done,
            json!({ "passkey": "Test", "email": admin.email }),
            "{}",
            person.server.log()
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn browser_adds_a_passkey_and_signs_in_with_it() {
    with_person(File::new(), async |person| {
        open(&person, "/").await;
        let admin = person.server.credentials.admin.clone();
        person.fill("email", &admin.email).await;
        person.fill("password", &admin.password).await;
        person.click("sign-in-submit").await;
        person.see("dashboard").await;
        let address = person.server.url().replace("127.0.0.1", "localhost");
        person
            .page
            .goto(format!("{address}/profile"))
            .await
            .unwrap();
        person.fill("passkey-name", "Laptop").await;
        person.click("passkey-add").await;
        person.see_text("passkeys", "Laptop").await;
        person.click("profile").await;
        person.click("sign-out").await;
        person.see("sign-in").await;
        person.click("passkey").await;
        person.see("profile-page").await;
        person.see_text("passkeys", "Laptop").await;
        person.click("passkey-remove").await;
        person
            .see_css("[data-testid=profile-page]:not(:has([data-testid=own-passkey]))")
            .await;
    })
    .await;
}
