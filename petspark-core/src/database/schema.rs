//! What a database has, read from its catalogue: tables with their columns, keys, indexes and
//! triggers. PetSpark's own bookkeeping of migrations and copies is left out.

use std::collections::BTreeMap;

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
    /// Names, each with whether it fires.
    pub(super) triggers: BTreeMap<String, bool>,
    /// A virtual table: what is in it is made of other tables.
    pub(super) is_virtual: bool,
}

#[derive(Debug)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) required: bool,
    /// PostgreSQL computes it from others, and nobody writes it.
    pub(super) generated: bool,
    /// PostgreSQL counts it up.
    pub(super) identity: bool,
}

#[derive(Debug)]
pub(super) struct Index {
    pub(super) columns: Vec<String>,
    pub(super) unique: bool,
    pub(super) predicate: Option<String>,
    /// Neither unfinished (`CREATE INDEX CONCURRENTLY` that failed) nor damaged.
    pub(super) valid: bool,
}

#[derive(Debug)]
pub(super) struct ForeignKey {
    pub(super) columns: Vec<String>,
    pub(super) table: String,
    pub(super) referenced: Vec<String>,
    pub(super) on_delete: String,
    pub(super) valid: bool,
}

#[derive(FromRow)]
struct TableRow {
    table_name: String,
    is_virtual: bool,
}

#[derive(FromRow)]
struct ColumnRow {
    table_name: String,
    name: String,
    kind: String,
    required: bool,
    generated: bool,
    identity: bool,
    /// From 1; 0 for none.
    place_in_key: i64,
}

/// One column of an index, or of a foreign key.
#[derive(FromRow)]
struct IndexRow {
    table_name: String,
    name: String,
    column_name: String,
    is_unique: bool,
    predicate: Option<String>,
    valid: bool,
}

#[derive(FromRow)]
struct ForeignKeyRow {
    table_name: String,
    name: String,
    column_name: String,
    referenced_table: String,
    referenced_column: String,
    on_delete: String,
    valid: bool,
}

#[derive(FromRow)]
struct TriggerRow {
    table_name: String,
    name: String,
    fires: bool,
}

struct Catalogue {
    tables: &'static str,
    columns: &'static str,
    indexes: &'static str,
    foreign_keys: &'static str,
    triggers: &'static str,
}

const SQLITE: Catalogue = Catalogue {
    tables: "SELECT name AS table_name, type = 'virtual' AS is_virtual FROM pragma_table_list \
         WHERE schema = 'main' AND type IN ('table', 'virtual') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'",
    columns: "SELECT t.name AS table_name, c.name, c.type AS kind, c.\"notnull\" AS required, 0 AS generated, \
            0 AS identity, c.pk AS place_in_key \
         FROM pragma_table_list t, pragma_table_info(t.name) c \
         WHERE t.schema = 'main' AND t.type IN ('table', 'virtual') ORDER BY t.name, c.cid",
    indexes: "SELECT t.name AS table_name, i.name, coalesce(c.name, 'expression') AS column_name, \
            i.\"unique\" AS is_unique, \
            CASE WHEN i.partial THEN substr(s.sql, instr(s.sql, ' WHERE ') + 7) END AS predicate, 1 AS valid \
         FROM pragma_table_list t, pragma_index_list(t.name) i, pragma_index_xinfo(i.name) c, sqlite_schema s \
         WHERE t.schema = 'main' AND t.type = 'table' AND i.origin = 'c' AND c.key = 1 AND s.name = i.name \
         ORDER BY t.name, i.name, c.seqno",
    foreign_keys: "SELECT t.name AS table_name, CAST(f.id AS TEXT) AS name, f.\"from\" AS column_name, \
            f.\"table\" AS referenced_table, coalesce(f.\"to\", '') AS referenced_column, \
            lower(f.on_delete) AS on_delete, 1 AS valid \
         FROM pragma_table_list t, pragma_foreign_key_list(t.name) f \
         WHERE t.schema = 'main' AND t.type = 'table' ORDER BY t.name, f.id, f.seq",
    triggers: "SELECT tbl_name AS table_name, name, 1 AS fires FROM sqlite_schema WHERE type = 'trigger'",
};

const POSTGRES: Catalogue = Catalogue {
    tables: "SELECT relname::text AS table_name, false AS is_virtual FROM pg_class \
         WHERE relkind IN ('r', 'p') AND relnamespace = current_schema()::regnamespace",
    columns: "SELECT t.relname::text AS table_name, a.attname::text AS name, format_type(a.atttypid, a.atttypmod) AS kind, \
            a.attnotnull AS required, a.attgenerated <> '' AS generated, a.attidentity <> '' AS identity, \
            coalesce(array_position(k.conkey, a.attnum), 0)::bigint AS place_in_key \
         FROM pg_attribute a JOIN pg_class t ON t.oid = a.attrelid \
         LEFT JOIN pg_constraint k ON k.conrelid = t.oid AND k.contype = 'p' \
         WHERE t.relkind IN ('r', 'p') AND t.relnamespace = current_schema()::regnamespace \
            AND a.attnum > 0 AND NOT a.attisdropped ORDER BY t.relname, a.attnum",
    indexes: "SELECT t.relname::text AS table_name, i.relname::text AS name, \
            pg_get_indexdef(x.indexrelid, k.n, true) AS column_name, x.indisunique AS is_unique, \
            pg_get_expr(x.indpred, x.indrelid) AS predicate, x.indisvalid AS valid \
         FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class t ON t.oid = x.indrelid, \
            generate_series(1, x.indnkeyatts::int) AS k(n) \
         WHERE t.relnamespace = current_schema()::regnamespace AND NOT x.indisprimary \
         ORDER BY t.relname, i.relname, k.n",
    foreign_keys: "SELECT t.relname::text AS table_name, c.conname::text AS name, a.attname::text AS column_name, \
            r.relname::text AS referenced_table, b.attname::text AS referenced_column, \
            CASE c.confdeltype WHEN 'c' THEN 'cascade' WHEN 'n' THEN 'set null' WHEN 'd' THEN 'set default' \
                WHEN 'r' THEN 'restrict' ELSE 'no action' END AS on_delete, c.convalidated AS valid \
         FROM pg_constraint c JOIN pg_class t ON t.oid = c.conrelid JOIN pg_class r ON r.oid = c.confrelid, \
            unnest(c.conkey, c.confkey) WITH ORDINALITY AS k(here, there, n), pg_attribute a, pg_attribute b \
         WHERE c.contype = 'f' AND t.relnamespace = current_schema()::regnamespace \
            AND a.attrelid = t.oid AND a.attnum = k.here AND b.attrelid = r.oid AND b.attnum = k.there \
         ORDER BY t.relname, c.conname, k.n",
    triggers: "SELECT t.relname::text AS table_name, g.tgname::text AS name, g.tgenabled IN ('O', 'A') AS fires \
         FROM pg_trigger g JOIN pg_class t ON t.oid = g.tgrelid \
         WHERE NOT g.tgisinternal AND t.relnamespace = current_schema()::regnamespace",
};

impl Schema {
    pub(super) async fn read(db: &Database) -> Result<Self, Fault> {
        let catalogue = match db.engine() {
            Engine::Sqlite(_) => SQLITE,
            Engine::Postgres(_) => POSTGRES,
        };
        let mut schema = Self::default();
        let tables: Vec<TableRow> = on_writer!(db, pool => query_as(catalogue.tables).fetch_all(pool).await)?;
        for row in tables.into_iter().filter(|row| !row.table_name.starts_with("petspark_")) {
            schema.tables.insert(row.table_name, Table { is_virtual: row.is_virtual, ..Table::default() });
        }
        let columns: Vec<ColumnRow> = on_writer!(db, pool => query_as(catalogue.columns).fetch_all(pool).await)?;
        schema.add_columns(columns);
        let indexes: Vec<IndexRow> = on_writer!(db, pool => query_as(catalogue.indexes).fetch_all(pool).await)?;
        schema.add_indexes(indexes);
        let keys: Vec<ForeignKeyRow> = on_writer!(db, pool => query_as(catalogue.foreign_keys).fetch_all(pool).await)?;
        schema.add_foreign_keys(keys);
        let triggers: Vec<TriggerRow> = on_writer!(db, pool => query_as(catalogue.triggers).fetch_all(pool).await)?;
        for row in triggers {
            if let Some(table) = schema.tables.get_mut(&row.table_name) {
                table.triggers.insert(row.name, row.fires);
            }
        }
        Ok(schema)
    }

    fn add_columns(&mut self, rows: Vec<ColumnRow>) {
        let mut keys: BTreeMap<String, BTreeMap<i64, String>> = BTreeMap::new();
        for row in rows {
            let Some(table) = self.tables.get_mut(&row.table_name) else { continue };
            if row.place_in_key > 0 {
                keys.entry(row.table_name).or_default().insert(row.place_in_key, row.name.clone());
            }
            let ColumnRow { name, kind, required, generated, identity, .. } = row;
            table.columns.push(Column { name, kind, required, generated, identity });
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
            let index = table.indexes.entry(row.name).or_insert_with(|| Index {
                columns: Vec::new(),
                unique: row.is_unique,
                // SQLite keeps the line breaks of the statement.
                predicate: row.predicate.map(|text| text.split_whitespace().collect::<Vec<_>>().join(" ")),
                valid: row.valid,
            });
            index.columns.push(row.column_name);
        }
    }

    fn add_foreign_keys(&mut self, rows: Vec<ForeignKeyRow>) {
        let mut last = (String::new(), String::new());
        for row in rows {
            let Some(table) = self.tables.get_mut(&row.table_name) else { continue };
            let this = (row.table_name, row.name);
            if this != last {
                table.foreign_keys.push(ForeignKey {
                    columns: Vec::new(),
                    table: row.referenced_table,
                    referenced: Vec::new(),
                    on_delete: row.on_delete,
                    valid: row.valid,
                });
                last = this;
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
