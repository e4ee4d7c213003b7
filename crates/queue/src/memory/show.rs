//! What operators see: the scripts `counts.lua` and `show.lua`.
use super::state::QueueState;
use crate::{Counts, Envelope, Shown, State};

impl QueueState {
    pub(super) fn counts(&self) -> Counts {
        Counts {
            ready: self.ready.len() as u64,
            delayed: self.delayed.len() as u64,
            leased: self.leased.len() as u64,
            dead: self.dead.len() as u64,
            ..self.totals
        }
    }

    pub(super) fn list(&self, of: State, offset: usize, limit: usize) -> Vec<Shown> {
        let timed = match of {
            State::Ready => {
                let page = self.ready.iter().skip(offset).take(limit);
                return page.filter_map(|id| self.shown(id, of, 0)).collect();
            }
            State::Delayed => &self.delayed,
            State::Leased => &self.leased,
            State::Dead => &self.dead,
        };
        let page = timed.iter().skip(offset).take(limit);
        page.filter_map(|(at_ms, id)| self.shown(id, of, *at_ms))
            .collect()
    }

    pub(super) fn get(&self, id: &str) -> Option<Shown> {
        for (state, timed) in [
            (State::Delayed, &self.delayed),
            (State::Leased, &self.leased),
            (State::Dead, &self.dead),
        ] {
            if let Some((at_ms, _)) = timed.iter().find(|(_, known)| known == id) {
                return self.shown(id, state, *at_ms);
            }
        }
        self.shown(id, State::Ready, 0)
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
        })
    }
}
