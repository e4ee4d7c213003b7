//! `[jobs.KIND]`: what it changes, what it leaves alone, and what is refused.
use quayhand_queue::{KeyBy, Limit, Policy, Rate, UniqueMode};

use super::*;

fn setup(text: &str) -> Setup {
    let mut setup = Setup::new().toml(text);
    setup.sources.kinds = Sources::of_process(None, None).kinds;
    setup
}

fn own(kind: &str) -> Policy {
    quayhand_jobs::registry().get(kind).unwrap().policy
}

#[test]
fn without_a_section_every_kind_runs_as_it_says() {
    let policies = setup("").load().policies();
    for entry in quayhand_jobs::registry().iter() {
        assert_eq!(policies[entry.kind], entry.policy, "{}", entry.kind);
    }
}

#[test]
fn what_is_named_changes_and_nothing_else() {
    let config = setup(
        "[jobs.blob_gc]
        priority = -3
        timeout = '2h'
        max_attempts = 4
        backoff_first = '1s'
        backoff_longest = '1m'
        limit = '1 by kind'
        rate = '6 per 1m by name:disk'
        unique_for = '3h'
        unique_mode = 'queued'
        keep_for = '7d'
        [jobs.tag_expiry]
        limit = '1 by tenant'",
    )
    .load();
    let policies = config.policies();
    let expected = own("blob_gc")
        .priority(-3)
        .timeout(Duration::from_hours(2))
        .max_attempts(4)
        .limit(1, KeyBy::Kind)
        .rate(6, Duration::from_mins(1), KeyBy::Name("disk"))
        .unique_for(Duration::from_hours(3))
        .unique_mode(UniqueMode::WhileQueued)
        .keep_for(Duration::from_hours(7 * 24));
    assert_eq!(policies["blob_gc"].backoff.first, Duration::from_secs(1));
    assert_eq!(policies["blob_gc"].backoff.longest, Duration::from_mins(1));
    let backoff = policies["blob_gc"].backoff;
    assert_eq!(
        policies["blob_gc"],
        Policy {
            backoff,
            ..expected
        }
    );
    let expected = own("tag_expiry").limit(1, KeyBy::Tenant);
    assert_eq!(policies["tag_expiry"], expected);
    assert_eq!(policies["leak_sweep"], own("leak_sweep"));
}

#[test]
fn off_takes_a_limit_away_and_empty_leaves_it() {
    let limited = Policy {
        limit: Some(Limit {
            most: 2,
            by: KeyBy::Kind,
        }),
        rate: Some(Rate {
            most: 2,
            per: Duration::from_secs(1),
            by: KeyBy::Kind,
        }),
        keep_for: Duration::from_hours(1),
        ..Policy::DEFAULT
    };
    let of = |text: &str| setup(text).load().jobs["blob_gc"].over(limited);
    let off = of("[jobs.blob_gc]\nlimit = 'off'\nrate = 'off'\nkeep_for = 'off'");
    assert_eq!(off, Policy::DEFAULT);
    assert_eq!(
        of("[jobs.blob_gc]\nlimit = ''\nrate = ''\nkeep_for = ''"),
        limited
    );
}

#[test]
fn what_cannot_be_is_refused_at_its_line() {
    for (line, said) in [
        ("timeout = '0s'", "from 1s to 7d"),
        ("timeout = '8d'", "from 1s to 7d"),
        ("timeout = 5", "5"),
        ("max_attempts = 0", "from 1 to 1000"),
        ("max_attempts = -1", "-1"),
        ("priority = 128", "-128 to 127"),
        ("priority = 'high'", "-128 to 127"),
        ("backoff_first = '1ms'", "from 10ms to 7d"),
        ("backoff_first = '2d'", "longer than the longest"),
        ("backoff_longest = '1s'", "longer than the longest"),
        ("limit = '0 by kind'", "\"off\" means any number"),
        ("limit = 4", "such as \"4 by kind\""),
        ("rate = '5 by kind'", "such as \"100 per 1m by kind\""),
        ("unique_for = '1s'", "side by side"),
        ("unique_mode = 'debounce'", "`running` or `queued`"),
        ("keep_for = '31d'", "from 0s to 30d"),
        ("retries = 3", "retries"),
    ] {
        let message = setup(&format!("[jobs.tag_expiry]\n{line}")).refused();
        assert!(
            message.starts_with("quayhand.toml:2: "),
            "{line}: {message}"
        );
        assert!(message.contains(said), "{line}: {message}");
    }
}

#[test]
fn a_kind_that_does_not_exist_is_refused() {
    let message = setup("[jobs.tag_expirey]\ntimeout = '1m'").refused();
    assert!(message.contains("tag_expirey"), "{message}");
}

#[test]
fn only_what_was_set_is_listed() {
    let rows = |text: &str| -> Vec<(String, String)> {
        let rows = setup(text).load().rows().into_iter();
        rows.filter(|row| row.key.starts_with("jobs."))
            .map(|row| (row.key, row.value))
            .collect()
    };
    assert_eq!(rows(""), []);
    let set = rows("[jobs.blob_gc]\nlimit = '2 by tenant'\npriority = 5");
    let text: Vec<_> = set
        .iter()
        .map(|(key, value)| format!("{key} {value}"))
        .collect();
    assert_eq!(
        text,
        [
            "jobs.blob_gc.priority 5",
            "jobs.blob_gc.limit \"2 by tenant\""
        ]
    );
}
