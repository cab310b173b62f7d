//! What a table holds, in a number: the same on both sides if every row is, in whatever order.

use sha2::{Digest as _, Sha256};

use super::row::Kind;
use crate::text::hex;

/// How many rows, and the sum of their hashes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Digest {
    /// How many rows.
    pub rows: u64,
    /// A sum, because the engines give rows in different orders; of SHA-256, so that two
    /// different rows are never the same by chance.
    sum: [u64; 4],
}

impl Digest {
    /// Adds a row: its fields in the form of binary COPY.
    pub(super) fn add(&mut self, kinds: &[(String, Kind)], fields: &[u8]) -> Result<(), String> {
        let mut canonical = Vec::with_capacity(fields.len());
        let mut rest = fields;
        for (name, kind) in kinds {
            let field = next_field(&mut rest).ok_or("a row ends too early")?;
            let Some(field) = field else {
                canonical.push(0);
                continue;
            };
            canonical.push(1);
            let length = canonical.len();
            canonical.extend([0; 8]);
            kind.canonical(field, &mut canonical).map_err(|reason| format!("column {name}: {reason}"))?;
            let bytes = u64::try_from(canonical.len() - length - 8).unwrap_or(u64::MAX);
            canonical[length..length + 8].copy_from_slice(&bytes.to_be_bytes());
        }
        let hash = Sha256::digest(&canonical);
        for (sum, part) in self.sum.iter_mut().zip(hash.chunks_exact(8)) {
            let part = part.iter().fold(0, |number, byte| (number << 8) | u64::from(*byte));
            *sum = sum.wrapping_add(part);
        }
        self.rows += 1;
        Ok(())
    }
}

/// What all tables hold, in one number.
pub(super) fn of_all<'a>(tables: impl Iterator<Item = (&'a str, Digest)>) -> String {
    let all = tables
        .fold(Sha256::new(), |all, (table, digest)| all.chain_update(format!("{table} {} {digest}\n", digest.rows)));
    hex(&all.finalize())
}

/// Takes a field from the front: its bytes, or `None` for null.
#[allow(clippy::option_option, reason = "nothing left, null, a value: three things")]
pub(super) fn next_field<'a>(rest: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
    let (length, behind) = rest.split_first_chunk::<4>()?;
    let length = i32::from_be_bytes(*length);
    let Ok(length) = usize::try_from(length) else {
        *rest = behind;
        return Some(None);
    };
    let field = behind.get(..length)?;
    *rest = &behind[length..];
    Some(Some(field))
}

/// 24 hexadecimal digits, enough to tell two tables apart at a glance.
impl std::fmt::Display for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}{:08x}", self.sum[0], self.sum[1] >> 32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(fields: &[Option<&str>]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for field in fields {
            match field {
                Some(text) => {
                    bytes.extend(i32::try_from(text.len()).unwrap().to_be_bytes());
                    bytes.extend(text.as_bytes());
                }
                None => bytes.extend((-1_i32).to_be_bytes()),
            }
        }
        bytes
    }

    #[test]
    fn the_order_of_rows_is_nothing_and_every_value_is_something() {
        let kinds = [("a".to_owned(), Kind::Text), ("b".to_owned(), Kind::Text)];
        let digest = |rows: &[Vec<u8>]| {
            let mut digest = Digest::default();
            rows.iter().for_each(|row| digest.add(&kinds, row).unwrap());
            digest
        };
        let (one, two) = (row(&[Some("x"), None]), row(&[Some("y"), Some("")]));
        assert_eq!(digest(&[one.clone(), two.clone()]), digest(&[two.clone(), one.clone()]));
        for other in [row(&[None, Some("x")]), row(&[Some("x"), Some("")]), row(&[Some("X"), None])] {
            assert_ne!(digest(&[one.clone(), two.clone()]), digest(&[other, two.clone()]));
        }
        assert_ne!(digest(std::slice::from_ref(&one)), digest(&[one.clone(), one.clone()]));
        assert!(Digest::default().add(&kinds, &one[..3]).is_err());
    }
}
