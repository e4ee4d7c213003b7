//! What to tell an operator when no connection could be made.
use std::{error::Error as _, io};

use super::{DbError, address::Address};

type Cause<'a> = &'a (dyn std::error::Error + 'static);

/// Explains a failed connection attempt: what was said, and what to do about it.
pub(super) fn explain(error: &tokio_postgres::Error, address: &Address) -> DbError {
    let problem = match error.as_db_error() {
        Some(answer) => answered(answer, address),
        None => unanswered(error),
    };
    DbError::Connect {
        server: address.server.clone(),
        problem,
        code: error.code().map(|code| code.code().to_owned()),
    }
}

/// Makes the error of an attempt that no server has answered.
pub(super) fn without_code(problem: String, address: &Address) -> DbError {
    DbError::Connect {
        server: address.server.clone(),
        problem,
        code: None,
    }
}

fn answered(answer: &tokio_postgres::error::DbError, address: &Address) -> String {
    let (code, said) = (answer.code().code(), answer.message());
    let advice = match code {
        "28P01" => "correct user or password in the database URL",
        "28000" => "check user and `sslmode` in the database URL, and the server's pg_hba.conf",
        "3D000" => "create the database or correct its name in the database URL",
        "42501" => "grant the user CONNECT on the database",
        "53300" => "raise the server's max_connections or lower `pool_size`",
        "57P03" => "the server is starting or stopping, try again in a moment",
        "08P01" if address.config.get_options().is_some() => "PgBouncer takes no `options`",
        _ => return format!("the server said: {said} ({code})"),
    };
    format!("the server said: {said} ({code}); {advice}")
}

fn unanswered(error: &tokio_postgres::Error) -> String {
    let said = chain(error);
    if is_tls_failure(error) {
        return format!("{said}; check `sslmode` and `sslrootcert`");
    }
    let advice = match io_kind(error) {
        Some(io::ErrorKind::ConnectionRefused) => "is the server running and listening there?",
        Some(io::ErrorKind::NotFound) => "is the server running, and is that its socket's folder?",
        Some(io::ErrorKind::TimedOut) => "check host, port and firewall",
        Some(_) => "check the network",
        None => return said,
    };
    format!("{said}; {advice}")
}

/// Tells whether the TLS handshake failed on our side.
pub(super) fn is_tls_failure(error: &tokio_postgres::Error) -> bool {
    let wrapped = causes(error).find_map(|cause| cause.downcast_ref::<io::Error>());
    let inner = wrapped.and_then(io::Error::get_ref);
    inner
        .and_then(|inner| inner.downcast_ref::<rustls::Error>())
        .is_some()
}

fn io_kind(error: &tokio_postgres::Error) -> Option<io::ErrorKind> {
    let found = causes(error).find_map(|cause| cause.downcast_ref::<io::Error>());
    found.map(io::Error::kind)
}

fn causes(error: &tokio_postgres::Error) -> impl Iterator<Item = Cause<'_>> {
    std::iter::successors(error.source(), |cause: &Cause<'_>| (*cause).source())
}

/// Writes what caused an error; none of the driver's texts holds a password.
pub(super) fn chain(error: &tokio_postgres::Error) -> String {
    let causes: Vec<_> = causes(error).map(ToString::to_string).collect();
    if causes.is_empty() {
        return error.to_string();
    }
    causes.join(": ")
}
