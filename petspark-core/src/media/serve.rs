//! Getting objects: what is shown to everybody by its name, all else by a URL that was given out.

use std::ops::Range;

use super::links::{Allows, Links};
use super::objects::{ObjectBody, ObjectKey};
use super::{Media, MediaError, MediaType, store};
use crate::error::Fault;

/// For whom an answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Everybody, for ever: the name has a hash of the content.
    Everybody,
    /// Who has the URL.
    Bearer,
}

/// An object that may be given out.
#[derive(Clone, Debug)]
pub struct Served {
    key: ObjectKey,
    /// What it is.
    pub media_type: MediaType,
    /// For whom.
    pub audience: Audience,
}

impl Media {
    /// What is behind a URL: a size of a photo that everybody may see, or with a token what that was
    /// made for.
    ///
    /// # Errors
    /// [`MediaError::PhotoNotFound`], [`MediaError::BadLink`].
    pub async fn serve(&self, key: &str, token: Option<&str>) -> Result<Served, MediaError> {
        let (owner, id, file) = Links::parse(key).ok_or(MediaError::PhotoNotFound)?;
        let audience = match token {
            Some(token) if self.links.allows(Allows::Get, key, token, self.clock.now()) => Audience::Bearer,
            Some(_) => return Err(MediaError::BadLink),
            None => {
                let public = store::find_public(&self.db, id).await?.filter(|upload| upload.owner_id == owner);
                let variants = public.and_then(|upload| upload.variants).ok_or(MediaError::PhotoNotFound)?;
                if !variants.iter().any(|variant| variant.file_name() == file) {
                    return Err(MediaError::PhotoNotFound);
                }
                Audience::Everybody
            }
        };
        let media_type = MediaType::of_file(file).ok_or(MediaError::PhotoNotFound)?;
        let key = key.parse().map_err(Fault::internal)?;
        Ok(Served { key, media_type, audience })
    }

    /// How many bytes it has.
    ///
    /// # Errors
    /// [`MediaError::PhotoNotFound`] if it was removed meanwhile.
    pub async fn size(&self, served: &Served) -> Result<u64, MediaError> {
        Ok(self.objects.head(&served.key).await?.size)
    }

    /// How many bytes all of it has, and these, or some of them.
    ///
    /// # Errors
    /// [`MediaError::PhotoNotFound`] if it was removed meanwhile.
    pub async fn bytes(&self, served: &Served, range: Option<Range<u64>>) -> Result<(u64, ObjectBody), MediaError> {
        let (info, bytes) = self.objects.get(&served.key, range).await?;
        Ok((info.size, bytes))
    }
}

impl Served {
    /// The part of its name after the last slash.
    #[must_use]
    pub fn file_name(&self) -> &str {
        self.key.as_str().rsplit('/').next().unwrap_or_default()
    }

    /// What its content is named by: its own name, which never stands for another content.
    #[must_use]
    pub fn etag(&self) -> String {
        format!("\"{}\"", self.file_name())
    }
}

impl MediaType {
    fn of_file(name: &str) -> Option<Self> {
        let (_, extension) = name.rsplit_once('.')?;
        Self::ALL.iter().copied().find(|media_type| media_type.extension() == extension)
    }
}
