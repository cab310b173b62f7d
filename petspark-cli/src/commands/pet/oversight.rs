//! `pet hide`, `ban`, `unban`, `delete`, `restore` and `purge`: what an operator does to a pet, with
//! a reason for the record.

use clap::{Arg, ArgMatches, Command};
use petspark_core::config::Environment;
use petspark_core::pets::{Intervened, Intervention, Standing};
use petspark_core::{PetId, UserId};
use serde::Serialize;

use super::{id, pet_id};
use crate::commands::args::{flag, why_given};
use crate::context::Context;
use crate::exit::Exit;
use crate::outcome::{Column, Outcome};
use crate::plugin::Failure;

pub(super) fn commands() -> [Command; 6] {
    let reason = || Arg::new("reason").long("reason").value_name("TEXT");
    let with = |name: &'static str, about: &'static str, reason: Arg| {
        let command = Command::new(name).about(about).arg(id().required(true)).arg(reason);
        command.arg(flag("dry-run", "Only say what would change"))
    };
    let said = || reason().help("Why, for the audit log");
    let needed = || reason().help("Why, for the audit log; needed in production");
    [
        with("hide", "Hide a pet from everybody but its owner, who can show it again", said()),
        with("ban", "Hide a pet from everybody but its owner, who can't show it again", said().required(true))
            .arg(flag("yes", "Don't ask")),
        with("unban", "Show a banned pet to everybody again", said()),
        with("delete", "Delete a pet; it can be restored for a while", needed()).arg(flag("yes", "Don't ask")),
        with("restore", "Take the deletion of a pet back", said()),
        Command::new("purge")
            .about("Remove a pet for good, or all that were deleted too long ago to be restored")
            .arg(id().help("This one, deleted or not [default: what the daily job pets.purge removes]"))
            .arg(needed())
            .arg(
                Arg::new("confirm")
                    .long("confirm")
                    .value_name("NAME")
                    .requires("id")
                    .help("What the pet is called, to remove it without being asked"),
            )
            .arg(flag("yes", "Don't ask, unless for a single pet"))
            .arg(flag("dry-run", "Only say what would change")),
    ]
}

#[derive(Serialize)]
struct Done {
    changed: bool,
    dry_run: bool,
    id: PetId,
    owner_id: UserId,
    name: String,
    from: Standing,
    to: Standing,
}

const FIELDS: &[Column<Done>] = &[
    ("id", |done| done.id.to_string()),
    ("name", |done| done.name.clone()),
    ("owner", |done| done.owner_id.to_string()),
    ("from", |done| done.from.to_string()),
    ("to", |done| done.to.to_string()),
];

pub(super) async fn intervene(cx: &Context, args: &ArgMatches, what: Intervention) -> Result<Outcome, Failure> {
    let (caller, pets, id) = (cx.caller(), cx.petspark().await?.pets(), pet_id(args)?);
    let (reason, dry_run) = (reason(cx, args, what)?, args.get_flag("dry-run"));
    let plan = pets.preview_intervention(&caller, id, what).await?;
    if dry_run || !plan.changed {
        return Ok(outcome(plan, what, dry_run));
    }
    match what {
        Intervention::Purge => {
            let text =
                format!("This removes {} of {} for good, with everything that hangs on it.", plan.name, plan.owner_id);
            cx.confirm_by_name(&text, &plan.name, args.get_one::<String>("confirm").map(String::as_str))?;
        }
        Intervention::Ban | Intervention::Delete => {
            let text = format!("Of {}, nobody but its owner would see {}.", plan.owner_id, plan.name);
            cx.confirm(&text, "--yes", args.get_flag("yes"))?;
        }
        Intervention::Hide | Intervention::Unban | Intervention::Restore => {}
    }
    Ok(outcome(pets.intervene(&caller, id, what, reason).await?, what, false))
}

/// What can't be undone for long needs a reason in production.
fn reason<'a>(cx: &Context, args: &'a ArgMatches, what: Intervention) -> Result<Option<&'a str>, Failure> {
    let reason = why_given(args);
    let is_grave = matches!(what, Intervention::Delete | Intervention::Purge) && !args.get_flag("dry-run");
    if reason.is_none() && is_grave && cx.settings()?.core.environment == Environment::Production {
        return Err(Failure::new(Exit::Usage, "production needs --reason: why is this pet deleted?"));
    }
    Ok(reason)
}

fn outcome(done: Intervened, what: Intervention, dry_run: bool) -> Outcome {
    let schema = match what {
        Intervention::Hide => "petspark.pet.hide/v1",
        Intervention::Ban => "petspark.pet.ban/v1",
        Intervention::Unban => "petspark.pet.unban/v1",
        Intervention::Delete => "petspark.pet.delete/v1",
        Intervention::Restore => "petspark.pet.restore/v1",
        Intervention::Purge => "petspark.pet.purge/v1",
    };
    let would_change = done.changed;
    let done = Done {
        changed: done.changed && !dry_run,
        dry_run,
        id: done.id,
        owner_id: done.owner_id,
        name: done.name,
        from: done.from,
        to: done.to,
    };
    let outcome = Outcome::record(schema, &done, FIELDS);
    match (dry_run, would_change) {
        (_, false) => outcome.note("It is so already; nothing was changed."),
        (true, true) => outcome.note("This is what would change; nothing was changed."),
        (false, true) => outcome,
    }
}

#[derive(Serialize)]
struct Purged {
    changed: bool,
    dry_run: bool,
    pets: u64,
}

pub(super) async fn purge(cx: &Context, args: &ArgMatches) -> Result<Outcome, Failure> {
    if args.contains_id("id") {
        return intervene(cx, args, Intervention::Purge).await;
    }
    let (caller, pets) = (cx.caller(), cx.petspark().await?.pets());
    let (reason, dry_run) = (reason(cx, args, Intervention::Purge)?, args.get_flag("dry-run"));
    let mut count = pets.count_removable(&caller).await?;
    if !dry_run && count > 0 {
        cx.confirm(&format!("This removes {count} deleted pets for good."), "--yes", args.get_flag("yes"))?;
        count = pets.remove_deleted(&caller, reason).await?;
    }
    let purged = Purged { changed: count > 0 && !dry_run, dry_run, pets: count };
    let outcome = Outcome::record("petspark.pet.purge/v1", &purged, &[("pets", |purged| purged.pets.to_string())]);
    Ok(if dry_run { outcome.note("This is what would be removed; nothing was changed.") } else { outcome })
}
