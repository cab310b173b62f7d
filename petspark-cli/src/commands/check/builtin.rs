//! Which checks are built in, and those of settings, uploads and mails; the others are in `database.rs` and `billing.rs`.

use std::time::Duration;

use futures_util::future::BoxFuture;
use petspark_core::chain;
use petspark_core::config::Environment;
use petspark_core::database::DifferenceKind;
use petspark_core::mail::reach;
use petspark_core::media::objects::ObjectStore;

use super::{billing, database};
use crate::check::{Check, Severity, SkipReason, Verdict};
use crate::context::Context;

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
        check("db.connect", &["2.1"], "the database answers", error, |cx| Box::pin(database::connect(cx))),
        check("db.migrations", &["2.2"], "every migration is applied, and none was changed", error, |cx| {
            Box::pin(database::migrations(cx))
        }),
        check("db.migrations.newer", &["2.2"], "no newer release has migrated it", Severity::Warn, |cx| {
            Box::pin(database::newer(cx))
        }),
        check(
            "db.schema",
            &["2.2"],
            "tables, columns, constraints and triggers are what the migrations make",
            error,
            |cx| {
                Box::pin(database::schema(
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
            Box::pin(database::schema(cx, &[DifferenceKind::Index]))
        }),
        check("db.foreign_keys", &["2.6"], "every foreign key is there, valid and indexed", error, |cx| {
            Box::pin(database::schema(cx, &[DifferenceKind::ForeignKey]))
        }),
        check("auth.secrets", &["1.2"], "what is sealed can be opened", error, |cx| Box::pin(database::secrets(cx))),
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
