//! What every job file imports.
pub(crate) use std::time::Duration;

pub(crate) use futures::future::BoxFuture;
pub(crate) use quayhand_model as model;
pub(crate) use quayhand_queue::{Done, Job, JobError, Policy, Queue, Schedule, Source};
pub(crate) use serde::{Deserialize, Serialize};

pub(crate) use crate::{Ctx, queues};

/// What every kind's policy begins with: records of its attempts are kept for a day.
pub(crate) const USUAL: Policy = Policy::DEFAULT.keep_for(Duration::from_hours(24));
