//! Tokens that are an id and an HMAC over it: for links in mails and for the step between
//! password and second factor. The database keeps the id's row and nothing secret; whoever has
//! the row and our secret can make the token again, so a mail is rendered when it is sent.
//! Whether a token was used or has expired, its row says.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::keys::{DerivedKey, KEY_ID_LEN};
use super::signer::Signer;
use crate::error::Fault;
use crate::secret::Secret;

/// What a token is good for. A token of one kind is never one of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum TokenKind {
    /// The link in a mail.
    OneTime = 1,
    /// The right password was given, and a second factor is awaited.
    SecondFactor = 2,
}

const PREFIX: &str = "pst_";
const VERSION: u8 = 1;
const HEAD_LEN: usize = 1 + KEY_ID_LEN + 1;
const LEN: usize = HEAD_LEN + 16 + 32;

pub(crate) struct DerivedTokens(Signer);

impl DerivedTokens {
    pub(super) fn new(keys: &[DerivedKey]) -> Result<Self, Fault> {
        Signer::new(keys).map(Self)
    }

    /// The token of the row `id`; the id must be a [random](crate::OneTimeTokenId::random) one.
    pub(crate) fn issue(&self, kind: TokenKind, id: &[u8; 16]) -> Secret {
        let mut body = Vec::with_capacity(LEN);
        body.push(VERSION);
        body.extend(self.0.key_id());
        body.push(kind as u8);
        body.extend(id);
        Secret::new(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(self.0.sign(body))))
    }

    /// The row that the token is of, if the token is ours and of that kind.
    pub(crate) fn verify(&self, kind: TokenKind, token: &str) -> Option<[u8; 16]> {
        let bytes: [u8; LEN] = URL_SAFE_NO_PAD.decode(token.strip_prefix(PREFIX)?).ok()?.try_into().ok()?;
        let genuine = bytes[0] == VERSION
            && bytes[HEAD_LEN - 1] == kind as u8
            && self.0.verify(bytes[1..=KEY_ID_LEN].try_into().ok()?, &bytes);
        if genuine { bytes[HEAD_LEN..HEAD_LEN + 16].try_into().ok() } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zeroize::Zeroizing;

    #[test]
    fn a_token_is_of_its_kind_and_its_key_only() {
        let tokens = |key| DerivedTokens::new(&[DerivedKey::named(Zeroizing::new([key; 32]))]).unwrap();
        let token = tokens(1).issue(TokenKind::OneTime, &[7; 16]);
        assert_eq!(tokens(1).verify(TokenKind::OneTime, token.expose()), Some([7; 16]));
        assert_eq!(tokens(1).verify(TokenKind::SecondFactor, token.expose()), None);
        assert_eq!(tokens(2).verify(TokenKind::OneTime, token.expose()), None);
        for at in 0..token.expose().len() {
            let mut bytes = token.expose().to_owned().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let forged = String::from_utf8(bytes).unwrap();
            assert_eq!(tokens(1).verify(TokenKind::OneTime, &forged), None, "character {at}");
        }
        for nonsense in ["", "pst_", "pst_AAAA", "psr_AAAA", "\u{1F415}"] {
            assert_eq!(tokens(1).verify(TokenKind::OneTime, nonsense), None);
        }
    }
}
