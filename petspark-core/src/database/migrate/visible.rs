//! Whether this role sees the schema and its history at all. PostgreSQL hides what a role may not look into,
//! so that a database looks new to it that is full.

use sqlx::query_as;

use super::{MigrationError, Migrations};
use crate::database::Engine;

/// The role, its search path, its schema, one before that in the search path that has a history and is closed to it,
/// and whether it may read the history of its own.
type Sight = (String, String, Option<String>, Option<String>, Option<bool>);

impl Migrations<'_> {
    /// Refuses a role that sees nothing because it lacks rights, and not because nothing is there.
    pub(super) async fn require_visible(&self) -> Result<(), MigrationError> {
        let Engine::Postgres(postgres) = self.0.engine() else { return Ok(()) };
        let sight: Sight = query_as(
            "WITH history AS ( \
                SELECT c.oid, n.oid AS schema, n.nspname::text AS name \
                FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relname = 'petspark_migrations'), \
             path AS ( \
                SELECT trim('\"' FROM trim(replace(part, '\"$user\"', current_user::text))) AS name, place \
                FROM regexp_split_to_table(current_setting('search_path'), ',') WITH ORDINALITY AS p (part, place)) \
             SELECT current_user::text, current_setting('search_path'), current_schema()::text, \
                (SELECT min(name) FROM history JOIN path USING (name) WHERE NOT has_schema_privilege(schema, 'USAGE') \
                    AND NOT EXISTS (SELECT FROM path here WHERE here.name = current_schema()::text AND here.place < path.place)), \
                (SELECT has_table_privilege(oid, 'SELECT') FROM history WHERE name = current_schema()::text)",
        )
        .fetch_one(&postgres.pool)
        .await
        .map_err(crate::error::Fault::from)?;
        Err(MigrationError::NotAllowed(match sight {
            (role, _, _, Some(closed), None) => format!("the role {role} lacks USAGE on the schema {closed}"),
            (role, path, None, _, _) => {
                format!(
                    "the role {role} sees no schema: of those in its search_path ({path}) none is there, or it lacks USAGE on it"
                )
            }
            (role, _, Some(schema), _, Some(false)) => {
                format!("the role {role} lacks SELECT on petspark_migrations in the schema {schema}")
            }
            _ => return Ok(()),
        }))
    }
}
