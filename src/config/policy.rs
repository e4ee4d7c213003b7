//! Owns what a file may say about how a kind of job runs: when its attempts run and how often,
//! never what they do. Whatever is left out stays as the kind itself says.

use std::{collections::BTreeMap, ops::RangeInclusive, time::Duration};

use quayhand_queue::{Limit, Policy, Rate, UniqueMode};

use super::{
    Config, Problem,
    asked::Asked,
    setting::{Setting, shown},
};

/// Section `[jobs.KIND]`: how one kind runs, where that differs from what the kind itself says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KindPolicy {
    /// Higher goes first, over all tenants; 0 is ordinary.
    pub priority: Asked<i8>,
    /// Longest time of one attempt.
    pub timeout: Asked<Duration>,
    /// Attempts, the first included, before a job is dead.
    pub max_attempts: Asked<u32>,
    /// Pause before the second attempt; the next ones double.
    pub backoff_first: Asked<Duration>,
    /// Longest pause between two attempts.
    pub backoff_longest: Asked<Duration>,
    /// How many run at a time, over all hosts; `None`: as many as there are slots.
    pub limit: Asked<Option<Limit>>,
    /// How many start in a time, over all hosts; `None`: any.
    pub rate: Asked<Option<Rate>>,
    /// How long equal jobs are kept out at most. Only for kinds that keep them out by themselves.
    pub unique_for: Asked<Duration>,
    /// Until when equal jobs are kept out: only the two ways in which no payload is replaced.
    pub unique_mode: Asked<UniqueMode>,
    /// How long a record of each attempt is kept; `None`: none is.
    pub keep_for: Asked<Option<Duration>>,
}

/// The keys of a section, in the order of the file.
pub(super) const KEYS: [&str; 10] = [
    "priority",
    "timeout",
    "max_attempts",
    "backoff_first",
    "backoff_longest",
    "limit",
    "rate",
    "unique_for",
    "unique_mode",
    "keep_for",
];

impl KindPolicy {
    /// Returns the field behind a key of the section.
    pub(super) fn field(&mut self, key: &str) -> Option<&mut dyn Setting> {
        Some(match key {
            "priority" => &mut self.priority,
            "timeout" => &mut self.timeout,
            "max_attempts" => &mut self.max_attempts,
            "backoff_first" => &mut self.backoff_first,
            "backoff_longest" => &mut self.backoff_longest,
            "limit" => &mut self.limit,
            "rate" => &mut self.rate,
            "unique_for" => &mut self.unique_for,
            "unique_mode" => &mut self.unique_mode,
            "keep_for" => &mut self.keep_for,
            _ => return None,
        })
    }

    /// Returns a kind's own policy with what is asked for laid over it.
    #[must_use]
    pub fn over(&self, own: Policy) -> Policy {
        let mut policy = own;
        self.priority.lay_over(&mut policy.priority);
        self.timeout.lay_over(&mut policy.timeout);
        self.max_attempts.lay_over(&mut policy.max_attempts);
        self.backoff_first.lay_over(&mut policy.backoff.first);
        self.backoff_longest.lay_over(&mut policy.backoff.longest);
        self.limit.lay_over(&mut policy.limit);
        self.rate.lay_over(&mut policy.rate);
        self.unique_mode.lay_over(&mut policy.unique_mode);
        if let Some(at_most) = self.unique_for.0 {
            policy.unique_for = Some(at_most);
        }
        if let Some(keep_for) = self.keep_for.0 {
            policy.keep_for = keep_for.unwrap_or_default();
        }
        policy
    }
}

impl Config {
    /// Returns the policies of all kinds of this build, with what the configuration asks for.
    pub fn policies(&self) -> BTreeMap<String, Policy> {
        let registry = quayhand_jobs::registry();
        let policies = registry.iter().map(|entry| {
            let asked = self.jobs.get(entry.kind).cloned().unwrap_or_default();
            (entry.kind.to_owned(), asked.over(entry.policy))
        });
        policies.collect()
    }
}

const SECOND: Duration = Duration::from_secs(1);
const WEEK: Duration = Duration::from_hours(7 * 24);
/// Attempts that run longer than a week, or are repeated after one, are forgotten by everybody.
const TIMEOUTS: RangeInclusive<Duration> = SECOND..=WEEK;
const PAUSES: RangeInclusive<Duration> = Duration::from_millis(10)..=WEEK;
const ATTEMPTS: RangeInclusive<u32> = 1..=1_000;
/// As long as dead jobs are kept.
const LONGEST_KEPT: Duration = Duration::from_hours(30 * 24);

/// Names everything that a section asks for and must not have.
pub(super) fn problems(config: &Config) -> Vec<Problem> {
    let registry = quayhand_jobs::registry();
    let mut problems = Vec::new();
    for (kind, asked) in &config.jobs {
        let own = registry
            .get(kind)
            .map_or(Policy::DEFAULT, |entry| entry.policy);
        let mut wrong = wrong_times(asked);
        if wrong.is_empty() {
            wrong = wrong_mix(asked, own);
        }
        for (key, what) in wrong {
            let key = format!("jobs.{kind}.{key}");
            problems.push(Problem {
                origin: config.origin(&key),
                what: format!("`{key}` {what}"),
            });
        }
    }
    problems
}

/// A key of the section, and what is wrong with its value.
type Wrong = (&'static str, String);

/// Checks each value by itself.
fn wrong_times(asked: &KindPolicy) -> Vec<Wrong> {
    let mut wrong = Vec::new();
    for (key, value, range) in [
        ("timeout", asked.timeout.0, TIMEOUTS),
        ("backoff_first", asked.backoff_first.0, PAUSES),
        ("backoff_longest", asked.backoff_longest.0, PAUSES),
        ("unique_for", asked.unique_for.0, TIMEOUTS),
        (
            "keep_for",
            asked.keep_for.0.flatten(),
            Duration::ZERO..=LONGEST_KEPT,
        ),
    ] {
        if value.is_some_and(|value| !range.contains(&value)) {
            let (least, most) = (shown(range.start()), shown(range.end()));
            wrong.push((key, format!("must be from {least} to {most}")));
        }
    }
    if asked.max_attempts.0.is_some_and(|n| !ATTEMPTS.contains(&n)) {
        let (least, most) = (ATTEMPTS.start(), ATTEMPTS.end());
        wrong.push(("max_attempts", format!("must be from {least} to {most}")));
    }
    wrong
}

/// Checks the values that must fit others, or the kind.
fn wrong_mix(asked: &KindPolicy, own: Policy) -> Vec<Wrong> {
    let (mut wrong, policy) = (Vec::new(), asked.over(own));
    let (first, longest) = (policy.backoff.first, policy.backoff.longest);
    if first > longest {
        let key = match asked.backoff_first {
            Asked(Some(_)) => "backoff_first",
            Asked(None) => "backoff_longest",
        };
        let (first, longest) = (shown(&first), shown(&longest));
        let what = format!("makes the first pause ({first}) longer than the longest ({longest})");
        wrong.push((key, what));
    }
    let Some(at_most) = own.unique_for else {
        let asks = [
            ("unique_for", asked.unique_for.0.is_some()),
            ("unique_mode", asked.unique_mode.0.is_some()),
        ];
        let asks = asks.into_iter().filter(|(_, is_asked)| *is_asked);
        wrong.extend(asks.map(|(key, _)| {
            let what = "cannot be set: jobs of this kind are all to be run, also equal ones";
            (key, what.to_owned())
        }));
        return wrong;
    };
    let at_most = asked.unique_for.0.unwrap_or(at_most);
    if at_most < policy.timeout {
        let key = match asked.unique_for {
            Asked(Some(_)) => "unique_for",
            Asked(None) => "timeout",
        };
        let (at_most, timeout) = (shown(&at_most), shown(&policy.timeout));
        let what = format!(
            "lets equal jobs run side by side: they are kept out for {at_most} (`unique_for`), \
             and an attempt may take {timeout} (`timeout`)"
        );
        wrong.push((key, what));
    }
    wrong
}
