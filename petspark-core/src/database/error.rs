//! What an engine's error means: whose constraint was hit, and whether waiting may help.

use sqlx::error::DatabaseError;

use super::disk::NoRoom;
use crate::error::Fault;

/// Whether `error` says that the unique index `name` (`{table}_{columns}_key`) would be violated.
pub(crate) fn violates(error: &sqlx::Error, name: &str) -> bool {
    let Some(error) = error.as_database_error() else { return false };
    if !error.is_unique_violation() {
        return false;
    }
    match error.constraint() {
        Some(constraint) => constraint == name,
        None => sqlite_constraint(error.message()).as_deref() == Some(name),
    }
}

/// Whether `error` says that what a row refers to isn't there.
pub(crate) fn violates_foreign_key(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(DatabaseError::is_foreign_key_violation)
}

/// SQLite names columns, not the index: `UNIQUE constraint failed: users.email` is
/// `users_email_key` here. Only indexes over expressions are named: `... failed: index 'x'`.
fn sqlite_constraint(message: &str) -> Option<String> {
    let columns = message.split_once("UNIQUE constraint failed: ")?.1;
    if let Some(index) = columns.strip_prefix("index '") {
        return Some(index.trim_end_matches('\'').to_owned());
    }
    let table = columns.split_once('.')?.0;
    let columns: Vec<_> = columns.split(", ").filter_map(|c| Some(c.split_once('.')?.1)).collect();
    Some(format!("{table}_{}_key", columns.join("_")))
}

impl From<sqlx::Error> for Fault {
    fn from(error: sqlx::Error) -> Self {
        match NoRoom::told(error) {
            Ok(no_room) => Self::unavailable(no_room),
            Err(error) if is_temporary(&error) => Self::unavailable(error),
            Err(error) => Self::internal(error),
        }
    }
}

/// Whether somebody else had a lock for too long: SQLSTATE `lock_not_available`.
pub(super) fn is_lock_timeout(fault: &Fault) -> bool {
    let Some(sqlx::Error::Database(error)) = fault.cause() else { return false };
    error.code().as_deref() == Some("55P03")
}

/// Whether the engine says that what it has on the disk makes no sense.
pub(crate) fn tells_of_damage(fault: &Fault) -> bool {
    let Some(sqlx::Error::Database(error)) = fault.cause() else { return false };
    match error.code() {
        // SQLite: CORRUPT and NOTADB.
        Some(code) if error.try_downcast_ref::<sqlx::sqlite::SqliteError>().is_some() => {
            code.parse::<i32>().is_ok_and(|code| matches!(code & 0xff, 11 | 26))
        }
        // PostgreSQL: data_corrupted and index_corrupted.
        code => matches!(code.as_deref(), Some("XX001" | "XX002")),
    }
}

/// Whether the database is away, busy or full: somebody's to mend, and no defect of ours.
pub(super) fn is_temporary(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::BeginFailed => true,
        sqlx::Error::Database(error) => is_temporary_code(&**error),
        _ => false,
    }
}

fn is_temporary_code(error: &dyn DatabaseError) -> bool {
    let Some(code) = error.code() else { return false };
    match code.parse::<i32>() {
        // https://sqlite.org/rescode.html: the low byte is the class. BUSY, LOCKED, READONLY,
        // INTERRUPT (our own time limit), IOERR, FULL, CANTOPEN, PROTOCOL.
        Ok(code) if error.try_downcast_ref::<sqlx::sqlite::SqliteError>().is_some() => {
            matches!(code & 0xff, 5 | 6 | 8 | 9 | 10 | 13 | 14 | 15)
        }
        // https://www.postgresql.org/docs/current/errcodes-appendix.html: connection exceptions,
        // serialization failure and deadlock, insufficient resources, operator intervention
        // (time-outs and shut-downs), lock not available, read-only after a fail-over, system error.
        _ => {
            ["08", "40", "53", "57", "58"].iter().any(|class| code.starts_with(class))
                || matches!(&*code, "55P03" | "25006")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::on_writer;
    use crate::testing::on_both;

    on_both! {
        async fn a_violated_unique_index_is_known_by_the_same_name(app: TestApp) {
            app.register("ada").await;
            let bob = app.register("bob").await;
            let db = app.petspark.database();
            let error = on_writer!(db, pool => sqlx::query("UPDATE users SET email = 'ada@example.org' WHERE id = $1")
                .bind(bob.id).execute(pool).await.map(drop))
            .unwrap_err();
            assert!(violates(&error, "users_email_key"), "{error:?}");
            assert!(!violates(&error, "users_pkey"));
            assert!(!is_temporary(&error));
        }
    }

    #[test]
    fn a_sqlite_message_is_turned_into_the_name_of_the_index() {
        for (message, name) in [
            ("UNIQUE constraint failed: users.email", Some("users_email_key")),
            ("UNIQUE constraint failed: votes.pet_id, votes.user_id", Some("votes_pet_id_user_id_key")),
            ("UNIQUE constraint failed: index 'pets_name_key'", Some("pets_name_key")),
            ("NOT NULL constraint failed: users.email", None),
        ] {
            assert_eq!(sqlite_constraint(message).as_deref(), name);
        }
    }
}
