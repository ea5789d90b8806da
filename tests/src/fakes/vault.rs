//! A secret store with the HTTP API of HashiCorp Vault's key/value engine: version 2 under `secret`,
//! version 1 under `kv`, one token, one namespace.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use actix_web::web::{self, Data, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::{Value, json};

use super::server::{Running, start};

/// The store; it ends when this is dropped.
#[derive(Debug)]
pub struct FakeVault {
    /// What `VAULT_ADDR` is to be.
    pub url: String,
    /// The token that may read.
    pub token: String,
    _running: Running,
}

struct State {
    token: String,
    secrets: HashMap<String, Value>,
}

impl FakeVault {
    /// With these secrets by path, as `secret/psa` and `kv/psa`: objects of keys and values.
    ///
    /// # Errors
    /// No port, or no thread.
    pub fn start(secrets: &[(&str, Value)]) -> io::Result<Self> {
        let token = format!("hvs.{:016x}", rand::random::<u64>());
        let own = secrets
            .iter()
            .map(|(path, v)| ((*path).to_owned(), v.clone()));
        let state = Arc::new(State {
            token: token.clone(),
            secrets: own.collect(),
        });
        let running = start(0, 1, move |config| routes(config, &state))?;
        Ok(Self {
            url: format!("http://{}", running.address),
            token,
            _running: running,
        })
    }
}

fn routes(config: &mut ServiceConfig, state: &Arc<State>) {
    config
        .app_data(Data::from(Arc::clone(state)))
        .route("/v1/{engine}/{path:.*}", web::get().to(read));
}

async fn read(
    request: HttpRequest,
    state: Data<State>,
    place: web::Path<(String, String)>,
) -> HttpResponse {
    let header = |name: &str| request.headers().get(name).and_then(|v| v.to_str().ok());
    if header("x-vault-token") != Some(&state.token) || header("x-vault-namespace") != Some("ops") {
        return HttpResponse::Forbidden().json(json!({ "errors": ["permission denied"] }));
    }
    let (engine, path) = place.into_inner();
    let second = engine == "secret";
    let path = match path.strip_prefix("data/") {
        Some(path) if second => path.to_owned(),
        None if !second => path,
        _ => return nothing(),
    };
    let Some(data) = state.secrets.get(&format!("{engine}/{path}")) else {
        return nothing();
    };
    let data = if second {
        json!({ "data": data, "metadata": { "version": 3, "destroyed": false } })
    } else {
        data.clone()
    };
    HttpResponse::Ok().json(json!({
        "request_id": "1", "lease_id": "", "renewable": false, "lease_duration": 2_764_800,
        "data": data, "wrap_info": null, "warnings": null, "auth": null,
    }))
}

fn nothing() -> HttpResponse {
    HttpResponse::NotFound().json(json!({ "errors": [] }))
}
