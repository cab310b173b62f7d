//! What imports of every kind say of lines that can't be taken.

use serde::Serialize;

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LineProblem {
    /// Which, counted from 1.
    pub line: u64,
    /// What, for a person. Nothing of the line itself.
    pub problem: String,
}

/// serde's message without the value that it is about: that may be a hash.
pub(crate) fn explain(error: &serde_json::Error) -> String {
    if !error.is_data() {
        return format!("is not valid JSON (column {})", error.column());
    }
    let message = error.to_string();
    let message = message.rsplit_once(" at line ").map_or(message.as_str(), |(message, _)| message);
    match message.rsplit_once(", expected ") {
        Some((_, expected)) if !message.starts_with("unknown field") => format!("a field must be {expected}"),
        _ => message.to_owned(),
    }
}
