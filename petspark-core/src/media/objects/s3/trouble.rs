//! What S3's answers mean for us, and what a log may say about them: operation, status, code and
//! request id. Messages and bodies stay out: they quote signatures and keys.

use std::fmt;

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::RequestId as _;

use crate::error::chain;
use crate::media::objects::ObjectError;

/// That a time-out of ours ended it.
const TOO_LONG: &str = "it took too long";

/// A request that failed.
#[derive(Debug)]
pub(super) struct Trouble {
    operation: &'static str,
    status: Option<u16>,
    code: Option<String>,
    text: String,
}

impl Trouble {
    pub(super) fn of<E>(operation: &'static str, error: SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        let status = error.raw_response().map(|response| response.status().as_u16());
        let code = error.as_service_error().and_then(|error| error.code()).map(str::to_owned);
        let text = match &error {
            SdkError::ServiceError(_) | SdkError::ResponseError(_) => {
                let id = error.raw_response().and_then(|response| response.request_id());
                format!("request {}", id.unwrap_or("without an id"))
            }
            SdkError::TimeoutError(_) => TOO_LONG.to_owned(),
            SdkError::DispatchFailure(failure) if failure.is_timeout() => TOO_LONG.to_owned(),
            _ => chain(&error),
        };
        Self { operation, status, code, text }
    }

    /// That the store can't be used, whatever the answer was.
    pub(super) fn unavailable(self) -> ObjectError {
        ObjectError::unavailable(self)
    }
}

impl From<Trouble> for ObjectError {
    fn from(trouble: Trouble) -> Self {
        match (trouble.status, trouble.code.as_deref()) {
            // A bucket that isn't there is no object that isn't there.
            (Some(404), Some("NoSuchKey" | "NotFound")) => Self::NotFound,
            (Some(412), _) => Self::AlreadyThere,
            (Some(416), _) => Self::OutOfRange,
            _ => trouble.unavailable(),
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "S3 {}: ", self.operation)?;
        if let Some(status) = self.status {
            write!(f, "{status} ")?;
        }
        if let Some(code) = &self.code {
            write!(f, "{code} ")?;
        }
        write!(f, "({})", self.text)
    }
}

impl std::error::Error for Trouble {}
