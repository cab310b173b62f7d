//! Keyset pagination: a page of rows and an opaque cursor to the next. Old clients may still
//! ask by offset and are told the total; nothing else counts rows.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use crate::clock::Timestamp;

/// Which part of a list is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageRequest {
    limit: u32,
    start: Start,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Start {
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

    pub(crate) fn start(&self) -> &Start {
        &self.start
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
    pub(crate) fn of(
        request: &PageRequest,
        mut rows: Vec<T>,
        total: Option<u64>,
        key: impl FnOnce(&T) -> Key,
        list: &ListIdentity,
    ) -> Self {
        let limit = request.limit as usize;
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next_cursor = rows.last().filter(|_| more).map(|row| key(row).encode(list));
        let offset = match request.start {
            Start::Offset(offset) => Some(offset),
            _ => None,
        };
        Self { items: rows, limit: request.limit, next_cursor, total, offset }
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

/// What makes a list that list: its order and filters. A cursor carries a digest of it, so that
/// one from another list is refused instead of giving a page that makes no sense.
#[derive(Clone, Debug)]
pub(crate) struct ListIdentity([u8; 6]);

impl ListIdentity {
    pub(crate) fn new(description: &impl std::fmt::Debug) -> Self {
        let digest = Sha256::digest(format!("{description:?}"));
        let mut short = [0; 6];
        short.copy_from_slice(&digest[..6]);
        Self(short)
    }
}

/// The sort key of a row: when, and which of those.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) at: Timestamp,
    pub(crate) id: [u8; 16],
}

/// Version, list identity, microseconds, id.
const CURSOR_LEN: usize = 1 + 6 + 8 + 16;
const CURSOR_VERSION: u8 = 1;

impl Key {
    fn encode(&self, list: &ListIdentity) -> String {
        let mut bytes = Vec::with_capacity(CURSOR_LEN);
        bytes.push(CURSOR_VERSION);
        bytes.extend(list.0);
        bytes.extend(self.at.as_micros().to_be_bytes());
        bytes.extend(self.id);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    pub(crate) fn decode(cursor: &str, list: &ListIdentity) -> Result<Self, InvalidPage> {
        let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| InvalidPage::Cursor)?;
        let bytes: [u8; CURSOR_LEN] = bytes.try_into().map_err(|_| InvalidPage::Cursor)?;
        let (micros, id) = match bytes.split_first_chunk::<7>() {
            Some((head, rest)) if head[0] == CURSOR_VERSION && head[1..] == list.0 => rest.split_at(8),
            _ => return Err(InvalidPage::Cursor),
        };
        let micros = micros.try_into().map_err(|_| InvalidPage::Cursor)?;
        let id = id.try_into().map_err(|_| InvalidPage::Cursor)?;
        Ok(Self { at: Timestamp::from_micros(i64::from_be_bytes(micros)), id })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_finds_its_place_again_and_only_in_its_own_list() {
        let (dogs, cats) = (ListIdentity::new(&"dogs"), ListIdentity::new(&"cats"));
        let key = Key { at: Timestamp::from_micros(17), id: [7; 16] };
        let cursor = key.encode(&dogs);
        assert_eq!(Key::decode(&cursor, &dogs), Ok(key));
        assert_eq!(Key::decode(&cursor, &cats), Err(InvalidPage::Cursor));
        for broken in ["", "x", "!!!", &cursor[1..], &format!("{cursor}AA")] {
            assert_eq!(Key::decode(broken, &dogs), Err(InvalidPage::Cursor), "{broken}");
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
