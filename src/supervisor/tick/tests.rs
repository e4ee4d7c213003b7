//! Ticks at known moments, around clock changes, and spread by a jitter.
use std::collections::BTreeSet;

use super::*;

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const DAY_MS: i64 = 24 * HOUR_MS;

fn every(interval: Duration) -> Timetable {
    Timetable::new("sweep", &Schedule::Every(interval).into()).unwrap()
}

fn cron(expression: &str, zone: &str, jitter: Duration) -> Timetable {
    let timing = Timing {
        when: When::Cron(expression.to_owned()),
        time_zone: zone.parse().unwrap(),
        jitter,
    };
    Timetable::new("daily", &timing).unwrap()
}

fn ms(time: &str) -> i64 {
    DateTime::parse_from_rfc3339(time)
        .unwrap()
        .timestamp_millis()
}

/// Walks through a span minute by minute, as a host does; returns each tick that became due.
fn ticks(timetable: &Timetable, from: &str, to: &str) -> Vec<i64> {
    let (mut now, to, mut had) = (ms(from), ms(to), Vec::new());
    let mut last = timetable.latest(now);
    while now <= to {
        let latest = timetable.latest(now);
        if latest != last {
            had.extend(latest);
            last = latest;
        }
        now += MINUTE_MS;
    }
    had
}

fn at(times: &[&str]) -> Vec<i64> {
    times.iter().map(|time| ms(time)).collect()
}

#[test]
fn intervals_are_whole_multiples_since_the_epoch() {
    let minute = every(Duration::from_mins(1));
    assert_eq!(minute.latest(119_999), Some(60_000));
    assert_eq!(minute.latest(120_000), Some(120_000));
    assert_eq!(minute.next(120_000), Some(180_000));
    assert_eq!(minute.latest(-1), Some(-60_000), "a clock before 1970");
}

#[test]
fn after_downtime_only_the_latest_tick_is_due() {
    let minute = every(Duration::from_mins(1));
    assert_eq!(minute.latest(DAY_MS + 5), Some(DAY_MS));
    let daily = cron("30 3 * * *", "UTC", Duration::ZERO);
    assert_eq!(
        daily.latest(ms("2026-03-04T12:00:00Z")),
        Some(ms("2026-03-04T03:30:00Z"))
    );
}

#[test]
fn a_tick_is_due_at_its_very_second() {
    let daily = cron("30 3 * * *", "UTC", Duration::ZERO);
    let tick = ms("2026-03-04T03:30:00Z");
    assert_eq!(daily.latest(tick), Some(tick));
    assert_eq!(daily.latest(tick + 999), Some(tick));
    assert_eq!(daily.latest(tick - 1), Some(tick - DAY_MS));
    assert_eq!(daily.next(tick), Some(tick + DAY_MS));
    assert_eq!(daily.next(tick - 1), Some(tick));
}

#[test]
fn the_wall_clock_of_the_time_zone_counts() {
    for (zone, tick) in [
        ("Europe/Berlin", "2026-01-15T01:30:00Z"),
        ("America/New_York", "2026-01-15T07:30:00Z"),
        ("Asia/Kathmandu", "2026-01-14T20:45:00Z"),
        ("Pacific/Kiritimati", "2026-01-15T12:30:00Z"),
    ] {
        let daily = cron("30 2 * * *", zone, Duration::ZERO);
        assert_eq!(daily.latest(ms(tick)), Some(ms(tick)), "{zone}");
        assert_eq!(
            daily.latest(ms(tick) - 1),
            Some(ms(tick) - DAY_MS),
            "{zone}"
        );
    }
}

#[test]
fn a_time_that_does_not_exist_ticks_once_at_the_first_minute_that_does() {
    let daily = cron("30 2 * * *", "Europe/Berlin", Duration::ZERO);
    let had = ticks(&daily, "2026-03-28T12:00:00Z", "2026-03-30T12:00:00Z");
    // 02:30 on the 29th is no time: 03:00 of summer time, then 02:30 of summer time.
    assert_eq!(had, at(&["2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"]));
    assert_eq!(
        daily.next(ms("2026-03-28T12:00:00Z")),
        Some(ms("2026-03-29T01:00:00Z"))
    );
}

#[test]
fn a_time_that_comes_twice_ticks_the_first_time_only() {
    let daily = cron("30 2 * * *", "Europe/Berlin", Duration::ZERO);
    let had = ticks(&daily, "2026-10-24T12:00:00Z", "2026-10-26T12:00:00Z");
    // 02:30 of summer time; an hour later it is 02:30 again.
    assert_eq!(had, at(&["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]));
    assert_eq!(
        daily.next(ms("2026-10-25T00:30:00Z")),
        Some(ms("2026-10-26T01:30:00Z"))
    );
}

#[test]
fn what_repeats_within_the_day_never_pauses_for_a_clock_change() {
    let half_hourly = cron("*/30 * * * *", "Europe/Berlin", Duration::ZERO);
    for day in ["2026-03-29", "2026-10-25"] {
        let (from, to) = (format!("{day}T00:01:00Z"), format!("{day}T06:01:00Z"));
        let had = ticks(&half_hourly, &from, &to);
        assert_eq!(had.len(), 12, "{day}: every half an hour of real time");
        assert!(had.windows(2).all(|two| two[1] - two[0] == HOUR_MS / 2));
    }
}

#[test]
fn ticks_of_all_hosts_agree_whichever_moment_they_look_at() {
    for expression in [
        "30 2 * * *",
        "15,45 1-3 * * *",
        "0 * * * *",
        "*/7 2 * * SUN",
    ] {
        for zone in ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe"] {
            let timetable = cron(expression, zone, Duration::ZERO);
            for (from, to) in [
                ("2026-03-07T00:00:00Z", "2026-03-09T00:00:00Z"),
                ("2026-03-28T00:00:00Z", "2026-03-30T00:00:00Z"),
                ("2026-04-04T00:00:00Z", "2026-04-06T00:00:00Z"),
                ("2026-10-24T00:00:00Z", "2026-10-26T00:00:00Z"),
            ] {
                let had = ticks(&timetable, from, to);
                let rising = had.windows(2).all(|two| two[0] < two[1]);
                assert!(rising, "{expression} {zone}");
                for two in had.windows(2) {
                    assert_eq!(timetable.next(two[0]), Some(two[1]), "{expression} {zone}");
                    assert_eq!(timetable.latest(two[1] - 1), Some(two[0]));
                }
            }
        }
    }
}

#[test]
fn a_jitter_delays_each_tick_by_its_own_fixed_part() {
    let jitter = Duration::from_mins(10);
    let jitter_ms = 10 * MINUTE_MS;
    let daily = cron("30 3 * * *", "UTC", jitter);
    let first = ms("2026-03-04T03:30:00Z");
    let mut delays = BTreeSet::new();
    for day in 0..100 {
        let tick = first + day * DAY_MS;
        let due = daily.next(tick - 1).unwrap();
        let delay = due - tick;
        assert!((0..jitter_ms).contains(&delay), "{delay}");
        assert_eq!(daily.latest(due - 1), Some(tick - DAY_MS), "not yet");
        assert_eq!(daily.latest(due), Some(tick));
        assert_eq!(daily.next(due - 1), Some(due));
        assert_eq!(daily.latest(tick + jitter_ms), Some(tick), "at the latest");
        delays.insert(delay);
    }
    assert!(delays.len() > 90, "they are spread");
    let (low, high) = (delays.first().unwrap(), delays.last().unwrap());
    assert!(
        *low < jitter_ms / 10 && *high > jitter_ms * 9 / 10,
        "all over it"
    );
    assert_eq!(
        cron("30 3 * * *", "UTC", jitter).next(first - 1),
        daily.next(first - 1),
        "the same on another host"
    );
}

#[test]
fn a_schedule_that_cannot_be_kept_is_refused() {
    let refused = |when: When, jitter_s: u64| {
        let timing = Timing {
            when,
            time_zone: TimeZone::default(),
            jitter: Duration::from_secs(jitter_s),
        };
        Timetable::new("sweep", &timing).unwrap_err().to_string()
    };
    assert!(refused(When::Every(Duration::ZERO), 0).contains("`sweep`"));
    let words = || When::Cron("every night".to_owned());
    assert!(refused(words(), 0).contains("`every night`"));
    assert!(refused(When::Every(Duration::from_secs(5)), 6).contains("jitter 6s"));
    let fives = || When::Cron("*/5 * * * *".to_owned());
    assert!(refused(fives(), 301).contains("jitter 301s"));
}

#[test]
fn one_tick_has_one_job_id() {
    assert_eq!(job_id("blob_gc", 60_000), "blob_gc@60000");
    assert_eq!(tick_of("blob_gc", "blob_gc@60000"), Some(60_000));
    assert_eq!(tick_of("blob", "blob_gc@60000"), None);
}
