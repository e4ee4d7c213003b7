//! The database's clock between two looks at it.
use std::time::{Duration, Instant, SystemTime};

use quayhand_model::{Conn, DbError, clock};

/// How far this host's two clocks may part before the database is asked again: one was set, or the
/// host slept.
const LARGEST_JUMP: Duration = Duration::from_secs(2);

/// The database's clock, as known from one look at it.
#[derive(Clone, Copy)]
pub(super) struct Clock {
    read_ms: i64,
    at: Instant,
    wall: SystemTime,
}

impl Clock {
    /// Asks the database; returns its time as well, in milliseconds since the Unix epoch.
    pub(super) async fn read(conn: &mut Conn) -> Result<(Self, i64), DbError> {
        let read_ms = clock::now_ms(conn).await?;
        let clock = Self {
            read_ms,
            at: Instant::now(),
            wall: SystemTime::now(),
        };
        Ok((clock, read_ms))
    }

    /// Returns the database's time; `None` when this host's clocks do not tell how much of it
    /// passed, and the database must be asked again.
    pub(super) fn now_ms(self) -> Option<i64> {
        // The one never jumps and stands still while the host sleeps, the other is the reverse.
        self.after(self.at.elapsed(), self.wall.elapsed().ok()?)
    }

    fn after(self, steady: Duration, wall: Duration) -> Option<i64> {
        if steady.abs_diff(wall) > LARGEST_JUMP {
            return None;
        }
        let passed_ms = i64::try_from(steady.as_millis()).unwrap_or(i64::MAX);
        Some(self.read_ms.saturating_add(passed_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_whose_clock_jumped_or_that_slept_asks_the_database() {
        let clock = Clock {
            read_ms: 1_000,
            at: Instant::now(),
            wall: SystemTime::now(),
        };
        let s = Duration::from_secs;
        assert_eq!(clock.after(s(60), s(60)), Some(61_000));
        assert_eq!(clock.after(s(60), s(61)), Some(61_000), "a small step");
        assert_eq!(clock.after(s(60), s(3660)), None, "set forward, or slept");
        assert_eq!(clock.after(s(3660), s(60)), None, "set back");
    }

    #[test]
    fn a_wall_clock_behind_the_last_look_asks_the_database() {
        let clock = Clock {
            read_ms: 1_000,
            at: Instant::now(),
            wall: SystemTime::now() + Duration::from_hours(1),
        };
        assert_eq!(clock.now_ms(), None);
    }
}
