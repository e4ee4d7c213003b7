//! Asks and settles the rows of jobs, many in one statement.
use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, Instant},
};

use quayhand_model::{
    Conn, Db, DbError, outbox,
    schedule::{self, End, Tick},
};
use quayhand_queue::{Done, Outcome, chain};
use tokio::sync::{mpsc, oneshot};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use tracing::{info, warn};

use super::Origin;
use crate::supervisor::patience::Patience;

/// Most rows that one statement handles.
const LARGEST_GROUP: usize = 500;
/// Most characters of a reason that are kept.
const LONGEST_REASON: usize = 2000;
/// How long a job that ended waits for the database, which must know it before the queue.
const SETTLING: Duration = Duration::from_secs(30);
/// When a job is looked at again whose row could not be read or written.
const AGAIN: Duration = Duration::from_secs(5);

/// The way to the task that asks and settles. Cheap to clone; the task ends with the last clone.
#[derive(Clone)]
pub(crate) struct Books {
    inbox: mpsc::UnboundedSender<Request>,
    _task: Arc<AbortOnDropHandle<()>>,
}

/// What is asked of a row.
#[derive(Debug)]
enum Verb {
    /// Is its job done? The answer is the reply.
    Ask,
    /// Its job is done.
    Done,
    /// Its job is dead, for this reason.
    Dead(String),
}

struct Request {
    origin: Origin,
    verb: Verb,
    reply: oneshot::Sender<Result<bool, Arc<DbError>>>,
}

impl Books {
    /// Starts the task.
    pub(crate) fn start(db: Db) -> Self {
        let (inbox, mut requests) = mpsc::unbounded_channel();
        let task = tokio::spawn(async move {
            let mut group = Vec::new();
            while requests.recv_many(&mut group, LARGEST_GROUP).await > 0 {
                answer(&db, std::mem::take(&mut group)).await;
            }
        });
        Self {
            inbox,
            _task: Arc::new(AbortOnDropHandle::new(task)),
        }
    }

    /// Runs an attempt at the job of a row: not at all when the row says that it is done, and with
    /// the row settled when it ends. One of `given_up` is cancelled when nobody waits for the attempt
    /// any more.
    pub(crate) async fn around(
        &self,
        origin: &Origin,
        [lost, handed_back]: &[CancellationToken; 2],
        attempt: impl Future<Output = Outcome>,
    ) -> Outcome {
        let asked = tokio::select! {
            asked = self.ask(origin, Verb::Ask) => asked,
            () = lost.cancelled() => return Outcome::GiveBack,
            () = handed_back.cancelled() => return Outcome::GiveBack,
        };
        match asked {
            Ok(true) => {
                info!("the job was done before; nothing is run");
                return Outcome::Done(Done::default());
            }
            Ok(false) => {}
            Err(error) => return later("its row could not be read", &error),
        }
        let outcome = attempt.await;
        let verb = || match &outcome {
            Outcome::Done(_) => Some(Verb::Done),
            Outcome::Dead { reason } => Some(Verb::Dead(kept(reason))),
            _ => None,
        };
        tokio::select! {
            settled = self.settle(origin, verb) => match settled {
                Ok(()) => outcome,
                Err(error) => later("it ended, and that could not be noted", &error),
            },
            // Somebody runs it again and notes it then.
            () = lost.cancelled() => Outcome::GiveBack,
            () = handed_back.cancelled() => Outcome::GiveBack,
        }
    }

    /// Settles a row, trying for a while.
    async fn settle(
        &self,
        origin: &Origin,
        verb: impl Fn() -> Option<Verb>,
    ) -> Result<(), Arc<DbError>> {
        let since = Instant::now();
        let mut patience = Patience::new(Duration::from_millis(100), AGAIN);
        while let Some(verb) = verb() {
            match self.ask(origin, verb).await {
                Ok(_) => break,
                Err(error) if since.elapsed() > SETTLING => return Err(error),
                Err(_) => tokio::time::sleep(patience.pause()).await,
            }
        }
        Ok(())
    }

    async fn ask(&self, origin: &Origin, verb: Verb) -> Result<bool, Arc<DbError>> {
        let (reply, answer) = oneshot::channel();
        let origin = origin.clone();
        let request = Request {
            origin,
            verb,
            reply,
        };
        // The task lives as long as we do; without it nothing is known, and the job waits.
        let gone = || Arc::new(DbError::Refused("the daemon stops".to_owned()));
        self.inbox.send(request).map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

/// Cuts a reason to what is kept, without the one character that no text of a database has.
pub(crate) fn kept(reason: &str) -> String {
    let kept = reason.chars().filter(|c| *c != '\0');
    kept.take(LONGEST_REASON).collect()
}

fn later(what: &str, error: &DbError) -> Outcome {
    let reason = format!("{what}: {}", chain(error));
    warn!("the job waits {AGAIN:?}: {reason}");
    Outcome::Snooze {
        delay: AGAIN,
        reason,
    }
}

async fn answer(db: &Db, group: Vec<Request>) {
    let answers = db.scope(async |conn| handle(conn, &group).await).await;
    let answers = answers.map_err(Arc::new);
    for (at, request) in group.into_iter().enumerate() {
        let answer = answers.as_ref().map(|done| done.contains(&at));
        // Whoever asked may have been given up.
        let _gone = request.reply.send(answer.map_err(Arc::clone));
    }
}

/// Handles a group in at most one statement a verb and table; returns the places of those that were
/// asked about and are done.
async fn handle(conn: &mut Conn, group: &[Request]) -> Result<HashSet<usize>, DbError> {
    settle_rows(conn, group).await?;
    settle_ticks(conn, group).await?;
    let ids = rows(group, |verb| matches!(verb, Verb::Ask));
    let ticks = ticks(group, |verb| matches!(verb, Verb::Ask));
    let mut missing = Vec::new();
    if !ids.is_empty() {
        missing = outbox::missing(conn, &ids).await?;
    }
    let mut done = Vec::new();
    if !ticks.is_empty() {
        done = schedule::done(conn, &ticks).await?;
    }
    let is_done = |request: &Request| match &request.origin {
        Origin::Outbox(id) => missing.contains(id),
        Origin::Tick(tick) => done.contains(tick),
    };
    let places = group.iter().enumerate();
    Ok(places
        .filter(|(_, request)| is_done(request))
        .map(|(at, _)| at)
        .collect())
}

async fn settle_rows(conn: &mut Conn, group: &[Request]) -> Result<(), DbError> {
    let done = rows(group, |verb| matches!(verb, Verb::Done));
    if !done.is_empty() {
        outbox::remove(conn, &done).await?;
    }
    let dead: Vec<_> = group
        .iter()
        .filter_map(|request| match (&request.origin, &request.verb) {
            (Origin::Outbox(id), Verb::Dead(reason)) => Some((id.as_str(), reason.as_str())),
            _ => None,
        })
        .collect();
    if !dead.is_empty() {
        outbox::bury(conn, &dead).await?;
    }
    Ok(())
}

async fn settle_ticks(conn: &mut Conn, group: &[Request]) -> Result<(), DbError> {
    for (end, is_meant) in [
        (End::Done, is_done as fn(&Verb) -> bool),
        (End::Dead, is_dead),
    ] {
        let ticks = ticks(group, is_meant);
        if !ticks.is_empty() {
            schedule::end(conn, &ticks, end).await?;
        }
    }
    Ok(())
}

fn is_done(verb: &Verb) -> bool {
    matches!(verb, Verb::Done)
}

fn is_dead(verb: &Verb) -> bool {
    matches!(verb, Verb::Dead(_))
}

fn rows(group: &[Request], is_meant: impl Fn(&Verb) -> bool) -> Vec<&str> {
    let meant = group.iter().filter(|request| is_meant(&request.verb));
    meant
        .filter_map(|request| match &request.origin {
            Origin::Outbox(id) => Some(id.as_str()),
            Origin::Tick(_) => None,
        })
        .collect()
}

fn ticks(group: &[Request], is_meant: impl Fn(&Verb) -> bool) -> Vec<Tick> {
    let meant = group.iter().filter(|request| is_meant(&request.verb));
    meant
        .filter_map(|request| match &request.origin {
            Origin::Tick(tick) => Some(tick.clone()),
            Origin::Outbox(_) => None,
        })
        .collect()
}
