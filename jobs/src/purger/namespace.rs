//! Driving the purge of a namespace: its repositories, its rows, its robots, itself.
use quayhand_model::purge::{self, NamespaceState};

use super::{
    HELD, Purger, Rest,
    wait::{Halt, Wait},
};

/// Repositories of a namespace that are marked and purged together.
const REPOSITORIES: u32 = 1_000;

impl Purger<'_> {
    /// Purges a namespace until it is gone, or until it is clear what is in the way.
    pub(super) async fn purge_namespace(&mut self, id: i64) -> Result<(), Halt> {
        let (mut wait, as_of_ms) = (Wait::default(), self.ctx.options.as_of_ms);
        while !self.is_stopped() {
            let state = self
                .attempt(REPOSITORIES, move |tx, at_most| {
                    Box::pin(purge::prepare_namespace(tx, id, at_most, as_of_ms))
                })
                .await?;
            match state {
                NamespaceState::NotMarked => break,
                NamespaceState::NotDue => {
                    self.done.add("namespaces not due", 1);
                    break;
                }
                NamespaceState::Busy => wait.pause(self.ctx, 0, HELD).await?,
                NamespaceState::Ready(repositories) if !repositories.is_empty() => {
                    self.purge_repositories_of(&repositories).await?;
                }
                NamespaceState::Ready(_) => {
                    if self.end_namespace(id, &mut wait).await? {
                        break;
                    }
                }
            }
        }
        Ok(())
    }

    /// Deletes what is left of a namespace without repositories; `true` when nothing is.
    async fn end_namespace(&mut self, id: i64, wait: &mut Wait) -> Result<bool, Halt> {
        let as_of_ms = self.ctx.options.as_of_ms;
        let rows = self.drop_rows(Rest::OfNamespace(id)).await?;
        let changed = rows + self.drop_rows(Rest::Robots(id)).await?;
        if self.is_stopped() {
            return Ok(false);
        }
        let ended = self
            .attempt(1, move |tx, _| {
                Box::pin(purge::finish_namespace(tx, id, as_of_ms))
            })
            .await?;
        self.settle(ended, "namespaces", changed, wait).await
    }

    /// Purges some repositories of a namespace; stuck when none of them went.
    async fn purge_repositories_of(&mut self, repositories: &[i64]) -> Result<(), Halt> {
        let (before, mut reasons) = (self.done.of("repositories"), Vec::new());
        for id in repositories {
            match self.purge_repository(*id).await {
                Err(Halt::Stuck(reason)) => reasons.push(format!("its repository {id}: {reason}")),
                ended => ended?,
            }
        }
        if self.done.of("repositories") == before && !reasons.is_empty() {
            return Err(Halt::Stuck(reasons.join("; ")));
        }
        Ok(())
    }
}
