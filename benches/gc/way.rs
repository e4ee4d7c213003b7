//! The ways of collecting everything.
use std::fmt;

/// Who calls the collector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Caller {
    /// `job run tag_expiry --all`.
    Run,
    /// `quayhand run`: a sweep enqueues jobs, pools take them.
    Daemon,
    /// Nobody: `baseline.sql`.
    Hand,
}

/// One way of collecting everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Way {
    pub(crate) caller: Caller,
    /// Batches side by side; 0 is one for each core.
    pub(crate) connections: u32,
    /// `PgBouncer` in transaction mode is in between.
    pub(crate) bounced: bool,
}

impl Way {
    /// The limit that the others are measured by.
    pub(crate) const HAND: Self = Self::new(Caller::Hand, 1, false);
    /// Every way, the limit in the middle.
    pub(crate) const ALL: [Self; 7] = [
        Self::new(Caller::Run, 0, false),
        Self::new(Caller::Run, 1, false),
        Self::new(Caller::Run, 0, true),
        Self::HAND,
        Self::new(Caller::Daemon, 0, false),
        Self::new(Caller::Daemon, 1, false),
        Self::new(Caller::Daemon, 0, true),
    ];

    const fn new(caller: Caller, connections: u32, bounced: bool) -> Self {
        Self {
            caller,
            connections,
            bounced,
        }
    }

    /// Tells whether a selection has this way; an empty one has all.
    pub(crate) fn is_chosen(self, words: &[String]) -> bool {
        let name = self.to_string();
        let fits = |word: &String| name.starts_with(word.as_str());
        self == Self::HAND || words.is_empty() || words.iter().any(fits)
    }

    /// The configuration of our own program for this way.
    pub(crate) fn config(self) -> String {
        let (bounced, connections) = (self.bounced, self.connections);
        format!("[database]\npgbouncer = {bounced}\n[worker]\nconcurrency = {connections}\n")
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match (self.caller, self.connections, self.bounced) {
            (Caller::Hand, ..) => "by hand",
            (Caller::Run, 0, false) => "run --all",
            (Caller::Run, 0, true) => "run --all, PgBouncer",
            (Caller::Run, ..) => "run --all, one connection",
            (Caller::Daemon, 0, false) => "daemon",
            (Caller::Daemon, 0, true) => "daemon, PgBouncer",
            (Caller::Daemon, ..) => "daemon, one connection",
        };
        f.pad(name)
    }
}
