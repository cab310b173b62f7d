//! What one statement locks on PostgreSQL, by "Explicit Locking" and the pages of the commands in its
//! documentation, and by trying: a test holds every kind against `pg_locks`. What a statement brings about
//! (triggers that write elsewhere, foreign keys looked up when rows are written, `DROP FUNCTION ... CASCADE`)
//! isn't known from its SQL; the test over all migrations would find it.

use std::collections::{BTreeMap, BTreeSet};

use super::LockClass;
use LockClass::{AccessExclusive, AccessShare, RowExclusive, RowShare, Share, ShareRowExclusive, ShareUpdateExclusive};

/// What a statement locks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Locked {
    Table(String, LockClass),
    /// The table of an index.
    TableOf(String, LockClass),
    /// What the foreign keys of a table refer to: that one of this name or of this column, or all.
    ReferredBy(String, Option<String>, LockClass),
    /// What refers to a table, or to this column of it.
    Referring(String, Option<String>, LockClass),
}

/// What migrations have made until now: tables, and whose the indexes and triggers are.
#[derive(Debug, Default)]
pub(super) struct Made {
    pub(super) tables: BTreeSet<String>,
    indexes: BTreeMap<String, String>,
    triggers: BTreeMap<String, String>,
}

impl Made {
    /// Of a statement in capitals, with one space wherever it had any.
    pub(super) fn note(&mut self, text: &str) {
        let Some((what, rest)) = text.strip_prefix("CREATE ").map(without_adjectives).and_then(|it| it.split_once(' '))
        else {
            return;
        };
        let name = name_in(rest.strip_prefix("CONCURRENTLY ").unwrap_or(rest));
        match what {
            "TABLE" => drop(self.tables.insert(name)),
            "INDEX" => drop(self.indexes.insert(name, behind_on(rest))),
            "TRIGGER" => drop(self.triggers.insert(name, behind_on(rest))),
            _ => {}
        }
    }

    /// What a statement locks.
    pub(super) fn locked(&self, text: &str) -> Vec<Locked> {
        let mut found = self.written(text);
        // What is read is locked against being changed or dropped, wherever it stands in the statement.
        let begins = |words: &[&str]| words.iter().any(|word| text.starts_with(word));
        let reads = begins(&["INSERT ", "UPDATE ", "DELETE ", "MERGE ", "SELECT ", "WITH ", "COPY "])
            || (begins(&["CREATE TABLE ", "CREATE VIEW ", "CREATE MATERIALIZED VIEW "])
                && [" SELECT ", "(LIKE "].iter().any(|word| text.contains(word)));
        if reads {
            let words = text.split(|c: char| !c.is_alphanumeric() && c != '_');
            let tables = words.filter(|word| self.tables.contains(*word)).collect::<BTreeSet<_>>();
            found.extend(tables.into_iter().map(|table| Locked::Table(table.to_owned(), AccessShare)));
        }
        found.retain(|it| !matches!(it, Locked::Table(table, _) if table.is_empty()));
        found
    }

    fn written(&self, text: &str) -> Vec<Locked> {
        let after = |words: &str| text.strip_prefix(words);
        let table = |table, lock| vec![Locked::Table(table, lock)];
        if let Some(rest) = after("ALTER TABLE ") {
            return altered(rest);
        }
        if let Some(rest) = after("DROP TABLE ") {
            let cascade = if rest.ends_with(" CASCADE") { Some(AccessExclusive) } else { None };
            let dropped = |name: String| {
                let refers = Locked::ReferredBy(name.clone(), None, AccessExclusive);
                let referring = cascade.map(|lock| Locked::Referring(name.clone(), None, lock));
                [Locked::Table(name, AccessExclusive), refers].into_iter().chain(referring)
            };
            return names_in(rest).flat_map(dropped).collect();
        }
        if let Some(rest) = after("TRUNCATE ") {
            let all = names_in(rest).map(|name| Locked::Table(name, AccessExclusive));
            let referring = names_in(rest).map(|name| Locked::Referring(name, None, AccessExclusive));
            return all.chain(referring.filter(|_| rest.ends_with(" CASCADE"))).collect();
        }
        if let Some(rest) = after("DROP INDEX ") {
            let (rest, lock) = match rest.strip_prefix("CONCURRENTLY ") {
                Some(rest) => (rest, ShareUpdateExclusive),
                None => (rest, AccessExclusive),
            };
            return names_in(rest).map(|name| self.table_of(name, lock)).collect();
        }
        if let Some(rest) = after("DROP TRIGGER ") {
            // SQLite doesn't say on which table.
            let on = self.triggers.get(&name_in(rest)).cloned();
            return table(
                if rest.contains(" ON ") { behind_on(rest) } else { on.unwrap_or_default() },
                AccessExclusive,
            );
        }
        if let Some(rest) = after("CREATE ").map(without_adjectives) {
            return created(rest);
        }
        for words in ["DROP RULE ", "DROP POLICY ", "ALTER TRIGGER ", "ALTER POLICY ", "ALTER RULE "] {
            if let Some(rest) = after(words) {
                return table(behind_on(rest), AccessExclusive);
            }
        }
        for (words, lock) in [
            ("LOCK ", AccessExclusive),
            ("CLUSTER ", AccessExclusive),
            ("REINDEX ", AccessExclusive),
            ("ANALYZE ", ShareUpdateExclusive),
            ("COMMENT ON TABLE ", ShareUpdateExclusive),
            ("COMMENT ON COLUMN ", ShareUpdateExclusive),
            ("INSERT INTO ", RowExclusive),
            ("UPDATE ", RowExclusive),
            ("DELETE FROM ", RowExclusive),
            ("MERGE INTO ", RowExclusive),
            ("COPY ", RowExclusive),
        ] {
            if let Some(rest) = after(words) {
                let rest = rest.strip_prefix("INDEX ").unwrap_or(rest);
                let name = name_of(words, rest);
                return match words {
                    "REINDEX " if !self.tables.contains(&name) => vec![self.table_of(name, lock)],
                    _ => table(name, lock),
                };
            }
        }
        // What is written in the parts of a WITH.
        let parts = ["INSERT INTO ", "UPDATE ", "DELETE FROM "];
        let part = |words: &&str| text.split(*words).skip(1).map(name_in).collect::<Vec<_>>();
        match after("WITH ") {
            Some(_) => {
                let tables = parts.iter().flat_map(part).filter(|name| self.tables.contains(name));
                tables.map(|name| Locked::Table(name, RowExclusive)).collect()
            }
            None => Vec::new(),
        }
    }

    fn table_of(&self, index: String, lock: LockClass) -> Locked {
        match self.indexes.get(&index) {
            Some(table) => Locked::Table(table.clone(), lock),
            None => Locked::TableOf(index, lock),
        }
    }
}

fn created(rest: &str) -> Vec<Locked> {
    let lock = match rest.split_once(' ') {
        Some(("INDEX", rest)) if rest.starts_with("CONCURRENTLY ") => ShareUpdateExclusive,
        Some(("INDEX", _)) => Share,
        Some(("TRIGGER", _)) => ShareRowExclusive,
        Some(("RULE" | "POLICY", _)) => AccessExclusive,
        Some(("STATISTICS", rest)) => {
            let from = rest.split_once(" FROM ").map(|(_, rest)| name_in(rest));
            return vec![Locked::Table(from.unwrap_or_default(), ShareUpdateExclusive)];
        }
        Some(("TABLE", rest)) => return referenced(rest),
        _ => return Vec::new(),
    };
    let on = if rest.starts_with("RULE ") { rest.split_once(" TO ").map(|(_, rest)| name_in(rest)) } else { None };
    vec![Locked::Table(on.unwrap_or_else(|| behind_on(rest)), lock)]
}

/// `ALTER TABLE` by its actions: the strongest of them counts.
fn altered(rest: &str) -> Vec<Locked> {
    let rest = ["IF EXISTS ", "ONLY "].iter().fold(rest, |rest, word| rest.strip_prefix(word).unwrap_or(rest));
    let (table, actions) = rest.split_once(' ').unwrap_or((rest, ""));
    let table = name_in(table);
    let (mut lock, mut found) = (AccessShare, referenced(actions));
    for action in split(actions) {
        let words: Vec<_> = action.split(' ').collect();
        let refers = |name: &str, lock| Locked::ReferredBy(table.clone(), Some(name_in(name)), lock);
        lock = lock.max(match words[..] {
            ["VALIDATE", "CONSTRAINT", name, ..] => {
                found.push(refers(name, RowShare));
                ShareUpdateExclusive
            }
            ["ADD", "FOREIGN", "KEY", ..] | ["ADD", "CONSTRAINT", _, "FOREIGN", "KEY", ..] => ShareRowExclusive,
            ["ENABLE" | "DISABLE", "TRIGGER", ..] => ShareRowExclusive,
            ["ALTER", "COLUMN", _, "SET", "STATISTICS", ..] | ["ALTER", _, "SET", "STATISTICS", ..] => {
                ShareUpdateExclusive
            }
            ["DROP", "CONSTRAINT" | "COLUMN", "IF", "EXISTS", name, ..]
            | ["DROP", "CONSTRAINT" | "COLUMN", name, ..]
            | ["DROP", name, ..] => {
                found.push(refers(name, AccessExclusive));
                AccessExclusive
            }
            // Its foreign keys, and those that refer to it, are made anew.
            ["ALTER", "COLUMN", name, "TYPE", ..]
            | ["ALTER", "COLUMN", name, "SET", "DATA", ..]
            | ["ALTER", name, "TYPE", ..]
            | ["ALTER", name, "SET", "DATA", ..] => {
                found.push(refers(name, AccessExclusive));
                found.push(Locked::Referring(table.clone(), Some(name_in(name)), AccessExclusive));
                AccessExclusive
            }
            _ => AccessExclusive,
        });
    }
    // Dropping a key or what it is over, by which others refer to it.
    if actions.ends_with(" CASCADE") {
        found.push(Locked::Referring(table.clone(), None, AccessExclusive));
    }
    found.push(Locked::Table(table, lock));
    found
}

/// What a new foreign key refers to gets triggers.
fn referenced(text: &str) -> Vec<Locked> {
    text.split(" REFERENCES ").skip(1).map(|rest| Locked::Table(name_in(rest), ShareRowExclusive)).collect()
}

/// At the commas that aren't in parentheses.
fn split(text: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0, 0);
    for (place, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(text[start..place].trim());
                start = place + 1;
            }
            _ => {}
        }
    }
    parts.push(text[start..].trim());
    parts
}

fn without_adjectives(rest: &str) -> &str {
    ["OR REPLACE ", "UNIQUE ", "CONSTRAINT ", "UNLOGGED ", "VIRTUAL "]
        .iter()
        .fold(rest, |rest, word| rest.strip_prefix(word).unwrap_or(rest))
}

fn behind_on(text: &str) -> String {
    text.split_once(" ON ").map(|(_, rest)| name_in(rest)).unwrap_or_default()
}

/// A column's is its table's.
fn name_of(words: &str, rest: &str) -> String {
    let table = if words.ends_with("COLUMN ") { rest.rsplit_once('.').map(|(table, _)| table) } else { None };
    name_in(table.map_or(rest, |table| table.split(' ').next_back().unwrap_or(table)))
}

/// The names of a list, without what may stand around them.
fn names_in(rest: &str) -> impl Iterator<Item = String> {
    let list = rest.split(" CASCADE").next().unwrap_or(rest);
    list.split(',').map(|name| name_in(name.trim()))
}

/// The name that a text begins with, without the schema that it is in.
fn name_in(rest: &str) -> String {
    let rest = ["TABLE ", "IF EXISTS ", "IF NOT EXISTS ", "ONLY "]
        .iter()
        .fold(rest, |rest, word| rest.strip_prefix(word).unwrap_or(rest));
    let name = rest.split([' ', '(', ')', ',', ';']).next().unwrap_or_default();
    name.rsplit('.').next().unwrap_or(name).trim_matches('"').to_owned()
}
