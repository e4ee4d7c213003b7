//! A session on the server, and how to stop what it is doing.
use std::{io, net::SocketAddr, path::PathBuf, time::Instant};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
    task::JoinHandle,
};
use tokio_postgres::{
    Client, Connection, Socket,
    tls::{MakeTlsConnect, TlsStream},
};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::patient::{Patient, PatientTls};

/// Where a session's server is.
#[derive(Clone, Debug)]
pub(super) enum Peer {
    /// An address, and the host's name for its certificate.
    Tcp(SocketAddr, String),
    /// A socket.
    Unix(PathBuf),
}

/// A session; dropping it takes leave of the server.
pub(super) struct Session {
    pub(super) client: Client,
    /// Drives the connection and ends by itself when `client` is dropped.
    driver: JoinHandle<()>,
    peer: Peer,
    /// When it was given back last.
    pub(super) idle_since: Instant,
}

impl Session {
    /// Drives a new connection in a task of its own.
    pub(super) fn drive<S>(client: Client, connection: Connection<Socket, S>, peer: Peer) -> Self
    where
        S: TlsStream + Unpin + Send + 'static,
    {
        let driver = tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "a connection broke"
                );
            }
        });
        let idle_since = Instant::now();
        Self {
            client,
            driver,
            peer,
            idle_since,
        }
    }

    /// Breaks the connection without taking leave.
    pub(super) fn abort(&self) {
        self.driver.abort();
    }

    /// Asks the server to stop the running statement; returns when it has closed the
    /// request's connection, which it does after it has passed the request on. The request
    /// has no effect when nothing is running.
    pub(super) async fn cancel(&self, tls: MakeRustlsConnect) -> io::Result<()> {
        match &self.peer {
            Peer::Tcp(at, name) => self.ask(TcpStream::connect(at).await?, tls, name).await,
            Peer::Unix(path) => self.ask(UnixStream::connect(path).await?, tls, "").await,
        }
    }

    async fn ask<S>(&self, stream: S, mut tls: MakeRustlsConnect, name: &str) -> io::Result<()>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let connector = MakeTlsConnect::<Patient<S>>::make_tls_connect(&mut tls, name);
        let connector = PatientTls(connector.map_err(io::Error::other)?);
        let request = self.client.cancel_token();
        let sent = request.cancel_query_raw(Patient(stream), connector).await;
        sent.map_err(io::Error::other)
    }
}
