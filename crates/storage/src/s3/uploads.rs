//! Owns the multipart uploads of a bucket: parts that were sent and never became an object.

use bytes::Bytes;
use chrono::DateTime;
use futures::{StreamExt, TryStreamExt, stream, stream::BoxStream};
use http::{Method, StatusCode};

use super::{
    S3Engine, encode, xml,
    xml::{Upload, UploadPage},
};
use crate::{MultipartUpload, StorageError};

const LISTING: &str = "list its multipart uploads";

/// From where a listing goes on: the last key and upload of the page before.
type After = (String, String);

impl S3Engine {
    /// Lists the multipart uploads below the prefix, page by page.
    pub(crate) fn list_uploads(&self) -> BoxStream<'static, Result<MultipartUpload, StorageError>> {
        let engine = self.clone();
        let pages = stream::try_unfold(Some(After::default()), move |after| {
            let engine = engine.clone();
            async move {
                let Some(after) = after else {
                    return Ok(None);
                };
                let page = engine.upload_page(&after).await?;
                let next = (page.next_key, page.next_id);
                // A server that says "more" and not from where would be asked for ever.
                let is_last = !page.is_truncated || next == after || next.0.is_empty();
                let uploads = page.uploads.into_iter();
                let uploads: Vec<_> = uploads.filter_map(|one| engine.upload(one)).collect();
                let next = (!is_last).then_some(next);
                Ok::<_, StorageError>(Some((stream::iter(uploads).map(Ok), next)))
            }
        });
        pages.try_flatten().boxed()
    }

    async fn upload_page(&self, (key, id): &After) -> Result<UploadPage, StorageError> {
        let mut query = format!("prefix={}", encode(&self.settings.prefix.join(""), ""));
        if !key.is_empty() {
            let (key, id) = (encode(key, ""), encode(id, ""));
            query = format!("key-marker={key}&{query}&upload-id-marker={id}");
        }
        query.push_str("&uploads=");
        let wire = &self.bucket()?.wire;
        let answer = wire.send(Method::GET, "", &query, Bytes::new()).await;
        let answer = answer.map_err(|silence| self.failed(LISTING, silence))?;
        if answer.status != StatusCode::OK {
            return Err(self.refused(LISTING, &answer));
        }
        xml::upload_page(&answer.body).map_err(|why| self.failed(LISTING, why))
    }

    /// Understands one entry; none for a key beside the prefix, or a time that is none.
    fn upload(&self, upload: Upload) -> Option<MultipartUpload> {
        let below = self.settings.prefix.strip(&upload.key)?.to_owned();
        let begun = DateTime::parse_from_rfc3339(&upload.begun).ok()?;
        Some(MultipartUpload {
            path: below.parse().ok(),
            key: below,
            begun: begun.into(),
            id: upload.id,
        })
    }

    /// Gives up an upload and frees its parts. Says whether it was still there.
    pub(crate) async fn abort_upload(
        &self,
        upload: &MultipartUpload,
    ) -> Result<bool, StorageError> {
        let action = format!("abort the multipart upload of `{}`", upload.key);
        let key = self.settings.prefix.join(&upload.key);
        let query = format!("uploadId={}", encode(&upload.id, ""));
        let wire = &self.bucket()?.wire;
        let answer = wire.send(Method::DELETE, &key, &query, Bytes::new()).await;
        let answer = answer.map_err(|silence| self.failed(&action, silence))?;
        match answer.status {
            StatusCode::OK | StatusCode::NO_CONTENT => Ok(true),
            StatusCode::NOT_FOUND if xml::code(&answer.body) == "NoSuchUpload" => Ok(false),
            _ => Err(self.refused(&action, &answer)),
        }
    }
}
