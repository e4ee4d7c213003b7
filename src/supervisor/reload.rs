//! Takes over a configuration that changed while the daemon runs.
use std::sync::Arc;

use tracing::{error, info, warn};

use super::{JobContext, Plan, Reloaded, scheduler, steps::Running, systemd};
use quayhand_queue::chain;

impl<C: JobContext> Running<C> {
    /// Reads the configuration again and applies what can change; one that cannot be used leaves
    /// the old one in force.
    pub(super) async fn reload(&mut self) {
        systemd::reloading();
        let reload = Arc::clone(&self.reload);
        match tokio::task::spawn_blocking(move || reload()).await {
            Ok(Ok(reloaded)) => self.apply(reloaded),
            Ok(Err(error)) => not_reloaded(&chain(error.as_ref())),
            Err(panic) => not_reloaded(&panic.to_string()),
        }
        systemd::ready(&self.status());
    }

    fn apply(&mut self, reloaded: Reloaded<C>) {
        let Reloaded {
            plan,
            base,
            needs_restart,
        } = reloaded;
        match scheduler::timetables(&self.registry, &plan.schedules) {
            Ok(timetables) => drop(self.timetables.send_replace(timetables)),
            Err(error) => return not_reloaded(&chain(&error)),
        }
        self.resize(&plan);
        self.attempts.set_base(base.clone());
        self.attempts.set_policies(plan.policies.clone());
        self.base = base;
        self.set_level(&plan);
        if !needs_restart.is_empty() {
            warn!(
                "changed, but in force only after a restart: {}",
                needs_restart.join(", ")
            );
        }
        self.plan = plan;
        info!("the configuration was reloaded");
    }

    fn resize(&self, plan: &Plan) {
        for pool in &self.pools {
            let queue = pool.steering.queue();
            let slots = plan.slots_of(queue);
            let before = pool.steering.resize(slots);
            if before != slots {
                info!(%queue, before, slots, "the pool of `{queue}` now runs {slots} jobs at a time");
            }
        }
    }

    fn set_level(&self, plan: &Plan) {
        let (Some(telemetry), Some(level)) = (&self.telemetry, plan.log_level) else {
            return;
        };
        if let Err(error) = telemetry.set_level(level) {
            error!("the level of the log stays: {}", chain(&error));
        }
    }
}

fn not_reloaded(reason: &str) {
    error!("the configuration was not reloaded, the old one stays: {reason}");
}
