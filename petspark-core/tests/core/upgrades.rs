//! Upgrades from every earlier version with rows in place, on both engines: the schema is then
//! exactly that of a new database, every row is still there, and the services work on them.

use std::time::Duration;

use petspark_core::auth::{Client, Password};
use petspark_core::database::{Database, Migration, Run};
use petspark_core::pets::PetFilter;
use petspark_core::testing::{Engine, settings};
use petspark_core::{Caller, Clock, Migrate, PageRequest, PetSpark};

/// Rows, and the version from which on such a row can be. `{n}` is an id, `{at}` a time, `{json}`
/// an object, `{bytes}` some bytes, `{no}` false: as each engine writes them.
const ROWS: &[(i64, &str)] = &[
    (
        1,
        "INSERT INTO users (id, email, email_verified_at, password_hash, display_name, role, status, created_at, updated_at) \
        VALUES ({1}, 'ada@example.org', {at}, '$argon2id$v=19$m=19456,t=2,p=1$PASSWORD', 'Ada', 'user', 'active', {at}, {at})",
    ),
    (
        1,
        "INSERT INTO users (id, email, display_name, role, status, created_at, updated_at) \
        VALUES ({2}, 'bob@example.org', 'Bob', 'moderator', 'suspended', {at}, {at})",
    ),
    (
        2,
        "INSERT INTO sessions (id, user_id, generation, acknowledged_generation, rotated_at, created_at, idle_expires_at, \
        absolute_expires_at, authenticated_at, client) VALUES ({3}, {1}, 1, 1, {at}, {at}, {at}, {at}, {at}, 'web')",
    ),
    (
        4,
        "INSERT INTO jobs (id, kind, payload, priority, due_at, running, attempts, max_attempts, created_at) \
        VALUES ({6}, 'nobody.does', {json}, 0, {at}, {no}, 0, 12, {at})",
    ),
    (
        5,
        "INSERT INTO audit_log (id, at, actor, action, succeeded, details) \
        VALUES ({7}, {at}, 'system', 'user_created', {no}, {json})",
    ),
    (
        7,
        "INSERT INTO one_time_tokens (id, user_id, purpose, bound_email, created_at, expires_at) \
        VALUES ({8}, {1}, 'verify_email', 'ada@example.org', {at}, {at})",
    ),
    (
        8,
        "INSERT INTO totp_factors (id, user_id, sealed_secret, last_step, failures, created_at) \
        VALUES ({9}, {2}, {bytes}, 0, 0, {at})",
    ),
    (8, "INSERT INTO recovery_codes (digest, user_id, created_at) VALUES ({bytes}, {2}, {at})"),
    (
        8,
        "INSERT INTO second_factor_challenges (id, user_id, session_version, attempts, expires_at) \
        VALUES ({10}, {2}, 0, 0, {at})",
    ),
    (
        9,
        "INSERT INTO throttles (bucket, subject, ip, count, ends_at, last_at, previous_at) \
        VALUES ('login', {bytes}, '', 1, {at}, {at}, {at})",
    ),
    (10, "INSERT INTO signing_keys (kid, state, public_key, created_at) VALUES ('k', 'retired', {bytes}, {at})"),
    (
        11,
        "INSERT INTO api_keys (id, name, scopes, digest, created_by, created_at) \
        VALUES ({11}, 'reports', 'users:read', {bytes}, 'system', {at})",
    ),
    (
        13,
        "INSERT INTO idempotency_keys (user_id, key, operation, fingerprint, created_at) \
        VALUES ({1}, 'k', 'pets.create', {bytes}, {at})",
    ),
    (14, "INSERT INTO favorites (user_id, pet_id, created_at) VALUES ({2}, {4}, {at})"),
    (14, "INSERT INTO blocks (blocker_id, blocked_id, created_at) VALUES ({1}, {2}, {at})"),
    (
        15,
        "INSERT INTO moderation_tasks (id, subject_kind, subject_id, pet_id, status, created_at, reported_at) \
        VALUES ({12}, 'pet', {4}, {4}, 'open', {at}, {at})",
    ),
    (15, "INSERT INTO reports (task_id, reporter_id, reason, created_at) VALUES ({12}, {2}, 'spam', {at})"),
    (
        20,
        "INSERT INTO uploads (id, owner_id, purpose, status, file_name, content_type, size, stored_bytes, expires_at, \
        created_at, updated_at) VALUES ({13}, {1}, 'document', 'approved', 'a.pdf', 'application/pdf', 1, 1, {at}, {at}, {at})",
    ),
    (20, "INSERT INTO photo_buckets (bucket, upload_id) VALUES (1, {13})"),
    (20, "INSERT INTO removed_uploads (id, owner_id, content_type, expires_at) VALUES ({14}, {1}, 'image/jpeg', {at})"),
    (21, "INSERT INTO billing_customers (stripe_id, user_id, created_at) VALUES ('cus_1', {1}, {at})"),
    (
        21,
        "INSERT INTO billing_products (id, name, features, active, updated_at) VALUES ('prod_1', 'Plus', {list}, {no}, {at})",
    ),
    (
        21,
        "INSERT INTO billing_prices (id, product_id, currency, active, updated_at) VALUES ('price_1', 'prod_1', 'eur', {no}, {at})",
    ),
    (
        21,
        "INSERT INTO billing_subscriptions (id, customer_id, user_id, status, quantity, cancel_at_period_end, last_access, \
        created_at, synced_at) VALUES ('sub_1', 'cus_1', {1}, 'active', 1, {no}, 'full', {at}, {at})",
    ),
    (
        21,
        "INSERT INTO billing_payments (id, customer_id, user_id, quantity, amount, currency, status, refunded, disputed, \
        created_at, synced_at) VALUES ('pi_1', 'cus_1', {1}, 1, 500, 'eur', 'succeeded', 0, {no}, {at}, {at})",
    ),
    (
        21,
        "INSERT INTO billing_grants (id, user_id, source, plan, granted_by, created_at) \
        VALUES ({15}, {1}, 'admin', 'plus', 'system', {at})",
    ),
    (
        21,
        "INSERT INTO billing_events (id, type, body, status, attempts, created_at, received_at) \
        VALUES ('evt_1', 'invoice.paid', {json}, 'done', 1, {at}, {at})",
    ),
    (
        21,
        "INSERT INTO billing_operations (id, user_id, kind, idempotency_key, request_hash, state, created_at, updated_at) \
        VALUES ({16}, {1}, 'checkout', 'k', {bytes}, 'done', {at}, {at})",
    ),
    // What was paid back: all of it, and its purchase taken back; some of it, and its purchase taken back for
    // another reason; all of it, and nobody took the purchase back.
    (
        21,
        "INSERT INTO billing_payments (id, customer_id, user_id, quantity, amount, currency, status, refunded, disputed, \
        created_at, synced_at) VALUES ('pi_2', 'cus_1', {1}, 1, 500, 'eur', 'succeeded', 500, {no}, {at}, {at}), \
        ('pi_3', 'cus_1', {1}, 1, 500, 'eur', 'succeeded', 200, {no}, {at}, {at}), \
        ('pi_4', 'cus_1', {1}, 1, 500, 'eur', 'succeeded', 500, {no}, {at}, {at})",
    ),
    (
        21,
        "INSERT INTO billing_grants (id, user_id, source, plan, payment_id, granted_by, revoked_at, created_at) \
        VALUES ({18}, {1}, 'purchase', 'plus', 'pi_2', 'system', {at}, {at}), \
        ({19}, {1}, 'purchase', 'plus', 'pi_3', 'system', {at}, {at}), \
        ({20}, {1}, 'purchase', 'plus', 'pi_4', 'system', NULL, {at}), \
        ({21}, {1}, 'admin', 'pro', NULL, 'system', {at}, {at})",
    ),
    (
        21,
        "INSERT INTO billing_subscriptions (id, customer_id, user_id, status, quantity, cancel_at_period_end, canceled_at, \
        ended_at, last_access, created_at, synced_at) \
        VALUES ('sub_2', 'cus_1', {1}, 'canceled', 1, {no}, {at}, {at}, 'none', {at}, {at})",
    ),
    (
        21,
        "INSERT INTO billing_operations (id, user_id, kind, idempotency_key, request_hash, state, created_at, updated_at) \
        VALUES ({22}, {1}, 'refund', 'refund pi_2 0 500', {bytes}, 'done', {at}, {at}), \
        ({23}, {1}, 'refund', 'refund pi_3 0 200', {bytes}, 'refused', {at}, {at})",
    ),
    (21, "INSERT INTO billing_turns (object_id, taken, written) VALUES ('sub_1', 1, 1)"),
    (
        22,
        "INSERT INTO operations (id, kind, succeeded, details, started_at, finished_at) \
        VALUES ({17}, 'backup', {no}, {json}, {at}, {at})",
    ),
    (
        24,
        "INSERT INTO billing_account (provider, account_id, livemode, accepted_by, accepted_at) \
        VALUES ('stripe', 'acct_1', {no}, 'system', {at})",
    ),
];

/// Pets: two columns are required from version 12 on.
const PETS: [&str; 2] = [
    "INSERT INTO pets (id, owner_id, name, species, gender, personality, bio, status, created_at, updated_at) \
        VALUES ({n}, {1}, '{name}', 'dog', 'male', {list}, 'Likes Mud', '{status}', {at}, {at})",
    "INSERT INTO pets (id, owner_id, name, name_key, bio_key, species, gender, personality, bio, status, created_at, updated_at) \
        VALUES ({n}, {1}, '{name}', lower('{name}'), 'likes mud', 'dog', 'male', {list}, 'Likes Mud', '{status}', {at}, {at})",
];

/// 2026-11-22, a while before the clock of the tests.
const AT: i64 = 1_795_300_000_000_000;

fn statement(text: &str, engine: Engine) -> String {
    let sqlite = engine == Engine::Sqlite;
    let mut text = text
        .replace("{at}", &if sqlite { AT.to_string() } else { format!("to_timestamp({}.0)", AT / 1_000_000) })
        .replace("{json}", "'{\"a\": [1, true]}'")
        .replace("{list}", "'[\"calm\"]'")
        .replace("{bytes}", if sqlite { "X'0102'" } else { "'\\x0102'" })
        .replace("{no}", if sqlite { "0" } else { "false" });
    for n in 1..=23 {
        let id = if sqlite { format!("X'{n:032x}'") } else { format!("'{n:032x}'") };
        text = text.replace(&format!("{{{n}}}"), &id);
    }
    text
}

/// What can be there from this version on, and not before.
pub(crate) fn rows_since(version: i64, engine: Engine) -> Vec<String> {
    let before = statements(version - 1, engine);
    let is_new = |statement: &String| !before.contains(statement);
    let all = statements(version, engine).into_iter().filter(is_new);
    // The pets of before got what was new by the migration.
    all.filter(|statement| version == 3 || !statement.starts_with("INSERT INTO pets ")).collect()
}

fn statements(version: i64, engine: Engine) -> Vec<String> {
    let mut all: Vec<String> =
        ROWS.iter().filter(|(since, _)| *since <= version && *since < 14).map(|(_, text)| (*text).to_owned()).collect();
    if version >= 3 {
        let pet = PETS[usize::from(version >= 12)];
        for (id, name, status) in [("{4}", "Rex", "active"), ("{5}", "Luna", "hidden")] {
            all.push(pet.replace("{n}", id).replace("{name}", name).replace("{status}", status));
        }
    }
    all.extend(ROWS.iter().filter(|(since, _)| *since <= version && *since >= 14).map(|(_, text)| (*text).to_owned()));
    all.iter().map(|text| statement(text, engine)).collect()
}

/// A password's hash, made once: it costs.
async fn hash() -> String {
    let app = petspark_core::testing::TestApp::open(Engine::Sqlite).await;
    app.register("ada").await;
    let rows = crate::sql::every_row(app.petspark.settings()).await;
    let row = rows.iter().find(|row| row.contains("$argon2id$")).unwrap();
    row.split('\'').find(|word| word.starts_with("$argon2id$")).unwrap().to_owned()
}

async fn every_version(engine: Engine) {
    let hash = hash().await;
    let newest = Migration::all().last().unwrap().version;
    for version in 1..newest {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings(engine, &folder).await;
        let database = Database::open(&settings.database).await.unwrap();
        let run = Run { to: Some(version), ..Run::default() };
        let patience = Duration::from_secs(5);
        let applied = database.migrations().run_as(&run, Clock::system().now(), patience).await.unwrap();
        assert_eq!(applied.last().unwrap().version, version);
        let statements = statements(version, engine);
        for statement in &statements {
            crate::sql::execute(&settings, &statement.replace("$argon2id$v=19$m=19456,t=2,p=1$PASSWORD", &hash)).await;
        }
        // What the database keeps by itself isn't counted: counters, and the words of pets.
        let before = count(&settings).await;
        database.close().await;

        let petspark = PetSpark::open_with(settings.clone(), Migrate::Always, Clock::system()).await.unwrap();
        assert_eq!(petspark.database().migrations().verify().await.unwrap(), [], "from {version}");
        let after = count(&settings).await;
        for (table, rows) in &before {
            assert_eq!(
                after.iter().find(|(it, _)| it == table).map(|(_, rows)| rows),
                Some(rows),
                "{table} from {version}"
            );
        }
        let rows: i64 = before.iter().map(|(_, rows)| rows).sum();
        let inserted: usize = statements.iter().map(|statement| rows_of(statement)).sum();
        assert_eq!(rows, i64::try_from(inserted).unwrap(), "from {version}");
        old_rows_are_filled(&settings, version).await;
        services_work(&petspark, version).await;
        petspark.close().await;
    }
}

/// How many rows a statement makes: each one's values begin with its key.
fn rows_of(statement: &str) -> usize {
    let (_, values) = statement.split_once(" VALUES ").unwrap();
    1 + values.matches("), (").count()
}

/// What 0024 and 0025 make of rows that are older.
async fn old_rows_are_filled(settings: &petspark_core::config::Settings, from: i64) {
    if from < 21 {
        return;
    }
    let operations =
        "SELECT idempotency_key || ': ' || coalesce(object_id, 'nothing') FROM billing_operations ORDER BY 1";
    // A step that had been applied already fills nothing any more.
    let [first, second] = if from < 24 { ["pi_2", "pi_3"] } else { ["nothing"; 2] };
    let expected =
        ["k: nothing".to_owned(), format!("refund pi_2 0 500: {first}"), format!("refund pi_3 0 200: {second}")];
    assert_eq!(texts(settings, operations).await, expected, "what operations are about, from {from}");
    let grants = "SELECT coalesce(payment_id, plan) FROM billing_grants WHERE paid_back ORDER BY 1";
    let expected: &[&str] = if from < 25 { &["pi_2"] } else { &[] };
    assert_eq!(texts(settings, grants).await, expected, "what was paid back, from {from}");
    let revoked = "SELECT coalesce(payment_id, plan) FROM billing_grants WHERE revoked_at IS NOT NULL ORDER BY 1";
    assert_eq!(texts(settings, revoked).await, ["pi_2", "pi_3", "pro"], "what was taken back, from {from}");
    let ending = "SELECT id FROM billing_subscriptions WHERE ends_with_account";
    assert_eq!(texts(settings, ending).await, [""; 0], "from {from}");
    let paid = "SELECT id FROM billing_payments WHERE paid_at IS NOT NULL";
    assert_eq!(texts(settings, paid).await, [""; 0], "nobody knows when the money came, from {from}");
}

async fn texts(settings: &petspark_core::config::Settings, sql: &'static str) -> Vec<String> {
    use crate::sql::{Direct, connect};
    match connect(settings).await {
        Direct::Sqlite(mut connection) => sqlx::query_scalar(sql).fetch_all(&mut connection).await.unwrap(),
        Direct::Postgres(mut connection) => sqlx::query_scalar(sql).fetch_all(&mut connection).await.unwrap(),
    }
}

async fn services_work(petspark: &PetSpark, from: i64) {
    let auth = petspark.auth();
    let password = Password::new(petspark_core::testing::TestApp::PASSWORD);
    let login = auth.login("ada@example.org", password, Client::default()).await.unwrap();
    let ada = auth.authenticate(login.tokens.access.expose()).await.unwrap();
    let numbers = petspark.dashboard().read(&Caller::operator("test")).await.unwrap();
    assert_eq!((numbers.users.active, numbers.users.suspended), (1, 1), "from {from}");
    if from < 3 {
        return;
    }
    assert_eq!((numbers.pets.active, numbers.pets.hidden), (1, 1), "from {from}");
    let found = PetFilter { q: Some("mud".to_owned()), ..PetFilter::default() };
    let found = petspark.pets().list(&ada, found, &PageRequest::default()).await.unwrap().items;
    assert_eq!(found.iter().map(|pet| pet.name.as_str()).collect::<Vec<_>>(), ["Rex"], "from {from}");
    if from >= 15 {
        assert_eq!(numbers.moderation.open, 1, "from {from}");
    }
}

/// How many rows each table has that a service or a test fills.
async fn count(settings: &petspark_core::config::Settings) -> Vec<(String, i64)> {
    use crate::sql::{Direct, connect};
    let mut counts = Vec::new();
    for table in tables(settings).await {
        #[allow(clippy::disallowed_methods, reason = "names of our own tables")]
        let sql = sqlx::AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
        let rows: i64 = match connect(settings).await {
            Direct::Sqlite(mut connection) => sqlx::query_scalar(sql).fetch_one(&mut connection).await.unwrap(),
            Direct::Postgres(mut connection) => sqlx::query_scalar(sql).fetch_one(&mut connection).await.unwrap(),
        };
        counts.push((table, rows));
    }
    counts
}

async fn tables(settings: &petspark_core::config::Settings) -> Vec<String> {
    use crate::sql::{Direct, connect};
    let tables: Vec<String> = match connect(settings).await {
        Direct::Sqlite(mut connection) => {
            sqlx::query_scalar("SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table'")
                .fetch_all(&mut connection)
                .await
        }
        Direct::Postgres(mut connection) => {
            sqlx::query_scalar("SELECT tablename::text FROM pg_tables WHERE schemaname = current_schema()")
                .fetch_all(&mut connection)
                .await
        }
    }
    .unwrap();
    let is_ours =
        |table: &String| table != "counters" && !table.starts_with("petspark_") && !table.starts_with("sqlite_");
    tables.into_iter().filter(is_ours).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_earlier_version_can_be_upgraded_with_its_rows_on_sqlite() {
    every_version(Engine::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_earlier_version_can_be_upgraded_with_its_rows_on_postgresql() {
    every_version(Engine::Postgres).await;
}

/// A table that the newest step doesn't make can have had rows when it was upgraded: then this file
/// has to have one.
#[tokio::test]
async fn every_table_that_an_upgrade_can_meet_has_a_row_here() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(Engine::Sqlite, &folder).await;
    let database = Database::open(&settings.database).await.unwrap();
    let before_last = Migration::all().iter().rev().nth(1).unwrap().version;
    let run = Run { to: Some(before_last), ..Run::default() };
    database.migrations().run_as(&run, Clock::system().now(), Duration::from_secs(5)).await.unwrap();
    let known: Vec<_> = ROWS.iter().map(|(_, text)| *text).chain(PETS).collect();
    let is_known = |table: &String| known.iter().any(|text| text.starts_with(&format!("INSERT INTO {table} (")));
    let missing: Vec<_> = tables(&settings).await.into_iter().filter(|table| !is_known(table)).collect();
    assert!(missing.is_empty(), "ROWS needs a row of {missing:?}, with the version that made the table");
}
