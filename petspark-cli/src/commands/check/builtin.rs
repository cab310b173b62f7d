//! The built-in checks: settings, database, migrations, schema, uploads, mails; those of payments are in `billing.rs`.

use std::time::Duration;

use futures_util::future::BoxFuture;
use petspark_core::auth::lacking_secrets;
use petspark_core::chain;
use petspark_core::config::Environment;
use petspark_core::database::{Database, DifferenceKind, MigrationError};
use petspark_core::mail::reach;
use petspark_core::media::objects::ObjectStore;

use super::billing;
use crate::check::{Check, Severity, SkipReason, Verdict};
use crate::commands::migrate::names;
use crate::context::{Context, Missing};

/// Within the time that a check has.
const REACHED_WITHIN: Duration = Duration::from_secs(4);

type Look = for<'a> fn(&'a Context) -> BoxFuture<'a, Verdict>;

/// Where all of them are explained.
const DOCS_URL: &str = concat!(env!("CARGO_PKG_REPOSITORY"), "/blob/main/docs/OPERATING.md#what-check-looks-at");

struct BuiltIn {
    id: &'static str,
    items: &'static [&'static str],
    title: &'static str,
    severity: Severity,
    look: Look,
}

impl Check for BuiltIn {
    fn id(&self) -> &str {
        self.id
    }

    fn items(&self) -> &[&str] {
        self.items
    }

    fn docs_url(&self) -> Option<&str> {
        Some(DOCS_URL)
    }

    fn title(&self) -> &str {
        self.title
    }

    fn severity(&self) -> Severity {
        self.severity
    }

    fn run<'a>(&'a self, cx: &'a Context) -> BoxFuture<'a, Verdict> {
        (self.look)(cx)
    }
}

pub(super) fn all() -> Vec<Box<dyn Check>> {
    let check = |id, items, title, severity, look: Look| -> Box<dyn Check> {
        Box::new(BuiltIn { id, items, title, severity, look })
    };
    let error = Severity::Error;
    vec![
        check("config.complete", &["1.1"], "every setting is valid", error, |cx| Box::pin(async { settings(cx) })),
        check("db.connect", &["2.1"], "the database answers", error, |cx| Box::pin(connect(cx))),
        check("db.migrations", &["2.2"], "every migration is applied, and none was changed", error, |cx| {
            Box::pin(migrations(cx))
        }),
        check("db.migrations.newer", &["2.2"], "no newer release has migrated it", Severity::Warn, |cx| {
            Box::pin(newer(cx))
        }),
        check(
            "db.schema",
            &["2.2"],
            "tables, columns, constraints and triggers are what the migrations make",
            error,
            |cx| {
                Box::pin(schema(
                    cx,
                    &[
                        DifferenceKind::Table,
                        DifferenceKind::Column,
                        DifferenceKind::PrimaryKey,
                        DifferenceKind::Constraint,
                        DifferenceKind::Trigger,
                    ],
                ))
            },
        ),
        check("db.indexes", &["2.5"], "every index is there and valid", error, |cx| {
            Box::pin(schema(cx, &[DifferenceKind::Index]))
        }),
        check("db.foreign_keys", &["2.6"], "every foreign key is there, valid and indexed", error, |cx| {
            Box::pin(schema(cx, &[DifferenceKind::ForeignKey]))
        }),
        check("auth.secrets", &["1.2"], "what is sealed can be opened", error, |cx| Box::pin(secrets(cx))),
        check("media.store", &["1.6"], "uploads can be kept", error, |cx| Box::pin(media(cx))),
        check("mail.transport", &[], "mails leave", Severity::Warn, |cx| Box::pin(mail(cx))),
        check(
            "billing.stripe.account",
            &["1.7"],
            "Stripe lets us in, to the account whose payments are kept here",
            error,
            |cx| Box::pin(billing::account(cx)),
        ),
        check("billing.events", &[], "no event of Stripe's was given up", Severity::Warn, |cx| {
            Box::pin(billing::events(cx))
        }),
    ]
}

pub(super) fn fail(observed: impl Into<String>, expected: &str, hint: impl Into<String>) -> Verdict {
    Verdict::Fail { observed: observed.into(), expected: expected.to_owned(), hint: hint.into() }
}

/// For checks that need settings, when there are none: `config.complete` says why.
pub(super) fn no_settings() -> Verdict {
    Verdict::Broken("the settings are not valid".to_owned())
}

fn settings(cx: &Context) -> Verdict {
    match cx.settings() {
        Ok(_) => Verdict::Pass("valid".to_owned()),
        Err(failure) => {
            fail(failure.message(), "valid settings", "`config check` lists every problem with where it comes from.")
        }
    }
}

async fn connect(cx: &Context) -> Verdict {
    if cx.settings().is_err() {
        return no_settings();
    }
    let database = match cx.database(Missing::Refuse).await {
        Ok(database) => database,
        Err(failure) => return fail(failure.message(), "an answer", "Look whether it runs, and at DATABASE_URL."),
    };
    let answer = database.ping().await;
    let verdict = match answer {
        Ok(()) => Verdict::Pass(format!("{} at {}", database.engine_name(), database.target())),
        Err(fault) => fail(fault.chain(), "an answer", "Look whether it runs, and at DATABASE_URL."),
    };
    database.close().await;
    verdict
}

/// The database for a check that says more than whether it is there.
async fn open(cx: &Context) -> Result<Database, Verdict> {
    if cx.settings().is_err() {
        return Err(no_settings());
    }
    cx.database(Missing::Refuse).await.map_err(|failure| Verdict::Broken(failure.message().to_owned()))
}

async fn migrations(cx: &Context) -> Verdict {
    let database = match open(cx).await {
        Ok(database) => database,
        Err(verdict) => return verdict,
    };
    let current = database.migrations().require_current().await;
    let newest = petspark_core::database::Migration::all().last().map_or("none", |step| step.name);
    database.close().await;
    let expected = "exactly the migrations of this build";
    match current {
        Ok(()) => Verdict::Pass(format!("up to {newest}")),
        Err(MigrationError::Pending { count }) => {
            fail(format!("{count} pending"), expected, "`migrate run --backup-first` applies them.")
        }
        Err(error @ MigrationError::Modified { .. }) => {
            fail(error.to_string(), expected, "Use the build that applied it, or find out who changed it.")
        }
        Err(error @ (MigrationError::Newer { .. } | MigrationError::TooOld { .. })) => {
            fail(error.to_string(), expected, "Use that release, or the backup from before it.")
        }
        Err(error @ MigrationError::NotAllowed(_)) => {
            fail(error.to_string(), expected, "Grant it what it lacks, or connect as the role that owns the tables.")
        }
        Err(error @ (MigrationError::HalfRestored(_) | MigrationError::HalfCopied)) => {
            fail(error.to_string(), expected, "Run the command that was interrupted again.")
        }
        Err(error) => Verdict::Broken(chain(&error)),
    }
}

async fn newer(cx: &Context) -> Verdict {
    let database = match open(cx).await {
        Ok(database) => database,
        Err(verdict) => return verdict,
    };
    let newer = database.migrations().newer().await;
    database.close().await;
    match newer {
        Ok(newer) if newer.is_empty() => Verdict::Pass("none has".to_owned()),
        Ok(newer) => fail(
            names(&newer),
            "exactly the migrations of this build",
            "Go forward to that release again; until then its own parts of the schema aren't looked at.",
        ),
        Err(error) => Verdict::Broken(chain(&error)),
    }
}

async fn schema(cx: &Context, kinds: &[DifferenceKind]) -> Verdict {
    let database = match open(cx).await {
        Ok(database) => database,
        Err(verdict) => return verdict,
    };
    let migrations = database.migrations();
    // What a newer release added is no mistake, and can't be told from one.
    let found = match (migrations.require_current().await, migrations.newer().await) {
        (Ok(()), Ok(newer)) if newer.is_empty() => migrations.verify().await.map(Some),
        _ => Ok(None),
    };
    database.close().await;
    match found {
        Ok(None) => {
            Verdict::Skip(SkipReason::NotApplicable, "the database isn't at this build's migrations".to_owned())
        }
        Ok(Some(mut differences)) => {
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
        Err(error) => Verdict::Broken(chain(&error)),
    }
}

async fn secrets(cx: &Context) -> Verdict {
    let database = match open(cx).await {
        Ok(database) => database,
        Err(verdict) => return verdict,
    };
    let current = database.migrations().require_current().await;
    database.close().await;
    let (Ok(settings), Ok(())) = (cx.settings(), current) else {
        return Verdict::Skip(SkipReason::NotApplicable, "the database isn't at this build's migrations".to_owned());
    };
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

async fn media(cx: &Context) -> Verdict {
    let Ok(settings) = cx.settings() else { return no_settings() };
    let objects = &settings.core.objects;
    let expected = "a store that takes objects";
    let hint = "Look at media.store, media.folder and the AWS_* settings.";
    match ObjectStore::open(objects) {
        Err(problem) => fail(problem, expected, hint),
        Ok(store) => match store.check().await {
            Ok(()) => Verdict::Pass(objects.store.to_string()),
            Err(error) => fail(chain(&error), expected, hint),
        },
    }
}

async fn mail(cx: &Context) -> Verdict {
    let Ok(settings) = cx.settings() else { return no_settings() };
    match (&settings.core.mail.smtp, settings.core.environment) {
        (Some(_), _) => match reach(&settings.core.mail, REACHED_WITHIN).await {
            Ok(()) => Verdict::Pass("the mail server lets us in; `mail test` sends one".to_owned()),
            Err(problem) => {
                fail(problem, "a mail server that lets us in", "Look at SMTP_URL; `mail test` tries it too.")
            }
        },
        (None, Environment::Development) => {
            Verdict::Skip(SkipReason::FeatureOff, "SMTP_URL is not set: mails become files".to_owned())
        }
        (None, Environment::Production) => fail(
            "SMTP_URL is not set: mails become files",
            "a mail server",
            "Set SMTP_URL, MAIL_FROM and PUBLIC_WEB_URL.",
        ),
    }
}
