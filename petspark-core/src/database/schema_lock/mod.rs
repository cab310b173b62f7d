//! What the schema of this build is, as it was read after running all migrations and written into
//! `migrations/schema.lock.json`, a fact a line; and how a live schema differs from it.

mod difference;
mod facts;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use difference::{Difference, DifferenceKind};
use facts::{Facts, columns_of};

use super::schema::{ForeignKey, Schema};
use super::{Database, Engine};
use crate::error::Fault;

const FILE: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/schema.lock.json"));

/// The schema of one engine: tables by name. For people and for comparing; a test makes it anew.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SchemaLock(BTreeMap<String, Facts>);

#[derive(Deserialize)]
struct File {
    sqlite: SchemaLock,
    postgres: SchemaLock,
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
        SchemaLock(self.tables.iter().map(|(name, table)| (name.clone(), Facts::of(table))).collect())
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
    differ(DifferenceKind::Table, "", Some(&expected.kind()), Some(&found.kind()));
    differ(DifferenceKind::PrimaryKey, "", Some(&expected.primary_key), Some(&found.primary_key));
    for (kind, expected, found) in [
        (DifferenceKind::Column, &expected.columns, &found.columns),
        (DifferenceKind::Constraint, &expected.constraints, &found.constraints),
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
    // That one isn't there was told.
    for (name, fact) in &expected.actions {
        if let Some(other) = found.actions.get(name).filter(|other| *other != fact) {
            let [fact, other] = facts::apart(fact, other);
            differ(DifferenceKind::Trigger, name, Some(&fact), Some(&other));
        }
    }
}
