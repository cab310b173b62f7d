//! Names of objects. Servers make them, so that nothing of a client's making ever becomes a path;
//! what else a name says is up to whoever makes it.

use std::fmt;
use std::str::FromStr;

/// The name of an object, such as `photos/0193a1b2/large.jpg`.
///
/// One to six segments of `a-z`, `0-9`, `-` and `_`, separated by `/`; the last one ends with the
/// extension `.jpg`, `.png`, `.webp`, `.gif`, `.pdf`, `.json`, `.zst` or `.age`. At most 200 bytes in all. Keys are
/// ordered by their bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey(String);

/// A text that is no [`ObjectKey`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is no name of an object")]
pub struct InvalidObjectKey;

const MAX_BYTES: usize = 200;
const MAX_SEGMENTS: usize = 6;
/// Every extension, and what it says about the bytes.
const CONTENT_TYPES: [(&str, &str); 8] = [
    ("jpg", "image/jpeg"),
    ("png", "image/png"),
    ("webp", "image/webp"),
    ("gif", "image/gif"),
    ("pdf", "application/pdf"),
    // Of backups, which have a bucket of their own.
    ("json", "application/json"),
    ("zst", "application/zstd"),
    ("age", "application/octet-stream"),
];

impl ObjectKey {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The media type that the extension stands for.
    #[must_use]
    pub fn content_type(&self) -> &'static str {
        content_type(&self.0).unwrap_or("application/octet-stream")
    }
}

fn content_type(name: &str) -> Option<&'static str> {
    let (_, extension) = name.rsplit_once('.')?;
    CONTENT_TYPES.iter().find(|(known, _)| *known == extension).map(|(_, content_type)| *content_type)
}

fn is_segment(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_');
    !text.is_empty() && text.bytes().all(plain)
}

impl FromStr for ObjectKey {
    type Err = InvalidObjectKey;

    fn from_str(text: &str) -> Result<Self, InvalidObjectKey> {
        let (stem, _) = text.rsplit_once('.').ok_or(InvalidObjectKey)?;
        let fits = text.len() <= MAX_BYTES && stem.split('/').count() <= MAX_SEGMENTS;
        if fits && content_type(text).is_some() && stem.split('/').all(is_segment) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidObjectKey)
        }
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_says_what_its_bytes_are() {
        for (key, content_type) in [
            ("in/0193a1b2-c3d4.jpg", "image/jpeg"),
            ("a.png", "image/png"),
            ("a/b/c/d/e/f.webp", "image/webp"),
            ("a_b/-.gif", "image/gif"),
            ("0.pdf", "application/pdf"),
        ] {
            let parsed: ObjectKey = key.parse().unwrap();
            assert_eq!((parsed.as_str(), parsed.content_type()), (key, content_type));
        }
    }

    #[test]
    fn nothing_else_is_a_key() {
        let long = format!("{}.jpg", "a".repeat(197));
        for wrong in [
            "",
            ".jpg",
            "a",
            "a.",
            "a.jpeg",
            "a.svg",
            "a.b.jpg",
            "A.jpg",
            "a.JPG",
            "a b.jpg",
            "a+b.jpg",
            "a%2fb.jpg",
            "a\0.jpg",
            "ä.jpg",
            "/a.jpg",
            "a//b.jpg",
            "a/.jpg",
            "../a.jpg",
            "a/../b.jpg",
            "./a.jpg",
            "a\\b.jpg",
            "a.jpg/",
            "a.jpg/b",
            "a/b/c/d/e/f/g.jpg",
            &long,
        ] {
            assert_eq!(wrong.parse::<ObjectKey>(), Err(InvalidObjectKey), "{wrong}");
        }
        assert!(long[1..].parse::<ObjectKey>().is_ok());
    }
}
