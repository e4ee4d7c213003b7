//! A proxy in front of PostgreSQL that reads the protocol: when a session comes to a statement it
//! was told of, it carries nothing more, and the test knows where the program is.

use std::{
    convert::Infallible,
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{mpsc, watch},
    task::JoinHandle,
    time::timeout,
};

/// Longest time until a program comes to its barrier, on a busy machine.
const DEADLINE: Duration = Duration::from_secs(30);
/// What a client may send before it says who it is: requests for TLS and for Kerberos.
const GREETINGS: [u32; 2] = [80_877_103, 80_877_104];

/// Which side of a statement a session halts on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// The server has not got it.
    Before,
    /// The server has run it, and the client has no answer.
    After,
}

/// Where a program is to halt: one of its sessions has sent statements with these texts in this
/// order, and the last one is the `turn`-th (1 is the first) of its kind in the whole program.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Halt {
    pub(crate) texts: &'static [&'static str],
    pub(crate) side: Side,
    pub(crate) turn: usize,
}

/// The proxy; dropping it closes its port.
pub(crate) struct Barrier {
    address: SocketAddr,
    arrivals: mpsc::UnboundedReceiver<()>,
    task: JoinHandle<()>,
}

impl Barrier {
    /// Starts a proxy to a server's port on 127.0.0.1.
    pub(crate) async fn start(port: u16, halt: Halt) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (arrived, arrivals) = mpsc::unbounded_channel();
        let plan = Arc::new(Plan {
            server: (Ipv4Addr::LOCALHOST, port).into(),
            halt,
            seen: AtomicUsize::new(0),
            arrived,
        });
        let task = tokio::spawn(async move {
            while let Ok((client, _address)) = listener.accept().await {
                // A session that breaks on either side is over on both.
                let plan = Arc::clone(&plan);
                tokio::spawn(async move { drop(carry(client, &plan).await) });
            }
        });
        Self {
            address,
            arrivals,
            task,
        }
    }

    /// Returns a database's URL through this proxy.
    pub(crate) fn through(&self, url: &str, port: u16) -> String {
        let (old, new) = (format!(":{port}/"), format!(":{}/", self.address.port()));
        assert!(url.contains(&old), "the URL names the port");
        url.replace(&old, &new)
    }

    /// Waits until a session has halted.
    pub(crate) async fn reached(&mut self) {
        let arrival = timeout(DEADLINE, self.arrivals.recv()).await;
        assert!(
            matches!(arrival, Ok(Some(()))),
            "no session came to its barrier"
        );
    }
}

impl Drop for Barrier {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What the sessions of one proxy share.
struct Plan {
    server: SocketAddr,
    halt: Halt,
    /// How often the last text was met.
    seen: AtomicUsize,
    arrived: mpsc::UnboundedSender<()>,
}

impl Plan {
    /// Halts for good, until the client is gone.
    async fn hold(&self) -> Infallible {
        // Nobody listens once the test has what it waited for.
        self.arrived.send(()).ok();
        std::future::pending().await
    }

    fn is_due(&self) -> bool {
        self.seen.fetch_add(1, Ordering::SeqCst) + 1 == self.halt.turn
    }
}

/// Carries one session in both directions until either side is gone.
async fn carry(client: TcpStream, plan: &Plan) -> io::Result<()> {
    let server = TcpStream::connect(plan.server).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let (withhold, withheld) = watch::channel(false);
    tokio::select! {
        ended = forth(from_client, to_server, plan, &withhold) => ended,
        ended = back(from_server, to_client, plan, &withheld) => ended,
    }
}

/// Carries what the client says, message by message.
async fn forth(
    from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    plan: &Plan,
    withhold: &watch::Sender<bool>,
) -> io::Result<()> {
    let mut from = BufReader::new(from);
    greet(&mut from, &mut to).await?;
    let mut met = 0;
    loop {
        let kind = from.read_u8().await?;
        let body = read_body(&mut from).await?;
        if statement(kind, &body).is_some_and(|text| fits(&text, plan.halt.texts[met])) {
            met = (met + 1) % plan.halt.texts.len();
            if met == 0 && plan.is_due() {
                if plan.halt.side == Side::Before {
                    return hold_until_gone(&mut from, plan).await;
                }
                withhold.send_replace(true);
            }
        }
        to.write_u8(kind).await?;
        write_body(&mut to, &body).await?;
    }
}

/// Carries a client's first messages, which have no kind in front.
async fn greet(from: &mut BufReader<OwnedReadHalf>, to: &mut OwnedWriteHalf) -> io::Result<()> {
    loop {
        let body = read_body(from).await?;
        write_body(to, &body).await?;
        let code = body.first_chunk().map(|code| u32::from_be_bytes(*code));
        if !code.is_some_and(|code| GREETINGS.contains(&code)) {
            return Ok(());
        }
    }
}

/// Holds a session before its statement; the server is left when the client is gone.
async fn hold_until_gone(from: &mut BufReader<OwnedReadHalf>, plan: &Plan) -> io::Result<()> {
    let mut rest = Vec::new();
    tokio::select! {
        never = plan.hold() => match never {},
        ended = from.read_to_end(&mut rest) => ended.map(drop),
    }
}

/// Carries what the server says, until its answers are withheld.
async fn back(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    plan: &Plan,
    withheld: &watch::Receiver<bool>,
) -> io::Result<()> {
    let mut answers = Vec::new();
    loop {
        let mut piece = Vec::with_capacity(16 * 1024);
        if from.read_buf(&mut piece).await? == 0 {
            return Ok(());
        }
        // A client sends no statement before it has all answers to the one before: from here on,
        // everything is about the statement of the barrier.
        if *withheld.borrow() {
            answers.extend(piece);
            if is_complete(&answers) {
                match plan.hold().await {}
            }
        } else {
            to.write_all(&piece).await?;
        }
    }
}

/// Tells whether the server has said that it is ready for the next statement.
fn is_complete(mut answers: &[u8]) -> bool {
    while let Some((kind, rest)) = answers.split_first() {
        let Some(length) = rest.first_chunk().map(|length| u32::from_be_bytes(*length)) else {
            return false;
        };
        if *kind == b'Z' {
            return true;
        }
        answers = rest.get(length as usize..).unwrap_or_default();
    }
    false
}

/// Reads the text of a message that carries one: a simple query, or a statement to parse.
fn statement(kind: u8, body: &[u8]) -> Option<String> {
    let mut texts = body.split(|byte| *byte == 0);
    let text = match kind {
        b'Q' => texts.next(),
        b'P' => texts.nth(1),
        _ => None,
    }?;
    let text = String::from_utf8_lossy(text);
    Some(text.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// A word stands for the whole statement, several words for a part of it.
fn fits(statement: &str, text: &str) -> bool {
    statement == text || (text.contains(' ') && statement.contains(text))
}

/// Reads a length, which counts itself, and what follows.
async fn read_body(from: &mut BufReader<OwnedReadHalf>) -> io::Result<Vec<u8>> {
    let length = from.read_u32().await?.saturating_sub(4);
    let mut body = vec![0; length as usize];
    from.read_exact(&mut body).await?;
    Ok(body)
}

async fn write_body(to: &mut OwnedWriteHalf, body: &[u8]) -> io::Result<()> {
    let length = u32::try_from(body.len() + 4).map_err(io::Error::other)?;
    to.write_all(&[&length.to_be_bytes()[..], body].concat())
        .await
}
