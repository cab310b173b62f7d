//! The PostgreSQL that is copied to: batches by COPY, and in the same transaction how far they got.

use std::collections::{BTreeMap, HashMap};

use futures_util::TryStreamExt as _;
use sqlx::{
    AssertSqlSafe, Connection as _, PgConnection, Postgres, QueryBuilder, query, query_as, query_scalar, raw_sql,
};

use super::digest::{Digest, next_field};
use super::plan::{TablePlan, quoted};
use super::row::KeyValue;
use super::source::Batch;
use super::{CopyError, during};
use crate::database::schema::Schema;
use crate::database::{Database, Engine, Tx, TxConnection, history};
use crate::error::Fault;

/// An earlier copy that didn't come to its end.
pub(super) struct Begun {
    pub(super) birth: String,
    pub(super) rows: HashMap<String, u64>,
}

/// What is known of an earlier copy, if there was one.
pub(super) async fn begun(db: &Database) -> Result<Option<Begun>, Fault> {
    let Engine::Postgres(postgres) = db.engine() else { return Ok(None) };
    if !history::exists(db, "petspark_copy").await? {
        return Ok(None);
    }
    let birth: Option<String> =
        query_scalar("SELECT last_key FROM petspark_copy WHERE table_name = ''").fetch_optional(&postgres.pool).await?;
    let rows: Vec<(String, i64)> = query_as("SELECT table_name, copied FROM petspark_copy WHERE table_name <> ''")
        .fetch_all(&postgres.pool)
        .await?;
    let rows = rows.into_iter().map(|(table, rows)| (table, u64::try_from(rows).unwrap_or(0))).collect();
    Ok(birth.map(|birth| Begun { birth, rows }))
}

pub(super) async fn has_rows(db: &Database, table: &str) -> Result<bool, CopyError> {
    let Engine::Postgres(postgres) = db.engine() else { return Ok(false) };
    let mut sql = QueryBuilder::<Postgres>::new("SELECT EXISTS (SELECT 1 FROM ");
    sql.push(quoted(table)).push(")");
    sql.build_query_scalar().fetch_one(&postgres.pool).await.map_err(during(table))
}

/// It came to its end.
pub(super) async fn forget(tx: &mut Tx) -> Result<(), Fault> {
    if let TxConnection::Postgres(tx) = &mut tx.connection {
        raw_sql("DROP TABLE petspark_copy").execute(&mut **tx).await?;
    }
    Ok(())
}

/// SQL with names from the catalogue, which PostgreSQL gives no parameters for.
#[allow(clippy::disallowed_methods, reason = "names are from the catalogue, and quoted")]
async fn run(connection: &mut PgConnection, sql: String) -> sqlx::Result<()> {
    raw_sql(AssertSqlSafe(sql)).execute(connection).await.map(drop)
}

pub(super) struct Target {
    connection: PgConnection,
    /// Where to go on, by table.
    last: BTreeMap<String, Vec<KeyValue>>,
}

/// Signature, flags and extension of binary COPY: the documentation of COPY, "Binary Format".
const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
const TRAILER: [u8; 2] = (-1_i16).to_be_bytes();

impl Target {
    pub(super) async fn open(db: &Database, birth: &str) -> Result<Self, CopyError> {
        let Engine::Postgres(postgres) = db.engine() else { return Err(CopyError::Engines) };
        let opened = async {
            let options = (*postgres.pool.connect_options()).clone().application_name("petspark copy");
            let mut connection = PgConnection::connect_with(&options).await?;
            // What a crash of PostgreSQL may lose is rows together with the note that they are
            // there. The end is committed in earnest, by another connection.
            raw_sql("SET statement_timeout = 0; SET lock_timeout = '10s'; SET synchronous_commit = off")
                .execute(&mut connection)
                .await?;
            raw_sql(
                "SET client_min_messages = warning; CREATE TABLE IF NOT EXISTS petspark_copy (
                     table_name text NOT NULL PRIMARY KEY, copied bigint NOT NULL, last_key text NOT NULL
                 )",
            )
            .execute(&mut connection)
            .await?;
            query("INSERT INTO petspark_copy VALUES ('', 0, $1) ON CONFLICT DO NOTHING")
                .bind(birth)
                .execute(&mut connection)
                .await?;
            let rows: Vec<(String, String)> =
                query_as("SELECT table_name, last_key FROM petspark_copy WHERE table_name <> '' AND table_name NOT LIKE 'index %'")
                    .fetch_all(&mut connection)
                    .await?;
            Ok::<_, sqlx::Error>((connection, rows))
        };
        let (connection, rows) = opened.await.map_err(during("the state of the copy"))?;
        let mut last = BTreeMap::new();
        for (table, key) in rows {
            let key = serde_json::from_str(&key).map_err(|error| during(&table)(Fault::internal(error)))?;
            last.insert(table, key);
        }
        Ok(Self { connection, last })
    }

    pub(super) fn last_key(&self, table: &str) -> Option<Vec<KeyValue>> {
        self.last.get(table).cloned()
    }

    /// Takes away the indexes of a table that only make reading fast: to sort all rows in the end
    /// costs a third of finding each one's place in ten indexes. How to make them again is noted
    /// in the transaction that drops them.
    pub(super) async fn unindex(&mut self, plan: &TablePlan) -> Result<(), CopyError> {
        let dropped = async {
            let mut tx = self.connection.begin().await?;
            let indexes: Vec<(String, String)> = query_as(
                "SELECT i.relname::text, pg_get_indexdef(x.indexrelid) FROM pg_index x \
                 JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class t ON t.oid = x.indrelid \
                 WHERE t.relname = $1 AND t.relnamespace = current_schema()::regnamespace AND NOT x.indisunique",
            )
            .bind(&plan.table)
            .fetch_all(&mut *tx)
            .await?;
            for (name, definition) in indexes {
                query("INSERT INTO petspark_copy VALUES ('index ' || $1, 0, $2)")
                    .bind(&name)
                    .bind(definition)
                    .execute(&mut *tx)
                    .await?;
                run(&mut tx, format!("DROP INDEX {}", quoted(&name))).await?;
            }
            tx.commit().await
        };
        dropped.await.map_err(during(&plan.table))
    }

    /// Makes them again, one after the other: each is there and not noted any more, or neither.
    async fn index(&mut self) -> Result<(), CopyError> {
        let made = async {
            let indexes: Vec<(String, String)> =
                query_as("SELECT table_name, last_key FROM petspark_copy WHERE table_name LIKE 'index %' ORDER BY 1")
                    .fetch_all(&mut self.connection)
                    .await?;
            for (noted, definition) in indexes {
                let mut tx = self.connection.begin().await?;
                run(&mut tx, definition).await?;
                query("DELETE FROM petspark_copy WHERE table_name = $1").bind(noted).execute(&mut *tx).await?;
                tx.commit().await?;
            }
            Ok::<_, sqlx::Error>(())
        };
        made.await.map_err(during("the indexes"))
    }

    /// Writes a batch, and how far it got, or neither.
    pub(super) async fn write(&mut self, plan: &TablePlan, batch: &Batch) -> Result<(), CopyError> {
        let key = serde_json::to_string(&batch.last).map_err(|error| during(&plan.table)(Fault::internal(error)))?;
        let table = quoted(&plan.table);
        let written = async {
            let mut tx = self.connection.begin().await?;
            if plan.has_triggers {
                run(&mut tx, format!("ALTER TABLE {table} DISABLE TRIGGER USER")).await?;
            }
            let sql = format!("COPY {table} ({}) FROM STDIN WITH (FORMAT binary)", plan.column_list());
            let mut copy = tx.copy_in_raw(&sql).await?;
            copy.send(HEADER).await?;
            copy.send(&batch.bytes[..]).await?;
            copy.send(&TRAILER[..]).await?;
            copy.finish().await?;
            if plan.has_triggers {
                run(&mut tx, format!("ALTER TABLE {table} ENABLE TRIGGER USER")).await?;
            }
            query(
                "INSERT INTO petspark_copy AS c VALUES ($1, $2, $3) ON CONFLICT (table_name) \
                 DO UPDATE SET copied = c.copied + excluded.copied, last_key = excluded.last_key",
            )
            .bind(&plan.table)
            .bind(i64::try_from(batch.rows).unwrap_or(i64::MAX))
            .bind(key)
            .execute(&mut *tx)
            .await?;
            tx.commit().await
        };
        written.await.map_err(during(&plan.table))
    }

    /// What rows alone don't bring: indexes, counters go on behind what is there, and the planner knows it.
    pub(super) async fn settle(&mut self, schema: &Schema, plans: &[TablePlan]) -> Result<(), CopyError> {
        self.index().await?;
        for plan in plans {
            let columns = schema.tables.get(&plan.table).map(|table| &table.columns);
            for column in columns.into_iter().flatten().filter(|column| column.identity) {
                let name = quoted(&column.name);
                let mut sql = QueryBuilder::<Postgres>::new("SELECT setval(pg_get_serial_sequence(");
                sql.push_bind(quoted(&plan.table)).push(", ").push_bind(&column.name);
                sql.push(format!("), greatest(max({name}), 1), coalesce(max({name}), 0) > 0) FROM "));
                sql.push(quoted(&plan.table));
                sql.build().execute(&mut self.connection).await.map_err(during(&plan.table))?;
            }
            run(&mut self.connection, format!("ANALYZE {}", quoted(&plan.table))).await.map_err(during(&plan.table))?;
        }
        Ok(())
    }

    /// Reads the whole table.
    pub(super) async fn digest(&mut self, plan: &TablePlan) -> Result<Digest, CopyError> {
        let unfitting = |reason: String| CopyError::Unfitting { table: plan.table.clone(), reason };
        let columns = plan.column_list();
        let sql = format!("COPY (SELECT {columns} FROM {}) TO STDOUT WITH (FORMAT binary)", quoted(&plan.table));
        let mut digest = Digest::default();
        let mut stream = self.connection.copy_out_raw(&sql).await.map_err(during(&plan.table))?;
        let mut buffer = Vec::new();
        let mut is_first = true;
        while let Some(chunk) = stream.try_next().await.map_err(during(&plan.table))? {
            buffer.extend(&chunk);
            let mut rest = &buffer[..];
            if is_first && rest.len() >= HEADER.len() {
                rest = &rest[HEADER.len()..];
                is_first = false;
            }
            while !is_first && let Some((count, fields)) = rest.split_first_chunk::<2>() {
                // The end says -1 instead of how many fields there are.
                if *count == TRAILER {
                    rest = fields;
                    continue;
                }
                let Some(length) = row_length(fields, plan.columns.len()) else { break };
                digest.add(&plan.columns, &fields[..length]).map_err(unfitting)?;
                rest = &fields[length..];
            }
            buffer = rest.to_vec();
        }
        if buffer.is_empty() { Ok(digest) } else { Err(unfitting("the target gave half a row".to_owned())) }
    }
}

/// How many bytes so many fields take; `None` if they aren't all there.
pub(super) fn row_length(fields: &[u8], count: usize) -> Option<usize> {
    let mut rest = fields;
    for _ in 0..count {
        next_field(&mut rest)?;
    }
    Some(fields.len() - rest.len())
}
