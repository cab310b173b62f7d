//! Rules for text that people type, shared by every field that holds some, and the form in which
//! such text is compared and searched.

use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::{canonical_combining_class, is_combining_mark};

/// `text` without white space around it, if that leaves 1 to `max_chars` characters and no
/// control characters: they forge log lines and break tables.
pub(crate) fn one_line(text: &str, max_chars: usize) -> Option<String> {
    let text = text.trim();
    let ok = !text.is_empty() && text.chars().count() <= max_chars && !text.chars().any(is_unsafe);
    ok.then(|| text.to_owned())
}

/// The same for text of several lines.
pub(crate) fn paragraphs(text: &str, max_chars: usize) -> Option<String> {
    let text = text.trim();
    let ok =
        text.chars().count() <= max_chars && !text.chars().any(|c| is_unsafe(c) && !matches!(c, '\n' | '\r' | '\t'));
    ok.then(|| text.to_owned())
}

/// Control characters and those that turn the direction of what follows (CVE-2021-42574).
fn is_unsafe(c: char) -> bool {
    c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// What is behind so many bytes of a word isn't searched: PostgreSQL's tsvector stores 2,046 of a
/// word, and takes any number without a complaint. Some languages write whole texts without a space.
const MAX_WORD: usize = 512;

/// Two hexadecimal digits a byte.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The words of a text as they are searched: lower case, without accents, apart by one space, and
/// nothing else. Both engines get the same words, however they would have split the text.
pub(crate) fn fold(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    let mut word = 0;
    for c in text.nfkd().filter(|c| !is_accent(*c)).flat_map(char::to_lowercase) {
        let mut buffer = [0; 4];
        let letters = match plain_letters(c) {
            Some(letters) => letters,
            None if c.is_alphanumeric() || is_combining_mark(c) => c.encode_utf8(&mut buffer),
            None => "",
        };
        if letters.is_empty() {
            if folded.len() > word {
                folded.push(' ');
                word = folded.len();
            }
        } else if folded.len() - word + letters.len() <= MAX_WORD {
            folded.push_str(letters);
        }
    }
    folded.truncate(folded.trim_end().len());
    folded
}

/// Marks that a reader can do without: Latin, Greek and Cyrillic accents, Hebrew and Arabic vowel
/// points, by their canonical combining class (Unicode Standard Annex 44, table 15). Vowel signs
/// of other scripts are part of the word.
fn is_accent(c: char) -> bool {
    matches!(canonical_combining_class(c), 10..=36 | 200..=240)
}

/// Letters that no normalization form takes apart, and that people type without.
fn plain_letters(c: char) -> Option<&'static str> {
    Some(match c {
        'ß' => "ss",
        'æ' => "ae",
        'œ' => "oe",
        'ø' => "o",
        'ł' => "l",
        'đ' | 'ð' => "d",
        'þ' => "th",
        'ı' => "i",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_searched_without_case_accents_and_punctuation() {
        for (text, folded) in [
            ("  Löwchen ", "lowchen"),
            ("Golden   RETRIEVER", "golden retriever"),
            ("Rex-Max: \"good\" OR* (dog)", "rex max good or dog"),
            ("ÉCOLE é e\u{301}", "ecole e e"),
            ("Straße Ærø Łódź İstanbul", "strasse aero lodz istanbul"),
            ("ＡＢＣ ﬁt 2½", "abc fit 21 2"),
            ("كَلْب שָׁלוֹם", "كلب שלום"),
            ("हिन्दी", "हिन्दी"),
            ("🐶 ... !", ""),
        ] {
            assert_eq!(fold(text), folded, "{text}");
        }
    }

    #[test]
    fn of_a_word_without_end_the_beginning_is_searched() {
        let thai = "ก".repeat(1000);
        assert_eq!(fold(&format!("x {thai} y")), format!("x {} y", "ก".repeat(170)));
        assert!(fold(&thai).starts_with(&fold(&thai[..300])));
    }

    #[test]
    fn text_is_trimmed_counted_in_characters_and_free_of_control_characters() {
        assert_eq!(one_line("  Rex ", 3).as_deref(), Some("Rex"));
        assert_eq!(one_line("日本語", 3).as_deref(), Some("日本語"));
        assert_eq!(one_line("Rexy", 3), None);
        assert_eq!(one_line(" \t ", 3), None);
        assert_eq!(one_line("a\nb", 3), None);
        assert_eq!(one_line("a\u{202e}b", 3), None);
        assert_eq!(paragraphs("a\nb", 3).as_deref(), Some("a\nb"));
        assert_eq!(paragraphs("a\0b", 3), None);
    }
}
