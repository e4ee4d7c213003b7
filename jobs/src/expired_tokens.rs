//! Deletes application tokens that expired some time ago.
//!
//! Such a token opens nothing any more. It stays for a while (Quay
//! `EXPIRED_APP_SPECIFIC_TOKEN_GC`, one day; off keeps it for ever) so that its owner sees why
//! something stopped working, then its row goes. A token without an expiration never does.
//!
//! Running it twice, or on two hosts at once, is safe: a row goes once, and one that somebody
//! is changing waits for the next run.
use crate::{Doomed, Step, prelude::*};

/// Tokens one statement deletes at most.
const BATCH: u32 = 1_000;

/// See the [module](self).
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpiredTokens {}

impl Job<Ctx> for ExpiredTokens {
    const KIND: &'static str = "expired_tokens";
    const ABOUT: &'static str = "Deletes application tokens that expired some time ago";
    const QUEUE: Queue = queues::DEFAULT;
    const SOURCE: Source = Source::Derivable;
    const POLICY: Policy = USUAL
        .timeout(Duration::from_mins(10))
        .unique_for(Duration::from_hours(1));
    const SCHEDULE: Option<Schedule> = Some(Schedule::Every(Duration::from_hours(1)));

    async fn run(&self, ctx: &Ctx) -> Result<Done, JobError> {
        let window = window(ctx)?;
        let mut done = Done::default();
        let (mut after, mut more) = (0, true);
        while more && !ctx.stop.is_cancelled() {
            let found = batch(ctx, window, after).await?;
            done.add("tokens", found.ids.len() as u64);
            after = found.ids.last().copied().unwrap_or(after);
            more = found.more;
            ctx.options.progress.report(&Step {
                done: &done,
                handled: done.of("tokens"),
                total: 0,
            });
        }
        if more {
            return Err(JobError::Partial {
                done,
                left: vec!["stopped before the end; what was done stays done".to_owned()],
            });
        }
        Ok(done)
    }

    fn scheduled() -> Option<Self> {
        Some(Self {})
    }

    fn all(ctx: &Ctx) -> Option<BoxFuture<'_, Result<Done, JobError>>> {
        Some(Box::pin(Self {}.run(ctx)))
    }
}

/// Returns how long an expired token stays, if expired tokens may be deleted at all.
fn window(ctx: &Ctx) -> Result<Duration, JobError> {
    ctx.settings.check_may_write()?;
    ctx.gate.check()?;
    let refuse = |reason: &str| JobError::Refused {
        reason: reason.to_owned(),
    };
    if !ctx.settings.app_specific_tokens {
        return Err(refuse("FEATURE_APP_SPECIFIC_TOKENS is off"));
    }
    let window = ctx.settings.expired_token_window;
    window.ok_or_else(|| refuse("EXPIRED_APP_SPECIFIC_TOKEN_GC is off: expired tokens stay"))
}

/// Deletes one batch, or shows it; returns the tokens.
async fn batch(ctx: &Ctx, window: Duration, after: i64) -> Result<model::token::Expired, JobError> {
    let as_of_ms = ctx.options.as_of_ms;
    let Some(preview) = &ctx.options.preview else {
        let deleted = ctx.db.scope(async |conn| {
            model::token::delete_expired(conn, window, as_of_ms, after, BATCH).await
        });
        return Ok(deleted.await?);
    };
    let found = ctx
        .db
        .scope(async |conn| model::token::find_expired(conn, window, as_of_ms, after, BATCH).await);
    let found = found.await?;
    for id in &found.ids {
        let (table, id) = ("appspecificauthtoken", *id);
        preview.show(&Doomed::Row { table, id });
    }
    Ok(found)
}
