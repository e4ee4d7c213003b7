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
use tokio_postgres::{Socket, config::SslMode, tls::MakeTlsConnect};
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

    /// Decides what is verified, which of the driver's modes to try, and which one after it.
    /// Sockets are never encrypted, whatever the mode says.
    pub(super) fn settle(
        self,
        over_sockets: bool,
    ) -> Result<(Tls, SslMode, Option<SslMode>), DbError> {
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
        let verified = self.mode >= Mode::VerifyCa;
        if verified && self.roots.is_none() && !over_sockets {
            return Err(bad(
                "sslrootcert",
                "verify-ca and verify-full need `sslrootcert`, a PEM file: your \
                authority's, or the system's as in /etc/ssl/certs/ca-certificates.crt",
            ));
        }
        // As in libpq, root certificates turn `require` into `verify-ca`.
        let roots = self
            .roots
            .filter(|_| self.mode >= Mode::Require && !over_sockets);
        let identity = identity.filter(|_| !over_sockets);
        let tls = Tls {
            roots,
            check_name: self.mode == Mode::VerifyFull,
            identity,
        };
        let (mode, other_mode) = match self.mode {
            _ if over_sockets => (SslMode::Disable, None),
            Mode::Disable => (SslMode::Disable, None),
            Mode::Allow => (SslMode::Disable, Some(SslMode::Require)),
            Mode::Prefer => (SslMode::Prefer, Some(SslMode::Disable)),
            Mode::Require | Mode::VerifyCa | Mode::VerifyFull => (SslMode::Require, None),
        };
        Ok((tls, mode, other_mode))
    }
}

/// Encrypts connections. Its files are read again for every connection, so that a renewed
/// certificate needs no restart.
#[derive(Clone)]
pub(super) struct Tls {
    /// Certificates of trusted authorities; `None` trusts anybody.
    roots: Option<PathBuf>,
    check_name: bool,
    /// Our own certificate and its key.
    identity: Option<(PathBuf, PathBuf)>,
}

impl Tls {
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
        let verifier = ServerCertificate::new(roots.transpose()?, self.check_name, &provider)?;
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

impl MakeTlsConnect<Socket> for Tls {
    type Stream = <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream;
    type TlsConnect = <MakeRustlsConnect as MakeTlsConnect<Socket>>::TlsConnect;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn make_tls_connect(&mut self, host: &str) -> Result<Self::TlsConnect, Self::Error> {
        let mut connector = self.connector()?;
        Ok(MakeTlsConnect::<Socket>::make_tls_connect(
            &mut connector,
            host,
        )?)
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
