//! What SQLite keeps of tables, indexes and triggers is their SQL, and its pragmas don't tell all that
//! stands in it: defaults, checks, `UNIQUE`, `COLLATE`, what a trigger does. Taken apart here, in one
//! spelling: comments, line breaks and capitals make no difference.

use std::collections::BTreeMap;

/// What the pragmas don't tell of a table.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Declared {
    /// By column.
    pub(super) columns: BTreeMap<String, String>,
    /// By name, and what has none is called as PostgreSQL calls such things.
    pub(super) constraints: BTreeMap<String, String>,
}

pub(super) fn table(name: &str, sql: &str) -> Declared {
    let tokens = tokens(sql);
    let (items, _) = items(&tokens);
    let mut declared = Declared::default();
    for item in items {
        let (constraint, rest) = named(item);
        match rest.first().map(String::as_str) {
            Some("check") => declared.constrain(constraint, format!("{name}_check"), rest),
            Some("unique") => declared.constrain(constraint, format!("{name}_key"), rest),
            Some("primary") if !is_plain_key(rest) => declared.constrain(constraint, format!("{name}_pkey"), rest),
            Some("foreign") if is_deferrable(rest) => declared.constrain(constraint, format!("{name}_fkey"), rest),
            // The pragmas know it.
            Some("primary" | "foreign") | None => {}
            Some(column) => declared.column(name, column, &rest[1..]),
        }
    }
    declared
}

impl Declared {
    fn constrain(&mut self, given: Option<&str>, name: String, tokens: &[String]) {
        let name = given.map_or(name, str::to_owned);
        let taken = |name: &String| self.constraints.contains_key(name);
        let free = (1..).map(|n| format!("{name}{n}")).find(|name| !taken(name));
        let name = if taken(&name) { free.unwrap_or_default() } else { name };
        self.constraints.insert(name, joined(tokens));
    }

    fn column(&mut self, table: &str, column: &str, tokens: &[String]) {
        let column = column.trim_matches(['"', '`', '[', ']']).to_lowercase();
        let mut details = Vec::new();
        for clause in clauses(tokens) {
            let (name, rest) = named(clause);
            let words: Vec<_> = rest.iter().map(String::as_str).collect();
            match words[..] {
                ["check", ..] => self.constrain(name, format!("{table}_{column}_check"), rest),
                // The pragmas know it.
                ["not", "null"] | ["null"] | ["primary", "key"] => {}
                ["references", ..] if !is_deferrable(rest) => {}
                _ => details.push(joined(rest)),
            }
        }
        self.columns.insert(column, details.join(" "));
    }
}

/// A column's constraints, behind its type.
fn clauses(tokens: &[String]) -> Vec<&[String]> {
    let (mut starts, mut depth) = (Vec::new(), 0);
    for (place, token) in tokens.iter().enumerate() {
        let before = |back: usize| place.checked_sub(back).and_then(|place| tokens.get(place)).map(String::as_str);
        let begins = match token.as_str() {
            "constraint" | "primary" | "unique" | "check" | "collate" | "references" | "generated" => true,
            "not" => tokens.get(place + 1).is_some_and(|next| next == "null"),
            "null" => !matches!(before(1), Some("not" | "set" | "default")),
            "default" => before(1) != Some("set"),
            "as" => before(1) != Some("always"),
            _ => false,
        };
        if begins && depth == 0 && before(2) != Some("constraint") {
            starts.push(place);
        }
        depth += i32::from(token == "(") - i32::from(token == ")");
    }
    let ends = starts.iter().skip(1).copied().chain([tokens.len()]);
    starts.iter().zip(ends).map(|(start, end)| &tokens[*start..end]).collect()
}

/// The name that a constraint was given, and the rest of it.
fn named(tokens: &[String]) -> (Option<&str>, &[String]) {
    match tokens {
        [first, name, rest @ ..] if first == "constraint" => (Some(name), rest),
        tokens => (None, tokens),
    }
}

fn is_deferrable(tokens: &[String]) -> bool {
    tokens.iter().any(|token| token == "deferrable")
}

/// Columns, and nothing about how they are compared or what is done on a conflict.
fn is_plain_key(tokens: &[String]) -> bool {
    let words = ["collate", "asc", "desc", "conflict"];
    !tokens.iter().any(|token| words.contains(&token.as_str()))
}

/// The columns or expressions of an index, and its condition.
pub(super) fn index(sql: &str) -> (Vec<String>, Option<String>) {
    let tokens = tokens(sql);
    let (items, rest) = items(&tokens);
    let condition = rest.strip_prefix(&["where".to_owned()]).map(joined);
    (items.into_iter().map(joined).collect(), condition)
}

/// When a trigger fires, and what it does then.
pub(super) fn trigger(sql: &str) -> (String, String) {
    let tokens = tokens(sql);
    let begin = tokens.iter().position(|token| token == "begin").unwrap_or(tokens.len());
    // Behind CREATE TRIGGER and its name.
    (joined(tokens.get(3..begin).unwrap_or_default()), joined(&tokens[begin..]))
}

/// By what a virtual table is kept.
pub(super) fn module(sql: &str) -> String {
    let tokens = tokens(sql);
    let using = tokens.iter().position(|token| token == "using").unwrap_or(tokens.len());
    joined(&tokens[using..])
}

/// What stands between the commas of the first parentheses, and what comes behind them.
fn items(tokens: &[String]) -> (Vec<&[String]>, &[String]) {
    let (mut items, mut depth, mut start) = (Vec::new(), 0, 0);
    for (place, token) in tokens.iter().enumerate() {
        match (token.as_str(), depth) {
            ("(", 0) => start = place + 1,
            (")", 1) => {
                items.push(&tokens[start..place]);
                return (items, &tokens[place + 1..]);
            }
            (",", 1) => {
                items.push(&tokens[start..place]);
                start = place + 1;
            }
            _ => {}
        }
        depth += i32::from(token == "(") - i32::from(token == ")");
    }
    (items, &[])
}

/// Words in small letters, texts as they are, parentheses and commas each for itself.
fn tokens(sql: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut rest = sql.trim_start();
    while let Some(c) = rest.chars().next() {
        let is_word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '$' | '.');
        let is_sign = |c: char| !is_word(c) && !c.is_whitespace() && !"(),;'\"`[".contains(c);
        let while_it = |is: &dyn Fn(char) -> bool| rest.find(|c: char| !is(c)).unwrap_or(rest.len());
        let length = match c {
            '-' if rest.starts_with("--") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |end| end + 2),
            '\'' | '"' | '`' => quoted(rest, c),
            '[' => rest.find(']').map_or(rest.len(), |end| end + 1),
            '(' | ')' | ',' | ';' => 1,
            c if is_word(c) => while_it(&is_word),
            _ => while_it(&is_sign),
        };
        let (token, behind) = rest.split_at(length);
        if !token.starts_with("--") && !token.starts_with("/*") {
            tokens.push(spelt(token));
        }
        rest = behind.trim_start();
    }
    tokens
}

/// How long a text in quotes is; two of them in a row are one inside.
fn quoted(text: &str, quote: char) -> usize {
    let mut from = 1;
    while let Some(end) = text[from..].find(quote) {
        from += end + 1;
        if !text[from..].starts_with(quote) {
            return from;
        }
        from += 1;
    }
    text.len()
}

/// A name in quotes that needs none is the name.
fn spelt(token: &str) -> String {
    let inside = token.strip_prefix(['"', '`', '[']).and_then(|rest| rest.strip_suffix(['"', '`', ']']));
    let needs_none = |name: &&str| {
        !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
    };
    match inside.filter(needs_none) {
        Some(name) => name.to_owned(),
        None if token.starts_with(['\'', '"', '`', '[']) => token.to_owned(),
        None => token.to_lowercase(),
    }
}

fn joined(tokens: &[String]) -> String {
    let mut text = String::new();
    for token in tokens {
        let is_close = matches!(token.as_str(), ")" | "," | ";") || text.ends_with('(') || text.is_empty();
        if !is_close {
            text.push(' ');
        }
        text.push_str(token);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_taken_apart_however_it_is_written() {
        let plain = table(
            "pets",
            "CREATE TABLE pets (id BLOB NOT NULL PRIMARY KEY, kind TEXT NOT NULL CHECK (kind IN ('Dog', 'it''s, a (cat')), \
             n INTEGER DEFAULT (1 + 2) COLLATE NOCASE, o BLOB REFERENCES users (id) ON DELETE SET NULL, \
             p BLOB CONSTRAINT c REFERENCES users DEFERRABLE, q AS (n * 2) STORED, CHECK (n <> 1), \
             CONSTRAINT odd CHECK (n>2), CHECK (n < 3), UNIQUE (n, o), PRIMARY KEY (n)) STRICT",
        );
        let columns = [
            ("id", ""),
            ("kind", ""),
            ("n", "default (1 + 2) collate nocase"),
            ("o", ""),
            ("p", "references users deferrable"),
            ("q", "as (n * 2) stored"),
        ];
        let constraints = [
            ("odd", "check (n > 2)"),
            ("pets_check", "check (n <> 1)"),
            ("pets_check1", "check (n < 3)"),
            ("pets_key", "unique (n, o)"),
            ("pets_kind_check", "check (kind in ('Dog', 'it''s, a (cat'))"),
        ];
        let owned = |pairs: &[(&str, &str)]| pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
        assert_eq!(plain, Declared { columns: owned(&columns), constraints: owned(&constraints) });
        let other =
            "CREATE TABLE \"t\"(\"a\" text -- so, (it is\n  not\tnull/* , */default 'A', [b] TEXT check(b  > 1))";
        let same = "CREATE TABLE t (a TEXT NOT NULL DEFAULT 'A', b text CHECK (b > 1))";
        assert_eq!(table("t", other), table("t", same));
    }

    #[test]
    fn indexes_triggers_and_virtual_tables_are_taken_apart() {
        let sql = "CREATE UNIQUE INDEX i ON t (a, lower(b) DESC)\n  WHERE a IS NOT NULL";
        let items = vec!["a".to_owned(), "lower (b) desc".to_owned()];
        assert_eq!(index(sql), (items, Some("a is not null".to_owned())));
        let sql = "CREATE TRIGGER g AFTER INSERT ON t WHEN NEW.a = 'BEGIN' BEGIN SELECT 1; END";
        assert_eq!(
            trigger(sql),
            ("after insert on t when new.a = 'BEGIN'".to_owned(), "begin select 1; end".to_owned())
        );
        assert_eq!(module("CREATE VIRTUAL TABLE s USING fts5(a, prefix = '1')"), "using fts5 (a, prefix = '1')");
    }
}
