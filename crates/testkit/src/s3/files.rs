//! The objects: files as `s3s-fs` keeps them, with what it lacks beside: multipart uploads can be
//! listed, a missing bucket is one for every request, and single keys of a bulk delete fail.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::SystemTime,
};

use async_trait::async_trait;
use s3s::{S3, S3Request, S3Response, S3Result, dto, s3_error};
use s3s_fs::FileSystem;

use super::faults::{Call, Failure, Faults, lock};

/// Multipart uploads that one page of a listing holds: few, so that tests turn pages.
const PAGE: usize = 3;

pub(super) struct Files {
    inner: FileSystem,
    root: PathBuf,
    faults: Arc<Faults>,
    uploads: Arc<Uploads>,
}

/// The multipart uploads, by bucket, key and the server's name for them.
#[derive(Debug, Default)]
pub(super) struct Uploads {
    begun: Mutex<BTreeMap<(String, String, String), SystemTime>>,
    next: AtomicU64,
}

impl Uploads {
    pub(super) fn begin(&self, bucket: &str, key: &str, begun: SystemTime) -> String {
        let id = format!("upload-{:06}", self.next.fetch_add(1, Ordering::SeqCst));
        let name = (bucket.to_owned(), key.to_owned(), id.clone());
        lock(&self.begun).insert(name, begun);
        id
    }

    pub(super) fn keys(&self, bucket: &str) -> Vec<String> {
        let begun = lock(&self.begun);
        let keys = begun.keys().filter(|(its, ..)| its == bucket);
        keys.map(|(_, key, _)| key.clone()).collect()
    }
}

impl Files {
    pub(super) fn new(
        files: FileSystem,
        root: &Path,
        faults: Arc<Faults>,
        uploads: Arc<Uploads>,
    ) -> Self {
        Self {
            inner: files,
            root: root.to_owned(),
            faults,
            uploads,
        }
    }

    fn check_bucket(&self, bucket: &str) -> S3Result<()> {
        if self.root.join(bucket).is_dir() {
            Ok(())
        } else {
            Err(s3_error!(NoSuchBucket))
        }
    }
}

#[async_trait]
impl S3 for Files {
    async fn head_object(
        &self,
        request: S3Request<dto::HeadObjectInput>,
    ) -> S3Result<S3Response<dto::HeadObjectOutput>> {
        self.check_bucket(&request.input.bucket)?;
        self.inner.head_object(request).await
    }

    async fn get_object(
        &self,
        request: S3Request<dto::GetObjectInput>,
    ) -> S3Result<S3Response<dto::GetObjectOutput>> {
        self.check_bucket(&request.input.bucket)?;
        self.inner.get_object(request).await
    }

    async fn put_object(
        &self,
        request: S3Request<dto::PutObjectInput>,
    ) -> S3Result<S3Response<dto::PutObjectOutput>> {
        self.check_bucket(&request.input.bucket)?;
        self.inner.put_object(request).await
    }

    async fn list_objects_v2(
        &self,
        request: S3Request<dto::ListObjectsV2Input>,
    ) -> S3Result<S3Response<dto::ListObjectsV2Output>> {
        self.check_bucket(&request.input.bucket)?;
        self.inner.list_objects_v2(request).await
    }

    /// As Google does it: a missing object is an error.
    async fn delete_object(
        &self,
        request: S3Request<dto::DeleteObjectInput>,
    ) -> S3Result<S3Response<dto::DeleteObjectOutput>> {
        let (bucket, key) = (&request.input.bucket, &request.input.key);
        self.check_bucket(bucket)?;
        if !self.root.join(bucket).join(key).is_file() {
            return Err(s3_error!(NoSuchKey));
        }
        self.inner.delete_object(request).await
    }

    async fn delete_objects(
        &self,
        mut request: S3Request<dto::DeleteObjectsInput>,
    ) -> S3Result<S3Response<dto::DeleteObjectsOutput>> {
        self.check_bucket(&request.input.bucket)?;
        let is_of_keys =
            |failure: &Failure| matches!(failure, Failure::Keys(..) | Failure::Forget(_));
        let failure = self.faults.next(Call::Delete, is_of_keys);
        let mut errors = Vec::new();
        if let Some(Failure::Keys(count, code)) = failure {
            let objects = &mut request.input.delete.objects;
            for object in objects.drain(..count.min(objects.len())) {
                errors.push(dto::Error {
                    code: Some(code.to_owned()),
                    key: Some(object.key),
                    message: Some("on purpose".to_owned()),
                    version_id: None,
                });
            }
        }
        let mut answer = self.inner.delete_objects(request).await?;
        if let (Some(Failure::Forget(count)), Some(deleted)) = (failure, &mut answer.output.deleted)
        {
            deleted.truncate(deleted.len().saturating_sub(count));
        }
        if !errors.is_empty() {
            answer.output.errors = Some(errors);
        }
        Ok(answer)
    }

    async fn list_multipart_uploads(
        &self,
        request: S3Request<dto::ListMultipartUploadsInput>,
    ) -> S3Result<S3Response<dto::ListMultipartUploadsOutput>> {
        let input = request.input;
        self.check_bucket(&input.bucket)?;
        let prefix = input.prefix.unwrap_or_default();
        let after = (
            input.key_marker.unwrap_or_default(),
            input.upload_id_marker.unwrap_or_default(),
        );
        let begun = lock(&self.uploads.begun);
        let mut found = begun.iter().filter(|((bucket, key, id), _)| {
            *bucket == input.bucket && key.starts_with(&prefix) && (key, id) > (&after.0, &after.1)
        });
        let page: Vec<_> = found.by_ref().take(PAGE).collect();
        let is_truncated = found.next().is_some();
        let last = page.last().filter(|_| is_truncated);
        let last = last.map(|((_, key, id), _)| (key.clone(), id.clone()));
        let (next_key, next_id) = last.unzip();
        let uploads = page
            .iter()
            .map(|((_, key, id), begun)| dto::MultipartUpload {
                initiated: Some(dto::Timestamp::from(**begun)),
                key: Some(key.clone()),
                upload_id: Some(id.clone()),
                ..Default::default()
            });
        Ok(S3Response::new(dto::ListMultipartUploadsOutput {
            bucket: Some(input.bucket),
            is_truncated: Some(is_truncated),
            next_key_marker: next_key,
            next_upload_id_marker: next_id,
            uploads: Some(uploads.collect()),
            ..Default::default()
        }))
    }

    async fn abort_multipart_upload(
        &self,
        request: S3Request<dto::AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<dto::AbortMultipartUploadOutput>> {
        let input = request.input;
        self.check_bucket(&input.bucket)?;
        let name = (input.bucket, input.key, input.upload_id);
        match lock(&self.uploads.begun).remove(&name) {
            Some(_) => Ok(S3Response::new(dto::AbortMultipartUploadOutput::default())),
            None => Err(s3_error!(NoSuchUpload)),
        }
    }
}
