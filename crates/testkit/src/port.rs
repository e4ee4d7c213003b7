//! Free ports of 127.0.0.1.

use std::net::{Ipv4Addr, TcpListener};

use crate::{TestkitError, error::io_error};

/// Finds a port of 127.0.0.1 that nobody listens on right now.
///
/// Somebody may take it before the caller does; whoever starts a server on it tries again then.
///
/// # Errors
/// When the machine has no free port.
pub(crate) fn free() -> Result<u16, TestkitError> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(io_error("find a free port of", "127.0.0.1"))
}
