//! Owns the requests that `object_store` does not make: signed here, sent once, answered whole.

use std::fmt::Write as _;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use bytes::Bytes;
use http::{Method, Request};
use md5::{Digest as _, Md5};
use object_store::{
    aws::{AwsAuthorizer, AwsCredentialProvider},
    client::HttpClient,
};
use sha2::Sha256;

use crate::http::{Answer, Silence, exchange};

/// What a request to a bucket needs.
pub(super) struct Wire {
    pub(super) client: HttpClient,
    pub(super) credentials: AwsCredentialProvider,
    pub(super) region: String,
    /// The bucket's address, without a slash at the end.
    pub(super) bucket_url: String,
}

impl Wire {
    /// Sends a request for a key of the bucket, or for the bucket itself when the key is empty.
    ///
    /// `query` is encoded already; `body` goes with the checksums that servers ask for.
    pub(super) async fn send(
        &self,
        method: Method,
        key: &str,
        query: &str,
        body: Bytes,
    ) -> Result<Answer, Silence> {
        let not_sent = |cause: Box<dyn std::error::Error + Send + Sync>| Silence::NotSent(cause);
        let mut url = self.bucket_url.clone();
        if !key.is_empty() {
            url = format!("{url}/{}", encode(key, "/"));
        }
        if !query.is_empty() {
            url = format!("{url}?{query}");
        }
        let mut request = Request::builder().method(&method).uri(url);
        if method == Method::GET && !key.is_empty() {
            // Whether it is there is all that is asked, not what it holds.
            request = request.header("range", "bytes=0-0");
        }
        if !body.is_empty() {
            request = request
                .header("content-type", "application/xml")
                .header("content-md5", BASE64_STANDARD.encode(Md5::digest(&body)))
                .header(
                    "x-amz-checksum-sha256",
                    BASE64_STANDARD.encode(Sha256::digest(&body)),
                );
        }
        let mut request = request
            .body(body.into())
            .map_err(|error| not_sent(error.into()))?;
        let credentials = self.credentials.get_credential().await;
        let credentials = credentials.map_err(|error| not_sent(error.into()))?;
        AwsAuthorizer::new(&credentials, "s3", &self.region)
            .try_authorize(&mut request, None)
            .map_err(|error| not_sent(error.into()))?;
        exchange(&self.client, request).await
    }
}

/// Percent-encodes everything but what never needs it and what is in `plain`.
pub(crate) fn encode(text: &str, plain: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        let character = char::from(byte);
        let is_plain = byte.is_ascii_alphanumeric() || "-._~".contains(character);
        if is_plain || (byte.is_ascii() && plain.contains(character)) {
            encoded.push(character);
        } else {
            // Writing to a `String` cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}
