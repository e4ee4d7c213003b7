//! A TCP proxy that fails on demand: between a client under test and a real server.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, TcpSocket, TcpStream},
    sync::watch,
    task::JoinHandle,
};

use crate::{TestkitError, error::io_error};

/// How many connections may wait to be accepted.
const BACKLOG: u32 = 1024;
/// How much is carried at once.
const CHUNK_BYTES: usize = 16 * 1024;

/// What a proxy does with connections, old and new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Carries everything.
    None,
    /// Refuses new connections, as a server that is not running; open ones are closed.
    Refuse,
    /// Accepts connections and carries nothing, as a network that swallows packets. What was sent
    /// meanwhile arrives when the fault ends.
    BlackHole,
    /// Carries everything, each piece this much later, in both directions.
    Delay(Duration),
    /// Carries everything but one piece in so many, which is lost, and its connection with it.
    Lose(usize),
}

/// A proxy on a free port of 127.0.0.1; dropping it closes all its connections.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    target: watch::Sender<SocketAddr>,
    fault: watch::Sender<Fault>,
    /// Moves when the accepting task has put a fault into effect.
    effective: watch::Receiver<Fault>,
    connections: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Proxy {
    /// Starts a proxy that carries everything to a server such as `127.0.0.1:6379`.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start(target: SocketAddr) -> Result<Self, TestkitError> {
        let failed = || io_error("listen on a port of", "127.0.0.1");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .map_err(failed())?;
        let address = listener.local_addr().map_err(failed())?;
        let (target, targets) = watch::channel(target);
        let (fault, faults) = watch::channel(Fault::None);
        let (effect, effective) = watch::channel(Fault::None);
        let connections = Arc::new(AtomicUsize::new(0));
        let gate = Gate {
            address,
            targets,
            faults,
            effect,
            connections: Arc::clone(&connections),
            pieces: Arc::default(),
        };
        let task = tokio::spawn(gate.run(listener));
        Ok(Self {
            address,
            target,
            fault,
            effective,
            connections,
            task,
        })
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The port of [`Proxy::address`].
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Changes what the proxy does, and returns when it does it.
    pub async fn set(&mut self, fault: Fault) {
        self.fault.send_replace(fault);
        // A task that is gone does nothing any more, whatever the fault.
        let _effective = self
            .effective
            .wait_for(|effective| *effective == fault)
            .await;
    }

    /// Carries connections that are opened from now on to another server, as an address does that
    /// follows the primary. Those that are open stay where they are.
    pub fn lead_to(&self, target: SocketAddr) {
        self.target.send_replace(target);
    }

    /// How many connections are open.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    /// Closes the port; the connections notice that the fault's sender is gone.
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The task that accepts connections.
struct Gate {
    address: SocketAddr,
    targets: watch::Receiver<SocketAddr>,
    faults: watch::Receiver<Fault>,
    effect: watch::Sender<Fault>,
    connections: Arc<AtomicUsize>,
    /// Pieces that came while some are lost.
    pieces: Arc<AtomicUsize>,
}

impl Gate {
    /// Opens and closes the port as the faults say, for ever.
    async fn run(mut self, mut listener: TcpListener) {
        loop {
            self.accept_until_refused(&listener).await;
            drop(listener);
            // A bound socket that does not listen keeps the port ours and refuses.
            let Ok(socket) = bound(self.address) else {
                return;
            };
            let refused = Fault::Refuse;
            self.effect.send_replace(refused);
            let Ok(fault) = self
                .faults
                .wait_for(|fault| *fault != refused)
                .await
                .map(|f| *f)
            else {
                return;
            };
            let Ok(opened) = socket.listen(BACKLOG) else {
                return;
            };
            listener = opened;
            self.effect.send_replace(fault);
        }
    }

    /// Accepts connections until the fault is to refuse them.
    async fn accept_until_refused(&mut self, listener: &TcpListener) {
        loop {
            tokio::select! {
                biased;
                changed = self.faults.changed() => {
                    let fault = *self.faults.borrow_and_update();
                    if changed.is_err() || fault == Fault::Refuse {
                        return;
                    }
                    self.effect.send_replace(fault);
                }
                accepted = listener.accept() => {
                    if let Ok((client, _address)) = accepted {
                        self.carry(client);
                    }
                }
            }
        }
    }

    /// Starts to carry a connection in both directions.
    fn carry(&self, client: TcpStream) {
        let (target, faults) = (*self.targets.borrow(), self.faults.clone());
        let pieces = Arc::clone(&self.pieces);
        let open = Open::new(&self.connections);
        tokio::spawn(async move {
            let _open = open;
            let mut closing = faults.clone();
            tokio::select! {
                // A connection that breaks on either side is over on both.
                _broken = connect_and_carry(client, target, faults, &pieces) => {}
                _refused = closing.wait_for(|fault| *fault == Fault::Refuse) => {}
            }
        });
    }
}

/// Counts a connection as long as it exists.
struct Open(Arc<AtomicUsize>);

impl Open {
    fn new(connections: &Arc<AtomicUsize>) -> Self {
        connections.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(connections))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Takes the port again without listening on it.
fn bound(address: SocketAddr) -> std::io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

/// Connects to the server and carries until both sides have said all they have to say.
async fn connect_and_carry(
    client: TcpStream,
    target: SocketAddr,
    mut faults: watch::Receiver<Fault>,
    pieces: &AtomicUsize,
) -> std::io::Result<()> {
    let passes = |fault: &Fault| *fault != Fault::BlackHole;
    faults
        .wait_for(passes)
        .await
        .map_err(std::io::Error::other)?;
    let server = TcpStream::connect(target).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::try_join!(
        carry_one_way(from_client, to_server, faults.clone(), pieces),
        carry_one_way(from_server, to_client, faults, pieces),
    )?;
    Ok(())
}

/// Carries one direction piece by piece, each as the fault of its moment says.
async fn carry_one_way(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut faults: watch::Receiver<Fault>,
    pieces: &AtomicUsize,
) -> std::io::Result<()> {
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let length = from.read(&mut chunk).await?;
        let passes = |fault: &Fault| *fault != Fault::BlackHole;
        let fault = *faults
            .wait_for(passes)
            .await
            .map_err(std::io::Error::other)?;
        match fault {
            Fault::Delay(delay) => tokio::time::sleep(delay).await,
            Fault::Lose(one_in) if pieces.fetch_add(1, Ordering::SeqCst) % one_in == one_in - 1 => {
                return Err(std::io::ErrorKind::ConnectionReset.into());
            }
            _ => {}
        }
        if length == 0 {
            return to.shutdown().await;
        }
        to.write_all(&chunk[..length]).await?;
    }
}
