//! The first workspace, its admin, and a credential for this machine.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use entity::{credential, member, user, workspace};
use sea_orm::{ActiveValue::Set, EntityTrait as _, PaginatorTrait as _};
use serde::Serialize;

use super::{Done, block_on, load_beside, output, stores};
use crate::auth::{Permission, generate_password, hash_password, make_bearer};
use crate::clock::Clock;
use crate::db::{Db, bump_configuration};
use crate::ids;
use crate::settings::StoreFlags;

/// Slug of the first workspace.
const WORKSPACE: &str = "main";
/// Address of the first admin.
const ADMIN: &str = "admin@localhost";
/// Networks that the credential may be used from.
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

impl Bootstrap {
    pub fn run(self, config: Option<PathBuf>) -> Done {
        let settings = load_beside(self.flags, config)?;
        let made = block_on(async {
            let db = stores::open_new(&settings).await?;
            make(&db, &Clock::system()).await
        })?;
        match made {
            Some(shown) if self.json => output::json(&shown)?,
            Some(shown) => {
                output::line(&format!("workspace  {}", shown.workspace.slug))?;
                output::line(&format!("e-mail     {}", shown.admin.email))?;
                output::line(&format!("password   {}", shown.admin.password))?;
                output::line(&format!("token      {}", shown.bearer.token))?;
                output::note(
                    "Keep them: they are not shown again. The token works from this machine only.",
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
pub(super) async fn make(db: &Db, clock: &Clock) -> anyhow::Result<Option<Shown>> {
    if workspace::Entity::find().count(db.read()).await? > 0 {
        return Ok(None);
    }
    let password = generate_password();
    let bearer = make_bearer();
    // Slow on purpose, so before the transaction.
    let password_hash = hash_password(&password).await?;
    let secret_hash = hash_password(&bearer.token).await?;
    let scopes: Vec<&str> = Permission::ALL.iter().map(|p| p.word()).collect();
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
    })
    .exec_without_returning(&txn)
    .await?;
    user::Entity::insert(user::ActiveModel {
        id: Set(user_id),
        email: Set(ADMIN.to_owned()),
        name: Set("Admin".to_owned()),
        password_hash: Set(password_hash),
        created_at: Set(now),
    })
    .exec_without_returning(&txn)
    .await?;
    member::Entity::insert(member::ActiveModel {
        workspace_id: Set(workspace_id),
        user_id: Set(user_id),
        role: Set("owner".to_owned()),
    })
    .exec_without_returning(&txn)
    .await?;
    credential::Entity::insert(credential::ActiveModel {
        id: Set(ids::new(clock)),
        workspace_id: Set(workspace_id),
        client_id: Set(bearer.client_id.clone()),
        name: Set("Bootstrap".to_owned()),
        kind: Set("bearer".to_owned()),
        scopes: Set(serde_json::to_string(&scopes)?),
        secret_hash: Set(secret_hash),
        allow_cidrs: Set(serde_json::to_string(&LOOPBACK)?),
        enabled: Set(true),
        created_at: Set(now),
        expires_at: Set(None),
        last_used_at: Set(None),
    })
    .exec_without_returning(&txn)
    .await?;
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
    }))
}
