//! By hand: what a queue costs that promises nothing but to have every job run.
//!
//! A job waits in a list and goes, 500 a call, into a hash of those that run; 500 a call leave it.
//! A crash loses none, somebody would have to look what is left there. The next 500 are on their
//! way while these run and those before are acknowledged.
//!
//! The same loop with leases is a second yardstick, what the one promise costs that makes a queue
//! of it: jobs wait by id, are leased together until a time under a token, and leave if the token
//! still holds them. No target is about it.
use std::sync::Arc;

use redis::{Script, aio::MultiplexedConnection};
use tokio::task::{JoinHandle, JoinSet};
use ulid::Ulid;

use super::{ledger::Ledger, load::Payload};

/// Jobs a call.
const BATCH: usize = 500;
/// Jobs a call of a bulk push: as many as ours sends.
const BULK: u32 = 1_000;
/// Bytes of an id, before the payload.
const ID: usize = 26;
const WAITING: &str = "hand:waiting";
const RUNNING: &str = "hand:running";
const JOBS: &str = "hand:jobs";
const LEASED: &str = "hand:leased";
const TOKEN: &str = "bench:1:01JDKZ3X5T9QW8RTYV2M4N6P7Q#1";

/// What a loop promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Promise {
    /// That a job runs.
    Nothing,
    /// That a job whose process died is found when its lease ends, and nobody ends another's.
    Lease,
}

const POP: &str = "
    local jobs = redis.call('LPOP', KEYS[1], ARGV[1])
    if not jobs then return {} end
    local taken = {}
    for n, job in ipairs(jobs) do
      taken[2 * n - 1] = string.sub(job, 1, 26)
      taken[2 * n] = job
    end
    redis.call('HSET', KEYS[2], unpack(taken))
    return jobs";
const ACKNOWLEDGE: &str = "return redis.call('HDEL', KEYS[1], unpack(ARGV))";
const LEASE: &str = "
    local ids = redis.call('LPOP', KEYS[1], ARGV[1])
    if not ids then return {} end
    local clock = redis.call('TIME')
    redis.call('ZADD', KEYS[3], string.format('%.0f', clock[1] * 1000 + 30000), ARGV[2])
    redis.call('SADD', KEYS[2], unpack(ids))
    return redis.call('HMGET', KEYS[4], unpack(ids))";
const SETTLE: &str = "
    local held = redis.call('SMISMEMBER', KEYS[1], unpack(ARGV, 2))
    for _, is_held in ipairs(held) do
      if is_held == 0 then return 0 end
    end
    redis.call('SREM', KEYS[1], unpack(ARGV, 2))
    if redis.call('EXISTS', KEYS[1]) == 0 then redis.call('ZREM', KEYS[2], ARGV[1]) end
    return redis.call('HDEL', KEYS[3], unpack(ARGV, 2))";

/// A loop that runs.
pub(crate) struct Loop {
    task: JoinHandle<()>,
}

/// Writes a job: its id, then its payload.
fn written(n: u32) -> String {
    let mut job = Ulid::generate().to_string();
    job.push_str(&serde_json::to_string(&Payload::new(n)).unwrap());
    job
}

/// Enqueues one job.
pub(crate) async fn push(redis: &mut MultiplexedConnection, promise: Promise, n: u32) {
    push_some(redis, promise, n..n + 1).await;
}

/// Enqueues jobs in one round trip.
async fn push_some(
    redis: &mut MultiplexedConnection,
    promise: Promise,
    jobs: std::ops::Range<u32>,
) {
    let (mut put, mut push) = (redis::cmd("HSET"), redis::cmd("RPUSH"));
    put.arg(JOBS);
    push.arg(WAITING);
    for job in jobs.map(written) {
        if promise == Promise::Lease {
            push.arg(&job[..ID]);
            put.arg(&job[..ID]).arg(job);
        } else {
            push.arg(job);
        }
    }
    let mut call = redis::pipe();
    if promise == Promise::Lease {
        call.add_command(put).ignore();
    }
    call.add_command(push).ignore();
    let () = call.query_async(redis).await.unwrap();
}

/// Enqueues jobs in bulk.
pub(crate) async fn push_all(redis: &mut MultiplexedConnection, promise: Promise, jobs: u32) {
    for first in (0..jobs).step_by(usize::try_from(BULK).unwrap()) {
        push_some(redis, promise, first..jobs.min(first + BULK)).await;
    }
}

/// Tells whether no job is left.
pub(crate) async fn is_settled(redis: &mut MultiplexedConnection) -> bool {
    let mut exists = redis::cmd("EXISTS");
    exists.arg(WAITING).arg(RUNNING);
    exists.query_async::<u32>(redis).await.unwrap() == 0
}

impl Loop {
    /// Starts a loop that runs so many jobs at a time.
    pub(crate) fn start(
        redis: MultiplexedConnection,
        promise: Promise,
        concurrent: usize,
        ledger: Arc<Ledger>,
    ) -> Self {
        let task = tokio::spawn(go_round(redis, promise, concurrent, ledger));
        Self { task }
    }

    /// Ends it; it holds no job.
    pub(crate) async fn stop(self) {
        self.task.abort();
        self.task.await.unwrap_err();
    }
}

async fn go_round(
    redis: MultiplexedConnection,
    promise: Promise,
    concurrent: usize,
    ledger: Arc<Ledger>,
) {
    let (pop, acknowledge) = match promise {
        Promise::Nothing => (Script::new(POP), Script::new(ACKNOWLEDGE)),
        Promise::Lease => (Script::new(LEASE), Script::new(SETTLE)),
    };
    let (mut popping, mut acknowledging) = (redis.clone(), redis);
    let (mut jobs, mut ended) = (Vec::new(), Vec::<Vec<u8>>::new());
    loop {
        let popped = async {
            let mut call = pop.key(WAITING);
            call.key(RUNNING).arg(BATCH);
            if promise == Promise::Lease {
                call.key(LEASED).key(JOBS).arg(TOKEN);
            }
            call.invoke_async::<Vec<Vec<u8>>>(&mut popping)
                .await
                .unwrap()
        };
        let acknowledged = async {
            if ended.is_empty() {
                return;
            }
            let mut call = acknowledge.key(RUNNING);
            if promise == Promise::Lease {
                call.key(LEASED).key(JOBS).arg(TOKEN);
            }
            for id in &ended {
                call.arg(id);
            }
            let gone: usize = call.invoke_async(&mut acknowledging).await.unwrap();
            assert_eq!(gone, ended.len());
        };
        let ran = run(jobs, concurrent, &ledger);
        (jobs, (), ended) = tokio::join!(popped, acknowledged, ran);
    }
}

/// Runs jobs in so many tasks; returns their ids.
async fn run(mut jobs: Vec<Vec<u8>>, concurrent: usize, ledger: &Arc<Ledger>) -> Vec<Vec<u8>> {
    let each = jobs.len().div_ceil(concurrent).max(1);
    let mut tasks = JoinSet::new();
    while !jobs.is_empty() {
        let mut share = jobs.split_off(jobs.len() - each.min(jobs.len()));
        let ledger = ledger.clone();
        tasks.spawn(async move {
            for job in &mut share {
                ledger.note(serde_json::from_slice(&job[ID..]).unwrap());
                job.truncate(ID);
            }
            share
        });
    }
    tasks.join_all().await.into_iter().flatten().collect()
}
