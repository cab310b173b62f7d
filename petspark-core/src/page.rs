//! Keyset pagination: a page of rows and an opaque, signed cursor to the next. Old clients may
//! still ask by offset and are told the total; nothing else counts rows.

use std::fmt::Debug;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::auth::{KEY_ID_LEN, MAC_LEN, Signer};
use crate::clock::Timestamp;

/// Which part of a list is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageRequest {
    limit: u32,
    start: Start,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Start {
    Beginning,
    Cursor(String),
    Offset(u32),
}

/// A page request that can't be: its limit, offset or cursor is out of bounds.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidPage {
    /// See [`PageRequest::MAX_LIMIT`].
    #[error("must be from 1 to {}", PageRequest::MAX_LIMIT)]
    Limit,
    /// See [`PageRequest::MAX_OFFSET`].
    #[error("must be from 0 to {}; use the cursor to go further", PageRequest::MAX_OFFSET)]
    Offset,
    /// The cursor is damaged, or belongs to a list with another order or other filters.
    #[error("is not a cursor of this list; start again without one")]
    Cursor,
}

impl InvalidPage {
    /// The request field that is wrong.
    #[must_use]
    pub fn field(&self) -> &'static str {
        match self {
            Self::Limit => "limit",
            Self::Offset => "offset",
            Self::Cursor => "cursor",
        }
    }
}

/// Makes a page that nobody can have one of the invalid fields of a service's error.
macro_rules! invalid_page {
    ($error:ty) => {
        impl From<$crate::page::InvalidPage> for $error {
            fn from(page: $crate::page::InvalidPage) -> Self {
                Self::Invalid($crate::error::FieldErrors::one(page.field(), page.to_string()))
            }
        }
    };
}
pub(crate) use invalid_page;

impl PageRequest {
    /// Rows in a page when nothing is said.
    pub const DEFAULT_LIMIT: u32 = 20;
    /// Most rows in a page.
    pub const MAX_LIMIT: u32 = 100;
    /// The deepest offset; what lies behind is reached by cursor.
    pub const MAX_OFFSET: u32 = 10_000;

    /// The first `limit` rows.
    ///
    /// # Errors
    /// [`InvalidPage::Limit`] outside 1 to [`PageRequest::MAX_LIMIT`].
    pub fn first(limit: u32) -> Result<Self, InvalidPage> {
        if limit == 0 || limit > Self::MAX_LIMIT {
            return Err(InvalidPage::Limit);
        }
        Ok(Self { limit, start: Start::Beginning })
    }

    /// The same, behind the row that `cursor` stands for.
    #[must_use]
    pub fn after(self, cursor: impl Into<String>) -> Self {
        Self { start: Start::Cursor(cursor.into()), ..self }
    }

    /// The same, behind the first `offset` rows, and with a total.
    ///
    /// # Errors
    /// [`InvalidPage::Offset`] beyond [`PageRequest::MAX_OFFSET`].
    pub fn skip(self, offset: u32) -> Result<Self, InvalidPage> {
        if offset > Self::MAX_OFFSET {
            return Err(InvalidPage::Offset);
        }
        Ok(Self { start: Start::Offset(offset), ..self })
    }

    /// Most rows that the page will have.
    #[must_use]
    pub fn limit(&self) -> u32 {
        self.limit
    }

    /// The sort key of the row that the page comes after, out of its cursor.
    pub(crate) fn after_key<K: DeserializeOwned>(&self, list: &List) -> Result<Option<K>, InvalidPage> {
        match &self.start {
            Start::Cursor(cursor) => list.open(cursor).map(Some).ok_or(InvalidPage::Cursor),
            _ => Ok(None),
        }
    }

    /// How many rows to skip, if that is how the page was asked for.
    pub(crate) fn offset(&self) -> Option<u32> {
        match self.start {
            Start::Offset(offset) => Some(offset),
            _ => None,
        }
    }
}

impl Default for PageRequest {
    fn default() -> Self {
        Self { limit: Self::DEFAULT_LIMIT, start: Start::Beginning }
    }
}

/// Some rows of a list, in its order.
#[derive(Clone, Debug)]
pub struct Page<T> {
    /// The rows.
    pub items: Vec<T>,
    /// Most rows that could have been here.
    pub limit: u32,
    /// Asks for what follows; `None` at the end of the list.
    pub next_cursor: Option<String>,
    /// All rows of the list; only when asked for by offset.
    pub total: Option<u64>,
    /// The offset asked for.
    pub offset: Option<u32>,
}

impl<T> Page<T> {
    /// Makes a page of `limit + 1` fetched rows: the one too many only says that there is more.
    pub(crate) fn of<K: Serialize>(
        request: &PageRequest,
        mut rows: Vec<T>,
        total: Option<u64>,
        key: impl FnOnce(&T) -> K,
        list: &List,
    ) -> Self {
        let limit = request.limit as usize;
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next_cursor = rows.last().filter(|_| more).map(|row| list.seal(&key(row)));
        Self { items: rows, limit: request.limit, next_cursor, total, offset: request.offset() }
    }

    /// A list that has nothing in it for this caller.
    pub(crate) fn empty(request: &PageRequest) -> Self {
        let total = request.offset().map(|_| 0);
        Self { items: Vec::new(), limit: request.limit, next_cursor: None, total, offset: request.offset() }
    }

    /// The same page with other rows.
    pub fn map<U>(self, f: impl FnMut(T) -> U) -> Page<U> {
        Page {
            items: self.items.into_iter().map(f).collect(),
            limit: self.limit,
            next_cursor: self.next_cursor,
            total: self.total,
            offset: self.offset,
        }
    }
}

/// Signs the cursors of all lists.
#[derive(Clone)]
pub(crate) struct Cursors(Arc<Signer>);

/// A list, with what makes it that list: its order and filters. A cursor carries a digest of
/// that and is signed, so that one from another list, or one that somebody made up, is refused
/// instead of giving a page that makes no sense.
pub(crate) struct List {
    signer: Arc<Signer>,
    identity: [u8; IDENTITY_LEN],
}

/// The sort key of a row that most lists have: when, and which of those.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Key<Id> {
    pub(crate) at: Timestamp,
    pub(crate) id: Id,
}

const VERSION: u8 = 1;
const IDENTITY_LEN: usize = 8;
/// Version, the signing key's name, list identity; the sort key and the MAC follow.
const HEAD_LEN: usize = 1 + KEY_ID_LEN + IDENTITY_LEN;

impl Cursors {
    pub(crate) fn new(signer: Signer) -> Self {
        Self(Arc::new(signer))
    }

    /// The list that is described by this.
    pub(crate) fn list(&self, description: &impl Debug) -> List {
        let digest = Sha256::digest(format!("{description:?}"));
        let mut identity = [0; IDENTITY_LEN];
        identity.copy_from_slice(&digest[..IDENTITY_LEN]);
        List { signer: Arc::clone(&self.0), identity }
    }
}

impl List {
    fn seal(&self, key: &impl Serialize) -> String {
        let mut body = vec![VERSION];
        body.extend(self.signer.key_id());
        body.extend(self.identity);
        // Keys are numbers, texts and ids: they have a JSON form.
        body.extend(serde_json::to_vec(key).unwrap_or_default());
        URL_SAFE_NO_PAD.encode(self.signer.sign(body))
    }

    fn open<K: DeserializeOwned>(&self, cursor: &str) -> Option<K> {
        let signed = URL_SAFE_NO_PAD.decode(cursor).ok()?;
        let (head, rest) = signed.split_at_checked(HEAD_LEN)?;
        let (key, _) = rest.split_last_chunk::<MAC_LEN>()?;
        let (key_id, identity) = head[1..].split_first_chunk::<KEY_ID_LEN>()?;
        let genuine = head[0] == VERSION && identity == self.identity && self.signer.verify(*key_id, &signed);
        if genuine { serde_json::from_slice(key).ok() } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::PetId;

    fn page(cursor: &str) -> PageRequest {
        PageRequest::default().after(cursor)
    }

    #[test]
    fn a_cursor_finds_its_place_again_and_only_in_its_own_list_and_only_as_we_made_it() {
        let cursors = Cursors::new(Signer::for_tests([1; 32]));
        let (dogs, cats) = (cursors.list(&"dogs"), cursors.list(&"cats"));
        let key = Key { at: Timestamp::from_micros(17), id: PetId::new() };
        let cursor = dogs.seal(&key);
        assert_eq!(page(&cursor).after_key(&dogs), Ok(Some(key)));
        assert_eq!(PageRequest::default().after_key::<Key<PetId>>(&dogs), Ok(None));
        let strangers = Cursors::new(Signer::for_tests([2; 32])).list(&"dogs");
        for list in [&cats, &strangers] {
            assert_eq!(page(&cursor).after_key::<Key<PetId>>(list), Err(InvalidPage::Cursor));
        }
        let flipped = (0..cursor.len()).map(|at| {
            let other = if cursor.as_bytes()[at] == b'A' { "B" } else { "A" };
            format!("{}{other}{}", &cursor[..at], &cursor[at + 1..])
        });
        let broken = ["", "x", "!!!", &cursor[1..]].map(str::to_owned);
        for broken in flipped.chain(broken).chain([format!("{cursor}AA")]) {
            assert_eq!(page(&broken).after_key::<Key<PetId>>(&dogs), Err(InvalidPage::Cursor), "{broken}");
        }
    }

    #[test]
    fn limits_and_offsets_have_bounds() {
        assert_eq!(PageRequest::first(0), Err(InvalidPage::Limit));
        assert_eq!(PageRequest::first(101), Err(InvalidPage::Limit));
        assert!(PageRequest::first(100).is_ok());
        assert_eq!(PageRequest::default().skip(10_001), Err(InvalidPage::Offset));
    }
}
