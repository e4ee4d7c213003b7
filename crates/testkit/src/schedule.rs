//! Owns schedules: who meets whom in which order, played with every guard in place and once more
//! without each guard that it is about.

use std::{
    collections::BTreeMap,
    fmt::Debug,
    sync::{Arc, Mutex, PoisonError},
};

use futures::future::LocalBoxFuture;
use tokio::sync::OnceCell;

use crate::PlayedSchedule;

/// What a schedule is played in.
pub trait World: Sized {
    /// Makes one that no other schedule uses.
    fn new() -> impl Future<Output = Self>;

    /// Insists that what is left is right: nothing lost, nothing left over for ever.
    ///
    /// # Panics
    /// When something is wrong.
    fn is_whole(&self) -> impl Future<Output = ()>;
}

/// Plays a schedule, without one guard or with all; tells how it ended.
pub type Play<W, G> = for<'w> fn(&'w W, Option<G>) -> LocalBoxFuture<'w, String>;

/// Who meets whom, in which order, and how it ends.
#[derive(Debug)]
pub struct Schedule<W: 'static, G: 'static> {
    /// The test's name.
    pub name: &'static str,
    /// The races it is an example of, such as `R8`.
    pub races: &'static [&'static str],
    /// Who comes first.
    pub first: &'static str,
    /// What happens.
    pub play: Play<W, G>,
    /// How it ends with every guard.
    pub good: &'static str,
    /// Guards without each of which it ends otherwise, and how.
    pub bad: &'static [(G, &'static str)],
}

impl<W: World, G: Copy + Debug> Schedule<W, G> {
    /// Plays the schedule, at most once in this process: prints and checks every ending.
    ///
    /// # Panics
    /// When it ends otherwise than it should, or guards that it names make no difference.
    pub async fn played(&self) -> PlayedSchedule {
        static PLAYED: Mutex<BTreeMap<&str, Arc<OnceCell<()>>>> = Mutex::new(BTreeMap::new());
        let once = {
            let mut played = PLAYED.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(played.entry(self.name).or_default())
        };
        once.get_or_init(|| self.plays()).await;
        let needs = self.bad.iter().map(|(guard, _)| format!("{guard:?}"));
        PlayedSchedule {
            name: self.name,
            races: self.races,
            first: self.first,
            ends: self.good,
            needs: needs.collect(),
        }
    }

    async fn plays(&self) {
        let world = W::new().await;
        let mut wrong = self.compare(&world, None, self.good).await;
        world.is_whole().await;
        for (guard, bad) in self.bad {
            wrong += self.compare(&W::new().await, Some(*guard), bad).await;
        }
        assert!(
            self.bad.iter().all(|(_, bad)| *bad != self.good),
            "{} names a guard that makes no difference",
            self.name
        );
        assert_eq!(wrong, 0, "{} ends otherwise: see above", self.name);
    }

    /// Plays the schedule once and prints how it ended; returns 1 when it should have ended
    /// otherwise.
    #[expect(clippy::print_stdout, reason = "every ending is there to be read")]
    async fn compare(&self, world: &W, without: Option<G>, right: &str) -> u32 {
        let name = self.name;
        let ended = (self.play)(world, without).await;
        let guards = without.map_or("with every guard".to_owned(), |guard| {
            format!("without {guard:?}")
        });
        println!("{name}: {guards} {ended}");
        if ended == right {
            return 0;
        }
        println!("{name}: {guards} it should be {right}");
        1
    }
}
