//! Objects in a bucket of S3, or of what speaks like it. Uploads through the server are spooled to
//! a draft first: S3 wants to know length and checksum before the first byte.

mod client;
mod presign;
mod trouble;

use std::io;
use std::ops::Range;
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::operation::put_object::builders::PutObjectFluentBuilder;
use aws_sdk_s3::primitives::{ByteStream, DateTime, Length};
use aws_sdk_s3::types::{ChecksumMode, ServerSideEncryption};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::try_unfold;
use sha2::{Digest as _, Sha256};

use super::draft::{Drafts, Finished};
use super::folder::Existing;
use super::{Encryption, ObjectBody, ObjectError, ObjectInfo, ObjectKey, S3Settings};
use crate::clock::{Clock, Timestamp};
use crate::error::Fault;
use trouble::Trouble;

/// S3 gives at most so many names at once.
const LIST_AT_MOST: usize = 1000;
/// The name of the metadata that tells one write from another.
const WRITE_ID: &str = "write-id";

pub(super) struct S3 {
    client: Client,
    bucket: String,
    prefix: String,
    encryption: Encryption,
    patience: Duration,
    drafts: Drafts,
    /// The real time, whatever a test's clock says: S3 looks at its own.
    pub(super) clock: Clock,
}

impl S3 {
    /// # Errors
    /// For a person: what is wrong with `media.s3.ca`.
    pub(super) fn open(settings: &S3Settings, drafts: Drafts) -> Result<Self, String> {
        Ok(Self {
            client: client::new(settings)?,
            bucket: settings.bucket.clone(),
            prefix: settings.prefix.clone(),
            encryption: settings.encryption.clone(),
            patience: settings.attempt_timeout,
            drafts,
            clock: Clock::system(),
        })
    }

    pub(super) fn drafts(&self) -> &Drafts {
        &self.drafts
    }

    pub(super) async fn put(&self, key: &ObjectKey, bytes: Bytes) -> Result<(), ObjectError> {
        let sha256: [u8; 32] = Sha256::digest(&bytes).into();
        let request = self.put_request(key, bytes.len() as u64, Some(&sha256))?.body(ByteStream::from(bytes));
        request.send().await.map(drop).map_err(|error| Trouble::of("PutObject", error).into())
    }

    /// Sends a finished draft, once.
    pub(super) async fn publish(
        &self,
        key: &ObjectKey,
        finished: Finished,
        existing: Existing,
    ) -> Result<ObjectInfo, ObjectError> {
        let info = finished.info(key)?;
        let body = ByteStream::read_from().path(finished.draft.path()).length(Length::Exact(info.size)).build();
        let write_id = uuid::Uuid::now_v7().to_string();
        let request = self
            .put_request(key, info.size, info.sha256.as_ref())?
            .set_if_none_match((existing == Existing::Stays).then(|| "*".to_owned()))
            .metadata(WRITE_ID, &write_id)
            .body(body.await.map_err(ObjectError::unavailable)?);
        match request.send().await.map_err(|error| ObjectError::from(Trouble::of("PutObject", error))) {
            Ok(_) => Ok(info),
            // The answer to the first attempt may have been lost, and the second one met the first.
            Err(ObjectError::AlreadyThere) if self.was_written_by(key, &write_id).await? => Ok(info),
            Err(error) => Err(error),
        }
    }

    async fn was_written_by(&self, key: &ObjectKey, write_id: &str) -> Result<bool, ObjectError> {
        let head = self.client.head_object().bucket(&self.bucket).key(self.full(key)).send().await;
        let head = head.map_err(|error| ObjectError::from(Trouble::of("HeadObject", error)))?;
        Ok(head.metadata().and_then(|metadata| metadata.get(WRITE_ID)).is_some_and(|id| id == write_id))
    }

    /// What every way of writing an object has in common.
    fn put_request(
        &self,
        key: &ObjectKey,
        size: u64,
        sha256: Option<&[u8; 32]>,
    ) -> Result<PutObjectFluentBuilder, ObjectError> {
        let request = self
            .client
            .put_object()
            .bucket(&self.bucket)
            .key(self.full(key))
            .content_length(i64::try_from(size).map_err(Fault::internal)?)
            .content_type(key.content_type())
            .set_checksum_sha256(sha256.map(|sha256| STANDARD.encode(sha256)));
        Ok(match &self.encryption {
            Encryption::None => request,
            Encryption::Aes256 => request.server_side_encryption(ServerSideEncryption::Aes256),
            Encryption::Kms(key_id) => {
                request.server_side_encryption(ServerSideEncryption::AwsKms).set_ssekms_key_id(key_id.clone())
            }
        })
    }

    pub(super) async fn get(
        &self,
        key: &ObjectKey,
        range: Option<Range<u64>>,
    ) -> Result<(ObjectInfo, ObjectBody), ObjectError> {
        let wanted = range.map(|range| match range.end {
            u64::MAX => format!("bytes={}-", range.start),
            end => format!("bytes={}-{}", range.start, end - 1),
        });
        let request = self.client.get_object().bucket(&self.bucket).key(self.full(key)).set_range(wanted);
        let answer = request.send().await.map_err(|error| ObjectError::from(Trouble::of("GetObject", error)))?;
        // `bytes 0-9/1000`: the length of the whole stands at the end.
        let whole = answer.content_range().and_then(|range| range.rsplit('/').next()?.parse().ok());
        let info = ObjectInfo {
            key: key.clone(),
            size: whole.unwrap_or_else(|| unsigned(answer.content_length())),
            modified_at: timestamp(answer.last_modified()),
            sha256: None,
        };
        let patience = self.patience;
        let body = try_unfold(answer.body, move |mut body| async move {
            match tokio::time::timeout(patience, body.next()).await {
                Ok(chunk) => Ok(chunk.transpose().map_err(io::Error::other)?.map(|chunk| (chunk, body))),
                Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, format!("S3 sent nothing for {patience:?}"))),
            }
        });
        Ok((info, body.boxed()))
    }

    pub(super) async fn head(&self, key: &ObjectKey) -> Result<ObjectInfo, ObjectError> {
        let request = self.client.head_object().bucket(&self.bucket).key(self.full(key));
        let head = match request.checksum_mode(ChecksumMode::Enabled).send().await {
            Ok(head) => head,
            Err(error) => {
                let error = ObjectError::from(Trouble::of("HeadObject", error));
                // An answer without a body can't say whether it is the object that isn't there, or
                // all of the bucket.
                if matches!(error, ObjectError::NotFound) {
                    self.check().await?;
                }
                return Err(error);
            }
        };
        Ok(ObjectInfo {
            key: key.clone(),
            size: unsigned(head.content_length()),
            modified_at: timestamp(head.last_modified()),
            sha256: head.checksum_sha256().and_then(|text| STANDARD.decode(text).ok()?.try_into().ok()),
        })
    }

    pub(super) async fn delete(&self, key: &ObjectKey) -> Result<(), ObjectError> {
        let answer = self.client.delete_object().bucket(&self.bucket).key(self.full(key)).send().await;
        answer.map(drop).map_err(|error| Trouble::of("DeleteObject", error).into())
    }

    pub(super) async fn list(
        &self,
        prefix: &str,
        after: Option<&ObjectKey>,
        most: usize,
    ) -> Result<Vec<ObjectInfo>, ObjectError> {
        let (mut page, mut next) = (Vec::new(), None);
        while page.len() < most {
            let wanted = i32::try_from((most - page.len()).min(LIST_AT_MOST)).map_err(Fault::internal)?;
            let request = self
                .client
                .list_objects_v2()
                .bucket(&self.bucket)
                .prefix(format!("{}{prefix}", self.prefix))
                .set_start_after(after.map(|key| self.full(key)))
                .set_continuation_token(next)
                .max_keys(wanted);
            let answer =
                request.send().await.map_err(|error| ObjectError::from(Trouble::of("ListObjectsV2", error)))?;
            page.extend(answer.contents().iter().filter_map(|object| {
                Some(ObjectInfo {
                    // What else lies in the bucket is not ours.
                    key: object.key()?.strip_prefix(&self.prefix)?.parse().ok()?,
                    size: unsigned(object.size()),
                    modified_at: timestamp(object.last_modified()),
                    sha256: None,
                })
            }));
            next = answer.next_continuation_token().map(str::to_owned);
            if next.is_none() {
                break;
            }
        }
        Ok(page)
    }

    pub(super) async fn check(&self) -> Result<(), ObjectError> {
        let answer = self.client.head_bucket().bucket(&self.bucket).send().await;
        answer.map(drop).map_err(|error| Trouble::of("HeadBucket", error).unavailable())
    }

    fn full(&self, key: &ObjectKey) -> String {
        format!("{}{key}", self.prefix)
    }
}

/// Lengths are signed on this wire.
fn unsigned(length: Option<i64>) -> u64 {
    length.and_then(|length| u64::try_from(length).ok()).unwrap_or(0)
}

fn timestamp(at: Option<&DateTime>) -> Timestamp {
    let micros = at.map_or(0, |at| at.as_nanos().div_euclid(1000));
    Timestamp::from_micros(i64::try_from(micros).unwrap_or(i64::MAX))
}
