//! Owns the deletes of S3: a list of keys with one request, or each by its own. Nothing is
//! repeated; only what the server names as deleted counts as deleted.

use std::collections::HashMap;

use bytes::Bytes;
use http::{Method, StatusCode};
use tokio::time::{Instant, timeout_at};

use super::{S3Engine, xml};
use crate::{
    Deleted, ObjectPath, StorageError,
    each::{Told, delete_each, empty_layer_kept},
    http::Silence,
    lanes::NO_ANSWER,
};

/// Keys that one request may name.
const KEYS_PER_REQUEST: usize = 1_000;
const ACTION: &str = "delete objects";

/// What became of one request with many keys.
enum Many {
    /// The keys that the answer names.
    Answered(HashMap<String, Deleted>),
    /// The server refused the request: nothing was deleted.
    Refused(StorageError),
    /// Nobody knows.
    Lost(String),
}

impl S3Engine {
    /// Deletes by lists of a thousand keys, one list after the other.
    pub(super) async fn delete_many(
        &self,
        paths: &[ObjectPath],
        deadline: Instant,
    ) -> Result<Vec<Deleted>, StorageError> {
        let mut answers = Vec::with_capacity(paths.len());
        for paths in paths.chunks(KEYS_PER_REQUEST) {
            let keys: Vec<_> = paths
                .iter()
                .map(|path| (!path.is_empty_layer()).then(|| self.settings.prefix.key(path)))
                .collect();
            match self.send_many(&keys, deadline).await {
                Many::Refused(error) if answers.is_empty() => return Err(error),
                told => answers.extend(keys.iter().map(|key| told.of(key.as_deref()))),
            }
        }
        Ok(answers)
    }

    async fn send_many(&self, keys: &[Option<String>], deadline: Instant) -> Many {
        let keys: Vec<String> = keys.iter().flatten().cloned().collect();
        if keys.is_empty() {
            return Many::Answered(HashMap::new());
        }
        if Instant::now() >= deadline {
            return Many::Lost(NO_ANSWER.to_owned());
        }
        let bucket = match self.bucket() {
            Ok(bucket) => bucket,
            Err(error) => return Many::Refused(error),
        };
        let body = xml::delete_request(&keys);
        let sending = bucket.wire.send(Method::POST, "", "delete=", body);
        let answer = match timeout_at(deadline, sending).await {
            Err(_) => return Many::Lost(NO_ANSWER.to_owned()),
            Ok(Err(silence @ Silence::NotSent(_))) => {
                return Many::Refused(self.failed(ACTION, silence));
            }
            Ok(Err(Silence::Lost(why))) => return Many::Lost(why),
            Ok(Ok(answer)) => answer,
        };
        match answer.status {
            StatusCode::OK => match xml::delete_answer(&answer.body) {
                Ok(answers) => Many::Answered(answers),
                Err(why) => Many::Lost(why),
            },
            status if is_undecided(status) => Many::Lost(xml::refused(status, &answer.body)),
            _ => Many::Refused(self.refused(ACTION, &answer)),
        }
    }

    /// Deletes each key by its own request.
    pub(super) async fn delete_single(
        &self,
        paths: &[ObjectPath],
        deadline: Instant,
    ) -> Result<Vec<Deleted>, StorageError> {
        delete_each(paths, deadline, |path| async move {
            self.send_single(&path).await
        })
        .await
    }

    async fn send_single(&self, path: &ObjectPath) -> Told {
        let bucket = match self.bucket() {
            Ok(bucket) => bucket,
            Err(error) => return Told::Refused(error),
        };
        let key = self.settings.prefix.key(path);
        let sending = bucket.wire.send(Method::DELETE, &key, "", Bytes::new());
        let answer = match sending.await {
            Ok(answer) => answer,
            Err(Silence::Lost(why)) => return Told::Key(Deleted::Unknown(why)),
            Err(silence) => return Told::Refused(self.failed(ACTION, silence)),
        };
        match answer.status {
            StatusCode::OK | StatusCode::NO_CONTENT => Told::Key(Deleted::Removed),
            StatusCode::NOT_FOUND if xml::code(&answer.body) == "NoSuchKey" => {
                Told::Key(Deleted::NotFound)
            }
            status if is_undecided(status) => {
                Told::Key(Deleted::Unknown(xml::refused(status, &answer.body)))
            }
            _ => Told::Refused(self.refused(ACTION, &answer)),
        }
    }
}

impl Many {
    /// Returns what is known of a key; none is the empty layer's.
    fn of(&self, key: Option<&str>) -> Deleted {
        let Some(key) = key else {
            return empty_layer_kept();
        };
        match self {
            Self::Answered(answers) => answers.get(key).cloned().unwrap_or_else(|| {
                Deleted::Unknown("the server's answer does not name it".to_owned())
            }),
            Self::Refused(error) => Deleted::Failed(error.in_full()),
            Self::Lost(why) => Deleted::Unknown(why.clone()),
        }
    }
}

/// Says whether a server that answers so may have done something all the same.
pub(crate) fn is_undecided(status: StatusCode) -> bool {
    status.is_server_error()
        || matches!(
            status,
            StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT
        )
}
