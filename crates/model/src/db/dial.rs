//! Dialling: from an address to a session that is ready for work.
use std::{
    future::Future,
    io,
    net::{IpAddr, SocketAddr},
};

use tokio::{net::lookup_host, time::timeout};
use tokio_postgres::{
    config::{Host, SslMode},
    error::SqlState,
};

use super::{
    DbError,
    address::{Address, Place},
    refusal::{self, is_tls_failure},
    session::{Peer, Session},
};

/// Dials the places of an address in order until a server answers, as libpq does: one that
/// refuses us ends the search, unless it is just starting. `settings` are statements for the
/// new session.
///
/// # Errors
///
/// [`DbError::Connect`] for the last place that was tried.
pub(super) async fn dial(address: &Address, settings: Option<&str>) -> Result<Session, DbError> {
    let mut last = refusal::without_code("the host name has no address".to_owned(), address);
    for place in &address.places {
        let peers = in_time(address, find(place, address)).await;
        let peers = peers.unwrap_or_else(|error| {
            last = error;
            Vec::new()
        });
        for peer in peers {
            match in_time(address, dial_peer(place, &peer, address, settings)).await {
                Err(error) if !is_final(&error) => last = error,
                outcome => return outcome,
            }
        }
    }
    Err(last)
}

/// Limits one attempt, from the first packet to the answer to `settings`.
async fn in_time<T>(
    address: &Address,
    attempt: impl Future<Output = Result<T, DbError>>,
) -> Result<T, DbError> {
    let limit = address.connect_timeout;
    let silence = || format!("no answer within {limit:?}; check host, port and firewall");
    let outcome = timeout(limit, attempt).await;
    outcome.unwrap_or_else(|_| Err(refusal::without_code(silence(), address)))
}

fn is_final(error: &DbError) -> bool {
    !matches!(error.code(), None | Some("57P03"))
}

/// Looks up where exactly a place is; a cancel request must go to the very same server.
async fn find(place: &Place, address: &Address) -> Result<Vec<Peer>, DbError> {
    let name = match &place.host {
        Host::Unix(folder) => {
            let socket = folder.join(format!(".s.PGSQL.{}", place.port));
            return Ok(vec![Peer::Unix(socket)]);
        }
        Host::Tcp(name) => name,
    };
    let tcp = |ip: IpAddr| Peer::Tcp(SocketAddr::new(ip, place.port), name.clone());
    if let Some(ip) = place.address {
        return Ok(vec![tcp(ip)]);
    }
    let found = lookup_host((name.as_str(), place.port)).await;
    let problem = |error: io::Error| format!("{error}; check the host name");
    let found = found.map_err(|error| refusal::without_code(problem(error), address))?;
    Ok(found.map(|found| tcp(found.ip())).collect())
}

/// Dials one server; where `sslmode` leaves a choice, the other way if it asks for it.
async fn dial_peer(
    place: &Place,
    peer: &Peer,
    address: &Address,
    settings: Option<&str>,
) -> Result<Session, DbError> {
    let (mode, other) = match peer {
        Peer::Unix(_) => (SslMode::Disable, None),
        Peer::Tcp(..) => address.tls.modes(),
    };
    let mut config = address.config.clone();
    config.port(place.port);
    match (&place.host, peer) {
        (Host::Tcp(name), Peer::Tcp(at, _)) => config.host(name).hostaddr(at.ip()),
        (Host::Unix(folder), _) => config.host_path(folder),
        (Host::Tcp(name), Peer::Unix(_)) => config.host(name),
    };
    let tls = address.tls.connector()?;
    let connect = async |mode| {
        let (client, connection) = config.clone().ssl_mode(mode).connect(tls.clone()).await?;
        let session = Session::drive(client, connection, peer.clone());
        if let Some(settings) = settings {
            session.client.batch_execute(settings).await?;
        }
        Ok(session)
    };
    let outcome = match (connect(mode).await, other) {
        (Err(error), Some(other)) if asks_for_other_mode(&error) => connect(other).await,
        (outcome, _) => outcome,
    };
    outcome.map_err(|error| refusal::explain(&error, address))
}

/// Tells whether `sslmode` allow or prefer should try the other way: the handshake failed,
/// or the server lets nobody in from here in this way.
fn asks_for_other_mode(error: &tokio_postgres::Error) -> bool {
    is_tls_failure(error) || error.code() == Some(&SqlState::INVALID_AUTHORIZATION_SPECIFICATION)
}
