//! What a server's certificate must show.
use std::sync::Arc;

use rustls::{
    CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_cert_signed_by_trust_anchor, verify_server_name,
    },
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::ParsedCertificate,
};
use x509_cert::{Certificate, der::Decode};

use super::{DbError, tls::bad};

/// Verifies what `sslmode` asks for: nothing, the authority, or the name as well.
#[derive(Debug)]
pub(super) struct ServerCertificate {
    /// `None` trusts anybody, as libpq's `require` does.
    trust: Option<Trust>,
    check_name: bool,
    provider: Arc<CryptoProvider>,
}

#[derive(Debug)]
struct Trust {
    roots: RootCertStore,
    /// The same certificates: a server may show one of them itself. Self-signed ones, which
    /// PostgreSQL's manual tells people to make, are only accepted this way.
    pinned: Vec<CertificateDer<'static>>,
}

impl ServerCertificate {
    /// Prepares the check; `roots` are the trusted authorities, `None` trusts anybody.
    ///
    /// # Errors
    ///
    /// [`DbError::Config`] when none of the certificates can be used.
    pub(super) fn new(
        roots: Option<Vec<CertificateDer<'static>>>,
        check_name: bool,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Self, DbError> {
        let trust = roots.map(Trust::new).transpose()?;
        Ok(Self {
            trust,
            check_name,
            provider: Arc::clone(provider),
        })
    }
}

impl Trust {
    fn new(pinned: Vec<CertificateDer<'static>>) -> Result<Self, DbError> {
        let mut roots = RootCertStore::empty();
        let (usable, _) = roots.add_parsable_certificates(pinned.iter().cloned());
        if usable == 0 {
            return Err(bad("sslrootcert", "none of its certificates can be used"));
        }
        Ok(Self { roots, pinned })
    }

    fn verify(
        &self,
        parsed: &ParsedCertificate<'_>,
        shown: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        now: UnixTime,
        provider: &CryptoProvider,
    ) -> Result<(), Error> {
        if self.pinned.contains(shown) {
            return check_dates(shown, now);
        }
        let algorithms = provider.signature_verification_algorithms.all;
        verify_server_cert_signed_by_trust_anchor(parsed, &self.roots, between, now, algorithms)
    }
}

fn check_dates(shown: &CertificateDer<'_>, now: UnixTime) -> Result<(), Error> {
    let bad = |error| Error::InvalidCertificate(error);
    let read = Certificate::from_der(shown).map_err(|_| bad(CertificateError::BadEncoding))?;
    let validity = read.tbs_certificate.validity;
    if now.as_secs() < validity.not_before.to_unix_duration().as_secs() {
        return Err(bad(CertificateError::NotValidYet));
    }
    if now.as_secs() > validity.not_after.to_unix_duration().as_secs() {
        return Err(bad(CertificateError::Expired));
    }
    Ok(())
}

impl ServerCertVerifier for ServerCertificate {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if let Some(trust) = &self.trust {
            let parsed = ParsedCertificate::try_from(end_entity)?;
            trust.verify(&parsed, end_entity, intermediates, now, &self.provider)?;
            if self.check_name {
                verify_server_name(&parsed, server_name)?;
            }
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        if self.trust.is_none() {
            return Ok(HandshakeSignatureValid::assertion());
        }
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        if self.trust.is_none() {
            return Ok(HandshakeSignatureValid::assertion());
        }
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
