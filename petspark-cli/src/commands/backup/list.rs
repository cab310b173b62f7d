//! `backup list` and `backup show`.

use clap::{ArgMatches, Command};
use petspark_core::Timestamp;
use petspark_core::backup::{Listed, Manifest, ManifestFile};
use serde::Serialize;
use serde_json::{Map, Value};

use super::{backups, chosen, id, in_bucket, size, target};
use crate::context::Context;
use crate::exit::Exit;
use crate::outcome::{Column, Outcome};
use crate::plugin::Failure;

pub(super) fn command() -> Command {
    Command::new("list").about("List backups, the newest first").arg(target())
}

pub(super) fn show_command() -> Command {
    Command::new("show").about("Show what a backup says of itself").arg(id()).arg(target())
}

fn of<T: ToString>(listed: &Listed, field: impl Fn(&Manifest) -> T) -> String {
    listed.manifest.as_ref().map(|manifest| field(manifest).to_string()).unwrap_or_default()
}

fn time(at: Option<Timestamp>) -> String {
    at.map(|at| at.to_string()).unwrap_or_default()
}

const COLUMNS: &[Column<Listed>] = &[
    ("id", |listed| listed.id.to_string()),
    ("created_at", |listed| of(listed, |manifest| manifest.created_at)),
    ("size", |listed| of(listed, |manifest| size(manifest.bytes()))),
    ("rows", |listed| of(listed, Manifest::rows)),
    ("encrypted", |listed| of(listed, |manifest| manifest.encryption.is_some())),
    ("pinned", |listed| listed.pinned.to_string()),
    ("proven_at", |listed| time(listed.proven_at)),
    ("label", |listed| of(listed, |manifest| manifest.label.clone().unwrap_or_default())),
    ("problem", |listed| listed.problem.clone().unwrap_or_default()),
];

pub(super) async fn run(cx: &Context, args: &ArgMatches) -> Result<Outcome, Failure> {
    let listed = backups(cx)?.list(&cx.caller(), in_bucket(args)).await?;
    Ok(Outcome::list("petspark.backup.list/v1", "backups", &listed, COLUMNS))
}

#[derive(Serialize)]
struct Shown {
    #[serde(skip)]
    manifest: Manifest,
    /// The same as it stands in the file, but for what schema that has: this is another document.
    #[serde(flatten)]
    told: Map<String, Value>,
    pinned: bool,
    proven_at: Option<Timestamp>,
}

const FIELDS: &[Column<Shown>] = &[
    ("id", |shown| shown.manifest.id.to_string()),
    ("label", |shown| shown.manifest.label.clone().unwrap_or_default()),
    ("created_at", |shown| shown.manifest.created_at.to_string()),
    ("finished_at", |shown| shown.manifest.finished_at.to_string()),
    ("environment", |shown| shown.manifest.environment.to_string()),
    ("petspark", |shown| shown.manifest.app.clone()),
    ("database", |shown| {
        let database = &shown.manifest.database;
        format!("{} {}, schema {}, {}", database.engine, database.server_version, database.schema, size(database.bytes))
    }),
    ("migration", |shown| shown.manifest.migrations.version.to_string()),
    ("tables", |shown| shown.manifest.tables.len().to_string()),
    ("rows", |shown| shown.manifest.rows().to_string()),
    ("files", |shown| {
        let name = |file: &ManifestFile| format!("{} ({})", file.path, size(file.bytes));
        shown.manifest.files.iter().map(name).collect::<Vec<_>>().join(", ")
    }),
    ("media", |shown| format!("{}, {} objects", shown.manifest.media.mode, shown.manifest.media.objects)),
    ("encrypted_for", |shown| {
        shown.manifest.encryption.as_ref().map(|encryption| encryption.recipients.join(", ")).unwrap_or_default()
    }),
    ("pinned", |shown| shown.pinned.to_string()),
    ("proven_at", |shown| time(shown.proven_at)),
];

pub(super) async fn show(cx: &Context, args: &ArgMatches) -> Result<Outcome, Failure> {
    let listed = backups(cx)?.get(&cx.caller(), chosen(args), in_bucket(args)).await?;
    let Some(manifest) = listed.manifest else {
        let problem = listed.problem.unwrap_or_default();
        return Err(Failure::new(Exit::BackupInvalid, format!("backup {} is no good: {problem}", listed.id)));
    };
    let told = serde_json::to_value(&manifest).ok().and_then(|told| match told {
        Value::Object(mut told) => told.remove("schema").map(|_| told),
        _ => None,
    });
    let told = told.ok_or_else(|| Failure::new(Exit::Failed, "the manifest can't be told"))?;
    let shown = Shown { manifest, told, pinned: listed.pinned, proven_at: listed.proven_at };
    Ok(Outcome::record("petspark.backup.show/v1", &shown, FIELDS))
}
