//! What operators see: `counts.lua`, `show.lua`, `find.lua` and `why.lua`.
use super::state::QueueState;
use crate::{Counts, Envelope, Filter, Page, Shown, State, Target, Why, store::Facts};

/// Jobs that one search looks at.
const SCANNED: usize = 500;

impl QueueState {
    pub(super) fn counts(&self) -> Counts {
        Counts {
            ready: self.waiting() as u64,
            delayed: self.delayed.len() as u64,
            leased: self.leases.len() as u64,
            dead: self.dead.len() as u64,
            blocked: self.parks.values().map(|park| park.jobs.len() as u64).sum(),
            ..self.totals
        }
    }

    pub(super) fn list(&self, of: State, offset: usize, limit: usize) -> Vec<Shown> {
        let timed = match of {
            State::Ready => {
                let first = self.first_in_line(offset + limit).ids;
                let page = first.iter().skip(offset);
                return page.filter_map(|id| self.shown(id, of, 0)).collect();
            }
            State::Blocked => {
                let mut parks: Vec<_> = self.parks.iter().collect();
                parks.sort_by_key(|(gate, park)| (park.look_ms, *gate));
                let ids = parks.into_iter().flat_map(|(_, park)| park.jobs.ids());
                let page = ids.skip(offset).take(limit);
                return page.filter_map(|id| self.shown(id, of, 0)).collect();
            }
            State::Delayed => &self.delayed,
            State::Leased => {
                let page = self.leases.iter().skip(offset).take(limit);
                return page
                    .filter_map(|(ends_ms, id)| self.shown(id, of, ends_ms))
                    .collect();
            }
            State::Dead => &self.dead,
        };
        let page = timed.iter().skip(offset).take(limit);
        page.filter_map(|(at_ms, id)| self.shown(id, of, *at_ms))
            .collect()
    }

    pub(super) fn get(&self, id: &str) -> Option<Shown> {
        for (state, timed) in [(State::Delayed, &self.delayed), (State::Dead, &self.dead)] {
            if let Some((at_ms, _)) = timed.iter().find(|(_, known)| known == id) {
                return self.shown(id, state, *at_ms);
            }
        }
        let job = self.jobs.get(id)?;
        if let Some(token) = &job.lease {
            let ends_ms = self.leases.ends_ms(token).unwrap_or_default();
            return self.shown(id, State::Leased, ends_ms);
        }
        let blocked = job.blocked.is_some();
        let state = if blocked {
            State::Blocked
        } else {
            State::Ready
        };
        self.shown(id, state, 0)
    }

    pub(super) fn find(&self, filter: &Filter, cursor: Option<&str>, now_ms: u64) -> Page {
        let mut ids: Vec<&String> = self.jobs.keys().collect();
        ids.sort();
        let from = cursor.unwrap_or_default();
        let rest = ids.into_iter().filter(|id| id.as_str() > from);
        let looked: Vec<_> = rest.take(SCANNED).collect();
        let found = looked.iter().filter_map(|id| self.get(id));
        Page {
            jobs: found.filter(|job| filter.fits(job, now_ms)).collect(),
            scanned: looked.len(),
            next: looked
                .last()
                .filter(|_| looked.len() == SCANNED)
                .map(|id| (*id).clone()),
        }
    }

    pub(super) fn why(&self, id: &str, now_ms: u64) -> Why {
        let Some((job, shown)) = self.jobs.get(id).zip(self.get(id)) else {
            return Why::Gone;
        };
        let envelope = shown.envelope.ok();
        let mut facts = Facts {
            now_ms,
            state: shown.state.to_string(),
            at_ms: shown.at_ms,
            error: shown.last_error,
            token: job
                .lease
                .as_ref()
                .map_or_else(String::new, ToString::to_string),
            stop: job
                .stop
                .as_ref()
                .and_then(|note| serde_json::to_string(note).ok()),
            workers: self.hosts().workers(now_ms).len() as u64,
            gate: job.blocked.clone(),
            ..Facts::default()
        };
        let mut targets = vec![Target::Queue];
        if let Some(envelope) = envelope {
            facts.kind_seen_ms = self.hosts().kind_seen_ms(&envelope.kind);
            facts.kind = Some(envelope.kind.clone());
            targets.push(Target::Kind(envelope.kind));
            targets.push(Target::Tenant(envelope.tenant));
        }
        let pause = targets
            .iter()
            .find_map(|target| Some((target, self.pauses.get(target)?)));
        if let Some((target, note)) = pause {
            facts.paused = target.to_string();
            facts.pause = serde_json::to_string(note).ok();
        }
        self.add_place(id, &mut facts);
        facts.why()
    }

    fn add_place(&self, id: &str, facts: &mut Facts) {
        let Some(gate) = &facts.gate else {
            let plain = || place(id, self.ready.iter());
            facts.ahead = place(id, self.fair.ids()).or_else(plain);
            return;
        };
        if let Some(park) = self.parks.get(gate) {
            facts.cap = park.cap.map(|cap| cap.to_string());
            facts.ahead = place(id, park.jobs.ids());
        }
        facts.full_ms = self.rate_full_ms(gate);
        if let Some(held) = self.holds.get(gate) {
            facts.held = held.len() as u64;
            let mut ids: Vec<_> = held
                .iter()
                .map(|(id, ends_ms)| (ends_ms, id.as_str()))
                .collect();
            ids.sort_unstable();
            let first: Vec<_> = ids.into_iter().take(3).map(|(_, id)| id).collect();
            facts.holders = first.join("\n");
        }
    }

    fn shown(&self, id: &str, state: State, at_ms: u64) -> Option<Shown> {
        let job = self.jobs.get(id)?;
        let envelope = Envelope::read(job.envelope.as_bytes()).map(|mut envelope| {
            id.clone_into(&mut envelope.id);
            (envelope.attempt, envelope.crashes) = (job.attempts, job.crashes);
            envelope
        });
        Some(Shown {
            id: id.to_owned(),
            state,
            envelope,
            at_ms,
            last_error: job.error.clone(),
            progress: job.progress.clone(),
        })
    }
}

/// How many jobs are before this one.
fn place<'a>(id: &str, mut ids: impl Iterator<Item = &'a String>) -> Option<u64> {
    ids.position(|known| known == id).map(|at| at as u64)
}
