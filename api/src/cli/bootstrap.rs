//! The first workspace, its admin, and credentials for this machine.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use entity::{credential, credential_secret, member, sealed_secret, user, workspace};
use openapi::credentials::CredentialKind;
use sea_orm::{
    ActiveValue::Set, ConnectionTrait, EntityTrait as _, IntoActiveModel as _, PaginatorTrait as _,
};
use serde::Serialize;

use super::{Done, block_on, load_beside, output, stores};
use crate::auth::{
    Permission, generate_password, hash_password, make_bearer, make_client_id, make_secret,
};
use crate::clock::Clock;
use crate::db::{Db, bump_configuration};
use crate::ids;
use crate::secrets::{KeySource, Keyring, Secret};
use crate::services::sealed::Owner;
use crate::services::sealed::place_of;
use crate::settings::StoreFlags;

/// Slug of the first workspace.
const WORKSPACE: &str = "main";
/// Address of the first admin.
const ADMIN: &str = "admin@localhost";
/// Networks that the credentials may be used from.
const LOOPBACK: [&str; 2] = ["127.0.0.0/8", "::1/128"];

#[derive(Debug, Args)]
pub(super) struct Bootstrap {
    #[command(flatten)]
    flags: StoreFlags,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Succeed without a word on standard output if it was done before
    #[arg(long)]
    if_needed: bool,
}

/// What is shown once.
#[derive(Serialize)]
pub(super) struct Shown {
    pub workspace: ShownWorkspace,
    pub admin: ShownAdmin,
    pub bearer: ShownBearer,
    pub hmac: ShownHmac,
}

#[derive(Serialize)]
pub(super) struct ShownWorkspace {
    pub slug: String,
}

#[derive(Serialize)]
pub(super) struct ShownAdmin {
    pub email: String,
    pub password: String,
}

#[derive(Serialize)]
pub(super) struct ShownBearer {
    pub client_id: String,
    pub token: String,
}

#[derive(Serialize)]
pub(super) struct ShownHmac {
    pub client_id: String,
    pub secret: String,
}

impl Bootstrap {
    pub fn run(self, config: Option<PathBuf>) -> Done {
        let settings = load_beside(self.flags, config)?;
        let made = block_on(async {
            let db = stores::open_new(&settings).await?;
            let keyring = Keyring::open_source(KeySource::of(&settings))?;
            make(&db, &keyring, &Clock::system()).await
        })?;
        match made {
            Some(shown) if self.json => output::json(&shown)?,
            Some(shown) => {
                output::line(&format!("workspace  {}", shown.workspace.slug))?;
                output::line(&format!("e-mail     {}", shown.admin.email))?;
                output::line(&format!("password   {}", shown.admin.password))?;
                output::line(&format!("token      {}", shown.bearer.token))?;
                output::line(&format!("client id  {}", shown.hmac.client_id))?;
                output::line(&format!("secret     {}", shown.hmac.secret))?;
                output::note(
                    "Keep them: they are not shown again. The token, and the client id with its \
                     secret, work from this machine only.",
                );
            }
            None if self.if_needed => output::note("already set up: a workspace exists"),
            None => anyhow::bail!(
                "already set up: a workspace exists. A forgotten password is reset by \
                 `signalbox users reset-password {ADMIN}`"
            ),
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Makes the first workspace, unless there is one.
///
/// # Errors
/// A statement failed; nothing was made.
pub(super) async fn make(
    db: &Db,
    keyring: &Keyring,
    clock: &Clock,
) -> anyhow::Result<Option<Shown>> {
    if workspace::Entity::find().count(db.read()).await? > 0 {
        return Ok(None);
    }
    let password = generate_password();
    let bearer = make_bearer();
    // Slow on purpose, so before the transaction.
    let password_hash = hash_password(&password).await?;
    let secret_hash = hash_password(&bearer.token).await?;
    let scopes: Vec<&str> = Permission::ALL.iter().map(|p| p.word()).collect();
    let scopes = serde_json::to_string(&scopes)?;
    let networks = serde_json::to_string(&LOOPBACK)?;
    let now = clock.now_ms();
    let (workspace_id, user_id) = (ids::new(clock), ids::new(clock));
    let txn = db.begin().await?;
    if workspace::Entity::find().count(&txn).await? > 0 {
        return Ok(None);
    }
    workspace::Entity::insert(workspace::ActiveModel {
        id: Set(workspace_id),
        slug: Set(WORKSPACE.to_owned()),
        name: Set("Main".to_owned()),
        created_at: Set(now),
        ..Default::default()
    })
    .exec_without_returning(&txn)
    .await?;
    user::Entity::insert(user::ActiveModel {
        id: Set(user_id),
        email: Set(ADMIN.to_owned()),
        name: Set("Admin".to_owned()),
        password_hash: Set(password_hash),
        created_at: Set(now),
        ..Default::default()
    })
    .exec_without_returning(&txn)
    .await?;
    member::Entity::insert(member::ActiveModel {
        workspace_id: Set(workspace_id),
        user_id: Set(user_id),
        role: Set("owner".to_owned()),
        created_at: Set(now),
        ..Default::default()
    })
    .exec_without_returning(&txn)
    .await?;
    let first = |client_id: &str, kind: CredentialKind, hash: &str| credential::Model {
        id: ids::new(clock),
        workspace_id,
        client_id: client_id.to_owned(),
        name: format!("Bootstrap ({})", kind.word()),
        kind: kind.word().to_owned(),
        scopes: scopes.clone(),
        secret_hash: hash.to_owned(),
        allow_cidrs: networks.clone(),
        enabled: true,
        created_at: now,
        expires_at: None,
        last_used_at: None,
        legacy: false,
        revoked_at: None,
        revision: 1,
        updated_at: now,
        rotate_days: None,
        overlap_days: 7,
        last_used_addr: None,
        rate_per_minute: None,
    };
    let token_row = first(&bearer.client_id, CredentialKind::Bearer, &secret_hash);
    let client_id = make_client_id();
    let secret = make_secret();
    let signing_row = first(&client_id, CredentialKind::Hmac, "");
    keep_secret(&txn, keyring, &signing_row, &secret).await?;
    for row in [token_row, signing_row] {
        credential_secret::Entity::insert(credential_secret::ActiveModel {
            credential_id: Set(row.id),
            slot: Set(0),
            is_primary: Set(true),
            hash: Set(row.secret_hash.clone()),
            created_at: Set(now),
            retire_at: Set(None),
            last_used_at: Set(None),
            last_used_addr: Set(None),
        })
        .exec_without_returning(&txn)
        .await?;
        credential::Entity::insert(row.into_active_model())
            .exec_without_returning(&txn)
            .await?;
    }
    bump_configuration(&txn).await?;
    txn.commit().await?;
    Ok(Some(Shown {
        workspace: ShownWorkspace {
            slug: WORKSPACE.to_owned(),
        },
        admin: ShownAdmin {
            email: ADMIN.to_owned(),
            password,
        },
        bearer: ShownBearer {
            client_id: bearer.client_id,
            token: bearer.token,
        },
        hmac: ShownHmac {
            client_id,
            secret: secret.reveal().to_owned(),
        },
    }))
}

/// Seals the secret of a credential that signs, in its first slot.
async fn keep_secret(
    txn: &impl ConnectionTrait,
    keyring: &Keyring,
    row: &credential::Model,
    secret: &Secret,
) -> anyhow::Result<()> {
    let mut sealed = sealed_secret::Model {
        id: row.id,
        workspace_id: row.workspace_id,
        owner_kind: Owner::credential(row.id).kind.to_owned(),
        owner_id: row.id,
        name: row.client_id.clone(),
        slot: 0,
        key_id: String::new(),
        sealed: Vec::new(),
        created_at: row.created_at,
    };
    (sealed.key_id, sealed.sealed) = keyring.seal(&place_of(&sealed), secret)?;
    sealed_secret::Entity::insert(sealed.into_active_model())
        .exec_without_returning(txn)
        .await?;
    Ok(())
}
