//! Showing a passkey: to sign in, or to show once more who one is.

use actix_web::HttpRequest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use entity::{passkey, user};
use openapi::passkeys::{PasskeyBegun, PasskeyShown};
use openapi::problem::Code;
use sea_orm::{ActiveValue::Set, ColumnTrait as _, EntityTrait as _, QueryFilter as _};
use serde_json::{Value, json};
use uuid::Uuid;
use webauthn_rp::bin::{Decode as _, Encode as _};
use webauthn_rp::request::auth::AuthenticationVerificationOptions;
use webauthn_rp::response::auth::error::AuthCeremonyErr;
use webauthn_rp::response::register::{CompressedPubKey, DynamicState, StaticState};
use webauthn_rp::{
    AuthenticatedCredential, DiscoverableAuthentication16, DiscoverableAuthenticationServerState,
    DiscoverableCredentialRequestOptions,
};

use super::party::Party;
use super::store::{handle, options_of};
use super::{LARGEST, refused};
use crate::auth::once::{self, Begun};
use crate::auth::sessions::{self, SignedIn};
use crate::auth::tries::{Tries, limiter_key};
use crate::auth::{Authenticator, digest};
use crate::http::problem::{ApiError, ApiResult};
use crate::ids;
use crate::limits::{Key, Rate};

type Stored = StaticState<CompressedPubKey<[u8; 32], [u8; 32], [u8; 48], Vec<u8>>>;

impl Authenticator {
    /// Asks for a passkey: of anybody, to sign in; or of one person, to show once more who it is.
    ///
    /// # Errors
    /// 409 when the public address is not fit for passkeys, 429 after too many.
    pub async fn ask_for_passkey(
        &self,
        req: &HttpRequest,
        of: Option<Uuid>,
    ) -> ApiResult<PasskeyBegun> {
        let core = &self.core;
        let party = Party::of(&core.settings)?;
        let key = Key::Failures("passkey-starts", limiter_key(self.address(req)));
        if let Err(wait) = core.limits.take(&key, Rate::one_every(2, 30)).await {
            return Err(ApiError::new(Code::RateLimited).retry_after(wait.as_secs() + 1));
        }
        let options = DiscoverableCredentialRequestOptions::passkey(&party.id);
        let (ours, theirs) = options
            .start_ceremony()
            .map_err(|error| ApiError::internal("passkey", &error))?;
        let ours = ours
            .encode()
            .map_err(|error| ApiError::internal("passkey", &error))?;
        let token = URL_SAFE_NO_PAD.encode(ids::random::<32>());
        let data = URL_SAFE_NO_PAD.encode(ours);
        let now = core.clock.now_ms();
        once::begin(core.db.write(), now, (begun(of), of), &token, data).await?;
        let options = options_of(serde_json::to_value(&theirs)?);
        Ok(PasskeyBegun { token, options })
    }

    /// Takes a passkey; returns whose it is. With a person, only that one's.
    ///
    /// # Errors
    /// 401, the same for whatever reason; 429 after too many failures.
    pub async fn take_passkey(
        &self,
        req: &HttpRequest,
        of: Option<Uuid>,
        shown: &PasskeyShown,
    ) -> ApiResult<user::Model> {
        let by_address = limiter_key(self.address(req));
        if let Some(seconds) = self.wait(Tries::LoginsOfAddress, &by_address).await {
            return Err(ApiError::new(Code::RateLimited)
                .detail("Too many failed sign-ins; wait before the next.")
                .retry_after(seconds));
        }
        let taken = self.check_passkey(req, of, shown).await;
        if let Err(error) = &taken
            && error.code == Code::PasskeyRefused
        {
            self.failed(Tries::LoginsOfAddress, &by_address).await;
        }
        taken
    }

    /// Starts a session of a person whose passkey was taken: both factors were shown.
    ///
    /// # Errors
    /// The database failed.
    pub async fn enter_by_passkey(
        &self,
        req: &HttpRequest,
        user: &user::Model,
    ) -> ApiResult<String> {
        let token = self.enter(req, user, "passkey", None).await?;
        sessions::mark_strong(self.core.db.write(), &digest(&token)).await?;
        Ok(token)
    }

    /// Renews the session of a person whose passkey was taken.
    ///
    /// # Errors
    /// 401 if it has ended.
    pub async fn prove_by_passkey(&self, signed_in: &SignedIn) -> ApiResult<String> {
        let token = self.proved(signed_in).await?;
        sessions::mark_strong(self.core.db.write(), &digest(&token)).await?;
        Ok(token)
    }

    async fn check_passkey(
        &self,
        req: &HttpRequest,
        of: Option<Uuid>,
        shown: &PasskeyShown,
    ) -> ApiResult<user::Model> {
        let core = &self.core;
        let party = Party::of(&core.settings)?;
        let (now, what) = (core.clock.now_ms(), (begun(of), of.into()));
        let taken = once::take(core.db.write(), now, what, &shown.token).await?;
        let taken = taken.ok_or_else(|| refused("nothing was asked for, or too long ago"))?;
        let ours = URL_SAFE_NO_PAD
            .decode(&taken.data)
            .map_err(|error| ApiError::internal("passkey", &error))?;
        let ours = DiscoverableAuthenticationServerState::decode(ours.as_slice())
            .map_err(|error| ApiError::internal("passkey", &error))?;
        let text = shown.credential.to_string();
        if text.len() > LARGEST {
            return Err(refused("the answer is too long"));
        }
        let shown = DiscoverableAuthentication16::from_json_relaxed(text.as_bytes())
            .map_err(|_| refused("the answer has not the form of a passkey"))?;
        let credential_id = URL_SAFE_NO_PAD.encode(shown.raw_id().as_ref());
        let row = passkey::Entity::find()
            .filter(passkey::Column::CredentialId.eq(credential_id))
            .one(core.db.read())
            .await?
            .filter(|row| of.is_none_or(|user| row.user_id == user));
        let row = row.ok_or_else(|| refused("the passkey is not known"))?;
        let user = user::Entity::find_by_id(row.user_id)
            .one(core.db.read())
            .await?
            .filter(|user| user.disabled_at.is_none())
            .ok_or_else(|| refused("the account is gone or switched off"))?;
        let fixed = Stored::decode(row.fixed.as_slice())
            .map_err(|error| ApiError::internal("passkey", &error))?;
        let state = <[u8; 7]>::try_from(row.state.as_slice())
            .map_err(|error| ApiError::internal("passkey", &error))?;
        let state =
            DynamicState::decode(state).map_err(|error| ApiError::internal("passkey", &error))?;
        let handle = handle(row.user_id);
        let mut credential = AuthenticatedCredential::new(shown.raw_id(), &handle, fixed, state)
            .map_err(|error| ApiError::internal("passkey", &error))?;
        let options = AuthenticationVerificationOptions::<&str, &str> {
            allowed_origins: &[party.origin.as_str()],
            error_on_unsolicited_extensions: false,
            ..AuthenticationVerificationOptions::default()
        };
        match ours.verify(&party.id, &shown, &mut credential, &options) {
            Ok(_) => {}
            Err(AuthCeremonyErr::SignatureCounter) => {
                let what = (Value::Null, json!({ "passkey": row.name }));
                let address = self.address(req);
                self.note_passkey(core.db.write(), &user, address, "passkey.counter", what)
                    .await?;
                return Err(refused("its counter went back; there may be a copy of it"));
            }
            Err(error) => {
                tracing::info!(%error, "A passkey does not fit.");
                return Err(refused("it does not fit"));
            }
        }
        let Ok(state) = credential.dynamic_state().encode();
        let change = passkey::ActiveModel {
            state: Set(state.to_vec()),
            last_used_at: Set(Some(core.clock.now_ms())),
            ..Default::default()
        };
        // Of two uses of one state, one wins: a copy cannot be used beside the original.
        let changed = passkey::Entity::update_many()
            .set(change)
            .filter(passkey::Column::Id.eq(row.id))
            .filter(passkey::Column::State.eq(row.state))
            .exec(core.db.write())
            .await?;
        if changed.rows_affected == 0 {
            return Err(refused("it was used or removed at the same time"));
        }
        Ok(user)
    }
}

const fn begun(of: Option<Uuid>) -> Begun {
    match of {
        None => Begun::Passkey,
        Some(_) => Begun::OwnPasskey,
    }
}
