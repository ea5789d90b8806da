//! A way back in for people who have lost their password.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use entity::{session, user};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _};
use serde_json::json;

use super::{Done, block_on, load_beside, output, stores};
use crate::auth::{generate_password, hash_password};
use crate::db::Db;
use crate::settings::StoreFlags;

#[derive(Debug, Subcommand)]
pub(super) enum Users {
    /// Give a person a new password, print it once and end their sessions
    #[command(after_help = "\
Example:
  signalbox users reset-password admin@localhost")]
    ResetPassword(ResetPassword),
}

#[derive(Debug, Args)]
pub(super) struct ResetPassword {
    /// Address of the account
    email: String,
    #[command(flatten)]
    flags: StoreFlags,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl Users {
    pub fn run(self, config: Option<PathBuf>) -> Done {
        let Users::ResetPassword(command) = self;
        let settings = load_beside(command.flags, config)?;
        let email = command.email.trim().to_lowercase();
        let password = block_on(async {
            let db = stores::open_existing(&settings).await?;
            reset(&db, &email).await
        })?;
        if command.json {
            output::json(&json!({ "email": email, "password": password }))?;
        } else {
            output::line(&password)?;
            output::note(&format!(
                "The new password of {email} is not shown again; its sessions have ended."
            ));
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Sets a new password and ends the sessions of its account.
///
/// # Errors
/// There is no such account, or a statement failed.
pub(super) async fn reset(db: &Db, email: &str) -> anyhow::Result<String> {
    let password = generate_password();
    let hash = hash_password(&password).await?;
    let txn = db.begin().await?;
    let person = user::Entity::find()
        .filter(user::Column::Email.eq(email))
        .one(&txn)
        .await?
        .ok_or_else(|| anyhow::anyhow!("there is no account {email}"))?;
    user::Entity::update_many()
        .col_expr(user::Column::PasswordHash, Expr::value(hash))
        .filter(user::Column::Id.eq(person.id))
        .exec(&txn)
        .await?;
    session::Entity::delete_many()
        .filter(session::Column::UserId.eq(person.id))
        .exec(&txn)
        .await?;
    txn.commit().await?;
    Ok(password)
}
