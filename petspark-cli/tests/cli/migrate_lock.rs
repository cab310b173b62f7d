//! The lock of `migrate`: waiting for it, who is told to hold it, and when it is ended.

use std::process::Stdio;

use crate::check::tamper;
use crate::migrate::make_empty;
use crate::support::{Place, Ran, block_on, on_both};

/// Keeps others from migrating until it is dropped.
enum Held {
    Sqlite(#[expect(dead_code, reason = "held, not used")] std::fs::File),
    Postgres(tokio::runtime::Runtime, #[expect(dead_code, reason = "held, not used")] sqlx::PgConnection),
}

impl Held {
    fn at(place: &Place) -> Self {
        Self::by(place, "petspark 4711/1/0@db1")
    }

    /// By a process that calls itself so.
    fn by(place: &Place, name: &str) -> Self {
        match place.database_url() {
            None => {
                let path = place.path().join("petspark-data/petspark.db.migrate.lock");
                std::fs::write(&path, format!("{name}\n1795384178123456\n")).unwrap();
                let file = std::fs::File::open(path).unwrap();
                file.lock().unwrap();
                Self::Sqlite(file)
            }
            Some(url) => {
                let runtime = tokio::runtime::Runtime::new().unwrap();
                let connection = runtime.block_on(async {
                    let options: sqlx::postgres::PgConnectOptions = url.parse().unwrap();
                    let options = options.application_name(name);
                    let connecting = <sqlx::PgConnection as sqlx::Connection>::connect_with(&options);
                    let mut connection = connecting.await.unwrap();
                    let lock =
                        sqlx::query("SELECT pg_advisory_lock($1, hashtext(current_schema()))").bind(0x7065_7473_i32);
                    lock.execute(&mut connection).await.unwrap();
                    connection
                });
                Self::Postgres(runtime, connection)
            }
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Self::Postgres(runtime, _) = self {
            // Dropping the connection within its runtime closes it.
            let _guard = runtime.enter();
        }
    }
}

on_both! {
    fn ten_processes_at_once_migrate_once(place) {
        let children: Vec<_> = (0..10).map(|_| place.start("migrate run --json", Stdio::null())).collect();
        let ran: Vec<Ran> = children.into_iter().map(|child| Ran::of(child.wait_with_output().unwrap()).expect(0)).collect();
        let applied: Vec<usize> = ran.iter().map(|ran| ran.json()["applied"].as_array().unwrap().len()).collect();
        assert_eq!(applied.iter().filter(|count| **count > 0).count(), 1, "{applied:?}");
        place.ok("migrate status");
    }

    fn a_lock_that_another_process_holds_is_waited_for_and_no_longer_than_told(place) {
        make_empty(&place);
        place.run("migrate status").expect(5);
        let held = Held::at(&place);
        place.run("migrate run --lock-timeout 50ms").expect(8).says("another process").says("process 4711 on db1");
        let unlock = place.run("migrate unlock --json").expect(8).json();
        assert_eq!((&unlock["changed"], &unlock["holder"]["process"]), (&false.into(), &"petspark 4711/1/0@db1".into()));
        place.run("migrate run --lock-timeout 0s").expect(8);
        place.run("migrate status").expect(5);
        drop(held);
        place.ok("migrate unlock").says("nothing to unlock");
        place.ok("migrate run --lock-timeout 10s");
    }
}

#[test]
fn a_lock_timeout_has_a_unit() {
    Place::sqlite().run("migrate run --lock-timeout 5").expect(2).says("must be a duration with its unit, such as");
}

/// A name as this machine's processes have them.
fn name_of(pid: u32) -> String {
    let namespace = std::fs::read_link("/proc/self/ns/pid").unwrap();
    let namespace = namespace.to_str().unwrap().trim_start_matches("pid:[").trim_end_matches(']').to_owned();
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap().replace('-', "");
    format!("petspark {pid}/{namespace}/{}@db1", &boot[..12])
}

/// A PostgreSQL that hasn't noticed that the client of a connection is gone keeps its lock.
#[test]
fn the_lock_of_a_process_that_is_provably_gone_is_ended() {
    let place = Place::postgres();
    place.ok("migrate run");
    // No process has a number above 2^22.
    let held = Held::by(&place, &name_of(4_194_305));
    place.run("migrate run --lock-timeout 0s").expect(8).says("process 4194305");
    place.ok("migrate unlock").says("had not noticed");
    // It has ended by now.
    place.ok("migrate run --lock-timeout 0s");
    assert_eq!(
        place.ok("audit list --action sys_migration_unlocked --json").json()["entries"].as_array().unwrap().len(),
        1
    );
    drop(held);
    let held = Held::by(&place, &name_of(std::process::id()));
    place.run("migrate unlock").expect(8).says("left alone");
    drop(held);
}

/// The server ends what it does for a client who is gone, and gives its lock back.
#[test]
fn a_step_ends_soon_after_its_process_was_killed_and_is_told_as_interrupted() {
    let place = Place::postgres();
    place.ok("migrate run --to 24");
    tamper(
        &place,
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(3600); RETURN NEW; END'; \
         CREATE TRIGGER slow BEFORE INSERT ON petspark_migrations FOR EACH ROW EXECUTE FUNCTION slow()",
    );
    let mut child = place.start("migrate run", Stdio::null());
    let sleeps = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND pid IN \
         (SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objid::bigint = \
             hashtext(current_schema())::bigint & 4294967295))";
    let is_so = |wanted| {
        block_on(async {
            let url = place.database_url().unwrap();
            let mut connection = <sqlx::PgConnection as sqlx::Connection>::connect(url).await.unwrap();
            while sqlx::query_scalar::<_, bool>(sleeps).fetch_one(&mut connection).await.unwrap() != wanted {}
        });
    };
    is_so(true);
    place.run("migrate status").expect(5).says("pending");
    child.kill().unwrap();
    child.wait().unwrap();
    is_so(false);
    place.ok("migrate unlock").says("nothing to unlock");
    place.run("migrate status").expect(5).says("was begun by a process that died over it");
    tamper(&place, "DROP TRIGGER slow ON petspark_migrations");
    place.ok("migrate run --lock-timeout 0s");
    place.ok("migrate status");
}
