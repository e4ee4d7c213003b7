//! How a connection is made: deadlines, and whom TLS believes.
use std::{fmt, time::Duration};

use redis::{ClientTlsConfig, TlsCertificates};

/// Longest times on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadlines {
    /// Until a connection stands.
    pub connect: Duration,
    /// Until a command is answered; a blocking wait has its own.
    pub command: Duration,
}

impl Default for Deadlines {
    /// Five seconds each.
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            command: Duration::from_secs(5),
        }
    }
}

/// Says whom a connection by `rediss://` believes, and what it shows of itself. PEM texts.
///
/// Without anything, the system's certificate authorities are believed and nothing is shown.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Tls {
    /// The only certificate authorities that are believed. `None`: the system's.
    pub authorities: Option<Vec<u8>>,
    /// Certificate and private key of this client, for servers that ask for one.
    pub client: Option<(Vec<u8>, Vec<u8>)>,
}

impl Tls {
    pub(crate) fn certificates(&self) -> TlsCertificates {
        let client = self.client.clone();
        TlsCertificates {
            client_tls: client.map(|(client_cert, client_key)| ClientTlsConfig {
                client_cert,
                client_key,
            }),
            root_cert: self.authorities.clone(),
        }
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (authorities, client) = (self.authorities.is_some(), self.client.is_some());
        write!(f, "Tls {{ authorities: {authorities}, client: {client} }}")
    }
}

/// Says how a connection is made, besides where to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Longest times on the wire.
    pub deadlines: Deadlines,
    /// For `rediss://` alone.
    pub tls: Tls,
}
