//! Finding pets by words: what somebody typed, as an expression of the engine's full-text search.
//! Words are folded as the stored texts are, and found at the beginning of words.

use crate::database::FullText;
use crate::text::{fold, one_line};

/// What to look for: 1 to 10 words, all of which a pet must have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Words(Vec<String>);

/// How well a pet fits; the best first. Pets that fit equally well come newest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fit {
    /// The name has the words.
    Name,
    /// The name has words that begin like that.
    NamePrefix,
    /// Name, breed and text together do.
    Anywhere,
}

const MAX_CHARS: usize = 100;
const MAX_WORDS: usize = 10;

impl Words {
    /// The words in a text that somebody typed. Nothing in it has a meaning but letters and digits.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let text = one_line(text, MAX_CHARS).ok_or_else(|| "must have 1 to 100 characters in one line".to_owned())?;
        let words: Vec<_> = fold(&text).split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect();
        match words.len() {
            0 => Err("must have a letter or a digit".to_owned()),
            1..=MAX_WORDS => Ok(Self(words)),
            _ => Err("must have at most 10 words".to_owned()),
        }
    }

    /// The pets that have the words in any way.
    pub(super) fn anywhere(&self, engine: FullText) -> String {
        self.all(|word| engine.any(&["name", "breed", "bio"].map(|field| engine.beginning(field, word))), engine)
    }

    /// The pets that fit like this and no better.
    pub(super) fn fitting(&self, fit: Fit, engine: FullText) -> String {
        let name = self.all(|word| engine.word("name", word), engine);
        let prefix = || self.all(|word| engine.beginning("name", word), engine);
        match fit {
            Fit::Name => name,
            Fit::NamePrefix => engine.but_not(&prefix(), &name),
            Fit::Anywhere => engine.but_not(&self.anywhere(engine), &prefix()),
        }
    }

    fn all(&self, term: impl Fn(&str) -> String, engine: FullText) -> String {
        engine.all(&self.0.iter().map(|word| term(word)).collect::<Vec<_>>())
    }
}

impl Fit {
    pub(super) const ALL: [Self; 3] = [Self::Name, Self::NamePrefix, Self::Anywhere];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_is_words_and_never_syntax() {
        let words = Words::parse("\"Rex\" OR name:* (Löwe)' & !x").unwrap();
        assert_eq!(words.0, ["rex", "or", "name", "lowe", "x"]);
        for wrong in ["", "  ", "***", "🐶", "a b c d e f g h i j k", "a\nb", &"x".repeat(101)] {
            assert!(Words::parse(wrong).is_err(), "{wrong}");
        }
    }
}
