//! The steps of the schema that this build has, and their SQL. Applying them is `apply`'s.

use sha2::{Digest, Sha256};

use crate::database::{Database, Engine};
use crate::text::hex;

/// One step of the schema, the same number and name on both engines.
#[derive(Clone, Copy, Debug)]
pub struct Migration {
    /// Steps are applied in the order of this number.
    pub version: i64,
    /// What the step is about.
    pub name: &'static str,
    /// The newest migration that a build has to have, at least, to work with the schema from this step on.
    pub oldest_build: i64,
    pub(in crate::database) sqlite: &'static str,
    pub(in crate::database) postgres: &'static str,
}

/// A number and a name, and perhaps `for builds since` the [oldest build](Migration::oldest_build).
macro_rules! migrations {
    ($($version:literal $name:literal $(for builds since $oldest:literal)?),+ $(,)?) => {
        &[$(Migration {
            version: $version,
            name: $name,
            oldest_build: oldest_build($version, &[$($oldest)?]),
            sqlite: include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/sqlite/", $name, ".sql")),
            postgres: include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/postgres/", $name, ".sql")),
        }),+]
    };
}

/// Unless a step says otherwise, the release before it still works: it only adds. One that takes something away
/// says its own number, and the second and later ones of a release that of the step before the first.
const fn oldest_build(version: i64, said: &[i64]) -> i64 {
    match said {
        [said, ..] => *said,
        [] => version - 1,
    }
}

pub(super) const MIGRATIONS: &[Migration] = migrations![
    1 "0001_users",
    2 "0002_sessions",
    3 "0003_pets",
    4 "0004_jobs",
    5 "0005_audit_log",
    6 "0006_accounts",
    7 "0007_one_time_tokens",
    8 "0008_second_factor",
    9 "0009_throttles",
    10 "0010_signing_keys",
    11 "0011_api_keys",
    12 "0012_pet_search",
    13 "0013_safe_writes",
    14 "0014_favorites_and_blocks",
    15 "0015_moderation",
    16 "0016_counters",
    17 "0017_deleted_pets",
    18 "0018_what_is_over",
    19 "0019_filters_in_indexes",
    20 "0020_uploads",
    21 "0021_billing",
    22 "0022_operations",
    23 "0023_all_photos",
    24 "0024_billing_held_to_its_account",
    25 "0025_refunds_that_failed",
];

impl Migration {
    /// Every migration in this build, oldest first.
    #[must_use]
    pub fn all() -> &'static [Self] {
        MIGRATIONS
    }

    /// The SQL of this step for an engine.
    #[must_use]
    pub fn sql(&self, engine: &Database) -> &'static str {
        match engine.engine() {
            Engine::Sqlite(_) => self.sqlite,
            Engine::Postgres(_) => self.postgres,
        }
    }

    /// The number of the newest one in this build.
    pub(super) fn newest_of_build() -> i64 {
        MIGRATIONS.last().map_or(0, |step| step.version)
    }

    pub(super) fn checksum(&self, database: &Database) -> String {
        checksum(self.sql(database))
    }

    /// What the history of a database of this engine looks like that has all up to `version`.
    pub(crate) fn history(engine: &str, version: i64) -> Vec<(i64, String, String)> {
        let sql = |step: &Self| if engine == "sqlite" { step.sqlite } else { step.postgres };
        let steps = MIGRATIONS.iter().filter(|step| step.version <= version);
        steps.map(|step| (step.version, step.name.to_owned(), checksum(sql(step)))).collect()
    }
}

fn checksum(sql: &str) -> String {
    hex(&Sha256::digest(sql.replace("\r\n", "\n")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_release_before_a_step_works_with_it_unless_the_step_says_otherwise() {
        let steps: &[Migration] =
            migrations![24 "0024_billing_held_to_its_account", 25 "0025_refunds_that_failed" for builds since 25];
        assert_eq!(steps.iter().map(|step| step.oldest_build).collect::<Vec<_>>(), [23, 25]);
        assert!(Migration::all().iter().all(|step| step.oldest_build <= step.version), "a build has its own steps");
    }
}
