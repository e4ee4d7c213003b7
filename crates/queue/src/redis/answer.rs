//! Reading what a script answered, one value after the other.
use std::sync::Arc;

use redis::{FromRedisValue, Value};

use crate::{Lease, QueueError, State, TakenJob};

/// A flat answer; every read says which verb broke its word.
pub(super) struct Answer {
    verb: &'static str,
    values: std::vec::IntoIter<Value>,
}

impl Answer {
    pub(super) fn of(verb: &'static str, values: Vec<Value>) -> Self {
        let values = values.into_iter();
        Self { verb, values }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn len(&self) -> usize {
        self.values.len()
    }

    /// Reads a list, as an answer of its own.
    pub(super) fn list(&mut self) -> Result<Self, QueueError> {
        Ok(Self::of(self.verb, self.next("a list")?))
    }

    /// Reads ids: how long each is, and texts of some; 0 where each text is one. `None`: some are
    /// no text.
    pub(super) fn ids(&mut self) -> Result<Option<Vec<Arc<str>>>, QueueError> {
        let length = usize::try_from(self.number()?).unwrap_or(usize::MAX);
        let mut texts = self.list()?;
        let mut ids = Vec::new();
        while !texts.is_empty() {
            let Ok(text) = String::from_utf8(texts.bytes()?) else {
                return Ok(None);
            };
            let mut rest = &*text;
            while !rest.is_empty() {
                let end = if length == 0 { rest.len() } else { length };
                let Some((id, later)) = rest.split_at_checked(end) else {
                    return Ok(None);
                };
                ids.push(id.into());
                rest = later;
            }
        }
        Ok(Some(ids))
    }

    pub(super) fn number(&mut self) -> Result<u64, QueueError> {
        self.next("a number")
    }

    pub(super) fn count(&mut self) -> Result<u32, QueueError> {
        self.next("a small number")
    }

    pub(super) fn text(&mut self) -> Result<String, QueueError> {
        Ok(String::from_utf8(self.bytes()?)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
    }

    pub(super) fn bytes(&mut self) -> Result<Vec<u8>, QueueError> {
        self.next("a string")
    }

    pub(super) fn state(&mut self) -> Result<State, QueueError> {
        let name = self.text()?;
        State::ALL
            .into_iter()
            .find(|state| state.as_str() == name)
            .ok_or_else(|| self.broken(&format!("the state `{name}`")))
    }

    /// Reads the rest of a job that was taken for the first time.
    pub(super) fn first_attempt(&mut self, lease: Lease) -> Result<TakenJob, QueueError> {
        Ok(TakenJob {
            lease,
            envelope: self.bytes()?,
            attempt: 1,
            crashes: 0,
        })
    }

    /// Reads the rest of a taken job.
    pub(super) fn taken(&mut self, lease: Lease) -> Result<TakenJob, QueueError> {
        Ok(TakenJob {
            lease,
            envelope: self.bytes()?,
            attempt: self.count()?,
            crashes: self.count()?,
        })
    }

    fn next<T: FromRedisValue>(&mut self, expected: &str) -> Result<T, QueueError> {
        let value = self.values.next();
        value
            .and_then(|value| redis::from_redis_value(value).ok())
            .ok_or_else(|| self.broken(&format!("something else than {expected}")))
    }

    pub(super) fn broken(&self, reason: &str) -> QueueError {
        QueueError::Answer {
            verb: self.verb,
            reason: reason.to_owned(),
        }
    }
}
