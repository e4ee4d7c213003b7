//! Which jobs ran, and when: the proof that none was lost and none ran twice.
use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU8, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{
    sync::{Notify, mpsc},
    time::timeout,
};

use super::load::Payload;

/// Longest that the jobs of a run may take.
const PATIENCE: Duration = Duration::from_mins(15);

/// The ledger of one run.
pub(crate) struct Ledger {
    runs: Vec<AtomicU8>,
    count: AtomicUsize,
    first: OnceLock<Instant>,
    /// When each tenth of the jobs had run.
    tenths: [OnceLock<Instant>; 10],
    starts: Option<mpsc::UnboundedSender<Instant>>,
    full: Notify,
}

impl Ledger {
    /// Opens a ledger for so many jobs, at least ten.
    pub(crate) fn new(jobs: u32) -> Arc<Self> {
        Arc::new(Self::with(jobs, None))
    }

    /// Opens a ledger that tells of each start as well.
    pub(crate) fn telling(jobs: u32) -> (Arc<Self>, mpsc::UnboundedReceiver<Instant>) {
        let (sender, starts) = mpsc::unbounded_channel();
        (Arc::new(Self::with(jobs, Some(sender))), starts)
    }

    fn with(jobs: u32, starts: Option<mpsc::UnboundedSender<Instant>>) -> Self {
        Self {
            runs: (0..jobs).map(|_| AtomicU8::new(0)).collect(),
            count: AtomicUsize::new(0),
            first: OnceLock::new(),
            tenths: Default::default(),
            starts,
            full: Notify::new(),
        }
    }

    /// Notes that a job runs: all that a job of the benchmark does.
    pub(crate) fn note(&self, payload: Payload) {
        self.first.get_or_init(Instant::now);
        if let Some(starts) = &self.starts {
            starts.send(Instant::now()).unwrap();
        }
        let job = usize::try_from(payload.n).unwrap();
        self.runs[job].fetch_add(1, Ordering::Relaxed);
        let count = self.count.fetch_add(1, Ordering::AcqRel) + 1;
        let tenth = self.runs.len() / 10;
        if count.is_multiple_of(tenth)
            && let Some(at) = self.tenths.get(count / tenth - 1)
        {
            at.get_or_init(Instant::now);
        }
        if count == self.runs.len() {
            self.full.notify_one();
        }
    }

    /// Waits until as many jobs ran as there are.
    pub(crate) async fn full(&self) {
        timeout(PATIENCE, self.full.notified()).await.unwrap();
    }

    /// Returns when the first job ran. All have.
    pub(crate) fn first(&self) -> Instant {
        *self.first.get().unwrap()
    }

    /// Returns the seconds that the first tenth of the jobs took, and the last.
    pub(crate) fn tenths(&self) -> (f64, f64) {
        let at = |tenth: usize| *self.tenths[tenth].get().unwrap();
        let (first, last) = (at(0) - self.first(), at(9) - at(8));
        (first.as_secs_f64(), last.as_secs_f64())
    }

    /// Ends the benchmark unless every job ran exactly once.
    pub(crate) fn check(&self) {
        let runs = self.runs.iter().map(|runs| runs.load(Ordering::Acquire));
        let (mut lost, mut doubled) = (0, 0);
        for runs in runs {
            lost += usize::from(runs == 0);
            doubled += usize::from(runs > 1);
        }
        assert_eq!((lost, doubled), (0, 0), "jobs lost, jobs run twice");
    }
}
