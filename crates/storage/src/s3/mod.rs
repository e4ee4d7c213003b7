//! Owns the engines that speak S3. Reading, writing and listing go through `object_store`; what
//! deletes does not, because each key needs an answer of its own within a deadline.

mod delete;
mod role;
mod settings;
mod uploads;
mod wire;
mod xml;

use std::{
    env, fmt,
    sync::{Arc, OnceLock},
};

use bytes::Bytes;
use http::{Method, StatusCode};
use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey};
use tokio::time::Instant;

pub(crate) use self::{delete::is_undecided, settings::Settings, wire::encode};
use self::{
    settings::{Credentials, Deletes, Keys},
    wire::Wire,
};
use crate::{
    Deleted, ObjectPath, StorageError,
    http::{Answer, Http, Shareable, patience},
    prefix::Prefix,
};

/// What the environment may say about who we are, and how `object_store` calls it.
const ENVIRONMENT: &[(&str, AmazonS3ConfigKey)] = &[
    (
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
        AmazonS3ConfigKey::ContainerAuthorizationTokenFile,
    ),
    (
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        AmazonS3ConfigKey::ContainerCredentialsFullUri,
    ),
    (
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        AmazonS3ConfigKey::ContainerCredentialsRelativeUri,
    ),
    ("AWS_ROLE_ARN", AmazonS3ConfigKey::RoleArn),
    ("AWS_ROLE_SESSION_NAME", AmazonS3ConfigKey::RoleSessionName),
    (TOKEN_FILE, AmazonS3ConfigKey::WebIdentityTokenFile),
];
/// Names the file with the token that a cluster gives.
const TOKEN_FILE: &str = "AWS_WEB_IDENTITY_TOKEN_FILE";

/// One location of an engine that speaks S3. Nothing is made before its first use.
#[derive(Clone, Debug)]
pub(crate) struct S3Engine {
    location: String,
    settings: Settings,
    http: Http,
    bucket: Arc<OnceLock<Bucket>>,
}

/// The two ways to a bucket.
struct Bucket {
    store: Arc<AmazonS3>,
    wire: Wire,
}

impl fmt::Debug for Bucket {
    /// Shows nothing: credentials are in both.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bucket")
    }
}

impl S3Engine {
    pub(crate) fn new(location: String, settings: Settings, http: Http) -> Self {
        let bucket = Arc::default();
        Self {
            location,
            settings,
            http,
            bucket,
        }
    }

    pub(crate) fn prefix(&self) -> &Prefix {
        &self.settings.prefix
    }

    /// Returns the way to read, write and list.
    pub(crate) fn store(&self) -> Result<Arc<AmazonS3>, StorageError> {
        Ok(Arc::clone(&self.bucket()?.store))
    }

    /// Removes objects. See [`Storage::delete`](crate::Storage::delete) for the promises.
    pub(crate) async fn delete(
        &self,
        paths: &[ObjectPath],
        deadline: Instant,
    ) -> Result<Vec<Deleted>, StorageError> {
        match self.settings.deletes {
            Deletes::Many => self.delete_many(paths, deadline).await,
            Deletes::Single => self.delete_single(paths, deadline).await,
        }
    }

    /// Says whether an object is there, after a request without a body was told "not found":
    /// only a body tells a missing object from a missing bucket.
    ///
    /// # Errors
    /// When the bucket is missing or the server says neither.
    pub(crate) async fn is_there(&self, path: &ObjectPath) -> Result<bool, StorageError> {
        let action = format!("look at `{path}`");
        let key = self.settings.prefix.key(path);
        let wire = &self.bucket()?.wire;
        let answer = wire.send(Method::GET, &key, "", Bytes::new()).await;
        let answer = answer.map_err(|silence| self.failed(&action, silence))?;
        match answer.status {
            // An empty object has no first byte.
            status if status.is_success() || status == StatusCode::RANGE_NOT_SATISFIABLE => {
                Ok(true)
            }
            StatusCode::NOT_FOUND if xml::code(&answer.body) == "NoSuchKey" => Ok(false),
            _ => Err(self.refused(&action, &answer)),
        }
    }

    /// Lists one key at most, to see that the bucket is there and is ours.
    pub(crate) async fn check(&self) -> Result<(), StorageError> {
        const ACTION: &str = "list its objects";
        let prefix = encode(&self.settings.prefix.join(""), "");
        let query = format!("list-type=2&max-keys=1&prefix={prefix}");
        let wire = &self.bucket()?.wire;
        let answer = wire.send(Method::GET, "", &query, Bytes::new()).await;
        let answer = answer.map_err(|silence| self.failed(ACTION, silence))?;
        if answer.status.is_success() {
            Ok(())
        } else {
            Err(self.refused(ACTION, &answer))
        }
    }

    fn bucket(&self) -> Result<&Bucket, StorageError> {
        if let Some(bucket) = self.bucket.get() {
            return Ok(bucket);
        }
        let made = self.make()?;
        Ok(self.bucket.get_or_init(|| made))
    }

    fn make(&self) -> Result<Bucket, StorageError> {
        const ACTION: &str = "prepare its client";
        let settings = &self.settings;
        let client = self.http.client();
        let client = client.map_err(|cause| self.failed(ACTION, cause))?;
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(&settings.bucket)
            .with_region(&settings.region)
            .with_endpoint(&settings.endpoint)
            .with_virtual_hosted_style_request(false)
            .with_http_connector(Shareable(client.clone()))
            .with_retry(patience());
        if settings.encrypts {
            let key = "aws_server_side_encryption".parse();
            let key: AmazonS3ConfigKey = key.map_err(|cause| self.failed(ACTION, cause))?;
            builder = builder.with_config(key, "AES256");
        }
        builder = match &settings.credentials {
            Credentials::Keys(keys) => with_keys(builder, keys),
            Credentials::Environment => from_environment(builder),
            Credentials::Role { arn, user } => {
                self.with_role(builder, arn.as_deref(), user.as_ref(), &client)?
            }
        };
        let store = builder.build();
        let store = store.map_err(|cause| self.failed(ACTION, cause))?;
        let wire = Wire {
            client,
            credentials: Arc::clone(store.credentials()),
            region: settings.region.clone(),
            bucket_url: format!("{}/{}", settings.endpoint, settings.bucket),
        };
        let store = Arc::new(store);
        Ok(Bucket { store, wire })
    }

    /// Takes on a role: with the keys of a user, or with the token that a cluster gives.
    fn with_role(
        &self,
        builder: AmazonS3Builder,
        arn: Option<&str>,
        user: Option<&Keys>,
        client: &object_store::client::HttpClient,
    ) -> Result<AmazonS3Builder, StorageError> {
        if let (Some(arn), Some(user)) = (arn, user) {
            let role = role::Role::new(client.clone(), &self.settings.region, arn, user);
            return Ok(builder.with_credentials(Arc::new(role)));
        }
        if env::var_os(TOKEN_FILE).is_none() {
            let missing = format!("neither a user's keys nor {TOKEN_FILE} are set");
            return Err(self.failed("take on its role", missing));
        }
        let builder = from_environment(builder);
        Ok(match arn {
            Some(arn) => builder.with_config(AmazonS3ConfigKey::RoleArn, arn),
            None => builder,
        })
    }

    /// Names what an answer refuses.
    fn refused(&self, action: &str, answer: &Answer) -> StorageError {
        if xml::code(&answer.body) == "NoSuchBucket" {
            return StorageError::BucketMissing {
                location: self.location.clone(),
                bucket: self.settings.bucket.clone(),
            };
        }
        self.failed(action, xml::refused(answer.status, &answer.body))
    }

    fn failed(
        &self,
        action: &str,
        cause: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> StorageError {
        StorageError::Failed {
            location: self.location.clone(),
            action: action.to_owned(),
            source: cause.into(),
        }
    }
}

fn with_keys(builder: AmazonS3Builder, keys: &Keys) -> AmazonS3Builder {
    let builder = builder
        .with_access_key_id(&keys.access)
        .with_secret_access_key(&keys.secret);
    match &keys.session {
        Some(token) => builder.with_token(token),
        None => builder,
    }
}

/// Takes what the environment gives, in the order of boto: keys, a cluster's token, a
/// container's credentials; last, the machine is asked.
fn from_environment(mut builder: AmazonS3Builder) -> AmazonS3Builder {
    let text = |name| env::var(name).ok().filter(|text: &String| !text.is_empty());
    if let (Some(access), Some(secret)) = (text("AWS_ACCESS_KEY_ID"), text("AWS_SECRET_ACCESS_KEY"))
    {
        let session = text("AWS_SESSION_TOKEN");
        let keys = Keys {
            access,
            secret,
            session,
        };
        return with_keys(builder, &keys);
    }
    for (name, key) in ENVIRONMENT {
        if let Some(value) = text(name) {
            builder = builder.with_config(*key, value);
        }
    }
    builder
}

#[cfg(test)]
mod tests;
