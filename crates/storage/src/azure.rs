//! Owns the engine `AzureStorage`: objects as blobs of one container.
//!
//! Reading, writing and listing go through `object_store`; each blob is deleted by a request of
//! its own, because the answer's header alone tells a missing blob from a missing container.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use http::{Method, Request, StatusCode, Uri};
use object_store::{
    azure::{AzureAuthorizer, AzureConfigKey, MicrosoftAzure, MicrosoftAzureBuilder},
    client::{HttpClient, HttpRequestBody},
};
use tokio::time::Instant;

use crate::{
    Deleted, ObjectPath, StorageError,
    arguments::Arguments,
    each::{Told, delete_each},
    http::{Answer, Http, Shareable, Silence, exchange, patience},
    prefix::Prefix,
    s3::{encode, is_undecided},
};

/// The arguments that are used.
const USED: &[&str] = &[
    "azure_account_key",
    "azure_account_name",
    "azure_container",
    "endpoint_url",
    "sas_token",
    "storage_path",
];
const ACTION: &str = "delete blobs";
/// The header that says what an error is.
const ERROR_CODE: &str = "x-ms-error-code";

/// One location of engine `AzureStorage`. Nothing is made before its first use.
#[derive(Clone, Debug)]
pub(crate) struct AzureEngine {
    location: String,
    settings: Settings,
    http: Http,
    container: Arc<OnceLock<Container>>,
}

/// Where a container is and how to speak with it.
#[derive(Clone)]
struct Settings {
    account: String,
    container: String,
    /// Without a slash at the end; it may have a path, as emulators do.
    endpoint: String,
    prefix: Prefix,
    /// How the configuration says who we are.
    credential: (AzureConfigKey, String),
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Settings({}/{})", self.endpoint, self.container)
    }
}

/// The two ways to a container.
struct Container {
    store: Arc<MicrosoftAzure>,
    client: HttpClient,
}

impl fmt::Debug for Container {
    /// Shows nothing: `object_store` would show the token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Container")
    }
}

impl AzureEngine {
    /// Reads the arguments; makes no client.
    pub(crate) fn new(arguments: &Arguments<'_>, http: Http) -> Result<Self, StorageError> {
        Ok(Self {
            location: arguments.location().to_owned(),
            settings: Settings::read(arguments)?,
            http,
            container: Arc::default(),
        })
    }

    pub(crate) fn prefix(&self) -> &Prefix {
        &self.settings.prefix
    }

    /// Returns the way to read, write and list.
    pub(crate) fn store(&self) -> Result<Arc<MicrosoftAzure>, StorageError> {
        Ok(Arc::clone(&self.container()?.store))
    }

    /// Removes blobs. See [`Storage::delete`](crate::Storage::delete) for the promises.
    pub(crate) async fn delete(
        &self,
        paths: &[ObjectPath],
        deadline: Instant,
    ) -> Result<Vec<Deleted>, StorageError> {
        delete_each(paths, deadline, |path| async move {
            self.send_delete(&path).await
        })
        .await
    }

    async fn send_delete(&self, path: &ObjectPath) -> Told {
        let answer = match self
            .send(Method::DELETE, &self.settings.prefix.key(path), "")
            .await
        {
            Ok(answer) => answer,
            Err(Silence::Lost(why)) => return Told::Key(Deleted::Unknown(why)),
            Err(silence) => return Told::Refused(self.failed(ACTION, silence)),
        };
        match (answer.status, code(&answer)) {
            (StatusCode::ACCEPTED | StatusCode::OK, _) => Told::Key(Deleted::Removed),
            (StatusCode::NOT_FOUND, "BlobNotFound") => Told::Key(Deleted::NotFound),
            (status, _) if is_undecided(status) => Told::Key(Deleted::Unknown(said(&answer))),
            // A lease or a snapshot of this one blob.
            (StatusCode::CONFLICT | StatusCode::PRECONDITION_FAILED, _) => {
                Told::Key(Deleted::Failed(said(&answer)))
            }
            _ => Told::Refused(self.refused(ACTION, &answer)),
        }
    }

    /// Says whether a blob is there, after "not found".
    ///
    /// # Errors
    /// When the container is missing or the server says neither.
    pub(crate) async fn is_there(&self, path: &ObjectPath) -> Result<bool, StorageError> {
        let action = format!("look at `{path}`");
        let key = self.settings.prefix.key(path);
        let answer = self
            .send(Method::HEAD, &key, "")
            .await
            .map_err(|silence| self.failed(&action, silence))?;
        match (answer.status, code(&answer)) {
            (status, _) if status.is_success() => Ok(true),
            (StatusCode::NOT_FOUND, "BlobNotFound") => Ok(false),
            _ => Err(self.refused(&action, &answer)),
        }
    }

    /// Lists one blob at most, to see that the container is there and is ours.
    pub(crate) async fn check(&self) -> Result<(), StorageError> {
        const ACTION: &str = "list its objects";
        let query = "comp=list&maxresults=1&restype=container";
        let sent = self.send(Method::GET, "", query).await;
        let answer = sent.map_err(|silence| self.failed(ACTION, silence))?;
        if answer.status.is_success() {
            Ok(())
        } else {
            Err(self.refused(ACTION, &answer))
        }
    }

    async fn send(&self, method: Method, key: &str, query: &str) -> Result<Answer, Silence> {
        let not_sent = |cause: Box<dyn std::error::Error + Send + Sync>| Silence::NotSent(cause);
        let container = self.container().map_err(|error| not_sent(error.into()))?;
        let mut url = format!("{}/{}", self.settings.endpoint, self.settings.container);
        if !key.is_empty() {
            url = format!("{url}/{}", encode(key, "/"));
        }
        if !query.is_empty() {
            url = format!("{url}?{query}");
        }
        let request = Request::builder()
            .method(&method)
            .uri(url)
            .header("content-length", "0")
            .body(HttpRequestBody::empty());
        let mut request = request.map_err(|error| not_sent(error.into()))?;
        let credential = container.store.credentials().get_credential().await;
        let credential = credential.map_err(|error| not_sent(error.into()))?;
        AzureAuthorizer::new(&credential, &self.settings.account)
            .try_authorize(&mut request)
            .map_err(|error| not_sent(error.into()))?;
        exchange(&container.client, request).await
    }

    fn container(&self) -> Result<&Container, StorageError> {
        if let Some(container) = self.container.get() {
            return Ok(container);
        }
        let made = self.make()?;
        Ok(self.container.get_or_init(|| made))
    }

    fn make(&self) -> Result<Container, StorageError> {
        const ACTION: &str = "prepare its client";
        let client = self.http.client();
        let client = client.map_err(|cause| self.failed(ACTION, cause))?;
        let (key, value) = &self.settings.credential;
        let store = MicrosoftAzureBuilder::new()
            .with_account(&self.settings.account)
            .with_container_name(&self.settings.container)
            .with_endpoint(self.settings.endpoint.clone())
            .with_config(*key, value)
            .with_http_connector(Shareable(client.clone()))
            .with_retry(patience())
            .build();
        let store = Arc::new(store.map_err(|cause| self.failed(ACTION, cause))?);
        Ok(Container { store, client })
    }

    fn refused(&self, action: &str, answer: &Answer) -> StorageError {
        if code(answer) == "ContainerNotFound" {
            return StorageError::BucketMissing {
                location: self.location.clone(),
                bucket: self.settings.container.clone(),
            };
        }
        self.failed(action, said(answer))
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

impl Settings {
    fn read(arguments: &Arguments<'_>) -> Result<Self, StorageError> {
        arguments.allow_only(&[USED])?;
        let account = name(arguments, "azure_account_name")?;
        let container = name(arguments, "azure_container")?;
        let endpoint = match arguments.text("endpoint_url")? {
            Some(url) => endpoint(arguments, url)?,
            None => format!("https://{account}.blob.core.windows.net"),
        };
        let key = arguments.credential("azure_account_key")?;
        let token = arguments.credential("sas_token")?;
        let credential = match (key, token) {
            (Some(key), _) => (AzureConfigKey::AccessKey, key.to_owned()),
            (None, Some(token)) => {
                let token = token.trim_start_matches('?');
                (AzureConfigKey::SasKey, token.to_owned())
            }
            (None, None) => {
                let problem = "is missing, and so is `sas_token`";
                return Err(arguments.wrong("azure_account_key", problem));
            }
        };
        Ok(Self {
            account,
            container,
            endpoint,
            prefix: Prefix::read(arguments)?,
            credential,
        })
    }
}

/// Reads the name of an account or container, which stands in the address as it is.
fn name(arguments: &Arguments<'_>, key: &'static str) -> Result<String, StorageError> {
    let name = arguments.required(key)?;
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '$';
    if name.chars().all(is_plain) {
        Ok(name.to_owned())
    } else {
        Err(arguments.wrong(key, "is no name of an account or container"))
    }
}

fn endpoint(arguments: &Arguments<'_>, url: &str) -> Result<String, StorageError> {
    let uri: Option<Uri> = url.parse().ok();
    let is_usable = uri.is_some_and(|uri| {
        let has_host = uri
            .authority()
            .is_some_and(|host| !host.as_str().contains('@'));
        matches!(uri.scheme_str(), Some("http" | "https")) && has_host && uri.query().is_none()
    });
    if is_usable {
        Ok(url.trim_end_matches('/').to_owned())
    } else {
        Err(arguments.wrong(
            "endpoint_url",
            "is no address such as `https://blobs.example.com`",
        ))
    }
}

/// Returns what an error is; empty when the server does not say.
fn code(answer: &Answer) -> &str {
    let code = answer.headers.get(ERROR_CODE);
    code.and_then(|code| code.to_str().ok()).unwrap_or_default()
}

fn said(answer: &Answer) -> String {
    match code(answer) {
        "" => format!("the server answered {}", answer.status),
        code => format!("the server answered {}: {code}", answer.status),
    }
}

#[cfg(test)]
mod tests;
