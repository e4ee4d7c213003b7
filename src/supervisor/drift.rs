//! Keeps the gate before the jobs that delete: open only while the schema was seen to be known.
use std::{sync::Arc, time::Duration};

use quayhand_jobs::Gate;
use quayhand_model::{
    Db, DbError,
    drift::{self, Drift},
};
use quayhand_queue::chain;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::patience::Patience;

/// How often the schema is looked at.
const CHECK_EVERY: Duration = Duration::from_mins(10);

/// Checks the schema now, and opens or shuts the gate.
///
/// # Errors
///
/// When the check itself failed; the gate is shut then.
pub(crate) async fn check(db: &Db, gate: &Gate) -> Result<(), DbError> {
    match db.scope(drift::check).await {
        Ok(drift) => {
            apply(&drift, gate);
            Ok(())
        }
        Err(error) => {
            let why = chain(&error);
            close(gate, format!("the schema could not be checked: {why}"));
            Err(error)
        }
    }
}

fn apply(drift: &Drift, gate: &Gate) {
    if !drift.is_clean() {
        let problems = drift.problems.join("; ");
        let way_out = "check that this version of quayhand supports the registry's schema";
        return close(
            gate,
            format!("the schema is not the one this program knows: {problems}; {way_out}"),
        );
    }
    if gate.reason().is_some() {
        tracing::info!("the schema is known: jobs that delete may run");
    }
    gate.open();
}

/// Shuts the gate and says so, once for each reason.
fn close(gate: &Gate, reason: String) {
    if gate.reason().as_ref() != Some(&reason) {
        tracing::error!(reason, "jobs that delete stay off");
    }
    gate.close(reason);
}

/// Checks the schema every ten minutes and when the database is back, until it is stopped. A
/// check that failed is tried again sooner.
pub(crate) async fn watch(db: Db, gate: Gate, reconnected: Arc<Notify>, stop: CancellationToken) {
    let mut patience = Patience::new(Duration::from_secs(2), Duration::from_mins(1));
    let mut pause = CHECK_EVERY;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = reconnected.notified() => {}
            () = tokio::time::sleep(pause) => {}
        }
        pause = if check(&db, &gate).await.is_ok() {
            patience.reset();
            CHECK_EVERY
        } else {
            patience.pause()
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_problem_shuts_the_gate_and_none_opens_it() {
        let gate = Gate::shut("not checked yet");
        apply(&Drift::default(), &gate);
        assert_eq!(gate.reason(), None);
        let problems = vec!["column `tag.hidden` is missing".to_owned()];
        apply(&Drift { problems }, &gate);
        assert!(
            gate.reason()
                .is_some_and(|why| why.contains("`tag.hidden`"))
        );
    }

    #[tokio::test]
    async fn a_check_that_fails_shuts_the_gate() {
        // Nothing listens on the discard port.
        let config = quayhand_model::DbConfig::new("postgresql://nobody@127.0.0.1:9/none");
        let gate = Gate::shut("not checked yet");
        gate.open();
        let db = quayhand_model::configure(config).unwrap();
        assert!(check(&db, &gate).await.is_err());
        assert!(
            gate.reason()
                .is_some_and(|why| why.contains("could not be checked"))
        );
    }
}
