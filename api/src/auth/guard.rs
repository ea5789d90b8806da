//! What stands before every route that is not open to all.

use std::future::{Ready, ready};
use std::rc::Rc;

use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{Service, ServiceRequest, ServiceResponse, Transform, forward_ready};
use actix_web::{Error, HttpMessage as _, ResponseError as _, web};
use futures_util::future::LocalBoxFuture;

use super::authenticator::Authenticator;
use super::permission::Permission;
use super::signed::{self, Signed};
use crate::http::problem::{ApiError, ApiResult};

/// Lets a request pass only if its caller is known and may do this. Stands around the route, so that it comes
/// before everything that reads the request.
#[derive(Clone, Copy, Debug)]
pub struct Needs {
    who: Who,
    fresh: bool,
}

/// Who may pass.
#[derive(Clone, Copy, Debug)]
enum Who {
    /// Any caller of a workspace.
    Anybody,
    /// A caller with this permission there.
    With(Permission),
    /// Any person, also one without a workspace.
    Person,
}

/// The caller must have this permission.
pub const fn needs(permission: Permission) -> Needs {
    Needs {
        who: Who::With(permission),
        fresh: false,
    }
}

/// Any caller who is known.
pub const fn signed_in() -> Needs {
    Needs {
        who: Who::Anybody,
        fresh: false,
    }
}

/// Any person who has signed in, for what concerns the own account.
pub const fn a_person() -> Needs {
    Needs {
        who: Who::Person,
        fresh: false,
    }
}

impl Needs {
    /// A person must have signed in, or confirmed who it is, a short time ago: for what is
    /// dangerous. Programs prove who they are with every request.
    #[must_use]
    pub const fn fresh(self) -> Self {
        Self {
            fresh: true,
            ..self
        }
    }
}

impl<S, B> Transform<S, ServiceRequest> for Needs
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: MessageBody + 'static,
{
    type Response = ServiceResponse<EitherBody<B>>;
    type Error = Error;
    type Transform = Guarded<S>;
    type InitError = ();
    type Future = Ready<Result<Self::Transform, ()>>;

    fn new_transform(&self, service: S) -> Self::Future {
        ready(Ok(Guarded {
            needs: *self,
            service: Rc::new(service),
        }))
    }
}

/// A guarded route.
#[derive(Debug)]
pub struct Guarded<S> {
    needs: Needs,
    service: Rc<S>,
}

impl<S, B> Service<ServiceRequest> for Guarded<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: MessageBody + 'static,
{
    type Response = ServiceResponse<EitherBody<B>>;
    type Error = Error;
    type Future = LocalBoxFuture<'static, Result<Self::Response, Error>>;

    forward_ready!(service);

    fn call(&self, mut req: ServiceRequest) -> Self::Future {
        let needs = self.needs;
        let service = Rc::clone(&self.service);
        Box::pin(async move {
            match authenticate(&mut req, needs).await {
                Ok(()) => Ok(service.call(req).await?.map_into_left_body()),
                Err(error) => Ok(req
                    .into_response(error.error_response())
                    .map_into_right_body()),
            }
        })
    }
}

/// Finds out who asks, and leaves it with the request.
async fn authenticate(req: &mut ServiceRequest, needs: Needs) -> ApiResult<()> {
    let Some(authenticator) = req.app_data::<web::Data<Authenticator>>().cloned() else {
        return Err(ApiError::internal("authenticator", &"none is set up"));
    };
    if let Who::Person = needs.who {
        let person = authenticator.person(req.request()).await?;
        if needs.fresh {
            authenticator.must_be_fresh(&person.signed_in)?;
        }
        req.extensions_mut().insert(person);
        return Ok(());
    }
    let signed = match authenticator.begin(req.request()).await? {
        None => None,
        Some(signature) => Some(Signed {
            signature,
            body: signed::body(req, authenticator.patience()).await?,
        }),
    };
    let permission = match needs.who {
        Who::With(permission) => Some(permission),
        Who::Anybody | Who::Person => None,
    };
    let caller = authenticator
        .caller(req.request(), permission, signed.as_ref())
        .await?;
    if let Some(session) = caller.session.as_ref().filter(|_| needs.fresh) {
        authenticator.must_be_fresh(session)?;
    }
    req.extensions_mut().insert(caller);
    Ok(())
}
