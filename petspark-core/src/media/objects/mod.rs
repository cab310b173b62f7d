//! Where bytes are kept: a folder, or S3. Both behave the same, which one set of tests sees to. An
//! object is there wholly or not at all, and stays as it is.
//!
//! Who may read or write an object, and which exist, is decided by whoever makes the keys.

mod draft;
mod error;
mod file_stream;
mod folder;
mod key;
mod migrate;
mod object;
#[cfg(feature = "s3")]
mod s3;
mod s3_settings;
mod settings;

pub use error::{Difference, ObjectError};
pub use key::{InvalidObjectKey, ObjectKey};
pub use migrate::Copied;
pub use object::{Expected, ObjectInfo, Presigned};
pub(crate) use s3_settings::clean_prefix;
pub use s3_settings::{Encryption, S3Settings};
pub use settings::{ObjectSettings, StoreKind};

use std::fmt;
use std::io;
use std::ops::Range;
#[cfg(feature = "testing-s3")]
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt as _, TryStreamExt as _};
use sha2::{Digest as _, Sha256};

#[cfg(feature = "testing-s3")]
use crate::clock::Clock;
use crate::clock::Timestamp;
use crate::error::Fault;
use draft::Drafts;
use file_stream::Rest;
use folder::{Existing, Folder};

/// The bytes of an object. An error ends it.
pub type ObjectBody = BoxStream<'static, io::Result<Bytes>>;

/// Where objects are kept. Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct ObjectStore(Arc<Kept>);

enum Kept {
    Folder(Folder),
    #[cfg(feature = "s3")]
    S3(Box<s3::S3>),
}

/// How long [`ObjectStore::check`] waits: a folder may lie on a file system that went away.
const CHECK_PATIENCE: Duration = Duration::from_secs(3);

impl ObjectStore {
    /// Prepares the store that `settings` choose; connects to nothing and makes no folder.
    ///
    /// # Errors
    /// For a person: what is wrong with the settings.
    pub fn open(settings: &ObjectSettings) -> Result<Self, String> {
        Self::open_as(settings.store, settings)
    }

    /// The same for a store that need not be the chosen one, to copy from or to.
    ///
    /// # Errors
    /// As [`ObjectStore::open`].
    pub fn open_as(kind: StoreKind, settings: &ObjectSettings) -> Result<Self, String> {
        Ok(Self(Arc::new(match kind {
            StoreKind::Folder => Kept::Folder(Folder::new(&settings.folder)),
            #[cfg(feature = "s3")]
            StoreKind::S3 => {
                let bucket = settings
                    .s3
                    .as_ref()
                    .ok_or("too little is said to get into a bucket: see AWS_S3_BUCKET in docs/SETUP.md")?;
                Kept::S3(Box::new(s3::S3::open(bucket, Drafts::in_folder(&settings.folder))?))
            }
            #[cfg(not(feature = "s3"))]
            StoreKind::S3 => return Err(settings::NOT_BUILT_IN.to_owned()),
        })))
    }

    /// One in S3 that signs addresses as if it were another time.
    #[cfg(feature = "testing-s3")]
    pub(crate) fn signing_at(settings: &S3Settings, data_dir: &Path, clock: Clock) -> Result<Self, String> {
        let mut s3 = s3::S3::open(settings, Drafts::in_folder(data_dir))?;
        s3.clock = clock;
        Ok(Self(Arc::new(Kept::S3(Box::new(s3)))))
    }

    /// Stores a small object that we made ourselves, whole. One that is there is replaced, so that
    /// doing it twice is doing it once.
    ///
    /// # Errors
    /// [`ObjectError::Fault`] if the store can't take it.
    pub async fn put(&self, key: &ObjectKey, bytes: Bytes) -> Result<(), ObjectError> {
        match &*self.0 {
            Kept::Folder(folder) => {
                let (folder, key) = (folder.clone(), key.clone());
                blocking(move || {
                    let finished = folder.drafts.create()?.write(&[bytes])?.finish(None)?;
                    folder.publish(&key, finished, Existing::IsReplaced).map(drop)
                })
                .await
            }
            #[cfg(feature = "s3")]
            Kept::S3(s3) => s3.put(key, bytes).await,
        }
    }

    /// Stores what somebody sends, as it comes and with bounded memory. Of all who send under one
    /// key, one succeeds. Nothing can be read under the key until all of it is there and is what
    /// was `expected`; no more than one byte beyond `most`, or beyond the expected size, counts.
    ///
    /// # Errors
    /// [`ObjectError::AlreadyThere`], [`ObjectError::TooLarge`], [`ObjectError::Mismatch`],
    /// [`ObjectError::Sender`] if `body` gives an error; [`ObjectError::Fault`].
    pub async fn receive(
        &self,
        key: &ObjectKey,
        most: u64,
        expected: Option<&Expected>,
        body: impl Stream<Item = io::Result<Bytes>> + Send,
    ) -> Result<ObjectInfo, ObjectError> {
        let finished = self.drafts().receive(most, expected, body).await?;
        match &*self.0 {
            Kept::Folder(folder) => {
                let (folder, key) = (folder.clone(), key.clone());
                blocking(move || folder.publish(&key, finished, Existing::Stays)).await
            }
            #[cfg(feature = "s3")]
            Kept::S3(s3) => s3.publish(key, finished, Existing::Stays).await,
        }
    }

    /// Stores what somebody sends in place of what is there, if anything is. That stays until all of the
    /// other is here and `is_it` says so, by its length and its SHA-256; no more than one byte beyond `most`
    /// is read.
    ///
    /// # Errors
    /// [`ObjectError::TooLarge`], [`ObjectError::Mismatch`], [`ObjectError::Sender`] if `body` gives an
    /// error; [`ObjectError::Fault`].
    pub(crate) async fn replace(
        &self,
        key: &ObjectKey,
        most: u64,
        is_it: impl FnOnce(u64, &[u8; 32]) -> bool + Send,
        body: impl Stream<Item = io::Result<Bytes>> + Send,
    ) -> Result<ObjectInfo, ObjectError> {
        let finished = self.drafts().receive(most, None, body).await?;
        let size = finished.info(key)?.size;
        if !is_it(size, &finished.sha256) {
            return Err(ObjectError::Mismatch(Difference::Sha256));
        }
        match &*self.0 {
            Kept::Folder(folder) => {
                let (folder, key) = (folder.clone(), key.clone());
                blocking(move || folder.publish(&key, finished, Existing::IsReplaced)).await
            }
            #[cfg(feature = "s3")]
            Kept::S3(s3) => s3.publish(key, finished, Existing::IsReplaced).await,
        }
    }

    /// Reads an object, or the part of it that lies in `range`; an end beyond the object's is the
    /// object's. [`ObjectInfo::size`] is that of the whole.
    ///
    /// # Errors
    /// [`ObjectError::NotFound`]; [`ObjectError::OutOfRange`] if `range` is empty or begins behind
    /// the last byte; [`ObjectError::Fault`].
    pub async fn get(
        &self,
        key: &ObjectKey,
        range: Option<Range<u64>>,
    ) -> Result<(ObjectInfo, ObjectBody), ObjectError> {
        if range.as_ref().is_some_and(Range::is_empty) {
            return match self.head(key).await {
                Ok(_) => Err(ObjectError::OutOfRange),
                Err(error) => Err(error),
            };
        }
        match &*self.0 {
            Kept::Folder(folder) => {
                let (folder, key) = (folder.clone(), key.clone());
                // Small objects are read on the thread that opens them: one change of threads.
                blocking(move || {
                    let (file, info) = folder.open(&key)?;
                    let range = match range {
                        Some(range) if range.start >= info.size => return Err(ObjectError::OutOfRange),
                        Some(range) => range.start..range.end.min(info.size),
                        None => 0..info.size,
                    };
                    let (first, rest) = Rest::new(file, range).read().map_err(ObjectError::unavailable)?;
                    Ok((info, file_stream::stream(first, rest).boxed()))
                })
                .await
            }
            #[cfg(feature = "s3")]
            Kept::S3(s3) => s3.get(key, range).await,
        }
    }

    /// Reads a whole object of `most` bytes at most into memory.
    ///
    /// # Errors
    /// [`ObjectError::NotFound`], [`ObjectError::TooLarge`], [`ObjectError::Fault`].
    pub async fn read(&self, key: &ObjectKey, most: u64) -> Result<Bytes, ObjectError> {
        let (info, mut body) = self.get(key, None).await?;
        if info.size > most {
            return Err(ObjectError::TooLarge);
        }
        let mut bytes = BytesMut::with_capacity(usize::try_from(info.size).map_err(Fault::internal)?);
        while let Some(chunk) = body.try_next().await.map_err(ObjectError::unavailable)? {
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes.freeze())
    }

    /// Reads an object to know the SHA-256 of its bytes, whatever was noted about them.
    ///
    /// # Errors
    /// [`ObjectError::NotFound`], [`ObjectError::Fault`].
    pub async fn digest(&self, key: &ObjectKey) -> Result<[u8; 32], ObjectError> {
        let (_, mut body) = self.get(key, None).await?;
        let mut digest = Sha256::new();
        while let Some(chunk) = body.try_next().await.map_err(ObjectError::unavailable)? {
            digest = blocking(move || Ok(digest.chain_update(&chunk))).await?;
        }
        Ok(digest.finalize().into())
    }

    /// What is known of an object.
    ///
    /// # Errors
    /// [`ObjectError::NotFound`], [`ObjectError::Fault`].
    pub async fn head(&self, key: &ObjectKey) -> Result<ObjectInfo, ObjectError> {
        match &*self.0 {
            Kept::Folder(folder) => {
                let (folder, key) = (folder.clone(), key.clone());
                blocking(move || folder.open(&key).map(|(_, info)| info)).await
            }
            #[cfg(feature = "s3")]
            Kept::S3(s3) => s3.head(key).await,
        }
    }

    /// Removes an object for good. One that isn't there is as good as removed.
    ///
    /// # Errors
    /// [`ObjectError::Fault`].
    pub async fn delete(&self, key: &ObjectKey) -> Result<(), ObjectError> {
        match &*self.0 {
            Kept::Folder(folder) => {
                let (folder, key) = (folder.clone(), key.clone());
                blocking(move || folder.delete(&key)).await
            }
            #[cfg(feature = "s3")]
            Kept::S3(s3) => s3.delete(key).await,
        }
    }

    /// Up to `most` objects whose names begin with `prefix` and come behind `after`, by name. Only
    /// an empty page says that there are no more. What is written or deleted meanwhile may be
    /// missing or there.
    ///
    /// # Errors
    /// [`ObjectError::Fault`].
    pub async fn list(
        &self,
        prefix: &str,
        after: Option<&ObjectKey>,
        most: usize,
    ) -> Result<Vec<ObjectInfo>, ObjectError> {
        match &*self.0 {
            Kept::Folder(folder) => {
                let (folder, prefix, after) = (folder.clone(), prefix.to_owned(), after.cloned());
                blocking(move || folder.list(&prefix, after.as_ref(), most)).await
            }
            #[cfg(feature = "s3")]
            Kept::S3(s3) => s3.list(prefix, after, most).await,
        }
    }

    /// A request by which a client can upload to S3 itself, once, until `expires_in` is over (a week
    /// at most). `None` for a folder: there the server takes uploads at addresses that it signs.
    ///
    /// # Errors
    /// [`ObjectError::Fault`].
    #[cfg_attr(not(feature = "s3"), expect(unused_variables, reason = "a folder needs none of them"))]
    pub async fn presign_put(
        &self,
        key: &ObjectKey,
        expected: &Expected,
        expires_in: Duration,
    ) -> Result<Option<Presigned>, ObjectError> {
        match &*self.0 {
            Kept::Folder(_) => Ok(None),
            #[cfg(feature = "s3")]
            Kept::S3(s3) => s3.presign_put(key, expected, expires_in).await.map(Some),
        }
    }

    /// Whether the store would do what it is asked, in a few seconds at most.
    ///
    /// # Errors
    /// [`ObjectError::Fault`] if it wouldn't.
    pub async fn check(&self) -> Result<(), ObjectError> {
        let answer = async {
            match &*self.0 {
                Kept::Folder(folder) => {
                    let folder = folder.clone();
                    blocking(move || folder.check()).await
                }
                #[cfg(feature = "s3")]
                Kept::S3(s3) => s3.check().await,
            }
        };
        let told = || ObjectError::unavailable(format!("the object store didn't answer within {CHECK_PATIENCE:?}"));
        tokio::time::timeout(CHECK_PATIENCE, answer).await.unwrap_or_else(|_| Err(told()))
    }

    /// Removes what uploads left that were cut off by the end of a process: drafts that nobody wrote
    /// to since `before`. Says how many.
    ///
    /// # Errors
    /// [`ObjectError::Fault`].
    pub async fn remove_drafts(&self, before: Timestamp) -> Result<u64, ObjectError> {
        let drafts = self.drafts().clone();
        blocking(move || drafts.remove_older(before.into()).map_err(ObjectError::unavailable)).await
    }

    fn drafts(&self) -> &Drafts {
        match &*self.0 {
            Kept::Folder(folder) => &folder.drafts,
            #[cfg(feature = "s3")]
            Kept::S3(s3) => s3.drafts(),
        }
    }
}

/// Which store, without addresses or credentials.
impl fmt::Debug for ObjectStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &*self.0 {
            Kept::Folder(_) => "ObjectStore::Folder",
            #[cfg(feature = "s3")]
            Kept::S3(_) => "ObjectStore::S3",
        })
    }
}

/// Runs what waits for a disk on a thread that may.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ObjectError> + Send + 'static,
) -> Result<T, ObjectError> {
    tokio::task::spawn_blocking(work).await.map_err(Fault::internal)?
}
