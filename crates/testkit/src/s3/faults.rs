//! What the server does wrong when it is told to, and what it was asked.

use std::{
    convert::Infallible,
    sync::{Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::{Method, Request, Response, StatusCode, body::Incoming};
use s3s::service::S3Service;

/// A kind of request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// Deletes of objects, one or many.
    Delete,
    /// Looks at one object, with or without its content.
    Look,
    /// Listings of objects.
    List,
    /// Listings of multipart uploads.
    ListUploads,
    /// Aborts of a multipart upload.
    Abort,
    /// Everything else.
    Other,
}

/// What goes wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The request is refused with this status and code; nothing is done.
    Refuse(u16, &'static str),
    /// A 200 with this body; nothing is done.
    Answer(&'static str),
    /// Of a bulk delete, the first so many keys are refused with this code; the others go.
    Keys(usize, &'static str),
    /// A bulk delete is done; this many keys at its end are not named in the answer.
    Forget(usize),
    /// It is done, and the answer's text ends in the middle.
    Cut,
    /// It is done, and the connection breaks in the middle of the answer.
    Break,
    /// It is done, and the connection is closed without an answer.
    Reset,
    /// It is done, and no answer ever comes.
    Hang,
    /// Nothing is done, and no answer ever comes.
    Swallow,
}

/// The failures that are set, and the requests that came.
#[derive(Debug, Default)]
pub(super) struct Faults {
    set: Mutex<Vec<Fault>>,
    requests: Mutex<Vec<String>>,
}

#[derive(Debug)]
struct Fault {
    call: Call,
    failure: Failure,
    /// None for ever.
    left: Option<usize>,
}

/// An answer to a client: whole, or with the error that breaks it.
type Answer = Response<BoxBody<Bytes, Broken>>;

/// Breaks a connection.
#[derive(Debug)]
pub(super) struct Broken;

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("broken on purpose")
    }
}

impl std::error::Error for Broken {}

impl Faults {
    pub(super) fn set(&self, call: Call, failure: Failure, times: usize) {
        let left = (times > 0).then_some(times);
        let fault = Fault {
            call,
            failure,
            left,
        };
        lock(&self.set).push(fault);
    }

    pub(super) fn clear(&self) {
        lock(&self.set).clear();
    }

    pub(super) fn take_requests(&self) -> Vec<String> {
        std::mem::take(&mut lock(&self.requests))
    }

    /// Takes the failure that is due for a call, if `wants` it.
    pub(super) fn next(&self, call: Call, wants: fn(&Failure) -> bool) -> Option<Failure> {
        let mut set = lock(&self.set);
        let due =
            |fault: &Fault| fault.call == call && fault.left != Some(0) && wants(&fault.failure);
        let fault = set.iter_mut().find(|fault| due(fault))?;
        fault.left = fault.left.map(|left| left - 1);
        Some(fault.failure.clone())
    }

    /// Answers a request, rightly or as it was told.
    pub(super) async fn answer(
        &self,
        service: &S3Service,
        request: Request<Incoming>,
    ) -> Result<Answer, Broken> {
        let line = format!("{} {}", request.method(), request.uri());
        lock(&self.requests).push(line);
        // Failures of single keys are the files' own affair.
        let is_of_the_wire =
            |failure: &Failure| !matches!(failure, Failure::Keys(..) | Failure::Forget(_));
        let Some(failure) = self.next(call(&request), is_of_the_wire) else {
            return Ok(forward(service, request).await);
        };
        match failure {
            Failure::Refuse(status, code) => {
                let body =
                    format!("<Error><Code>{code}</Code><Message>on purpose</Message></Error>");
                let status = StatusCode::from_u16(status).unwrap_or_default();
                Ok(plain(status, body))
            }
            Failure::Answer(body) => Ok(plain(StatusCode::OK, body.to_owned())),
            Failure::Swallow => std::future::pending().await,
            Failure::Hang => {
                drop(collect(forward(service, request).await).await);
                std::future::pending().await
            }
            Failure::Cut => {
                let body = collect(forward(service, request).await).await;
                let half = body.slice(..body.len() / 2);
                Ok(Response::new(Full::new(half).map_err(never).boxed()))
            }
            Failure::Break => {
                let body = collect(forward(service, request).await).await;
                Ok(broken(&body))
            }
            Failure::Reset | Failure::Keys(..) | Failure::Forget(_) => {
                drop(collect(forward(service, request).await).await);
                Err(Broken)
            }
        }
    }
}

/// Tells what a request is.
fn call(request: &Request<Incoming>) -> Call {
    let (path, query) = (request.uri().path(), request.uri().query());
    let has = |name: &str| {
        let pairs = query.unwrap_or_default().split('&');
        pairs
            .map(|pair| pair.split('=').next())
            .any(|key| key == Some(name))
    };
    let is_object = path.trim_matches('/').contains('/');
    match *request.method() {
        Method::POST if has("delete") => Call::Delete,
        Method::DELETE if has("uploadId") => Call::Abort,
        Method::DELETE if is_object => Call::Delete,
        Method::GET if has("uploads") => Call::ListUploads,
        Method::GET | Method::HEAD if is_object => Call::Look,
        Method::GET => Call::List,
        _ => Call::Other,
    }
}

async fn forward(service: &S3Service, request: Request<Incoming>) -> Answer {
    match hyper::service::Service::call(service, request).await {
        Ok(answer) => answer.map(|body| body.map_err(|_| Broken).boxed()),
        Err(error) => plain(StatusCode::INTERNAL_SERVER_ERROR, format!("{error:?}")),
    }
}

async fn collect(answer: Answer) -> Bytes {
    let body = answer.into_body().collect().await;
    body.map(http_body_util::Collected::to_bytes)
        .unwrap_or_default()
}

fn plain(status: StatusCode, body: String) -> Answer {
    let mut answer = Response::new(Full::from(body).map_err(never).boxed());
    *answer.status_mut() = status;
    answer
}

/// An answer whose second half is an error.
fn broken(body: &Bytes) -> Answer {
    let half = body.slice(..body.len() / 2);
    let pieces = [Ok(hyper::body::Frame::data(half)), Err(Broken)];
    let body = http_body_util::StreamBody::new(futures::stream::iter(pieces));
    Response::new(BodyExt::boxed(body))
}

fn never(impossible: Infallible) -> Broken {
    match impossible {}
}

/// A panic elsewhere spoils no list.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
