//! What a database has, read from its catalogue: tables with their columns, keys, constraints, indexes
//! and triggers. PetSpark's own bookkeeping of migrations and copies is left out. What can't be wrong
//! with a schema is nobody's business here: owners, grants, comments, storage parameters.

mod catalogue;
mod declared;

use std::collections::BTreeMap;

use catalogue::{Catalogue, ColumnRow, ConstraintRow, ForeignKeyRow, IndexRow, TableRow, TriggerRow};
use declared::Declared;
use sqlx::{FromRow, query_as};

use super::{Database, Engine, on_writer};
use crate::error::Fault;

/// Tables by name.
#[derive(Debug, Default)]
pub(super) struct Schema {
    pub(super) tables: BTreeMap<String, Table>,
}

#[derive(Debug, Default)]
pub(super) struct Table {
    /// In the order of their declaration.
    pub(super) columns: Vec<Column>,
    /// The columns of the primary key, in its order.
    pub(super) key: Vec<String>,
    pub(super) indexes: BTreeMap<String, Index>,
    pub(super) foreign_keys: Vec<ForeignKey>,
    /// Checks and the like by name, as the engine writes them.
    pub(super) constraints: BTreeMap<String, String>,
    pub(super) triggers: BTreeMap<String, Trigger>,
    /// A virtual table: what is in it is made of other tables.
    pub(super) is_virtual: bool,
    /// What makes it another table than usual, in words.
    pub(super) options: String,
}

#[derive(Debug, FromRow)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) required: bool,
    /// The database computes it from others, and nobody writes it.
    pub(super) generated: bool,
    /// PostgreSQL counts it up.
    pub(super) identity: bool,
    /// Its default, collation and the like, in words. SQLite has them in the SQL of its tables.
    pub(super) details: String,
}

#[derive(Debug)]
pub(super) struct Index {
    pub(super) columns: Vec<String>,
    pub(super) unique: bool,
    pub(super) predicate: Option<String>,
    /// Neither unfinished (`CREATE INDEX CONCURRENTLY` that failed) nor damaged.
    pub(super) valid: bool,
    /// What makes it another index than usual, in words.
    pub(super) options: Vec<String>,
}

#[derive(Debug)]
pub(super) struct ForeignKey {
    /// On SQLite a number.
    pub(super) name: String,
    pub(super) columns: Vec<String>,
    pub(super) table: String,
    pub(super) referenced: Vec<String>,
    pub(super) on_delete: String,
    /// What else there is, in words.
    pub(super) options: String,
    pub(super) valid: bool,
}

#[derive(Debug, FromRow)]
pub(super) struct Trigger {
    pub(super) fires: bool,
    /// When it fires and, on PostgreSQL, the function that it runs.
    pub(super) definition: String,
    /// What it does.
    pub(super) body: String,
}

impl Schema {
    pub(super) async fn read(db: &Database) -> Result<Self, Fault> {
        let catalogue = Catalogue::of(db.engine());
        let is_sqlite = matches!(db.engine(), Engine::Sqlite(_));
        let (mut schema, mut declared) = (Self::default(), BTreeMap::new());
        let tables: Vec<TableRow> = on_writer!(db, pool => query_as(catalogue.tables).fetch_all(pool).await)?;
        for row in tables.into_iter().filter(|row| !row.table_name.starts_with("petspark_")) {
            let sql = row.declared.unwrap_or_default();
            let options = if row.is_virtual { declared::module(&sql) } else { row.options };
            let Declared { columns, constraints } = declared::table(&row.table_name, &sql);
            declared.insert(row.table_name.clone(), columns);
            let table = Table { is_virtual: row.is_virtual, options, constraints, ..Table::default() };
            schema.tables.insert(row.table_name, table);
        }
        let columns: Vec<ColumnRow> = on_writer!(db, pool => query_as(catalogue.columns).fetch_all(pool).await)?;
        schema.add_columns(columns, &declared);
        let indexes: Vec<IndexRow> = on_writer!(db, pool => query_as(catalogue.indexes).fetch_all(pool).await)?;
        schema.add_indexes(indexes);
        let keys: Vec<ForeignKeyRow> = on_writer!(db, pool => query_as(catalogue.foreign_keys).fetch_all(pool).await)?;
        schema.add_foreign_keys(keys);
        let triggers: Vec<TriggerRow> = on_writer!(db, pool => query_as(catalogue.triggers).fetch_all(pool).await)?;
        for row in triggers {
            let Some(table) = schema.tables.get_mut(&row.table_name) else { continue };
            let TriggerRow { name, mut trigger, .. } = row;
            if is_sqlite {
                (trigger.definition, trigger.body) = declared::trigger(&trigger.definition);
            } else if let Some(rest) = trigger.definition.strip_prefix(&format!("CREATE TRIGGER {name} ")) {
                // Without what says that it is one, and its name.
                trigger.definition = rest.to_owned();
            }
            table.triggers.insert(name, trigger);
        }
        if let Some(constraints) = catalogue.constraints {
            let rows: Vec<ConstraintRow> = on_writer!(db, pool => query_as(constraints).fetch_all(pool).await)?;
            for row in rows {
                if let Some(table) = schema.tables.get_mut(&row.table_name) {
                    table.constraints.insert(row.name, row.definition);
                }
            }
        }
        Ok(schema)
    }

    fn add_columns(&mut self, rows: Vec<ColumnRow>, declared: &BTreeMap<String, BTreeMap<String, String>>) {
        let mut keys: BTreeMap<String, BTreeMap<i64, String>> = BTreeMap::new();
        for row in rows {
            let Some(table) = self.tables.get_mut(&row.table_name) else { continue };
            let columns = declared.get(&row.table_name);
            let mut column = row.column;
            if row.place_in_key > 0 {
                keys.entry(row.table_name).or_default().insert(row.place_in_key, column.name.clone());
            }
            if let Some(details) = columns.and_then(|columns| columns.get(&column.name.to_lowercase())) {
                column.details.clone_from(details);
            }
            table.columns.push(column);
        }
        for (name, key) in keys {
            if let Some(table) = self.tables.get_mut(&name) {
                table.key = key.into_values().collect();
            }
        }
    }

    fn add_indexes(&mut self, rows: Vec<IndexRow>) {
        for row in rows {
            let Some(table) = self.tables.get_mut(&row.table_name) else { continue };
            let (mut texts, condition) = row.declared.as_deref().map(declared::index).unwrap_or_default();
            let index = table.indexes.entry(row.name).or_insert_with(|| Index {
                columns: Vec::new(),
                unique: row.is_unique,
                predicate: row.predicate.or(condition),
                valid: row.valid,
                options: Some(row.options).filter(|options| !options.is_empty()).into_iter().collect(),
            });
            // SQLite has a name for a column, and for an expression only what was written.
            let place = index.columns.len();
            let column =
                row.column_name.unwrap_or_else(|| texts.get_mut(place).map(std::mem::take).unwrap_or_default());
            match (row.is_key, row.how.as_str()) {
                (false, _) => index.options.push(format!("with {column}")),
                (true, "") => index.columns.push(column),
                (true, how) => {
                    index.options.push(format!("{column} {how}"));
                    index.columns.push(column);
                }
            }
        }
    }

    fn add_foreign_keys(&mut self, rows: Vec<ForeignKeyRow>) {
        for row in rows {
            let Some(table) = self.tables.get_mut(&row.table_name) else { continue };
            if table.foreign_keys.last().is_none_or(|key| key.name != row.name) {
                table.foreign_keys.push(ForeignKey {
                    name: row.name,
                    columns: Vec::new(),
                    table: row.referenced_table,
                    referenced: Vec::new(),
                    on_delete: row.on_delete,
                    options: row.options,
                    valid: row.valid,
                });
            }
            if let Some(key) = table.foreign_keys.last_mut() {
                key.columns.push(row.column_name);
                key.referenced.push(row.referenced_column);
            }
        }
    }

    /// Foreign keys that no index and no primary key begins with: deleting what they refer to
    /// would read the whole table.
    pub(super) fn unindexed_foreign_keys(&self) -> Vec<(&str, &ForeignKey)> {
        let mut found = Vec::new();
        for (name, table) in &self.tables {
            for key in &table.foreign_keys {
                let indexed = table
                    .indexes
                    .values()
                    .map(|index| &index.columns)
                    .chain([&table.key])
                    .any(|columns| columns.starts_with(&key.columns));
                if !indexed {
                    found.push((name.as_str(), key));
                }
            }
        }
        found
    }
}
