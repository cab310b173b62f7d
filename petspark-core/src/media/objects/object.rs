//! What is said about objects: before they are there, while they are, and to who may make one.

use super::ObjectKey;
#[cfg(doc)]
use super::ObjectStore;
use crate::clock::Timestamp;
use crate::secret::Secret;

/// What is known of an object without reading it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectInfo {
    /// Its name.
    pub key: ObjectKey,
    /// Its length in bytes.
    pub size: u64,
    /// When it was written, by the clock of whoever keeps it.
    pub modified_at: Timestamp,
    /// The SHA-256 of its bytes, where that is known without reading them: just after
    /// [`ObjectStore::receive`], and on S3 by [`ObjectStore::head`] if it was sent with it.
    pub sha256: Option<[u8; 32]>,
}

/// What an upload was announced as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expected {
    /// Its length in bytes.
    pub size: u64,
    /// The SHA-256 of its bytes, if that was told.
    pub sha256: Option<[u8; 32]>,
}

/// A request that whoever has it can make without credentials: `PUT` to `url`, with exactly these
/// headers and exactly as many bytes as announced.
#[derive(Debug)]
pub struct Presigned {
    /// The address, with the signature in it.
    pub url: Secret,
    /// Headers that are signed. `Host` and `Content-Length` are too, and every client sends those
    /// by itself.
    pub headers: Vec<(String, String)>,
}
