//! Rules for text that people type, shared by every field that holds some.

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

/// The form in which names are compared: lower case, inner white space as one space.
pub(crate) fn comparison_key(text: &str) -> String {
    text.split_whitespace().map(str::to_lowercase).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(comparison_key("  Golden   RETRIEVER "), "golden retriever");
    }
}
