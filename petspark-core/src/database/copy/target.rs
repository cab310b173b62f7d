//! The PostgreSQL that is copied to: batches by COPY, and in the same transaction how far they got.

use futures_util::TryStreamExt as _;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Postgres, QueryBuilder, query, query_as, raw_sql};

use super::CopyError;
use super::digest::{Digest, next_field};
use super::error::during;
use super::plan::{TablePlan, quoted};
use super::source::Batch;
use crate::database::lock::{Lock, Locked};
use crate::database::schema::Schema;
use crate::error::Fault;

/// SQL with names from the catalogue, which PostgreSQL gives no parameters for.
#[allow(clippy::disallowed_methods, reason = "names are from the catalogue, and quoted")]
async fn run(connection: &mut PgConnection, sql: String) -> sqlx::Result<()> {
    raw_sql(AssertSqlSafe(sql)).execute(connection).await.map(drop)
}

/// The connection that holds the lock is the one that writes: if it is lost, so is the lock, and nothing
/// can be written any more beside whoever has it then.
pub(super) struct Target {
    pub(super) connection: PgConnection,
}

/// Signature, flags and extension of binary COPY: the documentation of COPY, "Binary Format".
const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
const TRAILER: [u8; 2] = (-1_i16).to_be_bytes();

impl Target {
    pub(super) fn over(lock: Lock) -> Result<Self, CopyError> {
        match lock {
            Lock::Postgres(connection) => Ok(Self { connection: *connection }),
            Lock::Sqlite(_) => Err(CopyError::Engines),
        }
    }

    /// Without the time-outs of requests.
    pub(super) async fn prepare(&mut self) -> Result<(), CopyError> {
        // What a crash of PostgreSQL may lose is rows together with the note that they are
        // there. The end is committed in earnest, by another connection.
        raw_sql("SET statement_timeout = 0; SET lock_timeout = '10s'; SET synchronous_commit = off")
            .execute(&mut self.connection)
            .await
            .map_err(during("the session"))?;
        Ok(())
    }

    /// For what else is done under the lock.
    pub(super) fn locked(&mut self) -> Locked<'_> {
        Locked::Postgres(&mut self.connection)
    }

    /// Gives the lock back.
    pub(super) async fn close(self) {
        // If that fails, the server notices that we are gone.
        let _ = self.connection.close().await;
    }

    /// Takes away what is cheaper for all rows together in the end: indexes that only make reading fast (to sort
    /// costs a third of finding each row's place in ten of them), and references to other tables (one join
    /// instead of a look for each row). How to make each again is noted in the transaction that drops it.
    pub(super) async fn strip(&mut self, plan: &TablePlan) -> Result<(), CopyError> {
        let dropped = async {
            let mut tx = self.connection.begin().await?;
            let parts: Vec<(String, String, String)> = query_as(
                "SELECT 'index ' || i.relname, pg_get_indexdef(x.indexrelid), format('DROP INDEX %I', i.relname) \
                 FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class t ON t.oid = x.indrelid \
                 WHERE t.relname = $1 AND t.relnamespace = current_schema()::regnamespace AND NOT x.indisunique \
                 UNION ALL SELECT format('reference %s %s', t.relname, c.conname), \
                    format('ALTER TABLE %I DROP CONSTRAINT IF EXISTS %I, ADD CONSTRAINT %I %s', \
                        t.relname, c.conname, c.conname, pg_get_constraintdef(c.oid)), \
                    format('ALTER TABLE %I DROP CONSTRAINT %I', t.relname, c.conname) \
                 FROM pg_constraint c JOIN pg_class t ON t.oid = c.conrelid \
                 WHERE t.relname = $1 AND t.relnamespace = current_schema()::regnamespace AND c.contype = 'f'",
            )
            .bind(&plan.table)
            .fetch_all(&mut *tx)
            .await?;
            for (name, definition, drop) in parts {
                // Noted is what the migrations made, whatever somebody made in its place.
                query("INSERT INTO petspark_copy VALUES ($1, 0, $2) ON CONFLICT DO NOTHING")
                    .bind(&name)
                    .bind(definition)
                    .execute(&mut *tx)
                    .await?;
                run(&mut tx, drop).await?;
            }
            tx.commit().await
        };
        dropped.await.map_err(during(&plan.table))
    }

    /// Makes them again, one after the other: each is there and not noted any more, or neither. An index that
    /// somebody made by hand stays; whether it is the right one is seen when the schema is compared.
    async fn make_again(&mut self) -> Result<(), CopyError> {
        let made = async {
            let parts: Vec<(String, String)> = query_as(
                "SELECT table_name, last_key FROM petspark_copy WHERE table_name ~ '^(index|reference) ' ORDER BY 1",
            )
            .fetch_all(&mut self.connection)
            .await?;
            for (noted, definition) in parts {
                let mut tx = self.connection.begin().await?;
                let missing = definition.replacen("CREATE INDEX ", "CREATE INDEX IF NOT EXISTS ", 1);
                run(&mut tx, missing).await?;
                query("DELETE FROM petspark_copy WHERE table_name = $1").bind(noted).execute(&mut *tx).await?;
                tx.commit().await?;
            }
            Ok::<_, sqlx::Error>(())
        };
        made.await.map_err(during("the indexes and references"))
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

    /// What rows alone don't bring: indexes and references, counters go on behind what is there, and the planner knows it.
    pub(super) async fn settle(&mut self, schema: &Schema, plans: &[TablePlan]) -> Result<(), CopyError> {
        self.make_again().await?;
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
fn row_length(fields: &[u8], count: usize) -> Option<usize> {
    let mut rest = fields;
    for _ in 0..count {
        next_field(&mut rest)?;
    }
    Some(fields.len() - rest.len())
}
