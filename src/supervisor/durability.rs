//! Looks whether the queue's Redis may forget jobs by itself, and warns.
use std::collections::BTreeMap;

use quayhand_queue::{QueueError, Redis};

/// Asks Redis how it keeps its data, and warns of what may lose jobs.
///
/// # Errors
///
/// As [`look`].
pub(crate) async fn check(redis: &Redis) -> Result<(), QueueError> {
    for warning in look(redis).await? {
        tracing::warn!("{warning}");
    }
    Ok(())
}

/// Asks Redis how it keeps its data; returns what may lose jobs, each with the server. Of a cluster
/// every node that is configured is asked. A Redis that does not let us ask is no error.
///
/// # Errors
///
/// When Redis is out of reach or refuses our credentials; of a cluster, when all nodes are.
pub(crate) async fn look(redis: &Redis) -> Result<Vec<String>, QueueError> {
    redis.ping().await?;
    let servers = redis.servers();
    let is_alone = servers.len() == 1;
    let mut found = Vec::new();
    for server in &servers {
        match look_at(server, &mut found).await {
            Err(error) if !is_alone => {
                found.push(format!(
                    "cannot see how a node of the cluster keeps its data: {error}"
                ));
            }
            outcome => outcome?,
        }
    }
    Ok(found)
}

async fn look_at(redis: &Redis, found: &mut Vec<String>) -> Result<(), QueueError> {
    let mut info = String::new();
    for section in ["persistence", "memory"] {
        match redis
            .command::<String>("INFO", redis::cmd("INFO").arg(section))
            .await
        {
            Ok(text) => info.push_str(&text),
            Err(error @ QueueError::Refused { .. }) => {
                found.push(format!("cannot see how Redis keeps its data: {error}"));
            }
            Err(error) => return Err(error),
        }
    }
    let place = redis.place();
    let said = warnings(&info).into_iter();
    found.extend(said.map(|warning| format!("{warning} ({place})")));
    Ok(())
}

fn warnings(info: &str) -> Vec<&'static str> {
    let info: BTreeMap<_, _> = info
        .lines()
        .filter_map(|line| line.trim().split_once(':'))
        .collect();
    let mut warnings = Vec::new();
    if info.get("aof_enabled") == Some(&"0") {
        warnings.push(
            "Redis keeps no append-only file: what was enqueued shortly before it crashes is lost \
             until a sweep finds it again; set `appendonly yes`",
        );
    }
    let limited = info.get("maxmemory").is_some_and(|bytes| *bytes != "0");
    if limited
        && info
            .get("maxmemory_policy")
            .is_some_and(|policy| *policy != "noeviction")
    {
        warnings.push(
            "Redis may evict jobs when its memory is full: set `maxmemory-policy noeviction`, or \
             give the queue a Redis of its own",
        );
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::warnings;

    #[test]
    fn warns_of_what_may_lose_jobs_and_of_nothing_else() {
        let good =
            "# Persistence\r\naof_enabled:1\r\nmaxmemory:0\r\nmaxmemory_policy:allkeys-lru\r\n";
        assert!(
            warnings(good).is_empty(),
            "without a limit nothing is evicted"
        );
        let forgetful = "aof_enabled:0\r\nmaxmemory:1000\r\nmaxmemory_policy:volatile-lru\r\n";
        assert_eq!(warnings(forgetful).len(), 2);
        assert!(
            warnings("").is_empty(),
            "what was not answered is not held against it"
        );
    }
}
