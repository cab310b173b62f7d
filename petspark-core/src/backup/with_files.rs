//! Which backups have the files of uploads, where they are to have them. A backup of the database alone is
//! good, and takes nobody's place: what is removed, and what a check says, is decided with this.

use super::manifest::Manifest;
use super::settings::BackupMedia;
use super::{Backups, Listed};

impl Backups {
    /// Backups are to have the files of uploads.
    pub(super) fn wants_files(&self) -> bool {
        self.settings().backup.media == BackupMedia::Full
    }

    /// The newest of those that were to have the files of uploads, if it has none, and why. Where the settings don't
    /// want them any more, only the newest of all counts: nobody will make another.
    pub(super) fn without_files<'a>(
        &self,
        mut newest_first: impl Iterator<Item = &'a Manifest>,
    ) -> Option<(&'a Manifest, &'a str)> {
        let newest = if self.wants_files() {
            newest_first.find(|manifest| manifest.media.was_to_have_files())
        } else {
            newest_first.next()
        }?;
        newest.media.problem.as_deref().map(|problem| (newest, problem))
    }
}

impl Listed {
    /// What it says of itself, if nothing is known to be wrong with it.
    pub(super) fn sound(&self) -> Option<&Manifest> {
        self.manifest.as_ref().filter(|_| self.problem.is_none())
    }
}
