//! Owns the deletion of keys one request each, some side by side, for servers that take no list.

use futures::{StreamExt, stream};
use tokio::time::{Instant, timeout_at};

use crate::{Deleted, ObjectPath, StorageError, lanes::unanswered};

/// How many requests of one call are under way at once.
const REQUESTS: usize = 16;

/// What became of one request.
pub(crate) enum Told {
    /// The key's own answer.
    Key(Deleted),
    /// The server refused, for a reason that concerns every key: nothing was deleted.
    Refused(StorageError),
}

/// The answer for the object that must stay, whatever is asked.
pub(crate) fn empty_layer_kept() -> Deleted {
    Deleted::Failed("the empty layer is never removed".to_owned())
}

/// Applies `delete` to every path and answers in their order; begins nothing after `deadline`.
///
/// # Errors
/// When every key was refused, with the first refusal; among other answers a refusal is
/// `Failed`.
pub(crate) async fn delete_each<F>(
    paths: &[ObjectPath],
    deadline: Instant,
    delete: impl Fn(ObjectPath) -> F,
) -> Result<Vec<Deleted>, StorageError>
where
    F: Future<Output = Told>,
{
    let requests = paths.iter().copied().map(|path| {
        let request = delete(path); // nothing is sent before it is polled
        async move {
            if path.is_empty_layer() {
                return Told::Key(empty_layer_kept());
            }
            if Instant::now() >= deadline {
                return Told::Key(unanswered());
            }
            let told = timeout_at(deadline, request).await;
            told.unwrap_or_else(|_| Told::Key(unanswered()))
        }
    });
    let told: Vec<_> = stream::iter(requests).buffered(REQUESTS).collect().await;
    let are_all_refused = told.iter().all(|told| matches!(told, Told::Refused(_)));
    let mut answers = Vec::with_capacity(told.len());
    for told in told {
        match told {
            Told::Refused(error) if are_all_refused => return Err(error),
            Told::Refused(error) => answers.push(Deleted::Failed(error.in_full())),
            Told::Key(answer) => answers.push(answer),
        }
    }
    Ok(answers)
}
