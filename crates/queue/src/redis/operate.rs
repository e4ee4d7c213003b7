//! The operators' verbs over Redis.
use std::collections::HashMap;

use redis::Value;

use super::{Answer, Envelope, Keys, RedisStore, Verb};
use crate::{
    About, Cancelled, Filter, LARGEST_BATCH, Note, Page, PastAttempt, Pause, Progress, Queue,
    QueueError, SeenWorker, Shown, State, Target, Why, WorkerId,
    settle::cut,
    store::{Facts, LONGEST_LINE_BYTES},
};

/// Most kinds that a worker tells of.
const MOST_KINDS: usize = 1000;
/// Jobs that one call looks at, at least; small collections are looked at whole.
const SCANNED: usize = 500;

/// Most jobs that one call cancels: each may be looked for in a long list.
const LARGEST_CANCEL: usize = 50;

impl RedisStore {
    pub(crate) async fn pause(
        &self,
        queue: &Queue,
        target: &Target,
        by: &str,
        why: &str,
    ) -> Result<bool, QueueError> {
        let note = Note::made(0, by, why);
        let mut call = Verb::Pause.on(queue);
        call.arg(target.to_string()).arg(note.by).arg(note.why);
        match self
            .redis
            .at(queue)
            .harmless_script::<i64>("pause", &call)
            .await?
        {
            -1 => Err(QueueError::TooMany {
                queue: queue.clone(),
            }),
            changed => Ok(changed == 1),
        }
    }

    pub(crate) async fn resume(&self, queue: &Queue, target: &Target) -> Result<bool, QueueError> {
        let mut call = Verb::Pause.on(queue);
        call.arg(target.to_string());
        self.redis.at(queue).harmless_script("resume", &call).await
    }

    pub(crate) async fn pauses(&self, queue: &Queue) -> Result<Vec<Pause>, QueueError> {
        let mut command = redis::cmd("HGETALL");
        command.arg(Keys::of(queue).named("pauses"));
        let found: HashMap<String, String> =
            self.redis.at(queue).command("pauses", &command).await?;
        let mut pauses: Vec<Pause> = found
            .iter()
            .map(|(name, note)| Pause {
                // What was written by others is shown as well: it may hold jobs back.
                target: name.parse().unwrap_or_else(|_| Target::Other(name.clone())),
                note: Note::read(note),
            })
            .collect();
        pauses.sort_by(|a, b| a.target.cmp(&b.target));
        Ok(pauses)
    }

    pub(crate) async fn cancel(
        &self,
        queue: &Queue,
        ids: &[&str],
        by: &str,
        why: &str,
    ) -> Result<Vec<Cancelled>, QueueError> {
        let note = Note::made(0, by, why);
        let mut all = Vec::with_capacity(ids.len());
        for batch in ids.chunks(LARGEST_CANCEL) {
            let mut call = Verb::Cancel.on(queue);
            call.arg(&note.by).arg(&note.why).arg(batch);
            let names: Vec<String> = self
                .redis
                .at(queue)
                .harmless_script("cancel", &call)
                .await?;
            for name in names {
                let cancelled = Cancelled::of(&name).ok_or_else(|| QueueError::Answer {
                    verb: "cancel",
                    reason: format!("`{name}`"),
                });
                all.push(cancelled?);
            }
        }
        Ok(all)
    }

    pub(crate) async fn settle_dead(
        &self,
        queue: &Queue,
        ids: &[&str],
        again: bool,
    ) -> Result<Vec<bool>, QueueError> {
        let mut all = Vec::with_capacity(ids.len());
        for batch in ids.chunks(LARGEST_BATCH) {
            let mut call = Verb::Dead.on(queue);
            call.arg(if again { "retry" } else { "discard" }).arg(batch);
            all.extend(
                self.redis
                    .at(queue)
                    .script::<Vec<bool>>("dead", &call)
                    .await?,
            );
        }
        Ok(all)
    }

    pub(crate) async fn clear(&self, queue: &Queue, most: usize) -> Result<usize, QueueError> {
        let mut call = Verb::Clear.on(queue);
        call.arg(most);
        self.redis.at(queue).script("clear", &call).await
    }

    pub(crate) async fn find(
        &self,
        queue: &Queue,
        filter: &Filter,
        cursor: Option<&str>,
    ) -> Result<Page, QueueError> {
        let now_ms = self.now_ms(queue).await?;
        let mut call = Verb::Find.on(queue);
        call.arg(filter.state.map_or("", State::as_str))
            .arg(cursor.unwrap_or("0"))
            .arg(SCANNED)
            .arg(&filter.error)
            .arg(filter.texts());
        let mut answer = Answer::of(
            "find",
            self.redis.at(queue).harmless_script("find", &call).await?,
        );
        let next = Some(answer.text()?).filter(|cursor| cursor != "0");
        let scanned = usize::try_from(answer.number()?).unwrap_or(usize::MAX);
        let mut jobs = read_shown(&mut answer)?;
        jobs.retain(|job| filter.fits(job, now_ms));
        Ok(Page {
            jobs,
            scanned,
            next,
        })
    }

    async fn now_ms(&self, queue: &Queue) -> Result<u64, QueueError> {
        let time = redis::cmd("TIME");
        let (s, us): (u64, u64) = self.redis.at(queue).command("time", &time).await?;
        Ok(s * 1000 + us / 1000)
    }

    pub(crate) async fn why(&self, queue: &Queue, id: &str) -> Result<Why, QueueError> {
        let mut call = Verb::Why.on(queue);
        call.arg(id);
        let json: Vec<u8> = self.redis.at(queue).harmless_script("why", &call).await?;
        // What was written by hand need not be text.
        let json = String::from_utf8_lossy(&json);
        let facts: Facts = serde_json::from_str(&json).map_err(|error| QueueError::Answer {
            verb: "why",
            reason: error.to_string(),
        })?;
        Ok(facts.why())
    }

    pub(crate) async fn register(
        &self,
        queue: &Queue,
        worker: &WorkerId,
        about: &About,
    ) -> Result<(), QueueError> {
        let mut call = Verb::Register.on(queue);
        let kinds = &about.kinds[..about.kinds.len().min(MOST_KINDS)];
        call.arg(worker.as_str())
            .arg(serde_json::to_string(about).unwrap_or_default())
            .arg(kinds);
        self.redis
            .at(queue)
            .harmless_script("register", &call)
            .await
    }

    pub(crate) async fn workers(&self, queue: &Queue) -> Result<Vec<SeenWorker>, QueueError> {
        let call = Verb::Workers.on(queue);
        let mut answer = Answer::of(
            "workers",
            self.redis
                .at(queue)
                .harmless_script("workers", &call)
                .await?,
        );
        let mut workers = Vec::new();
        while !answer.is_empty() {
            let (seen_ms, about) = (answer.number()?, answer.bytes()?);
            // What is no description was written by another program.
            if let Ok(about) = serde_json::from_slice(&about) {
                workers.push(SeenWorker { seen_ms, about });
            }
        }
        Ok(workers)
    }

    pub(crate) async fn note(
        &self,
        queue: &Queue,
        notes: &[Progress],
    ) -> Result<Vec<bool>, QueueError> {
        let mut held = Vec::with_capacity(notes.len());
        for batch in notes.chunks(LARGEST_BATCH) {
            let mut call = Verb::Note.on(queue);
            for note in batch {
                call.arg(&*note.lease.id)
                    .arg(&*note.lease.token)
                    .arg(cut(&note.text, LONGEST_LINE_BYTES));
            }
            held.extend(
                self.at(queue)
                    .harmless_script::<Vec<bool>>("note", &call)
                    .await?,
            );
        }
        Ok(held)
    }

    pub(crate) async fn history(
        &self,
        queue: &Queue,
        id: &str,
    ) -> Result<Vec<PastAttempt>, QueueError> {
        let mut command = redis::cmd("HGET");
        command.arg(Keys::of(queue).named("history")).arg(id);
        let found: Option<Vec<u8>> = self.redis.at(queue).command("history", &command).await?;
        let lines = found.unwrap_or_default();
        let read = |line| serde_json::from_slice(line).ok();
        Ok(lines
            .split(|byte| *byte == b'\n')
            .filter_map(read)
            .collect())
    }

    pub(crate) async fn wants_stops(&self, queue: &Queue) -> Result<bool, QueueError> {
        let mut command = redis::cmd("EXISTS");
        command.arg(Keys::of(queue).named("stops"));
        self.redis.at(queue).command("stops", &command).await
    }

    pub(super) async fn shown(
        &self,
        queue: &Queue,
        call: &redis::ScriptInvocation<'_>,
    ) -> Result<Vec<Shown>, QueueError> {
        let values: Vec<Value> = self.redis.at(queue).harmless_script("show", call).await?;
        read_shown(&mut Answer::of("show", values))
    }
}

/// Reads the rest of an answer as jobs.
fn read_shown(answer: &mut Answer) -> Result<Vec<Shown>, QueueError> {
    let mut shown = Vec::new();
    while !answer.is_empty() {
        let (id, state) = (answer.text()?, answer.state()?);
        let mut envelope = Envelope::read(&answer.bytes()?);
        let at_ms = answer.number()?;
        let (attempt, crashes) = (answer.count()?, answer.count()?);
        if let Ok(envelope) = &mut envelope {
            envelope.id.clone_from(&id);
            (envelope.attempt, envelope.crashes) = (attempt, crashes);
        }
        shown.push(Shown {
            id,
            state,
            envelope,
            at_ms,
            last_error: answer.text()?,
            progress: answer.text()?,
        });
    }
    Ok(shown)
}
