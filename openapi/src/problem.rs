//! Problem documents (RFC 9457) and their stable codes.

use serde::{Deserialize, Serialize};

/// What a failed request is answered with, as `application/problem+json`.
/// It never repeats what the caller sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Problem {
    /// A page about the code, relative to the documentation.
    #[serde(rename = "type")]
    pub kind: String,
    /// A line for people; the same for every problem of this code.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// The stable code.
    pub code: Code,
    /// What is wrong here and what to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Each fault of the input, with its place.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
    /// Quote it when asking for help; the server's log lines carry it too.
    pub request_id: String,
}

/// One fault of the input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct FieldError {
    /// Where, dotted: `spec.then[0].deliver.map.summary`.
    #[cfg_attr(
        feature = "schema",
        schema(example = "spec.then[0].deliver.map.summary")
    )]
    pub field: String,
    /// Stable code of the fault.
    #[cfg_attr(feature = "schema", schema(example = "template_syntax"))]
    pub code: String,
    /// What is wrong, for people.
    pub message: String,
    /// Byte offset of the fault within the field, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<usize>,
}

// Written by hand: the derive would not see the words of a macro, and name the variants.
#[cfg(feature = "schema")]
impl utoipa::PartialSchema for Code {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        utoipa::openapi::schema::ObjectBuilder::new()
            .schema_type(utoipa::openapi::schema::Type::String)
            .description(Some("The stable codes."))
            .enum_values(Some(Self::ALL.iter().map(|code| code.id())))
            .into()
    }
}

#[cfg(feature = "schema")]
impl utoipa::ToSchema for Code {}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $id:literal, $status:literal, $title:literal;)*) => {
        /// The stable codes. A new one cannot be added without its status and title.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum Code {
            $($(#[$doc])* #[serde(rename = $id)] $name,)*
        }

        impl Code {
            /// Every code, in the order of the documentation.
            pub const ALL: &'static [Code] = &[$(Code::$name,)*];

            /// The code as it stands on the wire.
            pub const fn id(self) -> &'static str {
                match self { $(Code::$name => $id,)* }
            }

            /// The HTTP status that goes with it.
            pub const fn status(self) -> u16 {
                match self { $(Code::$name => $status,)* }
            }

            /// The line for people.
            pub const fn title(self) -> &'static str {
                match self { $(Code::$name => $title,)* }
            }
        }
    };
}

codes! {
    /// The body is not what its content type says.
    MalformedBody = "malformed_body", 400, "The body could not be read";
    /// A header, path or query value has the wrong form.
    InvalidParameter = "invalid_parameter", 400, "A parameter has the wrong form";
    /// Well-formed, but not acceptable; `errors` names the fields.
    ValidationFailed = "validation_failed", 422, "The input is not valid";
    /// No, or no valid, authentication.
    Unauthenticated = "unauthenticated", 401, "Authentication is needed";
    /// E-mail or password is wrong.
    LoginFailed = "login_failed", 401, "E-mail or password is wrong";
    /// The password fits; now the second factor is asked for.
    SecondFactorRequired = "second_factor_required", 401, "A second factor is needed";
    /// The code of the second factor is wrong, or was used.
    CodeInvalid = "code_invalid", 401, "The code is not valid";
    /// The sign-in with a provider did not lead in.
    ProviderRefused = "provider_refused", 401, "The sign-in with the provider was refused";
    /// The passkey did not lead in.
    PasskeyRefused = "passkey_refused", 401, "The passkey was not accepted";
    /// The credential is switched off, expired or revoked.
    CredentialInactive = "credential_inactive", 401, "The credential may not be used any more";
    /// The signature of a request does not fit.
    SignatureInvalid = "signature_invalid", 401, "The request's authentication is not valid";
    /// The timestamp of a request is too old or too new.
    TimestampOutOfWindow = "timestamp_out_of_window", 401, "The request's timestamp is outside the tolerance";
    /// The nonce of a signed request was used before.
    NonceReplayed = "nonce_replayed", 401, "This request was sent before";
    /// The role or credential lacks the scope.
    ScopeMissing = "scope_missing", 403, "This role or credential may not do that";
    /// The act is dangerous, and the sign-in is some time ago.
    ReauthenticationRequired = "reauthentication_required", 403, "Please confirm that it is you";
    /// The workspace asks for a second factor, and the person has none.
    SecondFactorMissing = "second_factor_missing", 403, "Set up a second factor first";
    /// The address is not on the allow list.
    AddressNotAllowed = "address_not_allowed", 403, "This address is not allowed";
    /// A write from a browser without its token.
    CsrfMissing = "csrf_missing", 403, "The CSRF token is missing or wrong";
    /// The source is switched off.
    SourceDisabled = "source_disabled", 403, "The source is switched off";
    /// There is nothing at this address, or it belongs to another workspace.
    NotFound = "not_found", 404, "Not found";
    /// The link was used, has ended or never was.
    LinkInvalid = "link_invalid", 404, "The link is not valid any more";
    /// The method is not offered here.
    MethodNotAllowed = "method_not_allowed", 405, "The method is not offered here";
    /// The state does not allow it.
    Conflict = "conflict", 409, "The current state does not allow that";
    /// What is asked for was done, and it was not said that it shall be done once more.
    AlreadyDelivered = "already_delivered", 409, "It was delivered already";
    /// Something of this name is there already.
    NameTaken = "name_taken", 409, "The name is taken";
    /// The workspace has as many of these as it may.
    QuotaExceeded = "quota_exceeded", 409, "The quota of the workspace is used up";
    /// It is still used by something else.
    InUse = "in_use", 409, "It is still in use";
    /// No mail server is set.
    MailNotConfigured = "mail_not_configured", 409, "No mail server is set";
    /// Someone changed it since it was read.
    RevisionStale = "revision_stale", 412, "It was changed since you read it";
    /// The body is over the limit.
    BodyTooLarge = "body_too_large", 413, "The body is too large";
    /// The content type is not one of those understood.
    UnsupportedMediaType = "unsupported_media_type", 415, "The content type is not supported";
    /// A write needs `If-Match`.
    RevisionRequired = "revision_required", 428, "An If-Match header is needed";
    /// Too many requests; see Retry-After.
    RateLimited = "rate_limited", 429, "Too many requests";
    /// The workspace has taken as many events as it may in a day; see Retry-After.
    EventQuotaExceeded = "event_quota_exceeded", 429, "The workspace's events of the day are used up";
    /// A fault of the server; details are in its log.
    Internal = "internal", 500, "Something went wrong on the server";
    /// A message of ours came back to where it began.
    LoopDetected = "loop_detected", 508, "The message has been here before";
    /// The upstream answered badly or not at all.
    UpstreamFailed = "upstream_failed", 502, "The upstream did not answer as it should";
    /// The server cannot take it now; see Retry-After.
    Unavailable = "unavailable", 503, "The server cannot take this now";
}

impl Problem {
    /// A problem of this code.
    pub fn new(code: Code, request_id: impl Into<String>) -> Self {
        Self {
            kind: format!("/docs/problems#{}", code.id()),
            title: code.title().to_owned(),
            status: code.status(),
            code,
            detail: None,
            errors: Vec::new(),
            request_id: request_id.into(),
        }
    }
}
