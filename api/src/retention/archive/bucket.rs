//! A bucket of an S3-compatible store.

use std::time::Duration;

use bytes::Bytes;
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use rusty_s3::actions::S3Action as _;
use rusty_s3::{Credentials, UrlStyle};
use url::Url;

use crate::egress::{Egress, Request};
use crate::secrets::Secret;
use crate::settings::Settings;

/// How long a signature holds, and a call may last.
const PATIENCE: Duration = Duration::from_secs(120);

/// The settings of the bucket do not go together.
#[derive(Debug, thiserror::Error)]
#[error("the archive's bucket cannot be used: {0}")]
pub struct BucketError(String);

/// Where pieces are put.
#[derive(Debug)]
pub struct Bucket {
    bucket: rusty_s3::Bucket,
    access_key: String,
    secret_key: Secret,
    prefix: String,
    allow_private: bool,
}

impl Bucket {
    /// The bucket of this server's settings; none: there is none.
    pub fn of(settings: &Settings) -> Result<Option<Self>, BucketError> {
        if settings.archive_bucket.is_empty() {
            return Ok(None);
        }
        let fault = |text: &str| BucketError(text.to_owned());
        let endpoint: Url = settings
            .archive_endpoint
            .parse()
            .map_err(|_| fault("archive_endpoint is not a complete address"))?;
        let secret_key = settings
            .archive_secret_key
            .clone()
            .ok_or_else(|| fault("archive_secret_key is missing"))?;
        let bucket = rusty_s3::Bucket::new(
            endpoint,
            UrlStyle::Path,
            settings.archive_bucket.clone(),
            settings.archive_region.clone(),
        )
        .map_err(|error| BucketError(error.to_string()))?;
        Ok(Some(Self {
            bucket,
            access_key: settings.archive_access_key.clone(),
            secret_key,
            prefix: settings.archive_prefix.trim_matches('/').to_owned(),
            allow_private: settings.archive_allow_private,
        }))
    }

    /// Puts an object in place of the one of this name.
    ///
    /// # Errors
    /// It is not there.
    pub async fn put(&self, egress: &Egress, name: &str, bytes: Bytes) -> Result<(), String> {
        let name = match self.prefix.as_str() {
            "" => name.to_owned(),
            prefix => format!("{prefix}/{name}"),
        };
        let credentials = Credentials::new(self.access_key.as_str(), self.secret_key.reveal());
        let url = self
            .bucket
            .put_object(Some(&credentials), &name)
            .sign(PATIENCE);
        let answer = egress
            .send(Request {
                method: Method::PUT,
                url,
                headers: HeaderMap::from_iter([(
                    CONTENT_TYPE,
                    HeaderValue::from_static("application/octet-stream"),
                )]),
                body: bytes,
                timeout: Some(PATIENCE),
                allow_private: self.allow_private,
            })
            .await
            // The message names no address: the signature stands in it.
            .map_err(|error| error.message)?;
        match answer.status {
            200..=299 => Ok(()),
            status => Err(format!("the store answered {status}")),
        }
    }
}
