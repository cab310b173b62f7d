//! `migrations/schema.lock.json` is what the migrations make, and a schema that was changed by hand
//! is told from it. After a new migration, run this once with `PETSPARK_UPDATE_GOLDEN=1`.

use std::time::Duration;

use petspark_core::database::{Database, DifferenceKind, MigrationError};
use petspark_core::testing::{Engine, TestApp, on_both, settings};
use petspark_core::{Caller, Clock};

#[tokio::test]
async fn the_schema_lock_is_what_the_migrations_make() {
    let mut lock = serde_json::Map::new();
    for (name, engine) in [("postgres", Engine::Postgres), ("sqlite", Engine::Sqlite)] {
        let app = TestApp::open(engine).await;
        let schema = app.petspark.database().migrations().schema().await.unwrap();
        lock.insert(name.to_owned(), serde_json::to_value(schema).unwrap());
    }
    let text = serde_json::to_string_pretty(&lock).unwrap() + "\n";
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/schema.lock.json");
    #[allow(clippy::disallowed_methods, reason = "a switch of the tests")]
    if std::env::var_os("PETSPARK_UPDATE_GOLDEN").is_some() {
        std::fs::write(path, &text).unwrap();
    }
    assert!(
        std::fs::read_to_string(path).unwrap() == text,
        "{path} is not what the migrations make; see the top of this file"
    );
}

on_both! {
    async fn what_was_changed_by_hand_is_found_by_kind(app: TestApp) {
        let migrations = app.petspark.database().migrations();
        assert_eq!(migrations.verify().await.unwrap(), []);
        let settings = app.petspark.settings();
        crate::sql::execute(settings, "CREATE TABLE somebodys (id INTEGER)").await;
        crate::sql::execute(settings, "CREATE INDEX somebodys_own_idx ON pets (name)").await;
        assert_eq!(migrations.verify().await.unwrap(), [], "what somebody added is theirs");
        crate::sql::execute(settings, "DROP INDEX users_email_key").await;
        crate::sql::execute(settings, "DROP INDEX sessions_user_id_idx").await;
        crate::sql::execute(settings, "ALTER TABLE pets ADD COLUMN extra text").await;
        crate::sql::execute(settings, "ALTER TABLE users DROP COLUMN bio").await;
        crate::sql::execute(settings, "DROP TABLE photo_buckets").await;
        crate::sql::execute(settings, "CREATE UNIQUE INDEX pets_breed_odd ON pets (breed)").await;
        let differences = migrations.verify().await.unwrap();
        let told: Vec<_> = differences.iter().map(ToString::to_string).collect();
        for (kind, text) in [
            (DifferenceKind::Table, "table photo_buckets is missing"),
            (DifferenceKind::Index, "index users_email_key of users is missing (unique (email))"),
            (DifferenceKind::Index, "index sessions_user_id_idx of sessions is missing"),
            (DifferenceKind::ForeignKey, "foreign key user_id of sessions is without an index instead of indexed"),
            (DifferenceKind::Column, "column bio of users is missing (text)"),
            (DifferenceKind::Column, "column extra of pets is none of ours (text)"),
            (DifferenceKind::Index, "index pets_breed_odd of pets is none of ours (unique (breed))"),
        ] {
            let found = differences.iter().zip(&told).any(|(it, told)| it.kind == kind && told.starts_with(text));
            assert!(found, "{text}: {told:#?}");
        }
        assert_eq!(told.len(), 7, "{told:#?}");
    }

    async fn a_baseline_needs_the_very_schema_and_is_written_down(app: TestApp) {
        let (database, settings) = (app.petspark.database(), app.petspark.settings());
        let migrations = database.migrations();
        let operator = Caller::operator("cli:ada@example");
        let baseline = || migrations.baseline(&operator, Some("restored"), app.clock.now(), Duration::from_secs(1));
        assert!(baseline().await.unwrap().is_empty(), "there is a history");
        crate::sql::execute(settings, "DROP TABLE petspark_migrations").await;
        crate::sql::execute(settings, "DROP INDEX pets_owner_id_idx").await;
        let refused = baseline().await.unwrap_err();
        assert!(matches!(&refused, MigrationError::Differs(all) if all.len() == 2), "{refused}");
        assert!(migrations.require_current().await.is_err());
        crate::sql::execute(settings, "CREATE INDEX pets_owner_id_idx ON pets (owner_id, created_at, id)").await;
        let recorded = baseline().await.unwrap();
        assert_eq!(recorded.len(), petspark_core::database::Migration::all().len());
        migrations.require_current().await.unwrap();
        let written = crate::sql::every_row(settings).await;
        assert!(written.iter().any(|row| row.contains("sys_schema_baselined") && row.contains("restored")));
    }
}

/// What a change by hand is, and how it is told.
async fn differences(engine: Engine, change: &str) -> Vec<(DifferenceKind, String)> {
    let app = TestApp::open(engine).await;
    let settings = app.petspark.settings();
    crate::sql::execute(settings, change).await;
    // Another one than the app's: whoever has the file open knows its old schema.
    let database = Database::open(&settings.database).await.unwrap();
    let differences = database.migrations().verify().await.unwrap();
    database.close().await;
    differences.iter().map(|it| (it.kind, it.to_string())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_written_otherwise_is_found_on_postgresql() {
    use DifferenceKind::{Column, Constraint, ForeignKey, Index, Table, Trigger};
    let body = "LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$";
    for (change, kind, told) in [
        (
            "ALTER TABLE pets ALTER version SET DEFAULT 2",
            Column,
            "version of pets is bigint required default 2 instead of",
        ),
        ("ALTER TABLE pets ALTER version DROP DEFAULT", Column, "version of pets is bigint required instead of bigint"),
        (
            "ALTER TABLE counters ALTER name TYPE text COLLATE \"default\"",
            Column,
            "name of counters is text required instead of text required collate \"C\"",
        ),
        (
            "ALTER TABLE pets ALTER number SET GENERATED BY DEFAULT",
            Column,
            "number of pets is bigint required identity by default instead of bigint required identity always",
        ),
        (
            "ALTER TABLE pets DROP COLUMN search; \
             ALTER TABLE pets ADD COLUMN search tsvector GENERATED ALWAYS AS (array_to_tsvector('{}'::text[])) STORED; \
             CREATE INDEX pets_search_idx ON pets USING gin (search)",
            Column,
            "search of pets is tsvector generated stored as array_to_tsvector('{}'::text[]) instead of tsvector generated",
        ),
        (
            "ALTER TABLE users DROP CONSTRAINT users_role_check",
            Constraint,
            "users_role_check of users is missing (CHECK ",
        ),
        (
            "ALTER TABLE users ADD CHECK (length(email) > 2) NOT VALID",
            Constraint,
            "users_email_check of users is none of ours (CHECK ((length(email) > 2)) NOT VALID)",
        ),
        (
            "ALTER TABLE users ADD EXCLUDE USING btree (display_name WITH =)",
            Constraint,
            "users_display_name_excl of users is none of ours (EXCLUDE ",
        ),
        (
            "ALTER TABLE sessions DROP CONSTRAINT sessions_user_id_fkey; ALTER TABLE sessions ADD FOREIGN KEY (user_id) \
             REFERENCES users (id) ON UPDATE CASCADE ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED",
            ForeignKey,
            "user_id of sessions is to users (id) on delete cascade on update cascade initially deferred instead of",
        ),
        (
            "ALTER TABLE sessions ADD FOREIGN KEY (user_id) REFERENCES users (id)",
            ForeignKey,
            "user_id of sessions is to users (id) on delete cascade and to users (id) on delete no action instead of",
        ),
        (
            "ALTER TABLE sessions DISABLE TRIGGER ALL",
            ForeignKey,
            "user_id of sessions is to users (id) on delete cascade switched off instead of",
        ),
        (
            "DROP INDEX jobs_due_idx; CREATE INDEX jobs_due_idx ON jobs (priority DESC, due_at) INCLUDE (kind) WHERE dead_at IS NULL",
            Index,
            "jobs_due_idx of jobs is (priority, due_at) priority desc, with kind where (dead_at IS NULL) instead of",
        ),
        (
            "DROP INDEX pets_search_idx; CREATE INDEX pets_search_idx ON pets USING gist (search)",
            Index,
            "pets_search_idx of pets is (search) using gist instead of (search) using gin",
        ),
        (
            "DROP INDEX api_keys_created_at_idx; \
             CREATE INDEX api_keys_created_at_idx ON api_keys (created_at NULLS FIRST, id)",
            Index,
            "api_keys_created_at_idx of api_keys is (created_at, id) created_at nulls first instead of",
        ),
        (
            "DROP INDEX audit_log_actor_idx; \
             CREATE INDEX audit_log_actor_idx ON audit_log (actor COLLATE \"C\" text_pattern_ops, at, id)",
            Index,
            "audit_log_actor_idx of audit_log is (actor, at, id) actor collate \"C\" text_pattern_ops instead of",
        ),
        ("ALTER TABLE throttles SET UNLOGGED", Table, "throttles is unlogged instead of ordinary"),
        (
            &format!("CREATE OR REPLACE FUNCTION favorites_count() RETURNS trigger {body}"),
            Trigger,
            "favorites_count of favorites is changed (body ",
        ),
        (
            "DROP TRIGGER favorites_count ON favorites; CREATE TRIGGER favorites_count AFTER INSERT ON favorites \
             FOR EACH ROW EXECUTE FUNCTION favorites_count()",
            Trigger,
            "favorites_count of favorites is AFTER INSERT ON favorites FOR EACH ROW EXECUTE FUNCTION favorites_count(), body",
        ),
    ] {
        let found = differences(Engine::Postgres, change).await;
        // Triggers that count go off with those of the keys, and are told, too.
        let found: Vec<_> = found.iter().filter(|(it, _)| *it == kind).collect();
        let [(_, text)] = &found[..] else { panic!("{change}: {found:#?}") };
        let told = format!("{} {told}", kind.as_str().replace('_', " "));
        assert!(text.starts_with(&told), "{change}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_written_otherwise_is_found_on_sqlite() {
    use DifferenceKind::{Column, Constraint, ForeignKey, Index, Table, Trigger};
    // As if it had been made so: the schema's text, and what is to become of it.
    for (name, old, new, kind, told) in [
        (
            "pets",
            "version         INTEGER NOT NULL DEFAULT 1",
            "version INTEGER NOT NULL DEFAULT 2",
            Column,
            "version of pets is integer required default 2 instead of integer required default 1",
        ),
        (
            "users",
            "TEXT    NOT NULL,\n    email_verified_at",
            "TEXT NOT NULL COLLATE NOCASE UNIQUE,\n email_verified_at",
            Column,
            "email of users is text required collate nocase unique instead of text required",
        ),
        (
            "sessions",
            "user_agent          TEXT",
            "user_agent TEXT GENERATED ALWAYS AS (client)",
            Column,
            "user_agent of sessions is text generated generated always as (client) instead of text",
        ),
        (
            "users",
            "'admin')",
            "'admin', 'owner')",
            Constraint,
            "users_role_check of users is check (role in ('user', 'moderator', 'admin', 'owner')) instead of",
        ),
        (
            "blocks",
            "CHECK (blocker_id <> blocked_id)",
            "UNIQUE (blocked_id)",
            Constraint,
            "blocks_check of blocks is missing (check (blocker_id <> blocked_id))",
        ),
        (
            "sessions",
            "ON DELETE CASCADE",
            "ON DELETE CASCADE ON UPDATE SET NULL",
            ForeignKey,
            "user_id of sessions is to users (id) on delete cascade on update set null instead of",
        ),
        (
            "sessions",
            "DEFAULT 0)",
            "DEFAULT 0, FOREIGN KEY (user_id) REFERENCES users (id))",
            ForeignKey,
            "user_id of sessions is to users (id) on delete cascade and to users (id) on delete no action instead of",
        ),
        (
            "sessions",
            "ON DELETE CASCADE",
            "ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED",
            Column,
            "user_id of sessions is blob required references users (id) on delete cascade deferrable initially deferred instead",
        ),
        (
            "users_role_idx",
            "created_at, id",
            "created_at DESC, id",
            Index,
            "users_role_idx of users is (role, created_at, id) created_at desc where role <> 'user' instead of",
        ),
        (
            "users_created_at_idx",
            "created_at, id",
            "created_at, lower(email)",
            Index,
            "users_created_at_idx of users is (created_at, lower (email)) instead of (created_at, id)",
        ),
        ("users", ") STRICT", ")", Table, "users is ordinary instead of strict"),
        ("counters", ", WITHOUT ROWID", "", Table, "counters is strict instead of strict without rowid"),
        ("pets_search", "prefix = '1 2 3'", "prefix = '1 2'", Table, "pets_search is using fts5 (name, breed, bio, "),
        (
            "favorites_insert",
            "favorite_count + 1",
            "favorite_count + 2",
            Trigger,
            "favorites_insert of favorites is changed (body ",
        ),
        (
            "favorites_insert",
            "AFTER INSERT",
            "BEFORE INSERT",
            Trigger,
            "favorites_insert of favorites is before insert on favorites, body ",
        ),
    ] {
        let quoted = |text: &str| text.replace('\'', "''");
        let change = format!(
            "PRAGMA writable_schema = ON; \
             UPDATE sqlite_schema SET sql = replace(sql, '{}', '{}') WHERE name = '{name}'",
            quoted(old),
            quoted(new)
        );
        let found = differences(Engine::Sqlite, &change).await;
        let found: Vec<_> = found.iter().filter(|(it, _)| *it == kind).collect();
        let told = format!("{} {told}", kind.as_str().replace('_', " "));
        assert!(found.iter().any(|(_, text)| text.starts_with(&told)), "{name}, {new}: {found:#?}");
    }
}

/// Spaces, line breaks, comments and capitals are nobody's concern.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_only_spelt_otherwise_is_the_same() {
    for (engine, change) in [
        (
            Engine::Sqlite,
            "DROP INDEX users_role_idx; CREATE INDEX users_role_idx on \"users\"(role,created_at,id)\n-- who\nwhere role<>'user'",
        ),
        (
            Engine::Sqlite,
            "DROP TRIGGER favorites_delete; CREATE TRIGGER favorites_delete after delete on favorites begin \
             update pets set favorite_count=favorite_count - 1 /* one less */ where id = old.pet_id; end",
        ),
        (
            Engine::Postgres,
            "DROP INDEX users_role_idx; CREATE INDEX users_role_idx ON users USING btree (role ASC NULLS LAST,created_at,id) \
             WITH (fillfactor = 70) WHERE role != 'user'; ALTER TABLE users ADD COLUMN odd text; ALTER TABLE users DROP COLUMN odd",
        ),
    ] {
        assert_eq!(differences(engine, change).await, [], "{change}");
    }
}

#[tokio::test]
async fn a_trigger_that_is_switched_off_is_found() {
    let app = TestApp::open(Engine::Postgres).await;
    crate::sql::execute(app.petspark.settings(), "ALTER TABLE pets DISABLE TRIGGER pets_count_insert").await;
    let differences = app.petspark.database().migrations().verify().await.unwrap();
    assert_eq!(differences.len(), 1, "{differences:?}");
    assert_eq!(differences[0].to_string(), "trigger pets_count_insert of pets is switched off instead of fires");
}

#[tokio::test]
async fn a_database_without_anything_differs_in_every_table() {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings(engine, &folder).await;
        let database = Database::open(&settings.database).await.unwrap();
        let differences = database.migrations().verify().await.unwrap();
        assert!(differences.iter().all(|it| it.kind == DifferenceKind::Table) && differences.len() > 10);
        let refused = database
            .migrations()
            .baseline(&Caller::system(), None, Clock::system().now(), Duration::from_secs(1))
            .await
            .unwrap_err();
        assert!(matches!(refused, MigrationError::Differs(_)));
    }
}
