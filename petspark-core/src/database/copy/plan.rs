//! In which order tables are copied, and what becomes of each column.

use std::collections::BTreeSet;

use super::CopyError;
use super::row::Kind;
use crate::database::schema::Schema;
use crate::database::schema_lock::SchemaLock;
use crate::error::Fault;

/// A table to be copied.
pub(super) struct TablePlan {
    pub(super) table: String,
    pub(super) columns: Vec<(String, Kind)>,
    /// The places of the primary key's columns among `columns`, in the key's order.
    pub(super) key: Vec<usize>,
    /// There are triggers that must not fire: what they would do was done in the source.
    pub(super) has_triggers: bool,
}

impl TablePlan {
    pub(super) fn new(name: &str, source: &Schema, target: &Schema) -> Result<Self, CopyError> {
        let unfitting = |reason: String| CopyError::Unfitting { table: name.to_owned(), reason };
        let (Some(from), Some(to)) = (source.tables.get(name), target.tables.get(name)) else {
            return Err(unfitting("is only on one side".to_owned()));
        };
        let mut columns = Vec::new();
        for column in to.columns.iter().filter(|column| !column.generated) {
            if !from.columns.iter().any(|it| it.name == column.name) {
                return Err(unfitting(format!("the source has no column {}", column.name)));
            }
            let kind = Kind::of(&column.kind).ok_or_else(|| {
                unfitting(format!("column {} is {}, which can't be copied", column.name, column.kind))
            })?;
            columns.push((column.name.clone(), kind));
        }
        if let Some(lost) = from.columns.iter().find(|column| !columns.iter().any(|(name, _)| *name == column.name)) {
            return Err(unfitting(format!("the target has no column {}", lost.name)));
        }
        let place = |column: &String| columns.iter().position(|(name, _)| name == column);
        let key = from.key.iter().map(place).collect::<Option<Vec<_>>>().filter(|key| !key.is_empty());
        let key = key.ok_or_else(|| unfitting("has no primary key".to_owned()))?;
        Ok(Self { table: name.to_owned(), columns, key, has_triggers: !to.triggers.is_empty() })
    }

    /// The names of all columns, for SQL.
    pub(super) fn column_list(&self) -> String {
        self.columns.iter().map(|(name, _)| quoted(name)).collect::<Vec<_>>().join(", ")
    }
}

/// A name as both engines take it, whatever is in it.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// PetSpark's own tables so that whatever a row refers to comes before it; and the others.
pub(super) fn in_order(source: &Schema) -> Result<(Vec<String>, Vec<String>), CopyError> {
    let [(_, lock), _] = SchemaLock::all().map_err(|fault| CopyError::Fault { what: "nothing".to_owned(), fault })?;
    let is_real = |name: &&String| source.tables.get(*name).is_some_and(|table| !table.is_virtual);
    let (ours, left_out): (Vec<&String>, Vec<&String>) =
        source.tables.keys().filter(is_real).partition(|name| lock.has(name));
    let mut waiting: BTreeSet<&String> = ours.into_iter().collect();
    let mut order = Vec::new();
    while !waiting.is_empty() {
        let is_ready = |name: &&&String| {
            let keys = source.tables.get(**name).map(|table| &table.foreign_keys);
            keys.into_iter().flatten().all(|key| key.table == ***name || !waiting.contains(&key.table))
        };
        let Some(next) = waiting.iter().find(is_ready).copied() else {
            let fault = Fault::internal("tables refer to each other in a circle");
            return Err(CopyError::Fault { what: "nothing".to_owned(), fault });
        };
        waiting.remove(next);
        order.push(next.clone());
    }
    Ok((order, left_out.into_iter().cloned().collect()))
}
