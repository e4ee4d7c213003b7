//! Computes who may do what, and writes where that differs from what was written before.
//!
//! Deletes nothing of the registry: only rows of our own two tables of roles come and go,
//! and every one of them can be computed again from Quay's grants. The web tier asks for
//! the user, team or repository it has just changed; every hour everything is computed, for
//! changes that nobody announced.
//!
//! Running it twice is safe: a run that finds nothing different writes nothing. Running it
//! on two hosts at once is safe: each user's rows are computed under a lock, so what was
//! seen earlier never replaces what was seen later.
use quayhand_model::permission::{Change, Place, Plan, Position, Scope, Written};

use crate::{Doomed, Step, prelude::*};

/// Computes the roles that a change may have touched.
///
/// Not unique while queued: a second change must not be dropped because the job of the
/// first has already read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "scope", rename_all = "snake_case", deny_unknown_fields)]
pub enum PermissionRecompute {
    /// One user: granted something by name, or put into a team.
    User {
        /// `user.id`; a robot as well.
        id: i64,
    },
    /// One team: its role, its members or its grants changed.
    Team {
        /// `team.id`. For a team that was deleted name the organization; a team that is not
        /// there means everybody.
        id: i64,
    },
    /// One repository: its grants changed, or it was deleted.
    Repository {
        /// `repository.id`.
        id: i64,
    },
    /// One namespace: teams were deleted, or much has changed.
    Organization {
        /// `user.id` of the organization, or of the user who owns the namespace.
        id: i64,
    },
    /// Everybody.
    All,
}

impl Job<Ctx> for PermissionRecompute {
    const KIND: &'static str = "permission_recompute";
    const ABOUT: &'static str =
        "Computes effective roles from grants and teams, and writes what differs";
    const QUEUE: Queue = queues::DEFAULT;
    const SOURCE: Source = Source::Derivable;
    const POLICY: Policy = USUAL.timeout(Duration::from_hours(1));
    const SCHEDULE: Option<Schedule> = Some(Schedule::Every(Duration::from_hours(1)));

    async fn run(&self, ctx: &Ctx) -> Result<Done, JobError> {
        ctx.settings.check_may_write()?;
        let scope = Scope::from(*self);
        let plan = ctx
            .db
            .scope(async |conn| Plan::new(conn, scope).await)
            .await?;
        let mut done = Done::default();
        let mut next = Some(plan.start());
        while let Some(position) = next {
            if ctx.stop.is_cancelled() {
                return Err(stopped(done));
            }
            next = batch(ctx, &plan, position, &mut done).await?;
            ctx.options.progress.report(&Step {
                done: &done,
                handled: done.of(USERS),
                total: plan.users(),
            });
        }
        Ok(done)
    }

    fn scheduled() -> Option<Self> {
        Some(Self::All)
    }

    fn for_repository(repository_id: i64) -> Option<Self> {
        Some(Self::Repository { id: repository_id })
    }

    fn all(ctx: &Ctx) -> Option<BoxFuture<'_, Result<Done, JobError>>> {
        Some(Box::pin(Self::All.run(ctx)))
    }
}

impl From<PermissionRecompute> for Scope {
    fn from(job: PermissionRecompute) -> Self {
        match job {
            PermissionRecompute::User { id } => Self::User(id),
            PermissionRecompute::Team { id } => Self::Team(id),
            PermissionRecompute::Repository { id } => Self::Repository(id),
            PermissionRecompute::Organization { id } => Self::Organization(id),
            PermissionRecompute::All => Self::All,
        }
    }
}

/// Count of the users that were compared.
const USERS: &str = "users";

/// Writes one batch, or shows it; returns where the next one starts.
async fn batch(
    ctx: &Ctx,
    plan: &Plan,
    position: Position,
    done: &mut Done,
) -> Result<Option<Position>, JobError> {
    let Some(preview) = &ctx.options.preview else {
        let batch = ctx
            .db
            .transaction(async |tx| plan.batch(tx, position).await)
            .await?;
        count(done, batch.users, batch.written);
        return Ok(batch.next);
    };
    let batch = ctx
        .db
        .scope(async |conn| plan.preview(conn, position).await)
        .await?;
    for change in &batch.changes {
        preview.show(&line(change));
    }
    count(done, batch.users, Written::of(&batch.changes));
    Ok(batch.next)
}

fn count(done: &mut Done, users: u64, written: Written) {
    done.add(USERS, users);
    done.add("granted", written.granted);
    done.add("changed", written.changed);
    done.add("revoked", written.revoked);
}

fn line(change: &Change) -> Doomed<'static> {
    let (Place::Repository(place_id) | Place::Namespace(place_id)) = change.place;
    Doomed::Role {
        table: change.place.table(),
        user_id: change.user_id,
        place_id,
        before: change.before(),
        after: change.after(),
    }
}

fn stopped(done: Done) -> JobError {
    JobError::Partial {
        done,
        left: vec!["stopped before the last user; what was written stays written".to_owned()],
    }
}

#[cfg(test)]
mod tests {
    use super::PermissionRecompute::{self, All, Organization, Repository, Team, User};

    #[test]
    fn its_wire_form_is_for_ever() {
        let forms = [
            (User { id: 5 }, r#"{"scope":"user","id":5}"#),
            (Team { id: 5 }, r#"{"scope":"team","id":5}"#),
            (Repository { id: 5 }, r#"{"scope":"repository","id":5}"#),
            (Organization { id: 5 }, r#"{"scope":"organization","id":5}"#),
            (All, r#"{"scope":"all"}"#),
        ];
        for (job, form) in forms {
            assert_eq!(serde_json::to_string(&job).unwrap(), form);
            let read: PermissionRecompute = serde_json::from_str(form).unwrap();
            assert_eq!(read, job);
        }
    }

    #[test]
    fn refuses_what_it_would_misunderstand() {
        let bad = [
            "{}",
            r#"{"scope":"user"}"#,
            r#"{"scope":"user","id":"5"}"#,
            r#"{"scope":"user","id":5,"repository_id":6}"#,
            r#"{"scope":"everything"}"#,
            r#"{"user_id":5}"#,
        ];
        for form in bad {
            let read = serde_json::from_str::<PermissionRecompute>(form);
            assert!(read.is_err(), "{form}");
        }
    }
}
