//! Owns the way to storage over the network: one HTTP client for all locations, made when it is
//! first needed.
//!
//! It trusts what the system trusts and the registry's extra authorities, encrypts with ring,
//! follows no redirect and repeats nothing by itself: a delete under a lock is sent once.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use futures::TryStreamExt;
use http::{HeaderMap, StatusCode};
use object_store::{
    BackoffConfig, ClientOptions, RetryConfig,
    client::{HttpClient, HttpConnector, HttpErrorKind, HttpRequest},
};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};

/// Longest time for making one connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest silence in the middle of an answer.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// An unused connection is closed after this time.
const IDLE_DISCONNECT: Duration = Duration::from_secs(15);
/// Longest answer to a request of our own: a page of a thousand keys has less than 2 MiB.
const LONGEST_ANSWER_BYTES: usize = 8 * 1024 * 1024;

/// Repeats reads and lists a little: nothing is held meanwhile.
pub(crate) fn patience() -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig {
            init_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(2),
            base: 2.0,
        },
        max_retries: 3,
        retry_timeout: Duration::from_secs(20),
    }
}

/// The one HTTP client, made at its first use: an idle daemon has none.
#[derive(Clone, Debug)]
pub(crate) struct Http(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    extra_ca: Option<PathBuf>,
    client: OnceLock<HttpClient>,
}

impl Http {
    /// Names a file or folder of further authorities to trust; nothing is read yet.
    pub(crate) fn new(extra_ca: Option<PathBuf>) -> Self {
        let client = OnceLock::new();
        Self(Arc::new(Shared { extra_ca, client }))
    }

    /// Returns the client.
    ///
    /// # Errors
    /// When the extra authorities cannot be read.
    pub(crate) fn client(&self) -> io::Result<HttpClient> {
        if let Some(client) = self.0.client.get() {
            return Ok(client.clone());
        }
        // Two callers may both make one; the second is dropped unused.
        let made = build(self.0.extra_ca.as_deref())?;
        Ok(self.0.client.get_or_init(|| made).clone())
    }
}

/// Hands `object_store` the client that is there already.
#[derive(Debug)]
pub(crate) struct Shareable(pub(crate) HttpClient);

impl HttpConnector for Shareable {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(self.0.clone())
    }
}

fn build(extra_ca: Option<&Path>) -> io::Result<HttpClient> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(path) = extra_ca {
        let named = |error| io::Error::other(format!("`{}`: {error}", path.display()));
        let extra = certificates(path).map_err(named)?;
        roots.add_parsable_certificates(extra);
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let client = reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .http1_only()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(READ_TIMEOUT)
        .pool_idle_timeout(IDLE_DISCONNECT)
        .user_agent(concat!("quayhand/", env!("CARGO_PKG_VERSION")))
        .build();
    Ok(HttpClient::new(client.map_err(io::Error::other)?))
}

/// Reads the certificates of a PEM file, or of every file of a folder, as Quay installs
/// `extra_ca_certs`.
fn certificates(path: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
    let mut files = vec![path.to_owned()];
    if path.is_dir() {
        let entries = fs::read_dir(path)?.map(|entry| Ok(entry?.path()));
        files = entries.collect::<io::Result<_>>()?;
        files.retain(|file| file.is_file());
    }
    let mut certificates = Vec::new();
    for file in files {
        for certificate in CertificateDer::pem_slice_iter(&fs::read(&file)?) {
            let named = |error| io::Error::other(format!("`{}`: {error}", file.display()));
            certificates.push(certificate.map_err(named)?);
        }
    }
    Ok(certificates)
}

/// A whole answer to a request of our own.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// Why a request of our own has no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Silence {
    /// The request never left: nothing has happened.
    #[error("nothing was sent")]
    NotSent(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The request left and its answer did not arrive whole: nobody knows what has happened.
    #[error("the answer was lost: {0}")]
    Lost(String),
}

/// Sends a signed request, once, and reads the whole answer.
pub(crate) async fn exchange(client: &HttpClient, request: HttpRequest) -> Result<Answer, Silence> {
    let answer = client
        .execute(request)
        .await
        .map_err(|error| match error.kind() {
            HttpErrorKind::Connect => Silence::NotSent(error.into()),
            _ => Silence::Lost(chain(&error)),
        })?;
    let (head, body) = answer.into_parts();
    let mut pieces = body.bytes_stream();
    let mut body = BytesMut::new();
    let lost = |error: object_store::client::HttpError| Silence::Lost(chain(&error));
    while let Some(piece) = pieces.try_next().await.map_err(lost)? {
        if body.len() + piece.len() > LONGEST_ANSWER_BYTES {
            return Err(Silence::Lost(
                "it is longer than any such answer".to_owned(),
            ));
        }
        body.extend_from_slice(&piece);
    }
    Ok(Answer {
        status: head.status,
        headers: head.headers,
        body: body.freeze(),
    })
}

/// Writes an error with its causes on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.ends_with(&said) {
            text = format!("{text}: {said}");
        }
        cause = error.source();
    }
    text
}
