//! Where bytes are kept: what holds for a folder and for S3 alike, what clients may do with a
//! signed address, and what becomes of it all when something breaks.

mod contract;
mod faults;
mod folder;
pub(crate) mod http;
mod migrate;
mod presigned;
pub(crate) mod stand_in;
mod tls;

use std::io;
use std::path::PathBuf;

use bytes::Bytes;
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt as _, TryStreamExt as _};
use petspark_core::Clock;
use petspark_core::media::objects::{ObjectKey, ObjectSettings, ObjectStore};
use petspark_core::testing::TestS3;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

/// A store of one test.
pub(crate) struct Store {
    pub(crate) objects: ObjectStore,
    pub(crate) settings: ObjectSettings,
    s3: Option<TestS3>,
    _folder: TempDir,
}

impl Store {
    pub(crate) async fn in_folder() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let settings = ObjectSettings::in_folder(folder.path());
        Self { objects: ObjectStore::open(&settings).unwrap(), settings, s3: None, _folder: folder }
    }

    pub(crate) async fn in_s3() -> Self {
        let (folder, s3) = (tempfile::tempdir().unwrap(), TestS3::start().await);
        let settings = s3.objects(folder.path());
        Self { objects: ObjectStore::open(&settings).unwrap(), settings, s3: Some(s3), _folder: folder }
    }

    /// The same store in S3, which signs as if it were another time.
    fn signing_at(&self, clock: Clock) -> ObjectStore {
        self.s3.as_ref().unwrap().signing_at(self.settings.folder.as_path(), clock)
    }

    /// Every file that holds bytes of an object, or of one that is still arriving.
    fn files(&self) -> Vec<PathBuf> {
        let mut folders = vec![self.settings.folder.clone()];
        folders.extend(self.s3.as_ref().map(|s3| s3.folder().join("uploads")));
        let mut files = Vec::new();
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).into_iter().flatten() {
                let path = entry.unwrap().path();
                if path.is_dir() { folders.push(path) } else { files.push(path) }
            }
        }
        files
    }
}

/// Declares tests that run on both stores, as `name::folder` and `name::s3`.
macro_rules! on_both_stores {
    ($(async fn $name:ident($store:ident: Store) $body:block)+) => { $(
        mod $name {
            use super::*;

            async fn test($store: Store) $body

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn folder() {
                test(Store::in_folder().await).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn s3() {
                test(Store::in_s3().await).await;
            }
        }
    )+ };
}
use on_both_stores;

fn key(text: &str) -> ObjectKey {
    text.parse().unwrap()
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// Bytes that differ from place to place.
fn pattern(size: usize) -> Vec<u8> {
    (0..size).map(|n| (n.wrapping_mul(31) ^ (n >> 8)) as u8).collect()
}

/// What a client sends, in pieces of an odd size.
fn sent(bytes: &[u8]) -> BoxStream<'static, io::Result<Bytes>> {
    let pieces: Vec<_> = bytes.chunks(40_961).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    stream::iter(pieces).boxed()
}

async fn collected(body: BoxStream<'static, io::Result<Bytes>>) -> Vec<u8> {
    body.try_fold(Vec::new(), |mut all, piece| async move {
        all.extend_from_slice(&piece);
        Ok(all)
    })
    .await
    .unwrap()
}
