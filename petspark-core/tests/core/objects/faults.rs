//! S3 that is busy, silent, cut off or closed to us: tried again where that helps, told as what it
//! is where it doesn't, and never with a secret in what is told.

use std::time::Duration;

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use petspark_core::config::{Value as _, WebUrl};
use petspark_core::media::objects::{ObjectError, ObjectKey, ObjectSettings, ObjectStore, S3Settings};
use petspark_core::testing::TestS3;
use petspark_core::{Failure as _, Kind, Secret, chain};
use tempfile::TempDir;

use super::stand_in::{Act, StandIn};
use super::{key, pattern, sent};

/// An S3 server, what leads there, and a folder for drafts.
struct Place {
    s3: TestS3,
    settings: S3Settings,
    folder: TempDir,
}

impl Place {
    async fn new() -> Self {
        let (s3, folder) = (TestS3::start().await, tempfile::tempdir().unwrap());
        Self { settings: s3.settings(), s3, folder }
    }

    /// A store without open connections.
    fn open(&self) -> ObjectStore {
        let s3 = Some(self.settings.clone());
        ObjectStore::open(&ObjectSettings { s3, ..self.s3.objects(self.folder.path()) }).unwrap()
    }
}

#[derive(Clone, Copy, Debug)]
enum Call {
    Put,
    Receive,
    Get,
    Head,
    Delete,
    List,
    Check,
}

const CALLS: [Call; 7] = [Call::Put, Call::Receive, Call::Get, Call::Head, Call::Delete, Call::List, Call::Check];

impl Call {
    async fn make(self, objects: &ObjectStore, name: &ObjectKey) -> Result<(), ObjectError> {
        match self {
            Self::Put => objects.put(name, Bytes::from_static(b"bytes")).await,
            Self::Receive => objects.receive(&key("in/new.jpg"), 100, None, sent(b"bytes")).await.map(drop),
            Self::Get => objects.read(name, 100).await.map(drop),
            Self::Head => objects.head(name).await.map(drop),
            Self::Delete => objects.delete(name).await,
            Self::List => objects.list("", None, 10).await.map(drop),
            Self::Check => objects.check().await,
        }
    }
}

/// That an error is the store's, that a log hears `why`, and nobody a secret.
fn assert_unavailable(error: &ObjectError, why: &str) {
    let told = chain(error);
    assert!(error.kind() == Kind::Unavailable && told.contains(why), "{why}: {told}");
    assert!(error.retry_after().is_some());
    let all = format!("{error} {told} {error:?}");
    for secret in ["hunter2", "petspark-tests", "Signature=", "AWS4", "in/new", "a/b"] {
        assert!(!all.contains(secret), "{secret}: {all}");
    }
}

#[tokio::test]
async fn what_fails_twice_is_tried_a_third_time() {
    let slow_down = Act::Answer(503, "<Error><Code>SlowDown</Code></Error>");
    for acts in [
        [Act::Answer(500, ""), Act::Answer(500, "<Error><Code>InternalError</Code></Error>")],
        [slow_down, Act::Answer(502, "<html>")],
        [Act::CutRequest(10), Act::LoseAnswer],
    ] {
        let mut place = Place::new().await;
        let (name, server) = (key("a/b.jpg"), place.settings.clone());
        place.open().put(&name, Bytes::from_static(b"bytes")).await.unwrap();
        for call in CALLS {
            place.settings = server.clone();
            let stand_in = StandIn::before(&mut place.settings, acts).await;
            let made = call.make(&place.open(), &name).await;
            let connections = stand_in.connections();
            made.unwrap_or_else(|error| panic!("{call:?} {acts:?} by {connections}: {}", chain(&error)));
            assert!(connections >= 3, "{call:?} {acts:?}");
            place.settings = server.clone();
            place.open().put(&name, Bytes::from_static(b"bytes")).await.unwrap();
        }
        assert_eq!(place.open().read(&key("in/new.jpg"), 100).await.unwrap(), "bytes");
    }
}

#[tokio::test]
async fn an_upload_whose_answer_was_lost_is_known_as_our_own() {
    let mut place = Place::new().await;
    StandIn::before(&mut place.settings, [Act::LoseAnswer]).await;
    let name = key("in/mine.jpg");
    place.open().receive(&name, 100, None, sent(b"mine")).await.unwrap();
    let second = place.open().receive(&name, 100, None, sent(b"mine")).await;
    assert!(matches!(second, Err(ObjectError::AlreadyThere)), "{second:?}");
}

#[tokio::test]
async fn what_fails_always_is_unavailable_after_three_attempts() {
    for (act, why) in [
        (Act::Answer(503, "<Error><Code>SlowDown</Code></Error>"), "503"),
        (Act::Answer(500, "not even XML"), "500"),
        (Act::CutRequest(10), "S3"),
    ] {
        for call in CALLS {
            let mut place = Place::new().await;
            let stand_in = StandIn::before(&mut place.settings, [act; 20]).await;
            assert_unavailable(&call.make(&place.open(), &key("a/b.jpg")).await.unwrap_err(), why);
            assert_eq!(stand_in.connections(), 3, "{call:?} {act:?}");
        }
    }
}

#[tokio::test]
async fn silence_has_an_end() {
    for call in CALLS {
        let mut place = Place::new().await;
        place.settings.attempt_timeout = Duration::from_millis(50);
        StandIn::before(&mut place.settings, [Act::Silence; 20]).await;
        assert_unavailable(&call.make(&place.open(), &key("a/b.jpg")).await.unwrap_err(), "took too long");
    }
}

#[tokio::test]
async fn answers_that_are_no_verdict_on_the_object_are_none() {
    for (status, body, why) in [
        (404, "<Error><Code>NoSuchBucket</Code></Error>", "404 NoSuchBucket"),
        (404, "<html>a proxy knows nothing</html>", "404"),
        (403, "<Error><Code>AccessDenied</Code></Error>", "403 AccessDenied"),
        (301, "<Error><Code>PermanentRedirect</Code></Error>", "301 PermanentRedirect"),
        (409, "<Error><Code>ConditionalRequestConflict</Code></Error>", "409 ConditionalRequestConflict"),
    ] {
        for call in [Call::Put, Call::Receive, Call::Get, Call::Delete, Call::List] {
            let mut place = Place::new().await;
            StandIn::before(&mut place.settings, [Act::Answer(status, body); 20]).await;
            assert_unavailable(&call.make(&place.open(), &key("a/b.jpg")).await.unwrap_err(), why);
        }
    }
}

#[tokio::test]
async fn wrong_credentials_and_a_missing_bucket_are_told_as_such() {
    let mut place = Place::new().await;
    let original = place.settings.clone();
    let with = |change: fn(&mut S3Settings)| {
        let mut settings = original.clone();
        change(&mut settings);
        settings
    };
    // s3s-fs would make the bucket for the others; what S3 answers to them stands above.
    let known = [Call::Head, Call::Delete, Call::List, Call::Check];
    for (settings, why, calls) in [
        (with(|settings| settings.secret_access_key = Secret::new("hunter22")), "403", &CALLS[..]),
        (with(|settings| settings.access_key_id = Secret::new("hunter23")), "403", &CALLS),
        (with(|settings| settings.bucket = "elsewhere".to_owned()), "404 N", &known),
    ] {
        place.settings = settings;
        for call in calls {
            assert_unavailable(&call.make(&place.open(), &key("a/b.jpg")).await.unwrap_err(), why);
        }
    }
}

#[tokio::test]
async fn nobody_there_is_unavailable() {
    let mut place = Place::new().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nobody = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    place.settings.endpoint_url = Some(WebUrl::parse(&nobody).unwrap());
    for call in CALLS {
        assert_unavailable(&call.make(&place.open(), &key("a/b.jpg")).await.unwrap_err(), "S3");
    }
}

#[tokio::test]
async fn an_object_that_is_cut_off_is_an_error_not_an_end() {
    let mut place = Place::new().await;
    let (name, server) = (key("m/a.jpg"), place.settings.clone());
    place.open().put(&name, Bytes::from(pattern(1 << 20))).await.unwrap();
    for (act, why) in [(Act::CutAnswer(500_000), ""), (Act::StallAnswer(500_000), "sent nothing for 50ms")] {
        place.settings = S3Settings { attempt_timeout: Duration::from_millis(50), ..server.clone() };
        StandIn::before(&mut place.settings, [act, act]).await;
        assert_unavailable(&place.open().read(&name, 1 << 20).await.unwrap_err(), why);
        let (info, body) = place.open().get(&name, None).await.unwrap();
        assert_eq!(info.size, 1 << 20);
        let (mut seen, mut body) = (0, body);
        let error = loop {
            match body.try_next().await {
                Ok(chunk) => seen += chunk.unwrap_or_else(|| panic!("{act:?} was an end")).len(),
                Err(error) => break error,
            }
        };
        assert!(seen > 0 && seen < 500_000, "{act:?}: {seen} bytes, {error}");
    }
}

#[tokio::test]
async fn an_upload_that_is_cut_off_is_not_there() {
    let mut place = Place::new().await;
    let (name, server) = (key("in/a.jpg"), place.settings.clone());
    StandIn::before(&mut place.settings, [Act::CutRequest(100_000); 3]).await;
    let error = place.open().receive(&name, 1 << 20, None, sent(&pattern(1 << 20))).await.unwrap_err();
    assert_unavailable(&error, "S3 PutObject");
    let incoming = place.folder.path().join("media/incoming");
    assert_eq!(std::fs::read_dir(incoming).unwrap().count(), 0);
    place.settings = server;
    assert!(matches!(place.open().head(&name).await, Err(ObjectError::NotFound)));
    place.open().receive(&name, 1 << 20, None, sent(&pattern(1 << 20))).await.unwrap();
}
