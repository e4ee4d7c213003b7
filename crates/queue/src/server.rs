//! Which server a URL names.
use apalis_redis::{Client, RedisError};
use redis::{ConnectionAddr, IntoConnectionInfo};

use crate::QueueError;

/// Reads a URL: the client that will connect, and what messages call its server.
///
/// # Errors
///
/// [`QueueError::Url`], without the URL itself, which may hold a password.
pub(crate) fn of(url: &str) -> Result<(Client, String), QueueError> {
    let unusable = |error: &RedisError| QueueError::Url {
        reason: error.to_string(),
    };
    let info = url.into_connection_info().map_err(|e| unusable(&e))?;
    let place = place_of(info.addr());
    if matches!(info.addr(), ConnectionAddr::TcpTls { .. }) {
        provide_tls();
    }
    let client = Client::open(info).map_err(|e| unusable(&e))?;
    Ok((client, place))
}

/// Makes sure that TLS has its cryptography: the program's choice, else ring.
fn provide_tls() {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // An error means that another thread was faster.
        let _provided = rustls::crypto::ring::default_provider().install_default();
    }
}

fn place_of(address: &ConnectionAddr) -> String {
    match address {
        ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => {
            format!("{host}:{port}")
        }
        ConnectionAddr::Unix(path) => path.display().to_string(),
        other => other.to_string(),
    }
}
