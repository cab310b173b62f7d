//! An S3 server for tests, in this process and on a folder that vanishes with it. It verifies
//! signatures, what they cover, and when they expire.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hyper::Method;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use s3s_fs::FileSystem;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::Mutex;

use crate::clock::Clock;
use crate::config::{Value as _, WebUrl};
use crate::media::objects::{Encryption, ObjectSettings, ObjectStore, S3Settings, StoreKind};
use crate::secret::Secret;

const LOGIN: (&str, &str) = ("petspark-tests", "hunter2-of-the-s3-server");
const BUCKET: &str = "uploads";

/// An S3 server with one bucket; it ends with the test's run-time.
pub struct TestS3 {
    endpoint: WebUrl,
    folder: TempDir,
}

impl TestS3 {
    /// Starts one on a free port.
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::create_dir(folder.path().join(BUCKET)).expect("a bucket");
        let files = FileSystem::new(folder.path()).expect("a file system");
        let mut builder = S3ServiceBuilder::new(files);
        builder.set_auth(SimpleAuth::from_single(LOGIN.0, LOGIN.1));
        let service = builder.build();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let endpoint = format!("http://{}", listener.local_addr().expect("its address"));
        // s3s-fs looks whether an object is there and writes it in two steps; S3 does both in one.
        let one_writer = Arc::new(Mutex::new(()));
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (service, one_writer) = (service.clone(), Arc::clone(&one_writer));
                let answer = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
                    let (service, one_writer) = (service.clone(), Arc::clone(&one_writer));
                    async move {
                        let _turn = if request.method() == Method::PUT { Some(one_writer.lock().await) } else { None };
                        service.call(request.map(s3s::Body::from)).await
                    }
                });
                tokio::spawn(async move {
                    let server = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
                    // A client that hangs up is no matter of ours.
                    let _ = server.serve_connection(TokioIo::new(socket), answer).await;
                });
            }
        });
        Self { endpoint: WebUrl::parse(&endpoint).expect("an address"), folder }
    }

    /// Settings of a store in its bucket; drafts go below `data_dir`.
    #[must_use]
    pub fn objects(&self, data_dir: &Path) -> ObjectSettings {
        ObjectSettings { store: StoreKind::S3, s3: Some(self.settings()), ..ObjectSettings::in_folder(data_dir) }
    }

    /// A store in its bucket that signs addresses by another clock than the server's.
    ///
    /// # Panics
    /// Never with the settings that it has.
    #[must_use]
    pub fn signing_at(&self, data_dir: &Path, clock: Clock) -> ObjectStore {
        ObjectStore::signing_at(&self.settings(), data_dir, clock).expect("settings that fit")
    }

    /// How to get in, with time-outs that tests can wait for.
    #[must_use]
    pub fn settings(&self) -> S3Settings {
        S3Settings {
            bucket: BUCKET.to_owned(),
            region: "us-east-1".to_owned(),
            endpoint_url: Some(self.endpoint.clone()),
            path_style: true,
            prefix: "test/".to_owned(),
            encryption: Encryption::None,
            ca: None,
            access_key_id: Secret::new(LOGIN.0),
            secret_access_key: Secret::new(LOGIN.1),
            session_token: None,
            connect_timeout: Duration::from_secs(10),
            attempt_timeout: Duration::from_secs(30),
            timeout: Duration::from_secs(60),
        }
    }

    /// Its folder: one below it for each bucket, and files in that as their keys say.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}
