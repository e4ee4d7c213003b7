//! Lanes in which tenants take turns: the script `lanes.lua`, line by line.
use std::collections::{BTreeSet, HashMap};

use super::state::QueueState;

/// Rounds that fit one priority.
const RANK: i64 = 10_000_000_000_000;
/// The lane of jobs of ordinary priority that are nobody's.
pub(super) const PLAIN: &str = "0:";

/// Jobs ordered by priority, then by round: each lane has one job in a round.
#[derive(Default)]
pub(super) struct Lanes {
    jobs: BTreeSet<(i64, String)>,
    last: HashMap<String, i64>,
    /// The round that is being served, by priority.
    serving: HashMap<i64, i64>,
}

/// The first jobs of a line, and what changes when they are taken.
pub(super) struct First {
    pub(super) ids: Vec<String>,
    from_lanes: usize,
    from_plain: usize,
    round: i64,
}

impl Lanes {
    pub(super) fn len(&self) -> usize {
        self.jobs.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = &String> {
        self.jobs.iter().map(|(_, id)| id)
    }

    pub(super) fn line_up(&mut self, id: &str, lane: &str, at_front: bool) {
        let priority = lane.split(':').next().and_then(|text| text.parse().ok());
        let priority: i64 = priority.unwrap_or_default();
        let mut score = self.serving(priority);
        if !at_front {
            if let Some(last) = self.last.get(lane) {
                score = score.max(last + 1);
            }
            self.last.insert(lane.to_owned(), score);
        }
        self.jobs.insert((score, id.to_owned()));
    }

    fn serving(&self, priority: i64) -> i64 {
        let score = self.serving.get(&priority).copied();
        score.unwrap_or(-priority * RANK)
    }

    /// Takes the first jobs.
    pub(super) fn serve(&mut self, most: usize) -> Vec<String> {
        let mut ids = Vec::new();
        while ids.len() < most
            && let Some((score, id)) = self.jobs.pop_first()
        {
            self.note_served(score);
            ids.push(id);
        }
        self.forget_when_empty();
        ids
    }

    fn note_served(&mut self, score: i64) {
        let priority = -score.div_euclid(RANK);
        self.serving.insert(priority, score);
    }

    /// Takes one job out of line; says whether it was there.
    pub(super) fn remove(&mut self, id: &str) -> bool {
        let before = self.jobs.len();
        self.jobs.retain(|(_, known)| known != id);
        self.forget_when_empty();
        self.jobs.len() < before
    }

    fn forget_when_empty(&mut self) {
        if self.jobs.is_empty() {
            *self = Self::default();
        }
    }
}

impl QueueState {
    pub(super) fn first_in_line(&self, most: usize) -> First {
        let last = self.fair.last.get(PLAIN).map_or(i64::MIN, |last| last + 1);
        let round = self.fair.serving(0).max(last);
        let mut first = First {
            ids: Vec::new(),
            from_lanes: 0,
            from_plain: 0,
            round,
        };
        let mut lanes = self.fair.jobs.iter().peekable();
        let mut plain = self.ready.iter().peekable();
        let mut next_round = round;
        while first.ids.len() < most {
            match (lanes.peek(), plain.peek()) {
                (lane, Some(id)) if lane.is_none_or(|(score, _)| *score >= next_round) => {
                    first.ids.push((*id).clone());
                    first.from_plain += 1;
                    next_round += 1;
                    plain.next();
                }
                (Some((_, id)), _) => {
                    first.ids.push(id.clone());
                    first.from_lanes += 1;
                    lanes.next();
                }
                (None, _) => break,
            }
        }
        first
    }

    /// Takes the first jobs of the line.
    pub(super) fn take(&mut self, most: usize) -> Vec<String> {
        if self.fair.is_empty() {
            let found = self.ready.len().min(most);
            return self.ready.drain(..found).collect();
        }
        let first = self.first_in_line(most);
        for at in 0..first.from_plain {
            self.ready.pop_front();
            let round = first.round + i64::try_from(at).unwrap_or(i64::MAX);
            self.fair.note_served(round);
            self.fair.last.insert(PLAIN.to_owned(), round);
        }
        for _ in 0..first.from_lanes {
            if let Some((score, _)) = self.fair.jobs.pop_first() {
                let priority = -score.div_euclid(RANK);
                let score = score.max(self.fair.serving(priority));
                self.fair.note_served(score);
            }
        }
        self.fair.forget_when_empty();
        first.ids
    }

    /// Puts jobs in line, each in its lane; at the front they keep their order.
    pub(super) fn queue_up(&mut self, ids: &[String], at_front: bool) {
        let lane = |id: &String| self.jobs.get(id).map_or(PLAIN, |job| &job.lane).to_owned();
        let (plain, laned): (Vec<_>, Vec<_>) = ids
            .iter()
            .map(|id| (id, lane(id)))
            .partition(|(_, lane)| lane == PLAIN);
        for (id, lane) in laned {
            self.fair.line_up(id, &lane, at_front);
        }
        if at_front {
            for (id, _) in plain.into_iter().rev() {
                self.ready.push_front(id.clone());
            }
        } else {
            self.ready
                .extend(plain.into_iter().map(|(id, _)| id.clone()));
        }
    }

    /// How many jobs are in line.
    pub(super) fn waiting(&self) -> usize {
        self.ready.len() + self.fair.len()
    }
}
