//! Checks of the database: whether it answers, which migrations it has, whether its schema is what they make, and
//! whether what is sealed in it can be opened.

use petspark_core::auth::lacking_secrets;
use petspark_core::chain;
use petspark_core::database::{Database, DifferenceKind, Migration, MigrationError};

use super::builtin::{fail, no_settings};
use crate::check::{SkipReason, Verdict};
use crate::commands::migrate::names;
use crate::context::{Context, Missing};

const THIS_BUILDS: &str = "exactly the migrations of this build";

pub(super) async fn connect(cx: &Context) -> Verdict {
    if cx.settings().is_err() {
        return no_settings();
    }
    let no_answer = |observed: String| fail(observed, "an answer", "Look whether it runs, and at DATABASE_URL.");
    let database = match cx.database(Missing::Refuse).await {
        Ok(database) => database,
        Err(failure) => return no_answer(failure.message().to_owned()),
    };
    let answer = database.ping().await;
    let verdict = match answer {
        Ok(()) => Verdict::Pass(format!("{} at {}", database.engine_name(), database.target())),
        Err(fault) => no_answer(fault.chain()),
    };
    database.close().await;
    verdict
}

/// Gives the database to a check that says more than whether it is there, and closes it after that.
async fn look<T>(cx: &Context, at: impl AsyncFnOnce(&Database) -> T) -> Result<T, Verdict> {
    if cx.settings().is_err() {
        return Err(no_settings());
    }
    let opened = cx.database(Missing::Refuse).await;
    let database = opened.map_err(|failure| Verdict::Broken(failure.message().to_owned()))?;
    let seen = at(&database).await;
    database.close().await;
    Ok(seen)
}

pub(super) async fn migrations(cx: &Context) -> Verdict {
    let expected = THIS_BUILDS;
    match look(cx, async |database| database.migrations().require_current().await).await {
        Err(verdict) => verdict,
        Ok(Ok(())) => Verdict::Pass(format!("up to {}", Migration::all().last().map_or("none", |step| step.name))),
        Ok(Err(MigrationError::Pending { count })) => {
            fail(format!("{count} pending"), expected, "`migrate run --backup-first` applies them.")
        }
        Ok(Err(error @ MigrationError::Modified { .. })) => {
            fail(error.to_string(), expected, "Use the build that applied it, or find out who changed it.")
        }
        Ok(Err(error @ (MigrationError::Newer { .. } | MigrationError::TooOld { .. }))) => {
            fail(error.to_string(), expected, "Use that release, or the backup from before it.")
        }
        Ok(Err(error @ MigrationError::NotAllowed(_))) => {
            fail(error.to_string(), expected, "Grant it what it lacks, or connect as the role that owns the tables.")
        }
        Ok(Err(error @ (MigrationError::HalfRestored(_) | MigrationError::HalfCopied))) => {
            fail(error.to_string(), expected, "Run the command that was interrupted again.")
        }
        Ok(Err(error)) => Verdict::Broken(chain(&error)),
    }
}

pub(super) async fn newer(cx: &Context) -> Verdict {
    match look(cx, async |database| database.migrations().newer().await).await {
        Err(verdict) => verdict,
        Ok(Ok(newer)) if newer.is_empty() => Verdict::Pass("none has".to_owned()),
        Ok(Ok(newer)) => fail(
            names(&newer),
            THIS_BUILDS,
            "Go forward to that release again; until then its own parts of the schema aren't looked at.",
        ),
        Ok(Err(error)) => Verdict::Broken(chain(&error)),
    }
}

pub(super) async fn schema(cx: &Context, kinds: &[DifferenceKind]) -> Verdict {
    let found = look(cx, async |database| {
        let migrations = database.migrations();
        // What a newer release added is no mistake, and can't be told from one.
        match (migrations.require_current().await, migrations.newer().await) {
            (Ok(()), Ok(newer)) if newer.is_empty() => migrations.verify().await.map(Some),
            _ => Ok(None),
        }
    });
    match found.await {
        Err(verdict) => verdict,
        Ok(Ok(None)) => not_at_this_builds(),
        Ok(Ok(Some(mut differences))) => {
            differences.retain(|difference| kinds.contains(&difference.kind));
            if differences.is_empty() {
                return Verdict::Pass("as it should be".to_owned());
            }
            let told: Vec<_> = differences.iter().map(ToString::to_string).collect();
            fail(
                told.join("; "),
                "what the migrations make",
                "`migrate verify` lists it; mend what was changed by hand.",
            )
        }
        Ok(Err(error)) => Verdict::Broken(chain(&error)),
    }
}

pub(super) async fn secrets(cx: &Context) -> Verdict {
    let current = match look(cx, async |database| database.migrations().require_current().await).await {
        Ok(current) => current,
        Err(verdict) => return verdict,
    };
    let (Ok(settings), Ok(())) = (cx.settings(), current) else { return not_at_this_builds() };
    match lacking_secrets(&settings.core).await {
        Ok(lacking) if lacking.is_empty() => Verdict::Pass("by the secrets that are set".to_owned()),
        Ok(lacking) => fail(
            format!("second factors or signing keys are sealed by {}", lacking.join(", ")),
            "every secret that something is sealed by",
            "Put the JWT_SECRET or auth.encryption_key of that time at the end of auth.encryption_key; `key rotate` \
             then seals all of it anew.",
        ),
        Err(fault) => Verdict::Broken(fault.chain()),
    }
}

fn not_at_this_builds() -> Verdict {
    Verdict::Skip(SkipReason::NotApplicable, "the database isn't at this build's migrations".to_owned())
}
