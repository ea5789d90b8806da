//! The problems that operations can answer, in sets.

use std::collections::BTreeMap;

use openapi::problem::{Code, Problem};
use utoipa::IntoResponses;
use utoipa::openapi::{ContentBuilder, Ref, RefOr, Response, ResponseBuilder};

use crate::http::problem::MEDIA_TYPE;

macro_rules! sets {
    ($($(#[$doc:meta])* $name:ident = [$($code:ident),+];)*) => {$(
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name;

        impl IntoResponses for $name {
            fn responses() -> BTreeMap<String, RefOr<Response>> {
                problems(&[$(Code::$code),+])
            }
        }
    )*};
}

sets! {
    /// Every operation that is not open to all. Not found: the workspace that `X-Workspace` names.
    Guarded = [MalformedBody, InvalidParameter, Unauthenticated, CredentialInactive, SignatureInvalid, TimestampOutOfWindow, NonceReplayed, ScopeMissing, SecondFactorMissing, AddressNotAllowed, CsrfMissing, NotFound, BodyTooLarge, RateLimited, Internal, Unavailable];
    /// A hook.
    Refused = [MalformedBody, SignatureInvalid, TimestampOutOfWindow, AddressNotAllowed, SourceDisabled, NotFound, BodyTooLarge, UnsupportedMediaType, RateLimited, EventQuotaExceeded, LoopDetected, Unavailable];
    /// Signing in.
    NotSignedIn = [Unauthenticated, LoginFailed, SecondFactorRequired, CodeInvalid, RateLimited, Internal, Unavailable];
    /// Needs a session.
    Throttled = [Unauthenticated, CsrfMissing, RateLimited, Internal, Unavailable];
    /// A person must have shown who it is a short time ago.
    Fresh = [ReauthenticationRequired];
    /// A password or a code is checked.
    WrongProof = [LoginFailed, CodeInvalid, RateLimited];
    /// A link is used.
    Linked = [LinkInvalid];
    /// Something is looked up.
    Missing = [NotFound, InvalidParameter];
    /// A query string is read.
    BadQuery = [InvalidParameter];
    /// A body is read.
    BadBody = [MalformedBody, InvalidParameter, BodyTooLarge, UnsupportedMediaType, ValidationFailed];
    /// Something is made, of which there may be no more.
    Full = [QuotaExceeded];
    /// The state may not allow it.
    Conflict = [Conflict, NameTaken, QuotaExceeded, InUse];
    /// `If-Match` is needed.
    Revised = [RevisionRequired, RevisionStale];
    /// A passkey is shown.
    PasskeyFailed = [PasskeyRefused, RateLimited, Internal, Unavailable];
    /// A provider is asked who somebody is.
    ProviderFailed = [ProviderRefused, ValidationFailed, RateLimited, UpstreamFailed, Internal, Unavailable];
    /// A mail is to be sent.
    NoMail = [MailNotConfigured];
    /// The upstream is asked.
    Upstream = [UpstreamFailed];
}

/// One answer for each status, naming its codes, with an example of each.
fn problems(codes: &[Code]) -> BTreeMap<String, RefOr<Response>> {
    let mut by_status: BTreeMap<u16, Vec<Code>> = BTreeMap::new();
    for code in codes {
        by_status.entry(code.status()).or_default().push(*code);
    }
    by_status
        .into_iter()
        .map(|(status, codes)| {
            let names: Vec<String> = codes.iter().map(|c| format!("`{}`", c.id())).collect();
            let mut content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem")));
            for code in &codes {
                let problem = Problem::new(*code, "5f0c1c2e-2f0e-4a53-9d2a-6a3c1d6f8a11");
                content = content.examples_from_iter([(
                    code.id(),
                    utoipa::openapi::example::ExampleBuilder::new()
                        .summary(code.title())
                        .value(serde_json::to_value(problem).ok())
                        .build(),
                )]);
            }
            let response = ResponseBuilder::new()
                .description(format!("Problem: {}", names.join(", ")))
                .content(MEDIA_TYPE, content.build())
                .build();
            (status.to_string(), RefOr::T(response))
        })
        .collect()
}
