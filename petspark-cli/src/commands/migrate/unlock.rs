//! `migrate unlock`: mostly says why there is nothing to unlock. Both engines give the lock of a
//! process that died back by themselves; what remains is a PostgreSQL that hasn't noticed.

use petspark_core::Clock;
use petspark_core::database::{Database, Holder, Unlocked};
use serde::Serialize;

use crate::context::Context;
use crate::exit::Exit;
use crate::outcome::{Column, Outcome};
use crate::plugin::Failure;

#[derive(Serialize)]
struct Report {
    changed: bool,
    holder: Option<Holder>,
}

const FIELDS: &[Column<Report>] = &[
    ("holder", |report| report.holder.as_ref().map_or_else(|| "nobody".to_owned(), ToString::to_string)),
    ("unlocked", |report| report.changed.to_string()),
];

pub(super) async fn unlock(cx: &Context, database: &Database) -> Result<Outcome, Failure> {
    let migrations = database.migrations();
    let holder = migrations.lock_holder().await?;
    let schema = "petspark.migrate.unlock/v1";
    let Some(holder) = holder else {
        let report = Report { changed: false, holder: None };
        return Ok(Outcome::record(schema, &report, FIELDS).note("Nobody is migrating; there is nothing to unlock."));
    };
    let (changed, exit, advice) = match migrations.unlock(&holder, &cx.caller(), Clock::system().now()).await? {
        Unlocked::Ended => (
            true,
            Exit::Done,
            "That process was gone, and PostgreSQL had not noticed: its connection was ended.".to_owned(),
        ),
        Unlocked::Told => (
            true,
            Exit::Locked,
            "That process is gone, and its server process was told to end, which takes it a while: look again."
                .to_owned(),
        ),
        Unlocked::LeftAlone => (false, Exit::Locked, why_not(&holder)),
    };
    Ok(Outcome::record(schema, &Report { changed, holder: Some(holder) }, FIELDS).exit(exit).note(advice))
}

fn why_not(holder: &Holder) -> String {
    match holder.backend {
        Some(backend) => format!(
            "It can't be seen from here whether that process is gone, so it is left alone. If it isn't, wait for it, or end \
             it: a migration that is under way is undone by that. If you know that it is gone, end its connection: \
             SELECT pg_terminate_backend({backend})."
        ),
        None => {
            "That process is alive: the operating system gives its lock back when it ends. Wait for it, or end it; a \
             migration that is under way is undone by that."
                .to_owned()
        }
    }
}
