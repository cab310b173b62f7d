//! Recovery codes: what gets somebody in whose phone is gone. A code is 120 random bits in the
//! letters that are hard to mistake (Crockford's base 32), so an unsalted digest of it is as good
//! as a slow hash: there is nothing to guess. Storing and using them up is the store's.

use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::error::Fault;
use crate::secret::{Secret, random};

/// How many codes there are at a time.
pub(super) const COUNT: usize = 10;
/// Random bytes of a code: 120 bits, which are 24 letters without a rest.
const BYTES: usize = 15;
const LETTERS: usize = 24;
/// Crockford's: no i, l, o or u.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// What is stored of a code.
pub(crate) type CodeDigest = [u8; 32];

/// A new code, and what to store of it: six groups of four, `8g2k-04mf-...`.
pub(super) fn new_code() -> Result<(Secret, CodeDigest), Fault> {
    let bytes = Zeroizing::new(random::<BYTES>()?);
    let mut text = String::with_capacity(LETTERS + 5);
    // Five bytes are eight letters.
    for (index, chunk) in bytes.chunks_exact(5).enumerate() {
        let bits = chunk.iter().fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
        for letter in 0..8 {
            if letter % 4 == 0 && (index, letter) != (0, 0) {
                text.push('-');
            }
            let value = usize::try_from(bits >> (35 - 5 * letter) & 31).unwrap_or(0);
            text.push(char::from(ALPHABET[value]));
        }
    }
    Ok((Secret::new(text), Sha256::digest(*bytes).into()))
}

/// The digest of a code as somebody typed it: upper or lower case, with any spaces and dashes or
/// none, o for 0 and i or l for 1. `None` if it can't be a code.
pub(super) fn digest(typed: &str) -> Option<CodeDigest> {
    let mut bits = Zeroizing::new(0_u128);
    let mut letters = 0;
    for byte in typed.bytes().filter(|byte| !matches!(byte, b' ' | b'-')) {
        let letter = match byte.to_ascii_lowercase() {
            b'o' => b'0',
            b'i' | b'l' => b'1',
            letter => letter,
        };
        let value = ALPHABET.iter().position(|known| *known == letter)?;
        letters += 1;
        if letters > LETTERS {
            return None;
        }
        *bits = *bits << 5 | u128::try_from(value).ok()?;
    }
    let bytes = Zeroizing::new(bits.to_be_bytes());
    (letters == LETTERS).then(|| Sha256::digest(&bytes[16 - BYTES..]).into())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn asvs_6_5_4_a_code_has_120_bits_and_none_is_like_another() {
        let codes: BTreeSet<String> = (0..1000).map(|_| new_code().unwrap().0.expose().to_owned()).collect();
        assert_eq!(codes.len(), 1000);
        // Every letter in every place: no bit of the 120 is stuck.
        for place in (0..29).filter(|place| place % 5 != 4) {
            let seen: BTreeSet<u8> = codes.iter().map(|code| code.as_bytes()[place]).collect();
            assert_eq!(seen.len(), 32, "at {place}");
        }
        assert!(codes.iter().all(|code| code.split('-').map(str::len).eq([4; 6])));
    }

    #[test]
    fn a_code_is_known_however_it_is_typed() {
        for _ in 0..100 {
            let (code, stored) = new_code().unwrap();
            let code = code.expose();
            let sloppy = code.replace('0', "O").replace('1', "l").replace('-', "  ");
            for typed in [code.to_owned(), code.to_uppercase(), code.replace('-', ""), sloppy] {
                assert_eq!(digest(&typed), Some(stored), "{typed}");
            }
        }
    }

    #[test]
    fn what_has_another_length_or_letters_is_no_code() {
        let (code, stored) = new_code().unwrap();
        let code = code.expose();
        for wrong in ["", "123456", &code[1..], &format!("{code}0"), &code.replace('-', "u"), &"0".repeat(10_000)] {
            assert_eq!(digest(wrong), None, "{wrong}");
        }
        let other = if code.ends_with('7') { "8" } else { "7" };
        assert_ne!(digest(&format!("{}{other}", &code[..28])), Some(stored));
    }
}
