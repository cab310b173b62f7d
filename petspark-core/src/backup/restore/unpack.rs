//! Reading the database of a backup into an empty place, and telling whose fault it is if that fails: the backup's, or
//! that of a disk, a server or a tool.

use std::fs::{File, OpenOptions};
use std::path::Path;

use super::Place;
use crate::backup::manifest::Manifest;
use crate::backup::pipe::{self, Meter, Unreadable};
use crate::backup::target::{Target, blocking};
use crate::backup::{BackupError, Backups, IdentityKey};
use crate::database::ToolFailed;
use crate::error::Fault;
use crate::private;

impl Backups {
    /// Reads the database of a backup into a place where there is none.
    pub(in crate::backup) async fn restore_into(
        &self,
        place: &Place,
        target: &Target,
        manifest: &Manifest,
        keys: &[IdentityKey],
    ) -> Result<(), BackupError> {
        let id = manifest.id;
        let damaged = move |problem: String| BackupError::Damaged { id, problem };
        let file = manifest.database_file().ok_or_else(|| damaged("it has no database".to_owned()))?.clone();
        let opened = target.open(id, &file.path, &self.settings().backup.work_folder).await?;
        let opened = opened.ok_or_else(|| damaged(format!("{} is missing", file.path)))?;
        let (is_encrypted, keys) = (manifest.encryption.is_some(), keys.to_vec());
        let tools = match place {
            Place::File(_) => None,
            Place::Database { .. } => {
                let dumped_by = manifest.tools.get("pg_dump").map_or("", String::as_str);
                Some(self.restore_tools(dumped_by, &place.version().await?).await?)
            }
        };
        let (place, part) = (place.clone(), self.watcher().part("restoring, in bytes", file.plain_bytes));
        blocking(move || {
            let from = pipe::unpack(opened, is_encrypted, &keys).map_err(|error| match error {
                Unreadable::Key => BackupError::Key("none of the keys opens this backup".to_owned()),
                Unreadable::Damaged(problem) => damaged(problem),
            })?;
            let mut from = Meter::new(part.of(from));
            match (&place, tools) {
                (Place::File(path), _) => {
                    let mut file = new_file(path).map_err(BackupError::io)?;
                    let written = pipe::copy(&mut from, &mut file).and_then(|()| file.sync_all());
                    written.map_err(|error| match error.raw_os_error() {
                        // The disk's fault, not the backup's.
                        Some(_) => BackupError::io(private::told(path, &error)),
                        None => damaged(error.to_string()),
                    })?;
                }
                (Place::Database { url, schema }, Some(tools)) => {
                    let tool = tools.restore(url, schema).map_err(BackupError::Tools)?;
                    tool.feed(&mut from).map_err(|failed| match failed {
                        ToolFailed::Surroundings(said) => Fault::unavailable(said).into(),
                        ToolFailed::Input(said) => damaged(said),
                    })?;
                    // The tool may stop before the last bytes, which belong to it all the same.
                    pipe::copy(&mut from, &mut std::io::sink()).map_err(|error| damaged(error.to_string()))?;
                }
                (Place::Database { .. }, None) => return Err(Fault::internal("no tools").into()),
            }
            let measured = from.end().1;
            if measured.sha256 == file.plain_sha256 && measured.bytes == file.plain_bytes {
                Ok(())
            } else {
                Err(damaged("what it holds is not what was backed up: the SHA-256 differs".to_owned()))
            }
        })
        .await
    }
}

fn new_file(path: &Path) -> std::io::Result<File> {
    private::create_folder(private::folder_of(path))?;
    private::open(path, OpenOptions::new().write(true).create_new(true))
}
