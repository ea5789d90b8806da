//! Calls to providers, through the one way out.

use std::time::Duration;

use openidconnect::{HttpRequest, HttpResponse};
use url::Url;

use crate::egress::{Egress, EgressError, EgressFault, Request};

/// Longest call: somebody waits for it.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Makes a call as the library wants it.
pub(super) async fn call(
    egress: Egress,
    allow_private: bool,
    request: HttpRequest,
) -> Result<HttpResponse, EgressError> {
    let (head, body) = request.into_parts();
    let invalid = |message: String| EgressError {
        kind: EgressFault::Invalid,
        sent: false,
        status: None,
        message,
    };
    let url = Url::parse(&head.uri.to_string()).map_err(|error| invalid(error.to_string()))?;
    let answer = egress
        .send(Request {
            method: head.method,
            url,
            headers: head.headers,
            body: body.into(),
            timeout: Some(TIMEOUT),
            allow_private,
        })
        .await?;
    let mut response = HttpResponse::new(answer.body.to_vec());
    *response.status_mut() = answer
        .status
        .try_into()
        .map_err(|_| invalid("the answer has no status".to_owned()))?;
    *response.headers_mut() = answer.headers;
    Ok(response)
}
