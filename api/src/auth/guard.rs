//! What stands before every route that is not open to all.

use std::future::{Ready, ready};
use std::rc::Rc;

use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{Service, ServiceRequest, ServiceResponse, Transform, forward_ready};
use actix_web::{Error, HttpMessage as _, ResponseError as _, web};
use futures_util::future::LocalBoxFuture;

use super::authenticator::Authenticator;
use super::caller::Caller;
use super::permission::Permission;
use super::signed::{self, Signed};
use crate::http::problem::{ApiError, ApiResult};

/// Lets a request pass only if its caller is known and may do this. Stands around the route, so that it comes
/// before everything that reads the request.
#[derive(Clone, Copy, Debug)]
pub struct Needs(Option<Permission>);

/// The caller must have this permission.
pub const fn needs(permission: Permission) -> Needs {
    Needs(Some(permission))
}

/// Any caller who is known.
pub const fn signed_in() -> Needs {
    Needs(None)
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
            permission: self.0,
            service: Rc::new(service),
        }))
    }
}

/// A guarded route.
#[derive(Debug)]
pub struct Guarded<S> {
    permission: Option<Permission>,
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
        let permission = self.permission;
        let service = Rc::clone(&self.service);
        Box::pin(async move {
            match authenticate(&mut req, permission).await {
                Ok(caller) => {
                    req.extensions_mut().insert(caller);
                    Ok(service.call(req).await?.map_into_left_body())
                }
                Err(error) => Ok(req
                    .into_response(error.error_response())
                    .map_into_right_body()),
            }
        })
    }
}

async fn authenticate(
    req: &mut ServiceRequest,
    permission: Option<Permission>,
) -> ApiResult<Caller> {
    let Some(authenticator) = req.app_data::<web::Data<Authenticator>>().cloned() else {
        return Err(ApiError::internal("authenticator", &"none is set up"));
    };
    let signed = match authenticator.begin(req.request()).await? {
        None => None,
        Some(signature) => Some(Signed {
            signature,
            body: signed::body(req, authenticator.patience()).await?,
        }),
    };
    authenticator
        .caller(req.request(), permission, signed.as_ref())
        .await
}
