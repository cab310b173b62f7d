//! Requests that a client can make with nothing but an address: one upload, of exactly what was
//! announced, once.

use std::time::Duration;

use aws_sdk_s3::presigning::PresigningConfig;

use super::S3;
use super::trouble::Trouble;
use crate::error::Fault;
use crate::media::objects::{Expected, ObjectError, ObjectKey, Presigned};
use crate::secret::Secret;

/// What clients send by themselves, and browsers let nobody else send.
const BY_ITSELF: [&str; 2] = ["content-length", "host"];

impl S3 {
    /// Everything about the upload is signed: an address that left the length or the type open would
    /// take anything, and one without `If-None-Match` could replace what was checked already.
    pub(in crate::media::objects) async fn presign_put(
        &self,
        key: &ObjectKey,
        expected: &Expected,
        expires_in: Duration,
    ) -> Result<Presigned, ObjectError> {
        let config = PresigningConfig::builder().start_time(self.clock.now().into()).expires_in(expires_in).build();
        let request = self.put_request(key, expected.size, expected.sha256.as_ref())?.if_none_match("*");
        let presigned = request.presigned(config.map_err(Fault::internal)?).await;
        let presigned = presigned.map_err(|error| ObjectError::from(Trouble::of("PutObject", error)))?;
        let headers = presigned.headers().filter(|(name, _)| !BY_ITSELF.contains(name));
        Ok(Presigned {
            url: Secret::new(presigned.uri()),
            headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        })
    }
}
