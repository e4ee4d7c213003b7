//! `config/redis.acl`: the queue needs exactly these commands, and no others.
use std::collections::BTreeSet;

use quayhand_queue::{Locks, Redis, RedisStore};
use quayhand_testkit::{RedisOptions, RedisServer, unique_name};
use redis::{Cmd, FromRedisValue, aio::MultiplexedConnection, cmd};

use crate::{
    changes, conformance, flow, leases, operate,
    support::{Desk, SOON},
    wire::enqueue_call,
};

const FILE: &str = include_str!("../../../../config/redis.acl");
/// Stands in the file where an operator writes the hash of a password.
const PLACEHOLDER: &str = "0000000000000000000000000000000000000000000000000000000000000000";
/// What looks at the server for us, and nobody else calls.
const OURS: [&str; 6] = [
    "auth",
    "quit",
    "acl|log",
    "info",
    "config|resetstat",
    "ping",
];

/// A server that lets in the users of the file only.
struct Guarded {
    server: RedisServer,
}

impl Guarded {
    async fn start() -> Self {
        let users = FILE.replace(&format!("#{PLACEHOLDER}"), ">secret");
        let users = Some(users.trim_end().to_owned());
        let options = RedisOptions {
            users,
            ..RedisOptions::default()
        };
        let server = RedisServer::start_with(&options).await.unwrap();
        Self { server }
    }

    async fn redis(&self, user: &str) -> Redis {
        let url = self.server.url_as(user, "secret");
        Redis::connect(&url).await.unwrap()
    }

    async fn as_administrator<T: FromRedisValue>(&self, command: &Cmd) -> T {
        let client = redis::Client::open(self.server.url()).unwrap();
        let mut connection: MultiplexedConnection =
            client.get_multiplexed_async_connection().await.unwrap();
        command.query_async(&mut connection).await.unwrap()
    }

    /// The commands that were called since the start, also by scripts.
    async fn called(&self) -> BTreeSet<String> {
        let info: String = self.as_administrator(cmd("INFO").arg("commandstats")).await;
        let calls = info.lines().filter_map(|line| {
            let (name, figures) = line.strip_prefix("cmdstat_")?.split_once(':')?;
            // Loading and probing calls that were refused count as no call.
            (!figures.starts_with("calls=0")).then(|| name.to_owned())
        });
        calls.collect()
    }
}

/// The commands that the file allows, for all users.
fn allowed() -> BTreeSet<String> {
    let words = FILE.split_whitespace();
    words
        .filter_map(|word| word.strip_prefix('+'))
        .map(str::to_owned)
        .collect()
}

#[tokio::test]
async fn everything_runs_under_the_acl_and_nothing_in_it_is_spare() {
    let guarded = Guarded::start().await;
    let redis = guarded.redis("quayhand-queue").await;
    let store = RedisStore::new(redis.clone());
    let desk = async || Desk::at(store.clone());
    conformance::every(desk).await;
    changes::every(desk).await;
    flow::every(desk).await;
    leases::every(desk).await;
    operate::every(desk).await;
    for server in redis.servers() {
        let info = cmd("INFO").arg("memory").clone();
        let _text: String = server.command("INFO", &info).await.unwrap();
    }
    take_locks(&guarded).await;
    enqueue_as_wire_md_says(&guarded).await;

    let refused: Vec<redis::Value> = guarded.as_administrator(cmd("ACL").arg("LOG")).await;
    assert!(refused.is_empty(), "{refused:?}");
    let ours: BTreeSet<_> = OURS.iter().map(ToString::to_string).collect();
    let called: BTreeSet<_> = guarded.called().await;
    let lacking: Vec<_> = called.difference(&allowed()).cloned().collect();
    let lacking: Vec<_> = lacking
        .iter()
        .filter(|name| !ours.contains(*name))
        .collect();
    assert!(lacking.is_empty(), "not in the file: {lacking:?}");
    let allowed = allowed();
    let spare: Vec<_> = allowed.difference(&called).collect();
    assert!(spare.is_empty(), "in the file and never called: {spare:?}");
    println!("ACL: {} commands, all of them needed", allowed.len());
}

/// Every call on locks, once.
async fn take_locks(guarded: &Guarded) {
    let locks = Locks::new(guarded.redis("quayhand-locks").await);
    let name = unique_name("LOCK");
    let hold = locks.acquire(&name, SOON, SOON).await.unwrap();
    assert_eq!(locks.confirm_many(&[hold]).await.unwrap().len(), 1);
    let short = std::time::Duration::from_millis(50);
    let other = unique_name("LOCK");
    let lost = locks.acquire(&other, short, SOON).await.unwrap();
    let again = locks.acquire(&other, SOON, SOON).await.unwrap();
    assert!(locks.renew(lost, SOON).await.unwrap().is_none());
    let again = locks.renew(again, SOON).await.unwrap().unwrap();
    assert!(locks.release(again).await.unwrap());
}

/// Plain commands, and the script, by a program in another language.
async fn enqueue_as_wire_md_says(guarded: &Guarded) {
    let url = guarded.server.url_as("quayhand-enqueue", "secret");
    let client = redis::Client::open(url).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let desk = Desk::at(RedisStore::new(guarded.redis("quayhand-queue").await));
    let key = |name: &str| format!("qh:{{{}}}:{name}", desk.queue);
    let envelope = r#"{"id":"plain","kind":"test","payload":{}}"#;
    let mut plain = redis::pipe();
    plain.atomic();
    plain
        .cmd("HSET")
        .arg(key("jobs"))
        .arg("plain")
        .arg(envelope);
    plain.cmd("RPUSH").arg(key("ready")).arg("plain");
    plain.cmd("RPUSH").arg(key("wake")).arg(1);
    plain.cmd("PEXPIRE").arg(key("wake")).arg(10_000);
    plain.exec_async(&mut connection).await.unwrap();
    for mode in ["running", "queued", "replace", "debounce"] {
        for delay in [0, 1000] {
            let mut script = enqueue_call(&desk);
            script.arg("").arg(format!("{mode}{delay}")).arg(delay);
            script
                .arg(mode)
                .arg(60_000)
                .arg(mode)
                .arg(1)
                .arg("tenant")
                .arg(envelope);
            let _: Vec<String> = script.query_async(&mut connection).await.unwrap();
        }
    }
    let first = desk.take_ids(5).await;
    assert_eq!(
        first,
        ["running0", "queued0", "replace0", "debounce0", "plain"]
    );
}

#[tokio::test]
async fn nothing_else_is_allowed() {
    let guarded = Guarded::start().await;
    let queue = guarded.redis("quayhand-queue").await;
    let locks = guarded.redis("quayhand-locks").await;
    let enqueue = guarded.redis("quayhand-enqueue").await;
    let mut refused = 0;
    for (redis, command) in [
        (&queue, "FLUSHALL"),
        (&queue, "CONFIG GET *"),
        (&queue, "KEYS *"),
        (&queue, "SHUTDOWN NOSAVE"),
        (&queue, "ACL LIST"),
        (&queue, "SCRIPT FLUSH"),
        (&queue, "HGET foreign field"),
        (&queue, "GET lock:x"),
        (&enqueue, "LPOP qh:{gc}:ready"),
        (&enqueue, "HGETALL qh:{gc}:jobs"),
        (&enqueue, "DEL qh:{gc}:jobs"),
        (&enqueue, "SET lock:x 1"),
        (&locks, "FLUSHDB"),
        (&locks, "HGET qh:{gc}:jobs 1"),
        (&locks, "GET foreign"),
        (&locks, "CLIENT LIST"),
    ] {
        let mut words = command.split(' ');
        let mut call = cmd(words.next().unwrap());
        call.arg(words.collect::<Vec<_>>());
        let error = redis
            .command::<redis::Value>("try", &call)
            .await
            .unwrap_err();
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert!(cause.starts_with("NoPerm"), "{command}: {cause}");
        refused += 1;
    }
    println!("ACL: {refused} of {refused} foreign commands and keys refused");
}
