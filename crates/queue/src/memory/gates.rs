//! Limits, rates and pauses: the script `gates.lua`, line by line.
use std::{collections::BTreeMap, fmt};

use super::{
    line::{Lanes, PLAIN},
    state::QueueState,
};
use crate::{KeyBy, Limit, Rate, Rule, Target, redis::ms};

/// Far in the future, in milliseconds since the Unix epoch.
const FAR_MS: u64 = 9_000_000_000_000_000;
/// Longest time until a gate is looked at again.
const LONGEST_LOOK_MS: u64 = 10_000;
/// Largest envelope that a gate reads.
const LARGEST_READ_BYTES: usize = 300_000;

/// Jobs that one gate keeps back.
#[derive(Default)]
pub(super) struct Park {
    pub(super) jobs: Lanes,
    pub(super) look_ms: u64,
    pub(super) cap: Option<Cap>,
}

/// What a gate last let through.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Cap {
    most: u32,
    per_ms: Option<u64>,
}

impl From<Limit> for Cap {
    fn from(limit: Limit) -> Self {
        Self {
            most: limit.most,
            per_ms: None,
        }
    }
}

impl From<Rate> for Cap {
    fn from(rate: Rate) -> Self {
        Self {
            most: rate.most,
            per_ms: Some(ms(rate.per).max(1)),
        }
    }
}

/// As the scripts write it: `most` or `most/per ms`.
impl fmt::Display for Cap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.per_ms {
            None => write!(f, "{}", self.most),
            Some(per_ms) => write!(f, "{}/{per_ms}", self.most),
        }
    }
}

/// What the kinds' rules say, by kind.
pub(super) type Rules<'a> = BTreeMap<&'a str, &'a Rule>;

/// What is known of a job when it stands before a gate.
struct Asking {
    kind: String,
    tenant: String,
    payload: String,
}

impl QueueState {
    fn free_slots(&mut self, gate: &str, most: u32, now_ms: u64) -> usize {
        let Some(holders) = self.holds.get_mut(gate) else {
            return most as usize;
        };
        if holders.len() >= most as usize {
            holders.retain(|id, ends_ms| {
                let token = self.jobs.get(id).and_then(|job| job.lease.as_ref());
                let lease = token.and_then(|token| self.leases.ends_ms(token));
                if *ends_ms <= now_ms
                    && let Some(renewed_ms) = lease
                {
                    *ends_ms = renewed_ms;
                }
                lease.is_some() || *ends_ms > now_ms
            });
        }
        (most as usize).saturating_sub(holders.len())
    }

    /// How long until a rate is at rest. Never longer than its time, also when that became
    /// shorter: what is over it is forgiven, for good.
    fn rate_debt_ms(&mut self, gate: &str, per_ms: u64, now_ms: u64) -> f64 {
        let Some(full_at) = self.rates.get_mut(gate) else {
            return 0.0;
        };
        *full_at = full_at.min(float(now_ms + per_ms));
        (*full_at - float(now_ms)).max(0.0)
    }

    /// When a rate is at rest again; 0 when it is.
    pub(super) fn rate_full_ms(&self, gate: &str) -> u64 {
        whole(self.rates.get(gate).copied().unwrap_or_default())
    }

    fn rate_wait_ms(&mut self, gate: &str, most: u32, per_ms: u64, now_ms: u64) -> u64 {
        let debt = self.rate_debt_ms(gate, per_ms, now_ms);
        let wait = debt - float(per_ms) + float(per_ms) / f64::from(most);
        whole(wait.ceil())
    }

    fn rate_room(&mut self, gate: &str, most: u32, per_ms: u64, now_ms: u64) -> usize {
        let used = self.rate_debt_ms(gate, per_ms, now_ms);
        let room = (float(per_ms) - used) * f64::from(most) / float(per_ms) + 1e-6;
        usize::try_from(whole(room.floor())).unwrap_or(usize::MAX)
    }

    fn rate_start(&mut self, gate: String, most: u32, per_ms: u64, now_ms: u64) {
        let debt = self.rate_debt_ms(&gate, per_ms, now_ms);
        let full_at = float(now_ms) + debt + float(per_ms) / f64::from(most);
        self.rates.insert(gate, full_at);
    }

    fn park(&mut self, gate: &str, id: &str, look_ms: u64, cap: Option<Cap>) {
        let Some(job) = self.jobs.get_mut(id) else {
            return;
        };
        job.blocked = Some(gate.to_owned());
        let park = self.parks.entry(gate.to_owned()).or_default();
        park.jobs.line_up(id, &job.lane, false);
        park.look_ms = look_ms;
        park.cap = cap;
    }

    pub(super) fn close_park(&mut self, gate: &str) {
        if self
            .parks
            .get(gate)
            .is_some_and(|park| park.jobs.is_empty())
        {
            self.parks.remove(gate);
        }
    }

    fn unpark(&mut self, gate: &str, most: usize, at_front: bool) -> usize {
        let Some(park) = self.parks.get_mut(gate).filter(|_| most > 0) else {
            return 0;
        };
        let ids = park.jobs.serve(most);
        for id in &ids {
            if let Some(job) = self.jobs.get_mut(id) {
                job.blocked = None;
            }
        }
        self.queue_up(&ids, at_front);
        self.close_park(gate);
        ids.len()
    }

    /// Frees what jobs held whose leases end; lets the next ones out.
    pub(super) fn release(&mut self, ids: &[String], now_ms: u64) -> usize {
        let mut out = 0;
        for id in ids {
            let job = self.jobs.get_mut(id);
            let Some(gate) = job.and_then(|job| job.held.take()) else {
                continue;
            };
            if let Some(holders) = self.holds.get_mut(&gate) {
                holders.remove(id);
                if holders.is_empty() {
                    self.holds.remove(&gate);
                }
            }
            if let Some(cap) = self.parks.get(&gate).and_then(|park| park.cap) {
                let room = self.free_slots(&gate, cap.most, now_ms).min(1);
                out += self.unpark(&gate, room, true);
            }
        }
        out
    }

    fn look_ms(&mut self, gate: &str, cap: Cap, now_ms: u64) -> u64 {
        if let Some(per_ms) = cap.per_ms {
            let wait_ms = self.rate_wait_ms(gate, cap.most, per_ms, now_ms);
            return now_ms + wait_ms.clamp(1, LONGEST_LOOK_MS);
        }
        let ends = self
            .holds
            .get(gate)
            .into_iter()
            .flat_map(|held| held.values());
        let first_ms = ends.min().copied().unwrap_or_default();
        (now_ms + LONGEST_LOOK_MS).min(first_ms.max(now_ms + 200))
    }

    /// Looks at some gates whose time has come, by the rules of who asks.
    pub(super) fn open_gates(&mut self, rules: &Rules<'_>, now_ms: u64) {
        let due = self.parks.iter().filter(|(_, park)| park.look_ms <= now_ms);
        let mut due: Vec<_> = due
            .map(|(gate, park)| (park.look_ms, gate.clone()))
            .collect();
        due.sort();
        for (_, gate) in due.into_iter().take(10) {
            if let Some(paused) = gate.strip_prefix("pause:") {
                self.open_pause(&gate, paused);
                continue;
            }
            let look_ms = self.open_cap(&gate, cap_of(&gate, rules), now_ms);
            if let Some(park) = self.parks.get_mut(&gate) {
                park.look_ms = look_ms;
            }
        }
    }

    /// Lets out as many as the gate's cap has room for; without a cap there is no such gate any
    /// more. Returns when to look again.
    fn open_cap(&mut self, gate: &str, cap: Option<Cap>, now_ms: u64) -> u64 {
        let Some(cap) = cap else {
            self.unpark(gate, 100, true);
            return now_ms + 1000;
        };
        if let Some(park) = self.parks.get_mut(gate) {
            park.cap = Some(cap);
        }
        let room = match cap.per_ms {
            Some(per_ms) => self.rate_room(gate, cap.most, per_ms, now_ms),
            None => self.free_slots(gate, cap.most, now_ms),
        };
        self.unpark(gate, room.min(100), true);
        match room {
            0 => self.look_ms(gate, cap, now_ms),
            _ => now_ms + 1000,
        }
    }

    fn open_pause(&mut self, gate: &str, paused: &str) {
        let is_paused = paused
            .parse::<Target>()
            .is_ok_and(|target| self.pauses.contains_key(&target));
        if !is_paused {
            self.unpark(gate, 500, false);
        } else if let Some(park) = self.parks.get_mut(gate) {
            park.look_ms = FAR_MS;
        }
    }

    /// A gate that lets more or less through than when it parked jobs is looked at by the next
    /// fetch.
    fn note_change(&mut self, gate: &str, cap: Cap) {
        if let Some(park) = self.parks.get_mut(gate)
            && park.cap != Some(cap)
        {
            park.cap = Some(cap);
            park.look_ms = 0;
        }
    }

    /// Parks a job that must not run now, else takes its place under limits and rates; says
    /// whether it may run.
    pub(super) fn passes(
        &mut self,
        id: &str,
        rules: &Rules<'_>,
        ends_ms: u64,
        now_ms: u64,
    ) -> bool {
        let Some(asking) = self.jobs.get(id).and_then(|job| asking(&job.envelope)) else {
            return true;
        };
        let own = [
            Target::Kind(asking.kind.clone()),
            Target::Tenant(asking.tenant.clone()),
        ];
        for target in own {
            if self.pauses.contains_key(&target) {
                self.park(&format!("pause:{target}"), id, FAR_MS, None);
                return false;
            }
        }
        match rules.get(asking.kind.as_str()) {
            Some(rule) => self.takes_place(id, rule, &asking, ends_ms, now_ms),
            None => true,
        }
    }

    fn takes_place(
        &mut self,
        id: &str,
        rule: &Rule,
        asking: &Asking,
        ends_ms: u64,
        now_ms: u64,
    ) -> bool {
        let gate = |sort, by: KeyBy| by.gate(sort, &asking.kind, &asking.tenant, &asking.payload);
        let limit = rule
            .limit
            .map(|limit| (gate("limit", limit.by), Cap::from(limit)));
        if let Some((gate, cap)) = &limit
            && self.free_slots(gate, cap.most, now_ms) < 1
        {
            let look_ms = self.look_ms(gate, *cap, now_ms);
            self.park(gate, id, look_ms, Some(*cap));
            return false;
        }
        if let Some(rate) = rule.rate {
            let (gate, cap) = (gate("rate", rate.by), Cap::from(rate));
            let per_ms = cap.per_ms.unwrap_or(1);
            if self.rate_wait_ms(&gate, cap.most, per_ms, now_ms) > 0 {
                let look_ms = self.look_ms(&gate, cap, now_ms);
                self.park(&gate, id, look_ms, Some(cap));
                return false;
            }
            self.note_change(&gate, cap);
            self.rate_start(gate, cap.most, per_ms, now_ms);
        }
        if let Some((gate, cap)) = limit {
            self.note_change(&gate, cap);
            self.holds
                .entry(gate.clone())
                .or_default()
                .insert(id.to_owned(), ends_ms);
            if let Some(job) = self.jobs.get_mut(id) {
                job.held = Some(gate);
            }
        }
        true
    }
}

/// What the gate of this name lets through by the rules; `None`: there is no such rule (any more).
fn cap_of(gate: &str, rules: &Rules<'_>) -> Option<Cap> {
    let (sort, rest) = gate.split_once(':')?;
    let cap = |rule: &Rule| match sort {
        "limit" => rule.limit.map(|limit| (limit.by, Cap::from(limit))),
        _ => rule.rate.map(|rate| (rate.by, Cap::from(rate))),
    };
    let Some(name) = rest.strip_prefix('=') else {
        let (kind, _) = rest.split_once(':')?;
        return cap(rules.get(kind)?).map(|(_, cap)| cap);
    };
    let mut caps = rules.values().filter_map(|rule| cap(rule));
    caps.find(|(by, _)| matches!(by, KeyBy::Name(own) if *own == name))
        .map(|(_, cap)| cap)
}

/// Reads of an envelope what gates ask for; `None` for one that is handed out, to be buried.
fn asking(envelope: &str) -> Option<Asking> {
    if envelope.len() > LARGEST_READ_BYTES {
        return None;
    }
    let read: serde_json::Value = serde_json::from_str(envelope).ok()?;
    let tenant = read.get("tenant").and_then(|tenant| tenant.as_str());
    Some(Asking {
        kind: read.get("kind")?.as_str()?.to_owned(),
        tenant: tenant.unwrap_or_default().to_owned(),
        payload: read
            .get("payload")
            .map(ToString::to_string)
            .unwrap_or_default(),
    })
}

/// The lane of a new job.
pub(super) fn lane_of(priority: i8, tenant: &str) -> String {
    match (priority, tenant) {
        (0, "") => PLAIN.to_owned(),
        _ => format!("{priority}:{tenant}"),
    }
}

#[expect(clippy::cast_precision_loss, reason = "times stay below 2^53")]
fn float(number: u64) -> f64 {
    number as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a time in milliseconds, cut off at zero"
)]
fn whole(number: f64) -> u64 {
    number.max(0.0) as u64
}
