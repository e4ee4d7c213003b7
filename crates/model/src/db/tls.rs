//! Encryption: libpq's `sslmode` on rustls, which `tokio-postgres` does not map itself.
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    ClientConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use tokio_postgres::config::SslMode;
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{DbError, argument::Argument, certificate::ServerCertificate};

/// The `ssl...` arguments as they were given.
#[derive(Default)]
pub(super) struct TlsSettings {
    mode: Mode,
    roots: Option<PathBuf>,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
}

/// libpq's `sslmode`, from careless to strict.
#[derive(Clone, Copy, Default, PartialEq, PartialOrd)]
enum Mode {
    Disable,
    Allow,
    #[default]
    Prefer,
    Require,
    VerifyCa,
    VerifyFull,
}

const NO_ROOTS: &str = "verify-ca and verify-full need `sslrootcert`, a PEM file: your \
    authority's, or the system's as in /etc/ssl/certs/ca-certificates.crt";

const MODES: [(&str, Mode); 6] = [
    ("disable", Mode::Disable),
    ("allow", Mode::Allow),
    ("prefer", Mode::Prefer),
    ("require", Mode::Require),
    ("verify-ca", Mode::VerifyCa),
    ("verify-full", Mode::VerifyFull),
];

impl TlsSettings {
    /// Takes an argument that is about encryption; returns false for any other.
    pub(super) fn take(&mut self, argument: &Argument<'_>) -> Result<bool, DbError> {
        let path = || Some(PathBuf::from(argument.value));
        match argument.key {
            "sslmode" => self.mode = argument.choose(&MODES)?,
            "sslrootcert" => self.roots = path(),
            "sslcert" => self.certificate = path(),
            "sslkey" => self.key = path(),
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Decides what is verified and how. Sockets are never encrypted, whatever the mode says;
    /// `networked` says that there is a place that is none.
    pub(super) fn settle(self, networked: bool) -> Result<Tls, DbError> {
        let identity = match (self.certificate, self.key) {
            (None, None) => None,
            (Some(certificate), Some(key)) => Some((certificate, key)),
            _ => {
                return Err(bad(
                    "sslcert",
                    "`sslcert` and `sslkey` are given together or not at all",
                ));
            }
        };
        if self.mode >= Mode::VerifyCa && self.roots.is_none() && networked {
            return Err(bad("sslrootcert", NO_ROOTS));
        }
        // As in libpq, root certificates turn `require` into `verify-ca`.
        let verified = networked && self.mode >= Mode::Require;
        Ok(Tls {
            mode: self.mode,
            roots: self.roots.filter(|_| verified),
            identity: identity.filter(|_| networked),
        })
    }
}

/// Encrypts connections. Its files are read again for every connection, so that a renewed
/// certificate needs no restart.
#[derive(Clone)]
pub(super) struct Tls {
    mode: Mode,
    /// Certificates of trusted authorities; `None` trusts anybody.
    roots: Option<PathBuf>,
    /// Our own certificate and its key.
    identity: Option<(PathBuf, PathBuf)>,
}

impl Tls {
    /// Returns the driver's mode to try on a network, and the one to try after it.
    pub(super) fn modes(&self) -> (SslMode, Option<SslMode>) {
        match self.mode {
            Mode::Disable => (SslMode::Disable, None),
            Mode::Allow => (SslMode::Disable, Some(SslMode::Require)),
            Mode::Prefer => (SslMode::Prefer, Some(SslMode::Disable)),
            Mode::Require | Mode::VerifyCa | Mode::VerifyFull => (SslMode::Require, None),
        }
    }

    /// Reads the files and builds the connector.
    ///
    /// # Errors
    ///
    /// [`DbError::Config`] with the file that cannot be used.
    pub(super) fn connector(&self) -> Result<MakeRustlsConnect, DbError> {
        let provider = Arc::new(ring::default_provider());
        let roots = self
            .roots
            .as_deref()
            .map(|path| certificates("sslrootcert", path));
        let verifier =
            ServerCertificate::new(roots.transpose()?, self.mode == Mode::VerifyFull, &provider)?;
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| bad("sslmode", &error.to_string()))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let Some((certificate, key)) = &self.identity else {
            return Ok(MakeRustlsConnect::new(builder.with_no_client_auth()));
        };
        let chain = certificates("sslcert", certificate)?;
        let secret = PrivateKeyDer::from_pem_file(key);
        let secret = secret.map_err(|error| unreadable("sslkey", key, &error.to_string()))?;
        let config = builder.with_client_auth_cert(chain, secret);
        let config = config.map_err(|error| unreadable("sslkey", key, &error.to_string()))?;
        Ok(MakeRustlsConnect::new(config))
    }
}

fn certificates(
    setting: &'static str,
    path: &Path,
) -> Result<Vec<CertificateDer<'static>>, DbError> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let read = read.map_err(|error| unreadable(setting, path, &error.to_string()))?;
    if read.is_empty() {
        return Err(unreadable(setting, path, "no certificate in it"));
    }
    Ok(read)
}

fn unreadable(setting: &'static str, path: &Path, problem: &str) -> DbError {
    bad(
        setting,
        &format!("file `{}`: {problem}; expected PEM", path.display()),
    )
}

pub(super) fn bad(setting: &'static str, problem: &str) -> DbError {
    DbError::Config {
        setting,
        problem: problem.to_owned(),
    }
}
