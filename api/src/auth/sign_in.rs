//! Signing in and out: password, second factor, session.
//!
//! Who is not let in learns nothing by it: an unknown account, a wrong password and an account that
//! is switched off get the same answer after the same time, and the line of the audit log about it
//! is written after the answer.

use std::net::IpAddr;

use actix_web::HttpRequest;
use actix_web::http::header;
use entity::user;
use openapi::account::ConfirmIdentity;
use openapi::problem::Code;
use sea_orm::{ColumnTrait as _, ConnectionTrait, EntityTrait as _, QueryFilter as _};

use super::authenticator::Authenticator;
use super::people::Person;
use super::second_factor::use_code;
use super::sessions::{self, SignedIn};
use super::tokens::{Purpose, make_token, spend_token, token_owner};
use super::tries::{Tries, limiter_key};
use super::{digest, verify_password};
use crate::http::problem::{ApiError, ApiResult};
use crate::services::people::{self, Deed};

/// The cookie between password and second factor, over plain HTTP.
pub const PENDING_COOKIE: &str = "signalbox_sign_in";
/// The same over HTTPS.
pub const SECURE_PENDING_COOKIE: &str = "__Host-signalbox_sign_in";

/// How far a sign-in has come.
#[derive(Debug)]
pub enum SignIn {
    /// Done: the person and the token for the session's cookie.
    Done(Box<user::Model>, String),
    /// The password fits; the token is for the cookie of the second step.
    NeedsSecondFactor(String),
}

/// The account of an address.
///
/// # Errors
/// The database failed.
pub async fn user_of(
    db: &impl ConnectionTrait,
    email: &str,
) -> Result<Option<user::Model>, sea_orm::DbErr> {
    user::Entity::find()
        .filter(user::Column::Email.eq(email))
        .one(db)
        .await
}

impl Authenticator {
    /// Takes e-mail and password. Unknown accounts and wrong passwords get the same answer after the
    /// same time.
    ///
    /// # Errors
    /// 401, or 429 after too many failures.
    pub async fn login(&self, req: &HttpRequest, email: &str, password: &str) -> ApiResult<SignIn> {
        let core = &self.core;
        let address = self.address(req);
        let email = email.trim().to_lowercase();
        let by_address = limiter_key(address);
        let by_account = digest(&email);
        let wait = self
            .wait(Tries::LoginsOfAddress, &by_address)
            .await
            .max(self.wait(Tries::LoginsOfAccount, &by_account).await);
        if let Some(seconds) = wait {
            return Err(ApiError::new(Code::RateLimited)
                .detail("Too many failed sign-ins; wait before the next.")
                .retry_after(seconds));
        }
        let found = user_of(core.db.read(), &email).await?;
        let hash = found.as_ref().map(|user| user.password_hash.as_str());
        let fits = verify_password(password, hash.filter(|hash| !hash.is_empty())).await?;
        let admitted = found
            .as_ref()
            .filter(|user| fits && user.disabled_at.is_none());
        let Some(user) = admitted else {
            self.failed(Tries::LoginsOfAddress, &by_address).await;
            self.failed(Tries::LoginsOfAccount, &by_account).await;
            core.metrics.sign_in("refused");
            people::note_later(core, found, address, Deed::SignInRefused("password"));
            return Err(ApiError::new(Code::LoginFailed));
        };
        if people::has_second_factor(user) {
            let now = core.clock.now_ms();
            let txn = core.db.begin().await?;
            let token = make_token(&txn, user.id, Purpose::SecondFactor, now).await?;
            txn.commit().await?;
            return Ok(SignIn::NeedsSecondFactor(token));
        }
        let user = user.clone();
        let token = self.enter(req, &user, "password", None).await?;
        Ok(SignIn::Done(Box::new(user), token))
    }

    /// Takes the code of the second step.
    ///
    /// # Errors
    /// 401 without a first step or with a wrong code, 429 after too many failures.
    pub async fn second_step(
        &self,
        req: &HttpRequest,
        code: &str,
    ) -> ApiResult<(user::Model, String)> {
        let core = &self.core;
        let pending = pending_cookie(req);
        let pending = pending.ok_or_else(|| ApiError::new(Code::Unauthenticated))?;
        let now = core.clock.now_ms();
        let owner = token_owner(core.db.read(), &pending, Purpose::SecondFactor, now).await?;
        let user = match owner {
            None => None,
            Some(id) => user::Entity::find_by_id(id).one(core.db.read()).await?,
        };
        let Some(user) = user.filter(|user| user.disabled_at.is_none()) else {
            return Err(ApiError::new(Code::Unauthenticated)
                .detail("The time for the code is over; begin again with the password."));
        };
        let how = self.code_of(req, &user, code, Some(&pending)).await?;
        Ok((user, how))
    }

    /// Checks a code and, with the token of a first step, signs in by it; returns the new session's
    /// token.
    async fn code_of(
        &self,
        req: &HttpRequest,
        user: &user::Model,
        code: &str,
        pending: Option<&str>,
    ) -> ApiResult<String> {
        let core = &self.core;
        let address = self.address(req);
        self.may_try_code(address, user).await?;
        let txn = core.db.begin().await?;
        let Some(shown) = use_code(core, &txn, user, code).await? else {
            drop(txn);
            self.code_failed(address, user).await;
            core.metrics.sign_in("refused");
            let deed = Deed::SignInRefused("second_factor");
            people::note_later(core, Some(user.clone()), address, deed);
            return Err(ApiError::new(Code::CodeInvalid)
                .detail("The code is wrong, or was used before. Wait for the next one."));
        };
        if let Some(pending) = pending
            && !spend_token(&txn, pending).await?
        {
            return Err(ApiError::new(Code::Unauthenticated));
        }
        txn.commit().await?;
        let by_address = limiter_key(address);
        self.succeeded(Tries::CodesOfAddress, &by_address).await;
        let by_account = user.id.to_string();
        self.succeeded(Tries::CodesOfAccount, &by_account).await;
        self.enter(req, user, "second_factor", Some(shown)).await
    }

    /// Starts a session of a person who has shown who it is, in place of one that the browser may
    /// have had.
    pub(super) async fn enter(
        &self,
        req: &HttpRequest,
        user: &user::Model,
        how: &'static str,
        shown: Option<super::second_factor::Shown>,
    ) -> ApiResult<String> {
        let core = &self.core;
        let address = self.address(req);
        let txn = core.db.begin().await?;
        if let Some(old) = super::people::session_cookie(req) {
            sessions::end(&txn, &digest(&old)).await?;
        }
        let agent = req
            .headers()
            .get(header::USER_AGENT)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        let token = sessions::start(core, &txn, user, address, agent).await?;
        people::note(core, &txn, user, address, Deed::SignedIn(how, shown)).await?;
        txn.commit().await?;
        self.succeeded(Tries::LoginsOfAddress, &limiter_key(address))
            .await;
        self.succeeded(Tries::LoginsOfAccount, &digest(&user.email))
            .await;
        core.metrics.sign_in("ok");
        Ok(token)
    }

    /// Starts the first session of somebody who has just made an account.
    ///
    /// # Errors
    /// The database failed.
    pub async fn enter_as_new(&self, req: &HttpRequest, user: &user::Model) -> ApiResult<String> {
        self.enter(req, user, "invitation", None).await
    }

    /// Takes password or code of somebody who is signed in, and gives the session a new token.
    ///
    /// # Errors
    /// 401 if it is wrong, 422 if nothing is given, 429 after too many failures.
    pub async fn confirm(&self, person: &Person, shown: &ConfirmIdentity) -> ApiResult<String> {
        let (address, user) = (person.address, &person.signed_in.user);
        match (&shown.password, &shown.code) {
            (Some(password), None) => self.own_password(address, user, password).await?,
            (None, Some(code)) => self.own_code(address, user, code).await?,
            _ => {
                let text = "either the password or a code";
                return Err(ApiError::invalid("password", "required", text));
            }
        }
        self.proved(&person.signed_in).await
    }

    /// Renews the session of somebody who has just shown who it is.
    pub(super) async fn proved(&self, signed_in: &SignedIn) -> ApiResult<String> {
        let core = &self.core;
        let txn = core.db.begin().await?;
        let token = sessions::renew(core, &txn, &signed_in.token_hash).await?;
        txn.commit().await?;
        token.ok_or_else(|| ApiError::new(Code::Unauthenticated))
    }

    /// Checks the password of somebody who is signed in.
    ///
    /// # Errors
    /// 401 if it is wrong, 429 after too many failures.
    pub async fn own_password(
        &self,
        address: IpAddr,
        user: &user::Model,
        password: &str,
    ) -> ApiResult<()> {
        let by_account = digest(&user.email);
        let by_address = limiter_key(address);
        let tries = [
            (Tries::LoginsOfAddress, by_address.as_str()),
            (Tries::LoginsOfAccount, by_account.as_str()),
        ];
        self.may_try(&tries).await?;
        let hash = Some(user.password_hash.as_str()).filter(|hash| !hash.is_empty());
        if password.len() <= 1024 && verify_password(password, hash).await? {
            return Ok(());
        }
        for (tries, whose) in tries {
            self.failed(tries, whose).await;
        }
        let deed = Deed::ConfirmRefused("password");
        people::note_later(&self.core, Some(user.clone()), address, deed);
        Err(ApiError::new(Code::LoginFailed).detail("The password is wrong."))
    }

    /// Refuses codes after too many wrong ones.
    ///
    /// # Errors
    /// 429.
    pub async fn may_try_code(&self, address: IpAddr, user: &user::Model) -> ApiResult<()> {
        let (by_address, by_account) = (limiter_key(address), user.id.to_string());
        self.may_try(&[
            (Tries::CodesOfAddress, &by_address),
            (Tries::CodesOfAccount, &by_account),
        ])
        .await
    }

    /// Counts a wrong code.
    pub async fn code_failed(&self, address: IpAddr, user: &user::Model) {
        self.failed(Tries::CodesOfAddress, &limiter_key(address))
            .await;
        self.failed(Tries::CodesOfAccount, &user.id.to_string())
            .await;
    }

    /// Checks a code of somebody who is signed in.
    ///
    /// # Errors
    /// 401 if it is wrong, 429 after too many failures.
    pub async fn own_code(&self, address: IpAddr, user: &user::Model, code: &str) -> ApiResult<()> {
        self.may_try_code(address, user).await?;
        let txn = self.core.db.begin().await?;
        if use_code(&self.core, &txn, user, code).await?.is_some() {
            txn.commit().await?;
            return Ok(());
        }
        drop(txn);
        self.code_failed(address, user).await;
        let deed = Deed::ConfirmRefused("second_factor");
        people::note_later(&self.core, Some(user.clone()), address, deed);
        Err(ApiError::new(Code::CodeInvalid)
            .detail("The code is wrong, or was used before. Wait for the next one."))
    }

    /// Ends a session.
    ///
    /// # Errors
    /// The database failed.
    pub async fn logout(&self, req: &HttpRequest, signed_in: &SignedIn) -> ApiResult<()> {
        let core = &self.core;
        let txn = core.db.begin().await?;
        sessions::end(&txn, &signed_in.token_hash).await?;
        let address = self.address(req);
        people::note(core, &txn, &signed_in.user, address, Deed::SignedOut).await?;
        Ok(txn.commit().await?)
    }

    /// What a link that somebody tried stands for, as `look` finds it. One that stands for nothing
    /// counts, since it may be a guess.
    ///
    /// # Errors
    /// 404 with this advice for a link that is no good, 429 after too many of them; what `look` fails
    /// with.
    pub async fn by_link<T>(
        &self,
        req: &HttpRequest,
        advice: &str,
        look: impl Future<Output = ApiResult<Option<T>>>,
    ) -> ApiResult<T> {
        let key = limiter_key(self.address(req));
        self.may_try(&[(Tries::LinksOfAddress, &key)]).await?;
        if let Some(found) = look.await? {
            return Ok(found);
        }
        self.failed(Tries::LinksOfAddress, &key).await;
        Err(ApiError::new(Code::LinkInvalid).detail(advice))
    }

    /// Counts a request for a link to a new password.
    ///
    /// # Errors
    /// 429, whether or not there is such an account.
    pub async fn may_ask_for_reset(&self, req: &HttpRequest, email: &str) -> ApiResult<()> {
        let by_address = limiter_key(self.address(req));
        self.take(Tries::ResetsOfAddress, &by_address).await?;
        self.take(Tries::ResetsOfAccount, &digest(email)).await
    }

    /// Counts a request for a link that registers, or that changes the address of an account.
    ///
    /// # Errors
    /// 429, whether or not there is such an account.
    pub async fn may_ask_for_link(&self, address: IpAddr, email: &str) -> ApiResult<()> {
        let by_address = limiter_key(address);
        self.take(Tries::AskedOfAddress, &by_address).await?;
        self.take(Tries::AskedOfAccount, &digest(email)).await
    }

    /// The session of this browser, by its cookie, whatever it may do.
    pub fn session_of_browser(&self, req: &HttpRequest) -> Option<String> {
        super::people::session_cookie(req).map(|token| digest(&token))
    }

    /// Counts a password that is to be judged.
    ///
    /// # Errors
    /// 429.
    pub async fn may_judge(&self, req: &HttpRequest) -> ApiResult<()> {
        let key = limiter_key(self.address(req));
        self.take(Tries::JudgedOfAddress, &key).await
    }
}

/// The token of the cookie between the two steps.
fn pending_cookie(req: &HttpRequest) -> Option<String> {
    req.cookie(SECURE_PENDING_COOKIE)
        .or_else(|| req.cookie(PENDING_COOKIE))
        .map(|cookie| cookie.value().to_owned())
        .filter(|token| !token.is_empty() && token.len() <= 100)
}
