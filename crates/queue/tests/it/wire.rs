//! The script `enqueue` as a program in another language calls it, and plain commands: what is
//! wrong is refused whole, or dies with a reason; it strands nothing.
use quayhand_queue::{KeyBy, NewJob, Policy, Rule, State};
use quayhand_testkit::wait_for;

use crate::support::{Desk, LONG_LEASE, SOON, done, job, leases, redis, retry};

/// The script with its keys, before its arguments.
pub(crate) fn enqueue_call(desk: &Desk) -> redis::Cmd {
    let shared = include_str!("../../src/redis/scripts/prelude.lua");
    let lanes = include_str!("../../src/redis/scripts/lanes.lua");
    let verb = include_str!("../../src/redis/scripts/enqueue.lua");
    let names = "ready delayed leased leases jobs attempts crashes dead errors unique marks idle \
                 wake stats seen";
    let mut call = redis::cmd("EVAL");
    call.arg(format!("#!lua flags=\n{shared}{lanes}{verb}"))
        .arg(15);
    for name in names.split_whitespace() {
        call.arg(format!("qh:{{{}}}:{name}", desk.queue));
    }
    call
}

fn envelope(id: &str) -> String {
    format!(r#"{{"id":"{id}","kind":"test","payload":{{}}}}"#)
}

/// How many keys the queue has.
async fn keys(desk: &Desk) -> usize {
    let mut call = redis::cmd("KEYS");
    call.arg(format!("qh:{{{}}}:*", desk.queue));
    redis()
        .await
        .command::<Vec<String>>("keys", &call)
        .await
        .unwrap()
        .len()
}

#[tokio::test]
async fn one_job_that_cannot_be_enqueued_refuses_the_call_and_strands_none() {
    let desk = Desk::in_redis().await;
    let good = ["good", "0", "", "0", "running", "0", ""];
    let long = "x".repeat(513);
    for (at, bad, said) in [
        (0, "", "its id is no text of 1 to 512 bytes"),
        (0, long.as_str(), "its id is no text of 1 to 512 bytes"),
        (1, "", "its delay is no number of ms"),
        (1, "soon", "its delay is no number of ms"),
        (1, "-1", "its delay is no number of ms"),
        (4, "twice", "its mode is none of"),
        (5, "high", "its priority is not -128 to 127"),
        (5, "128", "its priority is not -128 to 127"),
        (6, long.as_str(), "its tenant has more than 512 bytes"),
    ] {
        let mut second = good;
        second[0] = "second";
        second[at] = bad;
        let mut call = enqueue_call(&desk);
        call.arg("")
            .arg(&good)
            .arg(envelope("good"))
            .arg(&second)
            .arg(envelope("second"));
        let refused = redis().await.command::<Vec<String>>("enqueue", &call).await;
        let refused = format!("{:?}", refused.unwrap_err());
        assert!(refused.contains(&format!("job 2: {said}")), "{refused}");
        assert_eq!(keys(&desk).await, 0, "{said}: something was written");
    }
    let mut call = enqueue_call(&desk);
    call.arg("").arg(&good).arg(envelope("good"));
    let taken: Vec<String> = redis().await.command("enqueue", &call).await.unwrap();
    assert_eq!(
        (taken, desk.take_ids(9).await),
        (vec![String::new()], vec!["good".to_owned()])
    );
}

#[tokio::test]
async fn what_is_no_envelope_or_incomplete_is_refused() {
    let desk = Desk::in_redis().await;
    let large = envelope(&"x".repeat(300_000));
    for (arguments, said) in [
        (
            vec!["a", "0", "", "0", " {}"],
            "its envelope does not begin with {",
        ),
        (
            vec!["a", "0", "", "0", large.as_str()],
            "its envelope is too large",
        ),
        (
            vec!["a", "0", "", "0"],
            "some of its 5 arguments are missing",
        ),
        (
            vec!["a", "0", "key", "", "{}"],
            "the life of its unique key is no number",
        ),
    ] {
        let mut call = enqueue_call(&desk);
        call.arg(arguments);
        let refused = redis().await.command::<Vec<String>>("enqueue", &call).await;
        let refused = format!("{:?}", refused.unwrap_err());
        assert!(refused.contains(&format!("job 1: {said}")), "{refused}");
        assert_eq!(keys(&desk).await, 0, "{said}: something was written");
    }
}

/// Writes what a hash of the queue says of a job.
async fn set_by_hand(desk: &Desk, name: &str, id: &[u8], value: &str) {
    let mut set = redis::cmd("HSET");
    set.arg(format!("qh:{{{}}}:{name}", desk.queue))
        .arg(id)
        .arg(value);
    redis().await.command::<()>("set", &set).await.unwrap();
}

/// Puts a job in line without the script, which would refuse its id.
async fn put_by_hand(desk: &Desk, id: &[u8]) {
    set_by_hand(desk, "jobs", id, &envelope("x")).await;
    let mut push = redis::cmd("RPUSH");
    push.arg(format!("qh:{{{}}}:ready", desk.queue)).arg(id);
    redis().await.command::<()>("push", &push).await.unwrap();
}

/// Two of these ids are no text, and would be one if they were read together.
#[tokio::test]
async fn jobs_beside_an_id_that_nobody_could_say_are_taken() {
    let desk = Desk::in_redis().await;
    let rounds: [&[&[u8]]; 2] = [
        &[b"1a", b"a\xc3", b"\xa9b", b"2a"],
        &[b"1a", b"\xff", b"2a"],
    ];
    for ids in rounds {
        let before = desk.counts().await[3];
        for id in ids {
            put_by_hand(&desk, id).await;
        }
        let taken = desk.take(9).await;
        let seen: Vec<_> = taken.iter().map(|job| &*job.lease.id).collect();
        assert_eq!(seen, ["1a", "2a"]);
        assert!(taken.iter().all(|job| job.attempt == 1 && job.crashes == 0));
        assert_eq!(desk.finish(&leases(&taken), done()).await, [true; 2]);
        let dead = before + ids.len() as u64 - 2;
        assert_eq!(desk.counts().await, [0, 0, 0, dead]);
    }
}

#[tokio::test]
async fn an_id_that_nobody_could_say_again_is_dead_under_another() {
    let desk = Desk::in_redis().await;
    let long = "x".repeat(70_000);
    let ids: [&[u8]; 10] = [
        b"\xff\xfe",
        long.as_bytes(),
        b"\xc3a\xa9",
        b"A\0\xff",
        b"",
        // Half of a pair, longer than need be, beyond the end.
        b"\xed\xa0\x80",
        b"\xe0\x80\x80",
        b"\xf0\x80\x80\x80",
        b"\xf4\x90\x80\x80",
        b"\xc0\x80",
    ];
    for (n, id) in ids.into_iter().enumerate() {
        let mut call = enqueue_call(&desk);
        call.arg("").arg("").arg(id).arg("{}");
        let refused = redis().await.command::<Vec<String>>("enqueue", &call).await;
        let refused = format!("{:?}", refused.unwrap_err());
        assert!(refused.contains("no text of 1 to 512 bytes"), "{refused}");
        put_by_hand(&desk, id).await;
        assert!(desk.take(9).await.is_empty());
        assert_eq!(desk.counts().await, [0, 0, 0, n as u64 + 1]);
    }
    let dead = desk
        .store
        .list(&desk.queue, State::Dead, 0, 99)
        .await
        .unwrap();
    assert_eq!(dead.len(), 10);
    assert!(dead.iter().all(|job| job.id.starts_with("unsayable:")));
    assert!(
        dead.iter()
            .all(|job| job.last_error.contains("no text of 1 to 512 bytes"))
    );
    let ids: Vec<_> = dead.iter().map(|job| job.id.as_str()).collect();
    desk.store.discard_dead(&desk.queue, &ids).await.unwrap();
    assert_eq!(desk.counts().await, [0; 4]);
    // Ids beyond ASCII are as good as others.
    desk.put(["Zürich", "東京", "🚢"]).await;
    assert_eq!(desk.take_ids(9).await, ["Zürich", "東京", "🚢"]);
}

/// Redis reads as JSON what is none.
#[tokio::test]
async fn an_argument_that_is_no_number_keeps_no_job_back() {
    let desk = Desk::in_redis().await;
    for (id, value) in [("1", "1"), ("nan", "NaN"), ("3", "-0"), ("4", "[1]")] {
        let job = NewJob {
            envelope: format!(r#"{{"id":"{id}","kind":"test","payload":{{"n":{value}}}}}"#),
            ..job(id)
        };
        desk.put_jobs(&[job]).await;
    }
    let policy = Policy::DEFAULT.limit(1, KeyBy::Argument("n"));
    let rules = vec![Rule::of("test", &policy).unwrap()];
    let desk = Desk { rules, ..desk };
    assert_eq!(desk.take_ids(9).await, ["1", "nan", "3", "4"]);
}

/// What `docs/wire.md` forbids: the id runs twice, but nothing of it is left.
#[tokio::test]
async fn an_id_that_is_in_line_twice_is_not_tried_again_when_it_is_done() {
    let desk = Desk::in_redis().await;
    desk.put(["1"]).await;
    let first = leases(&desk.take(1).await);
    let mut push = redis::cmd("RPUSH");
    push.arg(format!("qh:{{{}}}:ready", desk.queue)).arg("1");
    redis().await.command::<()>("push", &push).await.unwrap();
    let second = leases(&desk.take(1).await);
    assert_eq!(desk.finish(&first, done()).await, [true]);
    assert_eq!(desk.finish(&second, retry(LONG_LEASE)).await, [false]);
    assert_eq!(desk.counts().await, [0; 4]);
}

#[tokio::test]
async fn counters_and_notes_that_were_written_by_hand_stop_no_queue() {
    let desk = Desk::in_redis().await;
    desk.put(["1", "2"]).await;
    let lease = std::time::Duration::from_millis(50);
    desk.fetch(9, lease).await;
    for (name, id, value) in [
        ("crashes", "1", "many"),
        ("attempts", "1", "x"),
        ("stops", "2", "5"),
    ] {
        set_by_hand(&desk, name, id.as_bytes(), value).await;
    }
    let held = desk.store.adopt(&desk.queue, &desk.worker, lease).await;
    assert_eq!(
        held.unwrap().len(),
        2,
        "counters that are none stop no adoption"
    );
    let back = wait_for("the first job", SOON, async || {
        desk.fetch(1, crate::support::LONG_LEASE).await.jobs.pop()
    });
    assert_eq!(&*back.await.lease.id, "1");
    assert_eq!(
        desk.counts().await,
        [0, 0, 1, 0],
        "the other one was cancelled"
    );
    for (id, crashes) in [("3", "-1"), ("4", "4294967295")] {
        desk.put([id]).await;
        for (name, value) in [("crashes", crashes), ("attempts", "2")] {
            set_by_hand(&desk, name, id.as_bytes(), value).await;
        }
        let job = desk.take(1).await.remove(0);
        assert_eq!((&*job.lease.id, job.attempt, job.crashes), (id, 3, 0));
        assert!(!job.is_suspect());
    }
}
