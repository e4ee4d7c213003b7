//! Enqueuing as a web tier does.
use std::time::Duration;

use quayhand_queue::{
    Client, Done, Job, JobError, KeyBy, LARGEST_PAYLOAD_BYTES, Placement, Policy, Queue,
    QueueError, RawJob, Rule, Source, Target, Unique, UniqueMode,
};
use serde::{Deserialize, Serialize};

use crate::{
    support::{Desk, LONG_LEASE, Ledger, done},
    wire::enqueue_call,
};

#[derive(Serialize, Deserialize)]
struct Greet {
    name: String,
}

impl Job<()> for Greet {
    const KIND: &'static str = "greet";
    const ABOUT: &'static str = "Greets.";
    const QUEUE: Queue = Queue::new("client_test");
    const SOURCE: Source = Source::Derivable;
    const POLICY: Policy = Policy::DEFAULT.unique_for(Duration::from_mins(1));

    async fn run(&self, (): &()) -> Result<Done, JobError> {
        Ok(Done::default())
    }
}

fn greet(name: &str) -> Greet {
    Greet {
        name: name.to_owned(),
    }
}

#[tokio::test]
async fn enqueues_typed_jobs_once_while_they_wait() {
    let desk = Desk {
        queue: Greet::QUEUE,
        ..Desk::in_memory().await
    };
    let client = Client::new(desk.store.clone());
    let first = client.enqueue(&greet("ada")).await.unwrap();
    assert!(first.is_new);
    let second = client.enqueue(&greet("ada")).await.unwrap();
    assert_eq!((second.id, second.is_new), (first.id.clone(), false));
    let many = [greet("bob"), greet("ada"), greet("eve")];
    let receipts = client.enqueue_all(&many).await.unwrap();
    let new: Vec<_> = receipts.iter().map(|receipt| receipt.is_new).collect();
    assert_eq!(new, [true, false, true]);
    let later = client
        .enqueue_in(&greet("zoe"), Duration::from_mins(1))
        .await;
    assert!(later.unwrap().is_new);
    assert_eq!(desk.counts().await, [3, 1, 0, 0]);
    let envelope = desk.take(1).await[0].read().unwrap();
    assert_eq!((envelope.id, envelope.kind.as_str()), (first.id, "greet"));
    assert_eq!(envelope.payload.get(), r#"{"name":"ada"}"#);
    assert!(envelope.unique.starts_with("greet:"));
}

#[tokio::test]
async fn a_placement_travels_with_the_job() {
    let desk = Desk::in_redis().await;
    let client = Client::new(desk.store.clone());
    let raw = RawJob {
        queue: &desk.queue,
        kind: "any",
        payload: "[1, 2]".to_owned(),
        policy: Policy {
            version: 7,
            ..Policy::DEFAULT
        },
    };
    let placement = Placement::default()
        .id("tick-1")
        .tenant("42")
        .priority(-3)
        .trace("00-trace");
    let receipt = client
        .enqueue_raw(raw.clone(), placement.clone())
        .await
        .unwrap();
    assert_eq!((receipt.id.as_str(), receipt.is_new), ("tick-1", true));
    assert!(!client.enqueue_raw(raw, placement).await.unwrap().is_new);
    let envelope = desk.take(1).await[0].read().unwrap();
    assert_eq!((envelope.version, envelope.priority), (7, -3));
    assert_eq!(
        (envelope.tenant.as_str(), envelope.trace.as_str()),
        ("42", "00-trace")
    );
    assert_eq!(envelope.payload.get(), "[1, 2]");
}

#[tokio::test]
async fn refuses_what_a_queue_does_not_carry() {
    let desk = Desk::in_redis().await;
    let client = Client::new(desk.store.clone());
    let put = async |payload: String, tenant: String| {
        let raw = RawJob {
            queue: &desk.queue,
            kind: "any",
            payload,
            policy: Policy::DEFAULT,
        };
        let placement = Placement {
            tenant,
            ..Placement::default()
        };
        client.enqueue_raw(raw, placement).await
    };
    let fits = format!("\"{}\"", "x".repeat(LARGEST_PAYLOAD_BYTES - 2));
    assert!(put(fits.clone(), String::new()).await.unwrap().is_new);
    let error = put(format!("{fits} "), String::new()).await.unwrap_err();
    assert!(error.to_string().contains("at most 262144"), "{error}");
    println!("F19 a payload of 262,145 bytes: target refused at enqueue, seen: {error}");
    let long = put("1".to_owned(), "t".repeat(513)).await;
    assert!(matches!(long, Err(QueueError::TooLarge { .. })));
    let no_json = put("{".to_owned(), String::new()).await;
    assert!(matches!(no_json, Err(QueueError::Payload { .. })));
    assert_eq!(desk.counts().await, [1, 0, 0, 0]);
    assert!(
        desk.take(1).await[0].read().is_ok(),
        "what fits can be read"
    );
}

/// The commands of `docs/wire.md`, as a program in another language sends them.
#[tokio::test]
async fn plain_commands_enqueue_and_wake() {
    let desk = Desk::in_redis().await;
    let ledger = Ledger::default();
    let noted = ledger.clone();
    let worker = desk.work(1, LONG_LEASE, move |taken| {
        noted.note(&taken);
        async { done() }
    });
    desk.put(["first"]).await;
    ledger.wait_for_len(1).await;
    let key = |name: &str| format!("qh:{{{}}}:{name}", desk.queue);
    let envelope = r#"{"id":"01X","kind":"test","payload":{}}"#;
    let server = quayhand_testkit::RedisServer::shared().await.unwrap();
    let client = redis::Client::open(server.url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let asked = std::time::Instant::now();
    let mut pipe = redis::pipe();
    pipe.atomic();
    pipe.cmd("HSET").arg(key("jobs")).arg("01X").arg(envelope);
    pipe.cmd("RPUSH").arg(key("ready")).arg("01X");
    pipe.cmd("RPUSH").arg(key("wake")).arg(1);
    pipe.cmd("PEXPIRE").arg(key("wake")).arg(10_000);
    pipe.query_async::<()>(&mut connection).await.unwrap();
    let runs = ledger.wait_for_len(2).await;
    assert_eq!(runs[1], ("01X".to_owned(), 1));
    assert!(
        asked.elapsed() < Duration::from_secs(2),
        "not by its own wait"
    );
    worker.stop().await;
}

#[tokio::test]
async fn the_script_enqueues_for_a_program_in_another_language() {
    let desk = Desk::in_redis().await;
    let mut call = enqueue_call(&desk);
    for id in ["a", "b"] {
        let envelope = format!(r#"{{"id":"{id}","kind":"test","payload":[]}}"#);
        call.arg(id).arg(0).arg("key").arg(60_000).arg(envelope);
    }
    let redis = crate::support::redis().await;
    let answer: Vec<String> = redis.command("enqueue", &call).await.unwrap();
    assert_eq!(answer, ["", "a"]);
    assert_eq!(desk.take_ids(9).await, ["a"]);
    let mut call = enqueue_call(&desk);
    call.arg("");
    for (id, priority, n) in [("low", -1, 1), ("high", 1, 2), ("left out", 1, 3)] {
        let envelope = format!(r#"{{"id":"{id}","kind":"test","tenant":"t","payload":{n}}}"#);
        call.arg(id)
            .arg(0)
            .arg(format!("key{priority}"))
            .arg(60_000);
        call.arg("replace").arg(priority).arg("t").arg(envelope);
    }
    let answer: Vec<String> = redis.command("enqueue", &call).await.unwrap();
    assert_eq!(answer, ["", "", "high"]);
    let taken = desk.take(9).await;
    let ids: Vec<_> = taken.iter().map(|job| &*job.lease.id).collect();
    assert_eq!(ids, ["high", "low"]);
    assert_eq!(taken[0].read().unwrap().payload.get(), "3", "replaced");
}

/// Who enqueues need not know what holds a kind back.
#[tokio::test]
async fn rules_and_pauses_hold_for_plain_commands_too() {
    let policy = Policy::DEFAULT.limit(1, KeyBy::Tenant);
    let desk = Desk {
        rules: vec![Rule::of("test", &policy).unwrap()],
        ..Desk::in_redis().await
    };
    let redis = crate::support::redis().await;
    let key = |name: &str| format!("qh:{{{}}}:{name}", desk.queue);
    for (id, tenant) in [("1", "a"), ("2", "a"), ("3", "b"), ("4", "c")] {
        let envelope =
            format!(r#"{{"payload":{{}},"tenant":"{tenant}","kind":"test","id":"{id}"}}"#);
        let (mut set, mut push) = (redis::cmd("HSET"), redis::cmd("RPUSH"));
        set.arg(key("jobs")).arg(id).arg(envelope);
        push.arg(key("ready")).arg(id);
        redis.command::<()>("set", &set).await.unwrap();
        redis.command::<()>("push", &push).await.unwrap();
    }
    let target = Target::Tenant("c".to_owned());
    desk.store
        .pause(&desk.queue, &target, "ada", "")
        .await
        .unwrap();
    assert_eq!(desk.take_ids(9).await, ["1", "3"]);
}

#[tokio::test]
async fn a_placement_says_how_equal_jobs_are_kept_apart() {
    let desk = Desk {
        queue: Greet::QUEUE,
        ..Desk::in_memory().await
    };
    let client = Client::new(desk.store.clone());
    let put = async |name: &str, mode| {
        let unique = Unique::new(mode, Duration::from_mins(1)).key("greeting");
        let placement = Placement::default().unique(unique).tenant("7").priority(3);
        client
            .enqueue_placed(&greet(name), placement)
            .await
            .unwrap()
    };
    let first = put("ada", UniqueMode::Replace).await;
    let second = put("bob", UniqueMode::Replace).await;
    assert_eq!((second.id, second.is_new), (first.id, false));
    let taken = desk.take(9).await[0].read().unwrap();
    assert_eq!(taken.payload.get(), r#"{"name":"bob"}"#);
    assert_eq!((taken.priority, taken.tenant.as_str()), (3, "7"));
    assert!(
        put("eve", UniqueMode::WhileQueued).await.is_new,
        "the other runs"
    );
}

/// The kind's own policy: what holds where a placement says nothing.
#[derive(Serialize, Deserialize)]
struct Recount {
    namespace_id: i64,
    because: String,
}

impl Job<()> for Recount {
    const KIND: &'static str = "recount";
    const ABOUT: &'static str = "Counts again.";
    const QUEUE: Queue = Queue::new("client_policy");
    const SOURCE: Source = Source::Derivable;
    const POLICY: Policy = Policy::DEFAULT
        .priority(-5)
        .unique_for(Duration::from_mins(1))
        .unique_by(KeyBy::Argument("namespace_id"));

    async fn run(&self, (): &()) -> Result<Done, JobError> {
        Ok(Done::default())
    }
}

#[tokio::test]
async fn a_kind_says_which_of_its_jobs_are_equal_and_how_urgent() {
    let desk = Desk {
        queue: Recount::QUEUE,
        ..Desk::in_memory().await
    };
    let client = Client::new(desk.store.clone());
    let put = async |namespace_id, because: &str| {
        let because = because.to_owned();
        let job = Recount {
            namespace_id,
            because,
        };
        client.enqueue(&job).await.unwrap().is_new
    };
    assert!(put(1, "push").await && !put(1, "delete").await && put(2, "push").await);
    let envelope = desk.take(1).await[0].read().unwrap();
    assert_eq!(
        (envelope.priority, envelope.unique.as_str()),
        (-5, "recount:1")
    );
}
