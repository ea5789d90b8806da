//! The passkeys of a person: making, naming, removing.

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use entity::{member, passkey, user};
use openapi::passkeys::{NewPasskey, Passkey, PasskeyBegun};
use openapi::problem::Code;
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, ConnectionTrait, EntityTrait as _, IntoActiveModel as _,
    PaginatorTrait as _, QueryFilter as _, QueryOrder as _, SqlErr,
};
use serde_json::{Value, json};
use uuid::Uuid;
use webauthn_rp::bin::{Decode as _, Encode as _};
use webauthn_rp::request::PublicKeyCredentialDescriptor;
use webauthn_rp::request::register::{
    CredProtect, Nickname, PublicKeyCredentialUserEntity, RegistrationVerificationOptions,
    UserHandle16, Username,
};
use webauthn_rp::response::{AuthTransports, CredentialId};
use webauthn_rp::{PublicKeyCredentialCreationOptions, Registration, RegistrationServerState};

use super::party::Party;
use super::{LARGEST, MOST, to_wire};
use crate::auth::Authenticator;
use crate::auth::once::{self, Begun, Whose};
use crate::http::problem::{ApiError, ApiResult};
use crate::ids;
use crate::scope::Scope;
use crate::services::audit::{self, Act, Actor};
use crate::services::validate::check_name;

/// The person's name to authenticators.
pub(super) fn handle(user: Uuid) -> UserHandle16 {
    // Any sixteen bytes are a name.
    let Ok(handle) = UserHandle16::decode(user.into_bytes());
    handle
}

impl Authenticator {
    /// The passkeys of a person, oldest first.
    ///
    /// # Errors
    /// The database failed.
    pub async fn passkeys(&self, user: &user::Model) -> ApiResult<Vec<Passkey>> {
        Ok(self.rows(user).await?.into_iter().map(to_wire).collect())
    }

    async fn rows(&self, user: &user::Model) -> ApiResult<Vec<passkey::Model>> {
        Ok(passkey::Entity::find()
            .filter(passkey::Column::UserId.eq(user.id))
            .order_by_asc(passkey::Column::Id)
            .all(self.core.db.read())
            .await?)
    }

    /// Begins a new passkey.
    ///
    /// # Errors
    /// 409 when there are too many, or the public address is not fit for passkeys.
    pub async fn begin_passkey(&self, user: &user::Model) -> ApiResult<PasskeyBegun> {
        let party = Party::of(&self.core.settings)?;
        let rows = self.rows(user).await?;
        check_room(rows.len() as u64)?;
        // An authenticator holds one passkey for each account.
        let mut known = Vec::new();
        for row in rows {
            let id = URL_SAFE_NO_PAD.decode(&row.credential_id);
            let id = id.map_err(|error| ApiError::internal("passkey", &error))?;
            let id = CredentialId::<Vec<u8>>::decode(id)
                .map_err(|error| ApiError::internal("passkey", &error))?;
            // However they are reached.
            let transports =
                AuthTransports::decode(0).map_err(|error| ApiError::internal("passkey", &error))?;
            known.push(PublicKeyCredentialDescriptor { id, transports });
        }
        let handle = handle(user.id);
        let name = Username::try_from(user.email.as_str())
            .map_err(|error| ApiError::internal("passkey", &error))?;
        let entity = PublicKeyCredentialUserEntity {
            name,
            id: &handle,
            display_name: Nickname::try_from(user.name.as_str()).ok(),
        };
        let mut options = PublicKeyCredentialCreationOptions::passkey(&party.id, entity, known);
        // Many authenticators do not know this extension, and browsers refuse them if it is asked for.
        // The person is verified at every sign-in anyway.
        options.extensions.cred_protect = CredProtect::None;
        let (ours, theirs) = options
            .start_ceremony()
            .map_err(|error| ApiError::internal("passkey", &error))?;
        let ours = ours
            .encode()
            .map_err(|error| ApiError::internal("passkey", &error))?;
        let token = URL_SAFE_NO_PAD.encode(ids::random::<32>());
        let data = URL_SAFE_NO_PAD.encode(ours);
        let (now, what) = (self.core.clock.now_ms(), (Begun::NewPasskey, Some(user.id)));
        once::begin(self.core.db.write(), now, what, &token, data).await?;
        let options = options_of(serde_json::to_value(&theirs)?);
        Ok(PasskeyBegun { token, options })
    }

    /// Ends it: the passkey is there.
    ///
    /// # Errors
    /// 422 if the name or the browser's answer is not acceptable, 409 if it is there already.
    pub async fn finish_passkey(
        &self,
        user: &user::Model,
        address: IpAddr,
        new: NewPasskey,
    ) -> ApiResult<Passkey> {
        let core = &self.core;
        let mut faults = Vec::new();
        check_name(&mut faults, "name", &new.name, 60);
        ApiError::refuse(faults)?;
        let what = (Begun::NewPasskey, Whose::Of(user.id));
        let begun = once::take(core.db.write(), core.clock.now_ms(), what, &new.token).await?;
        let begun = begun.ok_or_else(|| {
            let text = "it is too late, or it was done before; begin again";
            ApiError::invalid("token", "too_late", text)
        })?;
        let ours = URL_SAFE_NO_PAD
            .decode(&begun.data)
            .map_err(|error| ApiError::internal("passkey", &error))?;
        let ours = RegistrationServerState::<16>::decode(ours.as_slice())
            .map_err(|error| ApiError::internal("passkey", &error))?;
        let shown = new.credential.to_string();
        if shown.len() > LARGEST {
            return Err(not_acceptable("it is too long"));
        }
        let shown = Registration::from_json_relaxed(shown.as_bytes())
            .map_err(|_| not_acceptable("it has not the form of a passkey"))?;
        let party = Party::of(&core.settings)?;
        let options = RegistrationVerificationOptions::<&str, &str> {
            allowed_origins: &[party.origin.as_str()],
            // Browsers and authenticators add what nobody asked for.
            error_on_unsolicited_extensions: false,
            ..RegistrationVerificationOptions::default()
        };
        let made = ours.verify(&party.id, &shown, &options).map_err(|error| {
            tracing::warn!(%error, "A new passkey was refused.");
            not_acceptable("it was not made for this server, now, by this person")
        })?;
        let Ok(fixed) = made.static_state().encode();
        let Ok(state) = made.dynamic_state().encode();
        let row = passkey::Model {
            id: ids::new(&core.clock),
            user_id: user.id,
            name: new.name.trim().to_owned(),
            credential_id: URL_SAFE_NO_PAD.encode(made.id().as_ref()),
            fixed,
            state: state.to_vec(),
            created_at: core.clock.now_ms(),
            last_used_at: None,
        };
        let txn = core.db.begin().await?;
        let count = passkey::Entity::find()
            .filter(passkey::Column::UserId.eq(user.id))
            .count(&txn)
            .await?;
        check_room(count)?;
        passkey::Entity::insert(row.clone().into_active_model())
            .exec_without_returning(&txn)
            .await
            .map_err(|error| match error.sql_err() {
                Some(SqlErr::UniqueConstraintViolation(_)) => {
                    ApiError::new(Code::Conflict).detail("This passkey is there already.")
                }
                _ => error.into(),
            })?;
        let after = json!({ "passkey": row.name });
        self.note_passkey(&txn, user, address, "passkey.create", (Value::Null, after))
            .await?;
        txn.commit().await?;
        Ok(to_wire(row))
    }

    /// Gives a passkey another name.
    ///
    /// # Errors
    /// 404 if it is not the person's, 422 for a bad name.
    pub async fn rename_passkey(
        &self,
        user: &user::Model,
        address: IpAddr,
        id: Uuid,
        name: &str,
    ) -> ApiResult<Passkey> {
        let mut faults = Vec::new();
        check_name(&mut faults, "name", name, 60);
        ApiError::refuse(faults)?;
        let txn = self.core.db.begin().await?;
        let mut row = own(&txn, user, id).await?;
        let before = json!({ "passkey": row.name });
        name.trim().clone_into(&mut row.name);
        let change = passkey::ActiveModel {
            name: Set(row.name.clone()),
            ..Default::default()
        };
        passkey::Entity::update_many()
            .set(change)
            .filter(passkey::Column::Id.eq(id))
            .exec(&txn)
            .await?;
        let after = json!({ "passkey": row.name });
        self.note_passkey(&txn, user, address, "passkey.rename", (before, after))
            .await?;
        txn.commit().await?;
        Ok(to_wire(row))
    }

    /// Removes a passkey.
    ///
    /// # Errors
    /// 404 if it is not the person's.
    pub async fn remove_passkey(
        &self,
        user: &user::Model,
        address: IpAddr,
        id: Uuid,
    ) -> ApiResult<()> {
        let txn = self.core.db.begin().await?;
        let row = own(&txn, user, id).await?;
        passkey::Entity::delete_by_id(id).exec(&txn).await?;
        let before = json!({ "passkey": row.name });
        self.note_passkey(&txn, user, address, "passkey.delete", (before, Value::Null))
            .await?;
        Ok(txn.commit().await?)
    }

    /// Writes a line in every workspace that the person may enter.
    pub(super) async fn note_passkey(
        &self,
        txn: &impl ConnectionTrait,
        user: &user::Model,
        address: IpAddr,
        action: &'static str,
        what: (Value, Value),
    ) -> ApiResult<()> {
        let by = Actor::person(&user.email, address);
        let members = member::Entity::find()
            .filter(member::Column::UserId.eq(user.id))
            .all(txn)
            .await?;
        for member in members {
            let act = Act {
                action,
                kind: "person",
                id: Some(user.id),
                name: &user.email,
                before: what.0.clone(),
                after: what.1.clone(),
            };
            let scope = Scope::granted(member.workspace_id);
            audit::note(txn, &self.core.clock, scope, &by, act).await?;
        }
        Ok(())
    }
}

fn not_acceptable(text: &str) -> ApiError {
    ApiError::invalid("credential", "bad_passkey", text)
}

fn check_room(passkeys: u64) -> ApiResult<()> {
    if passkeys < MOST {
        return Ok(());
    }
    Err(ApiError::new(Code::Conflict).detail("There are 20 passkeys; remove one first."))
}

async fn own(
    txn: &impl ConnectionTrait,
    user: &user::Model,
    id: Uuid,
) -> ApiResult<passkey::Model> {
    let row = passkey::Entity::find_by_id(id).one(txn).await?;
    row.filter(|row| row.user_id == user.id)
        .ok_or_else(ApiError::not_found)
}

/// What stands in `publicKey`, if it does.
pub(super) fn options_of(mut client: Value) -> Value {
    match client.get_mut("publicKey") {
        Some(options) => options.take(),
        None => client,
    }
}
