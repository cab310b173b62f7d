//! Removing the files of uploads that no backup needs any more.

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::{FOLDER, Shelf};
use crate::backup::target::{Target, blocking, folder_names, parsed};
use crate::backup::{BackupError, Backups, Pruned, read_manifest};
use crate::clock::{DAY, Timestamp};
use crate::id::BackupId;
use crate::media::objects::ObjectStore;
use crate::private;

/// What is younger may belong to a backup that is being made just now.
const YOUNG: Duration = DAY;
/// Objects of a bucket that are listed in one go.
const LISTED: usize = 1000;

impl Backups {
    /// Removes files that no backup needs once those are gone, and counts them; a dry run only counts. As
    /// long as one backup can't be read, nobody knows what it needs.
    pub(in crate::backup) async fn sweep_media(
        &self,
        target: &Target,
        gone: &HashSet<BackupId>,
        pruned: &mut Pruned,
    ) -> Result<(), BackupError> {
        let Some(needed) = self.needed(target, gone).await?.map(Arc::new) else { return Ok(()) };
        let (before, dry_run) = (self.clock().now().before(YOUNG), pruned.dry_run);
        let swept = match target {
            Target::Folder(root) => {
                let (root, needed) = (root.clone(), Arc::clone(&needed));
                let swept = blocking(move || {
                    let mut removed = 0;
                    let ended = sweep_folder(&root, &needed, before, dry_run, &mut removed);
                    Ok((removed, ended))
                });
                let (removed, ended) = swept.await?;
                pruned.media_files += removed;
                ended
            }
            Target::Bucket(store) => sweep_bucket(store, &needed, before, pruned).await,
        };
        if !dry_run {
            self.forget_gone(target, |path| needed.contains(&short(path))).await?;
        }
        swept
    }

    /// What the backups that stay need; `None` if one of them doesn't say.
    async fn needed(&self, target: &Target, gone: &HashSet<BackupId>) -> Result<Option<HashSet<u128>>, BackupError> {
        let (mut needed, mut any, mut any_with_files) = (HashSet::new(), false, false);
        for id in target.ids().await?.into_iter().filter(|id| !gone.contains(id)) {
            let Ok(manifest) = read_manifest(target, id).await? else { return Ok(None) };
            any = true;
            if !manifest.media.has_files() {
                continue;
            }
            any_with_files = true;
            let shelf = Shelf::of(manifest.encryption.as_ref());
            let mut list = match self.list_of(target, &manifest).await {
                Ok(Some(list)) => list,
                Ok(None) | Err(BackupError::Damaged { .. }) => return Ok(None),
                Err(error) => return Err(error),
            };
            loop {
                match list.next().await {
                    Ok(Some(batch)) => needed.extend(batch.iter().map(|kept| short(&shelf.path(kept)))),
                    Ok(None) => break,
                    Err(BackupError::Damaged { .. }) => return Ok(None),
                    Err(error) => return Err(error),
                }
            }
        }
        // Where there should be some, somebody has put them elsewhere, and may put them back.
        let are_all_here = any && (any_with_files || !self.wants_files());
        Ok(are_all_here.then_some(needed))
    }
}

fn sweep_folder(
    root: &Path,
    needed: &HashSet<u128>,
    before: Timestamp,
    dry_run: bool,
    removed: &mut u64,
) -> Result<(), BackupError> {
    for shelf in folder_names(&root.join(FOLDER))? {
        for part in folder_names(&root.join(FOLDER).join(&shelf))? {
            let folder = root.join(FOLDER).join(&shelf).join(&part);
            for name in folder_names(&folder)? {
                let path = folder.join(&name);
                let changed = fs::metadata(&path).and_then(|file| file.modified());
                let is_old = changed.is_ok_and(|at| Timestamp::from(at) < before);
                if !is_old || needed.contains(&short(&format!("{FOLDER}/{shelf}/{part}/{name}"))) {
                    continue;
                }
                if !dry_run {
                    fs::remove_file(&path).map_err(|error| BackupError::io(private::told(&path, &error)))?;
                }
                *removed += 1;
            }
        }
    }
    Ok(())
}

async fn sweep_bucket(
    store: &ObjectStore,
    needed: &HashSet<u128>,
    before: Timestamp,
    pruned: &mut Pruned,
) -> Result<(), BackupError> {
    let mut last = None;
    loop {
        let page = store.list(&format!("{FOLDER}/"), last.as_ref(), LISTED).await?;
        let Some(next) = page.last() else { return Ok(()) };
        last = Some(next.key.clone());
        for object in page.iter().filter(|object| object.modified_at < before) {
            if needed.contains(&short(object.key.as_str())) {
                continue;
            }
            if !pruned.dry_run {
                store.delete(&parsed(object.key.as_str())?).await?;
            }
            pruned.media_files += 1;
        }
    }
}

/// A path in sixteen bytes: there may be millions.
fn short(path: &str) -> u128 {
    use sha2::{Digest as _, Sha256};
    let digest = Sha256::digest(path);
    digest[..16].iter().fold(0, |number, byte| number << 8 | u128::from(*byte))
}
