//! Looks back at what was removed: whether a digest has a row again whose object is not there.
//!
//! Quay asks storage for an object before it takes the digest's lock and writes the row after.
//! No lock of ours closes that gap, so what fell into it is found and reported; nothing is ever
//! deleted for it. What storage does not answer for is neither there nor missing, and is asked
//! for again by the next run.
use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt, stream};
use model::removed::{self, Due, Returned};
use quayhand_storage::{Digest, ObjectPath, Storage};

use crate::prelude::*;

/// Notes that one statement looks at.
const PAGE: u32 = 10_000;
/// Objects that storage is asked for at once.
const LOOKS: usize = 16;
/// After so many failures in a row a location is left alone until the next run.
const FAILURES: usize = LOOKS;
/// Missing objects that a run names; the others are counted.
const NAMED: u64 = 100;
/// Repositories that are named of one object.
const REPOSITORIES: u32 = 10;

/// What a run found.
#[derive(Default)]
pub(super) struct Found {
    /// Objects that have a row and are not there.
    pub(super) missing: u64,
    /// What to do about them.
    pub(super) left: BTreeSet<String>,
}

/// Asks storage for every object that has a row again.
///
/// # Errors
///
/// [`JobError::Retry`] when the database fails; storage never fails this.
pub(super) async fn look_back(
    ctx: &Ctx,
    storage: &Storage,
    due: Due,
) -> Result<Found, JobError> {
    let mut look = LookBack {
        ctx,
        storage,
        failures: BTreeMap::new(),
        found: Found::default(),
    };
    let mut after = 0;
    while !ctx.stop.is_cancelled() {
        let next = async |conn: &mut model::Conn| removed::look(conn, after, due, PAGE).await;
        let page = ctx.db.scope(next).await?;
        if !page.returned.is_empty() {
            look.page(page.returned).await?;
        }
        let Some(last) = page.last else { break };
        after = last;
    }
    Ok(look.conclude())
}

struct LookBack<'a> {
    ctx: &'a Ctx,
    storage: &'a Storage,
    /// How often in a row a location has failed.
    failures: BTreeMap<String, usize>,
    found: Found,
}

/// What storage said about the objects of a page.
#[derive(Default)]
struct Answers {
    there: BTreeSet<i64>,
    missing: Vec<Returned>,
}

impl LookBack<'_> {
    async fn page(&mut self, returned: Vec<Returned>) -> Result<(), JobError> {
        let mut asked: Vec<_> = returned.iter().map(|one| one.id).collect();
        let Answers { there, missing } = self.ask(returned).await;
        self.report(missing).await?;
        if self.ctx.stop.is_cancelled() {
            asked.clear(); // not for all of them: however old, they are next time
        }
        let there: Vec<_> = there.into_iter().collect();
        let db = &self.ctx.db;
        db.scope(async |conn| removed::settle(conn, &there, &asked).await)
            .await?;
        Ok(())
    }

    async fn ask(&mut self, returned: Vec<Returned>) -> Answers {
        let mut answers = Answers::default();
        let mut locations = BTreeMap::<_, Vec<_>>::new();
        for one in returned {
            locations.entry(one.location.clone()).or_default().push(one);
        }
        for (location, returned) in locations {
            self.ask_at(&location, returned, &mut answers).await;
        }
        answers
    }

    /// Asks one location, until it has failed too often.
    async fn ask_at(&mut self, location: &str, returned: Vec<Returned>, answers: &mut Answers) {
        let storage = self.storage;
        let looks = returned.into_iter().map(async |one| {
            let there = storage.exists(location, &path(&one)).await;
            (one, there)
        });
        let mut looks = stream::iter(looks).buffered(LOOKS);
        let failures = self.failures.entry(location.to_owned()).or_default();
        while *failures < FAILURES
            && !self.ctx.stop.is_cancelled()
            && let Some((one, there)) = looks.next().await
        {
            match there {
                Ok(true) => drop(answers.there.insert(one.id)),
                Ok(false) => answers.missing.push(one),
                Err(error) => {
                    *failures += 1;
                    let digest = checksum(&one);
                    tracing::warn!(location, digest, %error, "not known whether the object of a \
                        blob is there; the next run asks again");
                    continue;
                }
            }
            *failures = 0;
        }
    }

    /// Reports what is missing still: a row may have gone since, and its object with it.
    async fn report(&mut self, missing: Vec<Returned>) -> Result<(), JobError> {
        if missing.is_empty() {
            return Ok(());
        }
        let ids: Vec<_> = missing.iter().map(|one| one.id).collect();
        let db = &self.ctx.db;
        let mut referrers = db
            .scope(async |conn| removed::referrers(conn, &ids, REPOSITORIES + 1).await)
            .await?;
        for one in missing {
            if let Some(names) = referrers.remove(&one.id) {
                self.found.note(&one, &listed(names));
            }
        }
        Ok(())
    }

    fn conclude(self) -> Found {
        let mut found = self.found;
        if let Some(more @ 1..) = found.missing.checked_sub(NAMED) {
            let left = format!("{more} more objects that are missing: `quayhand verify` names all");
            found.left.insert(left);
        }
        found
    }
}

impl Found {
    fn note(&mut self, one: &Returned, repositories: &str) {
        self.missing += 1;
        if self.missing > NAMED {
            return;
        }
        let (digest, location, path) = (checksum(one), one.location.as_str(), path(one));
        tracing::warn!(
            digest,
            location,
            repositories,
            "the object of a blob is missing: it was removed while it was pushed again"
        );
        self.left.insert(format!(
            "storage location `{location}`: the object of {digest} is missing, referred to by \
             {repositories}: push it again so that its bytes are sent, or restore `{path}` where \
             the bucket keeps versions"
        ));
    }
}

/// Lists the names of repositories for an operator.
fn listed(mut names: Vec<String>) -> String {
    if names.is_empty() {
        return "no repository".to_owned();
    }
    let most = REPOSITORIES as usize;
    if names.len() > most {
        names.truncate(most);
        names.push("others".to_owned());
    }
    names.join(", ")
}

fn path(one: &Returned) -> ObjectPath {
    ObjectPath::cas(&Digest::from_bytes(one.digest))
}

fn checksum(one: &Returned) -> String {
    Digest::from_bytes(one.digest).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_no_more_repositories_than_fit_a_line() {
        let names = |count: u32| (0..count).map(|nth| format!("org/{nth}")).collect();
        assert_eq!(listed(names(0)), "no repository");
        assert_eq!(listed(names(2)), "org/0, org/1");
        assert!(listed(names(10)).ends_with(", org/9"));
        assert!(listed(names(11)).ends_with(", org/9, others"));
    }

    #[test]
    fn names_a_hundred_objects_and_counts_the_others() {
        let mut found = Found::default();
        for nth in 0..=150 {
            let one = Returned {
                id: 1,
                location: "local".to_owned(),
                digest: [nth; 32],
            };
            found.note(&one, "org/app");
        }
        assert_eq!((found.missing, found.left.len()), (151, 100));
    }
}
