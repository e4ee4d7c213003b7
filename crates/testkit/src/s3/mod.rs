//! A real S3 server on a free loopback port, over files, that fails on demand.
//!
//! Requests are checked, signatures too, by code that shares nothing with what is under test. A
//! bucket is a folder of the root, an object a file in it. The server runs in a thread of its own
//! and ends when it is dropped.

mod faults;
mod files;

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
    thread::JoinHandle,
    time::{Duration, SystemTime},
};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use s3s::{
    auth::SimpleAuth,
    service::{S3Service, S3ServiceBuilder},
    validation::NameValidation,
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::oneshot};

pub use self::faults::{Call, Failure};
use self::{
    faults::Faults,
    files::{Files, Uploads},
};
use crate::{TestkitError, error::io_error};

/// The pair of keys that the server knows.
const ACCESS_KEY: &str = "AKIAQUAYHANDTESTS";
const SECRET_KEY: &str = "a+secret/that=is+none";

/// A running S3 server.
#[derive(Debug)]
pub struct S3Server {
    address: SocketAddr,
    root: PathBuf,
    faults: Arc<Faults>,
    uploads: Arc<Uploads>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl S3Server {
    /// Starts a server whose buckets are the folders of `root`.
    ///
    /// # Errors
    /// When the folder or a port cannot be used.
    pub fn start(root: &Path) -> Result<Self, TestkitError> {
        let (faults, uploads) = <(Arc<Faults>, Arc<Uploads>)>::default();
        let files = s3s_fs::FileSystem::new(root).map_err(|error| {
            let source = std::io::Error::other(format!("{error:?}"));
            io_error("serve the folder", root)(source)
        })?;
        let files = Files::new(files, root, Arc::clone(&faults), Arc::clone(&uploads));
        let mut builder = S3ServiceBuilder::new(files);
        builder.set_auth(SimpleAuth::from_single(ACCESS_KEY, SECRET_KEY));
        builder.set_validation(AnyName);
        let service = builder.build();
        let failed = || io_error("listen on a port of", "127.0.0.1");
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(failed())?;
        listener.set_nonblocking(true).map_err(failed())?;
        let address = listener.local_addr().map_err(failed())?;
        let (stop, stopped) = oneshot::channel();
        let serving = Arc::clone(&faults);
        let thread = std::thread::spawn(move || serve(listener, service, serving, stopped));
        Ok(Self {
            address,
            root: root.to_owned(),
            faults,
            uploads,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The arguments of Quay's `S3Storage` for a bucket of this server, through `address`: its own,
    /// or a proxy's in front of it.
    pub fn arguments(&self, address: SocketAddr, bucket: &str, storage_path: &str) -> Value {
        json!({
            "storage_path": storage_path,
            "s3_bucket": bucket,
            "s3_access_key": ACCESS_KEY,
            "s3_secret_key": SECRET_KEY,
            "endpoint_url": format!("http://{address}"),
        })
    }

    /// The file behind a key, whether it is there or not.
    pub fn file(&self, bucket: &str, key: &str) -> PathBuf {
        self.root.join(bucket).join(key)
    }

    /// Fails the next `times` requests of a kind; 0 for those that follow until
    /// [`heal`](Self::heal).
    pub fn fail(&self, call: Call, failure: Failure, times: usize) {
        self.faults.set(call, failure, times);
    }

    /// Ends all failures.
    pub fn heal(&self) {
        self.faults.clear();
    }

    /// The requests so far, as `POST /bucket?delete=`; then forgets them.
    pub fn requests(&self) -> Vec<String> {
        self.faults.take_requests()
    }

    /// Begins a multipart upload that many hours ago, and returns the server's name for it.
    pub fn begin_upload(&self, bucket: &str, key: &str, age: Duration) -> String {
        let begun = SystemTime::now() - age;
        self.uploads.begin(bucket, key, begun)
    }

    /// The keys of the multipart uploads that are neither completed nor aborted.
    pub fn uploads(&self, bucket: &str) -> Vec<String> {
        self.uploads.keys(bucket)
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A server that panicked has said so on standard error.
            let _ended = thread.join();
        }
    }
}

/// Takes every name that is a folder's: Quay's location names are none that AWS would take.
struct AnyName;

impl NameValidation for AnyName {
    fn validate_bucket_name(&self, name: &str) -> bool {
        !name.is_empty() && !name.starts_with('.') && !name.contains('/')
    }
}

/// Serves until the server is dropped.
fn serve(
    listener: std::net::TcpListener,
    service: S3Service,
    faults: Arc<Faults>,
    mut stopped: oneshot::Receiver<()>,
) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.expect("a runtime for the S3 server");
    runtime.block_on(async move {
        let listener = TcpListener::from_std(listener).expect("a listener that does not block");
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                _ = &mut stopped => return,
            };
            let Ok((stream, _)) = accepted else { continue };
            let (service, faults) = (service.clone(), Arc::clone(&faults));
            tokio::spawn(async move {
                let answer = service_fn(|request| faults.answer(&service, request));
                let connection = http1::Builder::new();
                // A connection that was cut is what some tests are about.
                let _cut = connection
                    .serve_connection(TokioIo::new(stream), answer)
                    .await;
            });
        }
    });
}
