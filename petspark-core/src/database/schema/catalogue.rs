//! The questions that both engines' catalogues are asked about a schema, and the rows that they answer
//! with. PostgreSQL is asked for facts where it writes texts in other ways from version to version.

use sqlx::FromRow;

use super::{Column, Trigger};
use crate::database::Engine;

#[derive(FromRow)]
pub(super) struct TableRow {
    pub(super) table_name: String,
    pub(super) is_virtual: bool,
    pub(super) options: String,
    /// On SQLite, how it was made.
    pub(super) declared: Option<String>,
}

#[derive(FromRow)]
pub(super) struct ColumnRow {
    pub(super) table_name: String,
    #[sqlx(flatten)]
    pub(super) column: Column,
    /// From 1; 0 for none.
    pub(super) place_in_key: i64,
}

/// One column of an index.
#[derive(FromRow)]
pub(super) struct IndexRow {
    pub(super) table_name: String,
    pub(super) name: String,
    /// SQLite has none for an expression.
    pub(super) column_name: Option<String>,
    /// Or it is only kept in the index.
    pub(super) is_key: bool,
    /// How the column is kept, if not in the usual way.
    pub(super) how: String,
    pub(super) is_unique: bool,
    /// What isn't usual of the whole.
    pub(super) options: String,
    pub(super) predicate: Option<String>,
    pub(super) valid: bool,
    /// On SQLite, how it was made.
    pub(super) declared: Option<String>,
}

/// One column of a foreign key.
#[derive(FromRow)]
pub(super) struct ForeignKeyRow {
    pub(super) table_name: String,
    pub(super) name: String,
    pub(super) column_name: String,
    pub(super) referenced_table: String,
    pub(super) referenced_column: String,
    pub(super) on_delete: String,
    pub(super) options: String,
    pub(super) valid: bool,
}

#[derive(FromRow)]
pub(super) struct ConstraintRow {
    pub(super) table_name: String,
    pub(super) name: String,
    pub(super) definition: String,
}

#[derive(FromRow)]
pub(super) struct TriggerRow {
    pub(super) table_name: String,
    pub(super) name: String,
    #[sqlx(flatten)]
    pub(super) trigger: Trigger,
}

pub(super) struct Catalogue {
    pub(super) tables: &'static str,
    pub(super) columns: &'static str,
    pub(super) indexes: &'static str,
    pub(super) foreign_keys: &'static str,
    /// SQLite has them in the SQL of its tables.
    pub(super) constraints: Option<&'static str>,
    pub(super) triggers: &'static str,
}

impl Catalogue {
    pub(super) fn of(engine: &Engine) -> &'static Self {
        match engine {
            Engine::Sqlite(_) => &SQLITE,
            Engine::Postgres(_) => &POSTGRES,
        }
    }
}

const SQLITE: Catalogue = Catalogue {
    tables: "SELECT t.name AS table_name, t.type = 'virtual' AS is_virtual, \
            trim(CASE WHEN t.strict THEN 'strict' ELSE '' END || CASE WHEN t.wr THEN ' without rowid' ELSE '' END) AS options, \
            s.sql AS declared \
         FROM pragma_table_list t JOIN sqlite_schema s ON s.type = 'table' AND s.name = t.name \
         WHERE t.schema = 'main' AND t.type IN ('table', 'virtual') AND t.name NOT LIKE 'sqlite\\_%' ESCAPE '\\'",
    // Hidden is 1 for what virtual tables have beside their columns, and more for what is generated.
    columns: "SELECT t.name AS table_name, c.name, c.type AS kind, c.\"notnull\" AS required, c.hidden > 1 AS generated, \
            0 AS identity, '' AS details, c.pk AS place_in_key \
         FROM pragma_table_list t, pragma_table_xinfo(t.name) c \
         WHERE t.schema = 'main' AND t.type IN ('table', 'virtual') AND c.hidden <> 1 ORDER BY t.name, c.cid",
    indexes: "SELECT t.name AS table_name, i.name, c.name AS column_name, 1 AS is_key, \
            trim(CASE WHEN c.coll <> 'BINARY' THEN 'collate ' || lower(c.coll) ELSE '' END \
                || CASE WHEN c.\"desc\" THEN ' desc' ELSE '' END) AS how, \
            i.\"unique\" AS is_unique, '' AS options, NULL AS predicate, 1 AS valid, s.sql AS declared \
         FROM pragma_table_list t, pragma_index_list(t.name) i, pragma_index_xinfo(i.name) c, sqlite_schema s \
         WHERE t.schema = 'main' AND t.type = 'table' AND i.origin = 'c' AND c.key = 1 AND s.name = i.name \
         ORDER BY t.name, i.name, c.seqno",
    foreign_keys: "SELECT t.name AS table_name, CAST(f.id AS TEXT) AS name, f.\"from\" AS column_name, \
            f.\"table\" AS referenced_table, coalesce(f.\"to\", '') AS referenced_column, \
            lower(f.on_delete) AS on_delete, \
            CASE WHEN f.on_update <> 'NO ACTION' THEN 'on update ' || lower(f.on_update) ELSE '' END AS options, 1 AS valid \
         FROM pragma_table_list t, pragma_foreign_key_list(t.name) f \
         WHERE t.schema = 'main' AND t.type = 'table' ORDER BY t.name, f.id, f.seq",
    constraints: None,
    triggers: "SELECT tbl_name AS table_name, name, 1 AS fires, sql AS definition, '' AS body \
         FROM sqlite_schema WHERE type = 'trigger'",
};

const POSTGRES: Catalogue = Catalogue {
    tables: "SELECT relname::text AS table_name, false AS is_virtual, \
            concat_ws(' ', CASE relpersistence WHEN 'u' THEN 'unlogged' END, CASE relkind WHEN 'p' THEN 'partitioned' END, \
                CASE WHEN relrowsecurity THEN 'with row security' END) AS options, NULL::text AS declared \
         FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = current_schema()::regnamespace",
    columns: "SELECT t.relname::text AS table_name, a.attname::text AS name, format_type(a.atttypid, a.atttypmod) AS kind, \
            a.attnotnull AS required, a.attgenerated <> '' AS generated, a.attidentity <> '' AS identity, \
            concat_ws(' ', CASE WHEN a.attcollation <> y.typcollation THEN 'collate ' || quote_ident(l.collname) END, \
                CASE a.attidentity WHEN 'a' THEN 'always' WHEN 'd' THEN 'by default' END, \
                CASE a.attgenerated WHEN '' THEN 'default ' WHEN 's' THEN 'stored as ' ELSE 'as ' END \
                    || pg_get_expr(d.adbin, d.adrelid)) AS details, \
            coalesce(array_position(k.conkey, a.attnum), 0)::bigint AS place_in_key \
         FROM pg_attribute a JOIN pg_class t ON t.oid = a.attrelid JOIN pg_type y ON y.oid = a.atttypid \
         LEFT JOIN pg_attrdef d ON d.adrelid = t.oid AND d.adnum = a.attnum \
         LEFT JOIN pg_collation l ON l.oid = a.attcollation \
         LEFT JOIN pg_constraint k ON k.conrelid = t.oid AND k.contype = 'p' \
         WHERE t.relkind IN ('r', 'p') AND t.relnamespace = current_schema()::regnamespace \
            AND a.attnum > 0 AND NOT a.attisdropped ORDER BY t.relname, a.attnum",
    // The column of pg_index about nulls is there since PostgreSQL 15. 100 is the collation of the database.
    indexes: "SELECT t.relname::text AS table_name, i.relname::text AS name, \
            pg_get_indexdef(x.indexrelid, k.n, true) AS column_name, k.n <= x.indnkeyatts AS is_key, \
            concat_ws(' ', \
                CASE WHEN x.indcollation[k.n - 1] NOT IN (0, 100, coalesce(a.attcollation, 0)) \
                    THEN 'collate ' || quote_ident(l.collname) END, \
                CASE WHEN NOT o.opcdefault THEN o.opcname END, \
                CASE x.indoption[k.n - 1] & 3 WHEN 1 THEN 'desc nulls last' WHEN 2 THEN 'nulls first' WHEN 3 THEN 'desc' END \
            ) AS how, x.indisunique AS is_unique, \
            concat_ws(' ', CASE WHEN m.amname <> 'btree' THEN 'using ' || m.amname END, \
                CASE WHEN to_jsonb(x) ->> 'indnullsnotdistinct' = 'true' THEN 'nulls not distinct' END, \
                CASE WHEN NOT x.indimmediate THEN 'deferrable' END) AS options, \
            pg_get_expr(x.indpred, x.indrelid) AS predicate, x.indisvalid AS valid, NULL::text AS declared \
         FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class t ON t.oid = x.indrelid \
         JOIN pg_am m ON m.oid = i.relam CROSS JOIN generate_series(1, x.indnatts::int) AS k(n) \
         LEFT JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = x.indkey[k.n - 1] AND a.attnum <> 0 \
         LEFT JOIN pg_opclass o ON o.oid = x.indclass[k.n - 1] \
         LEFT JOIN pg_collation l ON l.oid = x.indcollation[k.n - 1] \
         WHERE t.relnamespace = current_schema()::regnamespace AND NOT x.indisprimary \
         ORDER BY t.relname, i.relname, k.n",
    foreign_keys: "SELECT t.relname::text AS table_name, c.conname::text AS name, a.attname::text AS column_name, \
            r.relname::text AS referenced_table, b.attname::text AS referenced_column, \
            CASE c.confdeltype WHEN 'c' THEN 'cascade' WHEN 'n' THEN 'set null' WHEN 'd' THEN 'set default' \
                WHEN 'r' THEN 'restrict' ELSE 'no action' END \
                || coalesce(' ' || substring(pg_get_constraintdef(c.oid) from 'ON DELETE SET [A-Z]+ ([(][^)]*[)])'), '') \
                AS on_delete, \
            concat_ws(' ', \
                CASE c.confupdtype WHEN 'c' THEN 'on update cascade' WHEN 'n' THEN 'on update set null' \
                    WHEN 'd' THEN 'on update set default' WHEN 'r' THEN 'on update restrict' END, \
                CASE c.confmatchtype WHEN 'f' THEN 'match full' END, \
                CASE WHEN c.condeferred THEN 'initially deferred' WHEN c.condeferrable THEN 'deferrable' END, \
                CASE WHEN EXISTS (SELECT FROM pg_trigger g WHERE g.tgconstraint = c.oid AND g.tgenabled IN ('D', 'R')) \
                    THEN 'switched off' END) AS options, c.convalidated AS valid \
         FROM pg_constraint c JOIN pg_class t ON t.oid = c.conrelid JOIN pg_class r ON r.oid = c.confrelid, \
            unnest(c.conkey, c.confkey) WITH ORDINALITY AS k(here, there, n), pg_attribute a, pg_attribute b \
         WHERE c.contype = 'f' AND t.relnamespace = current_schema()::regnamespace \
            AND a.attrelid = t.oid AND a.attnum = k.here AND b.attrelid = r.oid AND b.attnum = k.there \
         ORDER BY t.relname, c.conname, k.n",
    // Those of keys are with the keys; that a column is required, which is one since PostgreSQL 18, with the column.
    constraints: Some(
        "SELECT t.relname::text AS table_name, c.conname::text AS name, pg_get_constraintdef(c.oid) AS definition \
         FROM pg_constraint c JOIN pg_class t ON t.oid = c.conrelid \
         WHERE c.contype IN ('c', 'x') AND t.relnamespace = current_schema()::regnamespace",
    ),
    // Written so, names of the schema that is looked at come without it.
    triggers: "SELECT t.relname::text AS table_name, g.tgname::text AS name, g.tgenabled IN ('O', 'A') AS fires, \
            pg_get_triggerdef(g.oid, true) AS definition, \
            concat_ws(' ', l.lanname, CASE WHEN p.prosecdef THEN 'security definer' END, p.proconfig::text, p.prosrc) AS body \
         FROM pg_trigger g JOIN pg_class t ON t.oid = g.tgrelid JOIN pg_proc p ON p.oid = g.tgfoid \
         JOIN pg_language l ON l.oid = p.prolang \
         WHERE NOT g.tgisinternal AND t.relnamespace = current_schema()::regnamespace",
};
