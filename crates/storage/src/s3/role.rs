//! Owns the role of `STSS3Storage`: a user's keys are exchanged for temporary ones, which are
//! renewed before they end.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use chrono::DateTime;
use http::{Method, Request};
use object_store::{
    CredentialProvider,
    aws::{AwsAuthorizer, AwsCredential},
    client::HttpClient,
};
use quick_xml::de;
use serde::Deserialize;
use tokio::sync::Mutex;

use super::{encode, settings::Keys, xml};
use crate::http::exchange;

/// Temporary keys are renewed when they have less than this to live.
const RENEW_BEFORE: Duration = Duration::from_mins(5);

/// The role, and the keys that it has now.
pub(super) struct Role {
    client: HttpClient,
    /// Where keys are exchanged.
    endpoint: String,
    region: String,
    arn: String,
    user: AwsCredential,
    current: Mutex<Option<Current>>,
}

struct Current {
    credential: Arc<AwsCredential>,
    ends: SystemTime,
}

impl std::fmt::Debug for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Role({})", self.arn)
    }
}

impl Role {
    /// Names the role; nothing is exchanged before the first request.
    pub(super) fn new(client: HttpClient, region: &str, arn: &str, user: &Keys) -> Self {
        let country = if region.starts_with("cn-") { ".cn" } else { "" };
        Self {
            client,
            endpoint: format!("https://sts.{region}.amazonaws.com{country}"),
            region: region.to_owned(),
            arn: arn.to_owned(),
            user: AwsCredential {
                key_id: user.access.clone(),
                secret_key: user.secret.clone(),
                token: user.session.clone(),
            },
            current: Mutex::default(),
        }
    }

    /// Leads to a test's server.
    #[cfg(test)]
    pub(super) fn at(mut self, endpoint: &str) -> Self {
        endpoint.clone_into(&mut self.endpoint);
        self
    }

    async fn exchange(&self) -> Result<Current, Box<dyn std::error::Error + Send + Sync>> {
        let form = format!(
            "Action=AssumeRole&Version=2011-06-15&RoleSessionName=quayhand&RoleArn={}",
            encode(&self.arn, "")
        );
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(format!("{}/", self.endpoint))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form.into())?;
        AwsAuthorizer::new(&self.user, "sts", &self.region).try_authorize(&mut request, None)?;
        let answer = exchange(&self.client, request).await?;
        if !answer.status.is_success() {
            return Err(xml::refused(answer.status, &answer.body).into());
        }
        let answer: Response = de::from_reader(&answer.body[..])?;
        let keys = answer.result.credentials;
        let ends = DateTime::parse_from_rfc3339(&keys.expiration)?;
        let is_printable = |text: &str| text.chars().all(|c| c.is_ascii_graphic());
        if !(is_printable(&keys.access_key_id) && is_printable(&keys.session_token)) {
            return Err("the temporary keys cannot be part of a header".into());
        }
        Ok(Current {
            credential: Arc::new(AwsCredential {
                key_id: keys.access_key_id,
                secret_key: keys.secret_access_key,
                token: Some(keys.session_token),
            }),
            ends: ends.into(),
        })
    }
}

#[async_trait]
impl CredentialProvider for Role {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        let mut current = self.current.lock().await;
        if let Some(current) = &*current
            && current.ends > SystemTime::now() + RENEW_BEFORE
        {
            return Ok(Arc::clone(&current.credential));
        }
        let made = self.exchange().await;
        let made = made.map_err(|source| object_store::Error::Generic {
            store: "S3",
            source: format!("could not take on role `{}`: {source}", self.arn).into(),
        })?;
        Ok(Arc::clone(&current.insert(made).credential))
    }
}

/// The answer of `AssumeRole`, as far as it is needed.
#[derive(Deserialize)]
struct Response {
    #[serde(rename = "AssumeRoleResult")]
    result: RoleResult,
}

#[derive(Deserialize)]
struct RoleResult {
    #[serde(rename = "Credentials")]
    credentials: TemporaryKeys,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TemporaryKeys {
    access_key_id: String,
    secret_access_key: String,
    session_token: String,
    expiration: String,
}
