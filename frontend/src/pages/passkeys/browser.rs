//! Asking the browser for a passkey. It reads and writes the JSON of the standard itself.

use js_sys::{Function, JSON, Object, Promise, Reflect};
use leptos::prelude::window;
use serde_json::Value;
use wasm_bindgen::{JsCast as _, JsValue};
use wasm_bindgen_futures::JsFuture;

use crate::api::{from_text, to_text};

/// What is asked of the browser.
#[derive(Clone, Copy)]
pub(super) enum Ask {
    /// A new passkey.
    Make,
    /// One that is there.
    Show,
}

/// Whether this browser has passkeys, and reads their JSON.
pub(super) fn has_passkeys() -> bool {
    let class = member(&window(), "PublicKeyCredential");
    class.is_some_and(|class| member(&class, "parseRequestOptionsFromJSON").is_some())
}

fn member(of: &JsValue, name: &str) -> Option<JsValue> {
    Reflect::get(of, &name.into())
        .ok()
        .filter(|value| !value.is_undefined() && !value.is_null())
}

fn call(of: &JsValue, name: &str, argument: &JsValue) -> Result<JsValue, JsValue> {
    let function: Function = member(of, name)
        .and_then(|it| it.dyn_into().ok())
        .ok_or(JsValue::UNDEFINED)?;
    function.call1(of, argument)
}

/// Asks, and waits for the person.
///
/// # Errors
/// What went wrong, for people.
pub(super) async fn ask(what: Ask, options: &Value) -> Result<Value, String> {
    let text = to_text(options).map_err(|error| error.to_string())?;
    let shown = asked(what, &text).await.map_err(|error| told(&error))?;
    from_text(&shown).map_err(|error| error.to_string())
}

async fn asked(what: Ask, options: &str) -> Result<String, JsValue> {
    let (parse, verb) = match what {
        Ask::Make => ("parseCreationOptionsFromJSON", "create"),
        Ask::Show => ("parseRequestOptionsFromJSON", "get"),
    };
    let class = member(&window(), "PublicKeyCredential").ok_or(JsValue::UNDEFINED)?;
    let options = call(&class, parse, &JSON::parse(options)?)?;
    let wrapped = Object::new();
    Reflect::set(&wrapped, &"publicKey".into(), &options)?;
    let store = member(&window().navigator(), "credentials").ok_or(JsValue::UNDEFINED)?;
    let promise: Promise = call(&store, verb, &wrapped)?.dyn_into()?;
    let credential = JsFuture::from(promise).await?;
    let shown = call(&credential, "toJSON", &JsValue::UNDEFINED)?;
    Ok(String::from(JSON::stringify(&shown)?))
}

/// The browser's error, for people.
fn told(error: &JsValue) -> String {
    let name = member(error, "name").and_then(|name| name.as_string());
    match name.as_deref() {
        Some("NotAllowedError" | "AbortError") => {
            "No passkey was shown: it was cancelled, or took too long."
        }
        Some("InvalidStateError") => "This device has a passkey for this account already.",
        Some("SecurityError") => "This address may not use passkeys; see the server's public_url.",
        _ => "This browser cannot use passkeys here.",
    }
    .to_owned()
}
