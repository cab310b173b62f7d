//! What the schema of this build is, as it was read after running all migrations and written into
//! `migrations/schema.lock.json`, a fact a line; and how a live schema differs from it.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::schema::{Column, ForeignKey, Index, Schema, Table};
use super::{Database, Engine, text_enum};
use crate::error::Fault;

const FILE: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/schema.lock.json"));

/// The schema of one engine: tables by name. For people and for comparing; a test makes it anew.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SchemaLock(BTreeMap<String, Facts>);

/// What there is to say of a table: by name, in words.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Facts {
    columns: BTreeMap<String, String>,
    primary_key: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    indexes: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    foreign_keys: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    triggers: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct File {
    sqlite: SchemaLock,
    postgres: SchemaLock,
}

text_enum! {
    /// What a difference is about.
    pub enum DifferenceKind {
        /// A table isn't there.
        Table = "table",
        /// A column isn't there, is there too much, or of another type.
        Column = "column",
        /// A primary key.
        PrimaryKey = "primary_key",
        /// An index, unique or not.
        Index = "index",
        /// A foreign key, or one without an index.
        ForeignKey = "foreign_key",
        /// A trigger isn't there, or switched off.
        Trigger = "trigger",
    }
}

/// Something about a live schema that isn't as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// What it is about.
    pub kind: DifferenceKind,
    /// In which table.
    pub table: String,
    /// The column, index, key or trigger; empty for the table itself.
    pub name: String,
    /// What this build wants; `None` is that it isn't there.
    pub expected: Option<String>,
    /// What was found.
    pub found: Option<String>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.kind.as_str().replace('_', " ");
        match self.kind {
            DifferenceKind::Table => write!(f, "table {}", self.table)?,
            DifferenceKind::PrimaryKey => write!(f, "{kind} of {}", self.table)?,
            _ => write!(f, "{kind} {} of {}", self.name, self.table)?,
        }
        match (&self.expected, &self.found) {
            (Some(_), None) if self.kind == DifferenceKind::Table => write!(f, " is missing"),
            (Some(expected), None) => write!(f, " is missing ({expected})"),
            (None, Some(found)) => write!(f, " is none of ours ({found})"),
            (Some(expected), Some(found)) => write!(f, " is {found} instead of {expected}"),
            (None, None) => Ok(()),
        }
    }
}

impl SchemaLock {
    /// Those of both engines, by their names.
    ///
    /// # Errors
    /// As [`SchemaLock::of_build`].
    pub(super) fn all() -> Result<[(&'static str, Self); 2], Fault> {
        let file: File = serde_json::from_str(FILE).map_err(Fault::internal)?;
        Ok([("sqlite", file.sqlite), ("postgres", file.postgres)])
    }

    pub(super) fn has(&self, table: &str) -> bool {
        self.0.contains_key(table)
    }

    /// Unique indexes with another name than `{table}_{columns}_key`, and foreign keys that no
    /// index begins with: the rule, and what breaks it.
    pub(super) fn lint(&self) -> Vec<(&'static str, String)> {
        let mut broken = Vec::new();
        for (table, facts) in &self.0 {
            for (name, fact) in &facts.indexes {
                let columns = fact.strip_prefix("unique ").and_then(columns_of);
                if columns.is_some_and(|columns| *name != format!("{table}_{}_key", columns.replace(", ", "_"))) {
                    broken.push(("unique-name", format!("{name} on {table}")));
                }
            }
            for key in facts.foreign_keys.keys() {
                let begins = |columns: &str| columns == key || columns.starts_with(&format!("{key}, "));
                let indexed = facts.indexes.values().filter_map(|fact| columns_of(fact)).any(begins);
                if !indexed && !begins(&facts.primary_key) {
                    broken.push(("foreign-key-index", format!("{table} ({key})")));
                }
            }
        }
        broken
    }

    /// What this build's migrations make on that engine.
    ///
    /// # Errors
    /// Never in a build whose tests pass: the file is compiled in.
    pub(super) fn of_build(database: &Database) -> Result<Self, Fault> {
        let file: File = serde_json::from_str(FILE).map_err(Fault::internal)?;
        Ok(match database.engine() {
            Engine::Sqlite(_) => file.sqlite,
            Engine::Postgres(_) => file.postgres,
        })
    }
}

impl Schema {
    /// The same in words.
    pub(super) fn lock(&self) -> SchemaLock {
        SchemaLock(self.tables.iter().map(|(name, table)| (name.clone(), facts(table))).collect())
    }

    pub(super) fn differences(&self, expected: &SchemaLock) -> Vec<Difference> {
        let mut found = Vec::new();
        let live = self.lock();
        for (table, expected) in &expected.0 {
            match live.0.get(table) {
                Some(facts) => compare(table, expected, facts, &mut found),
                None => found.push(Difference {
                    kind: DifferenceKind::Table,
                    table: table.clone(),
                    name: String::new(),
                    expected: Some("a table".to_owned()),
                    found: None,
                }),
            }
        }
        let ours = |(table, _): &(&str, &ForeignKey)| expected.0.contains_key(*table);
        found.extend(self.unindexed_foreign_keys().into_iter().filter(ours).map(|(table, key)| Difference {
            kind: DifferenceKind::ForeignKey,
            table: table.to_owned(),
            name: key.columns.join(", "),
            expected: Some("indexed".to_owned()),
            found: Some("without an index".to_owned()),
        }));
        found
    }
}

fn compare(table: &str, expected: &Facts, found: &Facts, into: &mut Vec<Difference>) {
    let mut differ = |kind, name: &str, expected: Option<&String>, found: Option<&String>| {
        if expected != found {
            into.push(Difference {
                kind,
                table: table.to_owned(),
                name: name.to_owned(),
                expected: expected.cloned(),
                found: found.cloned(),
            });
        }
    };
    differ(DifferenceKind::PrimaryKey, "", Some(&expected.primary_key), Some(&found.primary_key));
    for (kind, expected, found) in [
        (DifferenceKind::Column, &expected.columns, &found.columns),
        (DifferenceKind::Index, &expected.indexes, &found.indexes),
        (DifferenceKind::ForeignKey, &expected.foreign_keys, &found.foreign_keys),
        (DifferenceKind::Trigger, &expected.triggers, &found.triggers),
    ] {
        for (name, fact) in expected {
            differ(kind, name, Some(fact), found.get(name));
        }
        for (name, fact) in found.iter().filter(|(name, _)| !expected.contains_key(*name)) {
            // Somebody's own index makes nothing wrong, a unique one or a trigger may.
            if kind != DifferenceKind::Index || fact.starts_with("unique") {
                differ(kind, name, None, Some(fact));
            }
        }
    }
}

fn facts(table: &Table) -> Facts {
    Facts {
        columns: table.columns.iter().map(|column| (column.name.clone(), column_fact(column))).collect(),
        primary_key: table.key.join(", "),
        indexes: table.indexes.iter().map(|(name, index)| (name.clone(), index_fact(index))).collect(),
        foreign_keys: table.foreign_keys.iter().map(|key| (key.columns.join(", "), foreign_key_fact(key))).collect(),
        triggers: table
            .triggers
            .iter()
            .map(|(name, fires)| (name.clone(), if *fires { "fires" } else { "switched off" }.to_owned()))
            .collect(),
    }
}

fn column_fact(column: &Column) -> String {
    let mut fact = column.kind.to_lowercase();
    for (is, word) in [(column.required, " required"), (column.generated, " generated"), (column.identity, " identity")]
    {
        if is {
            fact.push_str(word);
        }
    }
    fact.trim_start().to_owned()
}

fn index_fact(index: &Index) -> String {
    let mut fact = format!("{}({})", if index.unique { "unique " } else { "" }, index.columns.join(", "));
    if let Some(predicate) = &index.predicate {
        fact.push_str(" where ");
        fact.push_str(predicate);
    }
    if !index.valid {
        fact.push_str(", which is invalid: drop it and make it again");
    }
    fact
}

/// What stands in the parentheses of an index.
fn columns_of(fact: &str) -> Option<&str> {
    let rest = fact.strip_prefix("unique ").unwrap_or(fact).strip_prefix('(')?;
    rest.split_once(')').map(|(columns, _)| columns)
}

fn foreign_key_fact(key: &ForeignKey) -> String {
    let checked = if key.valid { "" } else { ", which was never validated" };
    format!("to {} ({}) on delete {}{checked}", key.table, key.referenced.join(", "), key.on_delete)
}
