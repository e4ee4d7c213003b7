//! How a worker's task, a daemon and Redis die, and what is waited for then.
use std::time::{Duration, Instant};

use quayhand_queue::{Placement, Queue, State};
use quayhand_testkit::wait_for;

use super::{
    super::{PATIENCE, now_ms},
    Campaign, Crash, Victim, daemon,
    feed::number_of,
};
use crate::testd::{
    TestCtx,
    faulty::POISON,
    kinds::{A, MarkA, QUEUES},
};

/// Said by a daemon whose worker died.
const RESTARTED: &str = "ended and is started again";

impl Campaign {
    /// Ends a pool's worker by a job that makes it panic, takes that job out of the queue, and waits
    /// until all others that were in the queue are done.
    pub(super) async fn kill_a_worker(&mut self, nth: usize) {
        let (before, from_ms) = (self.restarts(), now_ms());
        let mut doses = 0;
        let hit = loop {
            if let Some(hit) = self.poison(&format!("poison:{nth}:{doses}"), before).await {
                break hit;
            }
            doses += 1;
        };
        let pid = self.daemons[hit].pid();
        self.crashes.push(Crash {
            victim: Victim::Worker,
            pid: Some(pid),
            from_ms,
            until_ms: now_ms(),
        });
        let mut all = redis::cmd("HKEYS");
        all.arg(format!("qh:{{{A}}}:jobs"));
        let rest: Vec<String> = self.ask(&all).await;
        self.wait_until_redone(&A, &rest, None, from_ms).await;
    }

    /// Has a job make a worker panic; returns whose. The first job of a task does that, one that follows
    /// another there fails alone: then none.
    async fn poison(&self, id: &str, before: [usize; 2]) -> Option<usize> {
        let placement = Placement::default().tenant(POISON).priority(100).id(id);
        let job = MarkA { id: -1, ms: 0 };
        let client = &self.world.client;
        let placed = client.enqueue_placed::<TestCtx, _>(&job, placement).await;
        assert!(placed.unwrap().is_new);
        let hit = wait_for(
            "the end of a worker or of an attempt",
            PATIENCE,
            async || {
                let now = self.restarts();
                let hit = (0..2).find(|nth| now[*nth] > before[*nth]);
                let shown = client.store().get(&A, id).await.ok().flatten();
                let has_failed = shown.is_some_and(|job| job.state == State::Delayed);
                (hit.is_some() || has_failed).then_some(hit)
            },
        )
        .await;
        // It failed once and would wait for a minute.
        let cancelled = client.store().cancel(&A, &[id], "", "").await;
        cancelled.unwrap();
        hit
    }

    /// Kills a daemon, starts another, and waits until the jobs of the dead one are done.
    pub(super) async fn kill_a_daemon(&mut self, nth: usize) {
        let victim = &mut self.daemons[nth / 3 % 2];
        let (pid, from_ms) = (victim.pid(), now_ms());
        victim.kill();
        self.crashes.push(Crash {
            victim: Victim::Daemon,
            pid: Some(pid),
            from_ms,
            until_ms: now_ms(),
        });
        let mut orphans = Vec::new();
        for queue in QUEUES {
            orphans.push((queue.clone(), self.leased_to(&queue, pid).await));
        }
        self.daemons[nth / 3 % 2] = daemon(&self.world, &self.settings).await;
        for (queue, ids) in orphans {
            self.wait_until_redone(&queue, &ids, Some(pid), from_ms)
                .await;
        }
    }

    /// Kills Redis and starts it again as soon as somebody noticed.
    pub(super) async fn kill_redis(&mut self) {
        let from_ms = now_ms();
        self.world.redis.kill().unwrap();
        let store = self.world.store().clone();
        wait_for("an answer that does not come", PATIENCE, async || {
            store.counts(&A).await.is_err().then_some(())
        })
        .await;
        self.world.redis.restart().await.unwrap();
        let back = Instant::now();
        let before = wait_for("an answer", PATIENCE, async || {
            Some(store.counts(&A).await.ok()?.done_total)
        })
        .await;
        wait_for("a finished job", PATIENCE, async || {
            (store.counts(&A).await.unwrap().done_total > before).then_some(())
        })
        .await;
        self.resumed = self.resumed.max(back.elapsed());
        self.crashes.push(Crash {
            victim: Victim::Redis,
            pid: None,
            from_ms,
            until_ms: now_ms(),
        });
    }

    /// Counts how often each daemon had to start a worker again.
    fn restarts(&self) -> [usize; 2] {
        let count = |nth: usize| self.daemons[nth].text().matches(RESTARTED).count();
        [count(0), count(1)]
    }

    /// Lists the jobs that a process has leased.
    async fn leased_to(&self, queue: &Queue, pid: i32) -> Vec<String> {
        let mut all = redis::cmd("ZRANGE");
        all.arg(format!("qh:{{{queue}}}:leased")).arg(0).arg(-1);
        let mut tokens: Vec<String> = self.ask(&all).await;
        tokens.retain(|token| token.contains(&format!(":{pid}:")));
        let mut held = Vec::new();
        for token in tokens {
            let mut ids = redis::cmd("SMEMBERS");
            ids.arg(format!("qh:{{{queue}}}:leases:{token}"));
            held.extend(self.ask::<Vec<String>>(&ids).await);
        }
        held
    }

    /// Waits until the queue has none of these jobs any more, and notes how long after the blow the
    /// last of them took effect, by another process than the dead one.
    async fn wait_until_redone(
        &mut self,
        queue: &Queue,
        ids: &[String],
        dead: Option<i32>,
        blow_ms: i64,
    ) {
        if ids.is_empty() {
            return;
        }
        let mut look = redis::cmd("HMGET");
        look.arg(format!("qh:{{{queue}}}:jobs")).arg(ids);
        wait_for("the orphans of the dead", PATIENCE, async || {
            let found: Vec<Option<String>> = self.ask(&look).await;
            found.iter().all(Option::is_none).then_some(())
        })
        .await;
        let numbers: Vec<_> = ids.iter().filter_map(|id| number_of(id)).collect();
        let last = "select max((extract(epoch from at) * 1000)::bigint) from ledger
                     where id = any($1) and pid <> $2";
        let ledger = &self.world.ledger;
        let dead = dead.unwrap_or_default();
        let last = ledger.query_one(last, &[&numbers, &dead]).await;
        let last_ms: Option<i64> = last.unwrap().get(0);
        let redo_ms = last_ms.map_or(0, |last_ms| last_ms - blow_ms);
        let redo = Duration::from_millis(u64::try_from(redo_ms).unwrap_or_default());
        self.redo = self.redo.max(redo);
    }

    async fn ask<T: redis::FromRedisValue>(&self, command: &redis::Cmd) -> T {
        let client = redis::Client::open(self.world.redis.url()).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        command.query_async(&mut connection).await.unwrap()
    }
}
