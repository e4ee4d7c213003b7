//! Owns the deletion of many keys in bounded parallel, where each key gets exactly one answer
//! before a deadline.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::{
    sync::mpsc::{self, UnboundedSender},
    task::spawn_blocking,
    time::{Instant, timeout_at},
};

use crate::ObjectPath;

/// How many keys of one call are worked on at once; more only queue up in the file system's
/// journal.
const LANES: usize = 8;

/// What became of one key that was to be deleted.
#[must_use]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deleted {
    /// The object was there and is gone.
    Removed,
    /// There was no object at the key, which is as good as removed (but nothing to put into an
    /// audit).
    NotFound,
    /// The object was not deleted, for the reason given.
    Failed(String),
    /// Nobody knows whether the object is gone: the deadline passed, or the answer was lost. Its
    /// record must be kept.
    Unknown(String),
}

impl Deleted {
    /// Says whether the object is certainly not there, so that its record may go.
    pub const fn is_gone(&self) -> bool {
        matches!(self, Self::Removed | Self::NotFound)
    }
}

/// Applies the blocking `remove` to every path, at most [`LANES`] at once, and answers in the order
/// of `paths`.
///
/// After `deadline`, and after the returned future was dropped, no further key is begun; a key that
/// was begun and has not answered is `Unknown`, and so is the key of a `remove` that panicked.
pub(crate) async fn delete_all<F>(
    paths: &[ObjectPath],
    deadline: Instant,
    remove: F,
) -> Vec<Deleted>
where
    F: Fn(&ObjectPath) -> Deleted + Send + Sync + 'static,
{
    let work = Arc::new(Work {
        paths: paths.to_vec(),
        next: AtomicUsize::new(0),
        deadline,
        remove,
    });
    let (answers, mut answered) = mpsc::unbounded_channel();
    for _ in 0..LANES.min(paths.len()) {
        let (work, answers) = (Arc::clone(&work), answers.clone());
        spawn_blocking(move || work.run_lane(&answers));
    }
    drop(answers); // so that the channel ends with the last lane

    let mut outcome = vec![None; paths.len()];
    while let Ok(Some((key, deleted))) = timeout_at(deadline, answered.recv()).await {
        outcome[key] = Some(deleted);
    }
    answered.close(); // from here on the lanes begin nothing
    while let Ok((key, deleted)) = answered.try_recv() {
        outcome[key] = Some(deleted);
    }
    outcome
        .into_iter()
        .map(|answer| answer.unwrap_or_else(unanswered))
        .collect()
}

/// Why nothing is known of a key that the deadline overtook.
pub(crate) const NO_ANSWER: &str = "no answer before the deadline";

/// The answer for such a key.
pub(crate) fn unanswered() -> Deleted {
    Deleted::Unknown(NO_ANSWER.to_owned())
}

/// What the lanes of one call share.
struct Work<F> {
    paths: Vec<ObjectPath>,
    next: AtomicUsize,
    deadline: Instant,
    remove: F,
}

impl<F: Fn(&ObjectPath) -> Deleted> Work<F> {
    /// Takes keys until none is left, the deadline has passed, or nobody waits for the answers any
    /// more.
    fn run_lane(&self, answers: &UnboundedSender<(usize, Deleted)>) {
        loop {
            let key = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(path) = self.paths.get(key) else {
                return;
            };
            if answers.is_closed() || Instant::now() >= self.deadline {
                return;
            }
            let deleted = (self.remove)(path);
            if answers.send((key, deleted)).is_err() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{Condvar, Mutex},
        time::Duration,
    };

    use super::*;
    use crate::Digest;

    fn paths(count: u8) -> Vec<ObjectPath> {
        (0..count)
            .map(|byte| ObjectPath::cas(&Digest::from_bytes([byte; 32])))
            .collect()
    }

    /// The number of a path made by [`paths`].
    fn number(path: &ObjectPath) -> u8 {
        path.digest().expect("a blob").as_bytes()[0]
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(30)
    }

    #[tokio::test]
    async fn answers_every_key_in_order() {
        let answers = delete_all(&paths(200), soon(), |path| match number(path) % 3 {
            0 => Deleted::Removed,
            1 => Deleted::NotFound,
            _ => Deleted::Failed(number(path).to_string()),
        })
        .await;
        assert_eq!(answers.len(), 200);
        for (key, answer) in answers.iter().enumerate() {
            let expected = match key % 3 {
                0 => Deleted::Removed,
                1 => Deleted::NotFound,
                _ => Deleted::Failed(key.to_string()),
            };
            assert_eq!(*answer, expected);
        }
    }

    #[tokio::test]
    async fn answers_nothing_for_no_keys() {
        assert!(
            delete_all(&[], soon(), |_| Deleted::Removed)
                .await
                .is_empty()
        );
    }

    #[tokio::test]
    async fn begins_nothing_after_the_deadline() {
        let begun = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&begun);
        let answers = delete_all(&paths(50), Instant::now(), move |_| {
            count.fetch_add(1, Ordering::SeqCst);
            Deleted::Removed
        })
        .await;
        assert_eq!(answers, vec![unanswered(); 50]);
        assert_eq!(begun.load(Ordering::SeqCst), 0);
    }

    /// A gate that lets blocked removals go, at the latest when the test ends.
    #[derive(Default)]
    struct Gate {
        open: Mutex<bool>,
        changed: Condvar,
    }

    impl Gate {
        fn wait(&self) {
            let mut open = self.open.lock().expect("gate");
            while !*open {
                open = self.changed.wait(open).expect("gate");
            }
        }

        fn open(&self) {
            *self.open.lock().expect("gate") = true;
            self.changed.notify_all();
        }
    }

    #[tokio::test]
    async fn reports_hanging_keys_as_unknown_and_leaves_the_rest_alone() {
        let gate = Arc::new(Gate::default());
        let begun = Arc::new(Mutex::new(Vec::new()));
        let (held, seen) = (Arc::clone(&gate), Arc::clone(&begun));
        let answers = delete_all(
            &paths(100),
            Instant::now() + Duration::from_secs(2),
            move |path| {
                seen.lock().expect("list").push(number(path));
                if number(path) >= 10 {
                    held.wait();
                }
                Deleted::Removed
            },
        )
        .await;
        gate.open();
        let begun = begun.lock().expect("list");
        assert!(
            begun.len() <= 10 + LANES,
            "begun after the deadline: {begun:?}"
        );
        assert_eq!(&answers[10..], vec![unanswered(); 90]);
        assert_eq!(&answers[..10], vec![Deleted::Removed; 10]);
    }

    #[tokio::test]
    async fn a_panic_costs_its_own_key_only() {
        let answers = delete_all(&paths(100), soon(), |path| {
            assert!(number(path) != 3, "this panic is part of the test");
            Deleted::Removed
        })
        .await;
        let unknown: Vec<_> = (0..100).filter(|&key| !answers[key].is_gone()).collect();
        assert_eq!(unknown, [3]);
    }
}
