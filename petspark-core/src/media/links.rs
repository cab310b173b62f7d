//! Names of objects, and the URLs under which they are put and got. A URL of ours for something
//! that isn't public carries the time when it expires and a MAC over that, the method and the name.
//! Those of S3 for uploads are made by the object store.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::objects::ObjectKey;
use super::photo::{ShownPhoto, StoredVariant, Variant};
use super::{MediaSettings, MediaType};
use crate::auth::{KEY_ID_LEN, MAC_LEN, Signer};
use crate::clock::Timestamp;
use crate::config::WebUrl;
use crate::error::Fault;
use crate::id::{UploadId, UserId};
use crate::pets::Pet;

/// What a signed URL allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Allows {
    Get = b'g' as isize,
    Put = b'p' as isize,
}

/// Makes and checks URLs of objects.
#[derive(Clone)]
pub struct Links {
    signer: Arc<Signer>,
    /// What URLs begin with, without a slash at the end: nothing, by default.
    api: String,
    /// The same for what is public.
    cdn: String,
}

/// Where objects are served, below the root of the server.
const PATH: &str = "/media/";
const VERSION: u8 = 1;
const HEAD_LEN: usize = KEY_ID_LEN + 8;

impl Links {
    /// How long private URLs are valid: long enough to look at a page, too short to be passed on.
    pub(super) const PRIVATE_TTL: Duration = Duration::from_secs(15 * 60);

    pub(crate) fn new(signer: Arc<Signer>, settings: &MediaSettings) -> Self {
        let MediaSettings { public_url, cdn_url, .. } = settings;
        let base = |url: Option<&WebUrl>| url.map_or_else(String::new, |url| url.as_str().to_owned());
        let (api, cdn) = (base(public_url.as_ref()), base(cdn_url.as_ref().or(public_url.as_ref())));
        Self { signer, api, cdn }
    }

    /// Those of no server, from its root: for who shows what is public, and has nothing else. URLs that expire
    /// are honoured by nobody.
    ///
    /// # Errors
    /// [`Fault`] if the system has no random bytes.
    pub fn of_no_server() -> Result<Self, Fault> {
        Ok(Self { signer: Arc::new(Signer::random()?), api: String::new(), cdn: String::new() })
    }

    /// The sizes of a photo of a pet, for who may see that. While the pet isn't shown to everybody, their
    /// URLs are valid for 15 minutes from `now`.
    #[must_use]
    pub fn variants(&self, pet: &Pet, photo: &ShownPhoto, now: Timestamp) -> Vec<Variant> {
        self.sizes(&photo.variants, photo.owner_id, photo.id, pet.is_public(), now)
    }

    /// Where a person's picture is, by what is kept of it.
    #[must_use]
    pub fn avatar(&self, avatar: &str) -> String {
        self.public(avatar)
    }

    /// The sizes of a photo with their URLs, which expire unless everybody may see them.
    pub(super) fn sizes(
        &self,
        stored: &[StoredVariant],
        owner: UserId,
        id: UploadId,
        is_public: bool,
        now: Timestamp,
    ) -> Vec<Variant> {
        let expires = now.after(Self::PRIVATE_TTL);
        let with_url = |variant: &StoredVariant| {
            let key = Self::key(owner, id, &variant.file_name());
            let url = if is_public { self.public(&key) } else { self.private(&key, expires) };
            let StoredVariant { name, media_type, width, height, .. } = *variant;
            Variant { name, url, width, height, media_type }
        };
        stored.iter().map(with_url).collect()
    }

    /// A URL that is the same for everybody and for ever.
    fn public(&self, key: &str) -> String {
        format!("{}{PATH}{key}", self.cdn)
    }

    pub(super) fn key(owner: UserId, id: UploadId, file: &str) -> String {
        format!("{owner}/{id}/{file}")
    }

    /// Where the file as it came is.
    pub(super) fn original(owner: UserId, id: UploadId, media_type: MediaType) -> String {
        Self::key(owner, id, &format!("original.{}", media_type.extension()))
    }

    /// Everything that is kept of an upload: the file as it came, and the sizes that were made of it.
    pub(super) fn all(owner: UserId, id: UploadId, media_type: MediaType, variants: &[StoredVariant]) -> Vec<String> {
        let variants = variants.iter().map(|variant| Self::key(owner, id, &variant.file_name()));
        std::iter::once(Self::original(owner, id, media_type)).chain(variants).collect()
    }

    /// The parts of a key that we made.
    pub(super) fn parse(key: &str) -> Option<(UserId, UploadId, &str)> {
        let mut parts = key.splitn(3, '/');
        let (owner, id, file) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?, parts.next()?);
        key.parse::<ObjectKey>().ok().map(|_| (owner, id, file))
    }

    /// The uploads that keys which we made belong to, each once.
    pub(super) fn uploads<'a>(keys: impl Iterator<Item = &'a str>) -> Vec<UploadId> {
        let mut ids: Vec<_> = keys.filter_map(|key| Self::parse(key).map(|(_, id, _)| id)).collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    /// A URL to get something by, until then.
    pub(super) fn private(&self, key: &str, expires_at: Timestamp) -> String {
        self.signed(Allows::Get, key, expires_at)
    }

    /// A URL to put something at, until then.
    pub(super) fn put(&self, key: &str, expires_at: Timestamp) -> String {
        self.signed(Allows::Put, key, expires_at)
    }

    fn signed(&self, allows: Allows, key: &str, expires_at: Timestamp) -> String {
        let (key_id, expires) = (self.signer.key_id(), expires_at.as_seconds().to_be_bytes());
        let signed = self.signer.sign(body(allows, key_id, expires, key));
        let mac = &signed[signed.len() - MAC_LEN..];
        let token = URL_SAFE_NO_PAD.encode([key_id.as_slice(), &expires, mac].concat());
        format!("{}{PATH}{key}?token={token}", self.api)
    }

    /// Whether a token was made for this, and the time isn't over.
    pub(super) fn allows(&self, allows: Allows, key: &str, token: &str, now: Timestamp) -> bool {
        let Ok(token) = URL_SAFE_NO_PAD.decode(token) else { return false };
        let Some((head, mac)) = token.split_at_checked(HEAD_LEN).filter(|(_, mac)| mac.len() == MAC_LEN) else {
            return false;
        };
        let (mut key_id, mut expires) = ([0; KEY_ID_LEN], [0; 8]);
        key_id.copy_from_slice(&head[..KEY_ID_LEN]);
        expires.copy_from_slice(&head[KEY_ID_LEN..]);
        let mut signed = body(allows, key_id, expires, key);
        signed.extend(mac);
        self.signer.verify(key_id, &signed) && now.as_seconds() < i64::from_be_bytes(expires)
    }
}

fn body(allows: Allows, key_id: [u8; KEY_ID_LEN], expires: [u8; 8], key: &str) -> Vec<u8> {
    let mut body = vec![VERSION, allows as u8];
    body.extend(key_id);
    body.extend(expires);
    body.extend(key.as_bytes());
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    fn links(key: u8, api: &str, cdn: &str) -> Links {
        Links { signer: Arc::new(Signer::for_tests([key; 32])), api: api.to_owned(), cdn: cdn.to_owned() }
    }

    fn token(url: &str) -> &str {
        url.split_once("?token=").unwrap().1
    }

    #[test]
    fn a_signed_url_is_for_one_thing_and_one_time() {
        let links = links(1, "https://api.example.org", "");
        let (now, key) = (Timestamp::from_micros(1_700_000_000_000_000), "a/b/original.jpg");
        let url = links.put(key, now.after(Duration::from_secs(600)));
        assert!(url.starts_with("https://api.example.org/media/a/b/original.jpg?token="), "{url}");
        let good = token(&url);
        assert!(links.allows(Allows::Put, key, good, now));
        assert!(links.allows(Allows::Put, key, good, now.after(Duration::from_secs(599))));
        assert!(!links.allows(Allows::Put, key, good, now.after(Duration::from_secs(600))), "expired");
        assert!(!links.allows(Allows::Get, key, good, now), "another method");
        assert!(!links.allows(Allows::Put, "a/c/original.jpg", good, now), "another object");
        let strangers = self::links(2, "", "");
        assert!(!strangers.allows(Allows::Put, key, good, now), "another installation");
        for at in 0..good.len() {
            let other = if good.as_bytes()[at] == b'A' { "B" } else { "A" };
            let forged = format!("{}{other}{}", &good[..at], &good[at + 1..]);
            assert!(!links.allows(Allows::Put, key, &forged, now), "{forged}");
        }
        for forged in ["", "A", "!", &good[1..]] {
            assert!(!links.allows(Allows::Put, key, forged, now), "{forged}");
        }
    }

    #[test]
    fn what_is_public_can_be_elsewhere() {
        assert_eq!(
            links(1, "https://api.example.org", "https://cdn.example.net/p").public("x"),
            "https://cdn.example.net/p/media/x"
        );
        assert_eq!(links(1, "", "").public("x"), "/media/x");
    }
}
