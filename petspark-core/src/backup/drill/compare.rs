//! Comparing what was restored with what the manifest says: tables, rows, and uploads.

use super::Stop;
use crate::backup::manifest::Manifest;
use crate::backup::restore::Place;
use crate::backup::scratch::Scratch;
use crate::backup::target::{Target, blocking};
use crate::backup::{BackupError, Backups, IdentityKey, pipe};
use crate::database::{Contents, Direct};
use crate::error::{Failure as _, Fault, Kind};
use crate::media::objects::ObjectError;
use crate::media::read_inventory;

/// Objects of uploads that a drill looks for.
const MEDIA: u64 = 20;

impl Backups {
    /// What the restored rows say of uploads is what the list says.
    pub(super) async fn compare_inventory(
        &self,
        place: &Place,
        target: &Target,
        manifest: &Manifest,
        work: &Scratch,
    ) -> Result<(), BackupError> {
        let Some(file) = manifest.inventory_file() else { return Ok(()) };
        let damaged = |problem: &str| BackupError::Damaged { id: manifest.id, problem: problem.to_owned() };
        let opened = target.open(manifest.id, &file.path, &work.0).await?;
        let opened = opened.ok_or_else(|| damaged("the list of uploads is missing"))?;
        let listed = blocking(move || {
            let text = pipe::unpack(opened, false, &[]).map_err(|_| Fault::internal("unreadable"))?;
            pipe::measure(text).map_err(BackupError::io)
        });
        let listed = listed.await.map_err(|_| damaged("the list of uploads can't be read"))?;
        let (mut meter, mut direct) = (pipe::Meter::new(std::io::sink()), place.open().await?);
        read_inventory(&mut direct, |kept| {
            use std::io::Write as _;
            let line = serde_json::to_string(&kept).map_err(Fault::internal)?;
            writeln!(meter, "{line}").map_err(Fault::internal)
        })
        .await?;
        direct.close().await;
        if meter.end().1 == listed {
            return Ok(());
        }
        Err(damaged("the uploads of the database are not those of the list"))
    }

    /// Some of the objects are there, by name and length; or all files of a full backup, every byte.
    pub(super) async fn find_media(
        &self,
        target: &Target,
        manifest: &Manifest,
        keys: &[IdentityKey],
    ) -> Result<u64, Stop> {
        if manifest.media.has_files() {
            let read = self.read_media(target, manifest, keys).await?;
            return read.map_err(|problem| Stop::At("media", problem));
        }
        let every = (manifest.media.objects / MEDIA).max(1);
        let sample = self.sample(target, manifest, every, |_| false).await?;
        let store = self.store()?;
        for kept in &sample {
            let there = store.head(&kept.key.parse().map_err(Fault::internal)?).await;
            match there {
                Ok(info) if info.size == kept.size => {}
                Ok(_) | Err(ObjectError::NotFound) => {
                    // Of the store's objects a backup has a list only, and they may come back.
                    return Err(Stop::Around("media", format!("the object {} is not there as it was", kept.key)));
                }
                Err(error) => return Err(BackupError::from(error).into()),
            }
        }
        Ok(sample.len() as u64)
    }
}

impl Place {
    /// Reads all of it, and compares it with what a manifest says; gives the number of rows.
    pub(in crate::backup) async fn compare(&self, manifest: &Manifest) -> Result<u64, BackupError> {
        let damaged = |problem: String| BackupError::Damaged { id: manifest.id, problem };
        let mut direct = self.open().await?;
        let examined = Contents::examine(&mut direct).await.map_err(|fault| match (self, fault.kind()) {
            (Self::Database { .. }, Kind::Unavailable) => BackupError::Fault(fault),
            // Pages that make no sense are the backup's fault, not that of whoever reads them.
            _ => damaged(fault.chain()),
        });
        direct.close().await;
        let contents = examined?.map_err(damaged)?;
        if contents.schema_sha256 != manifest.migrations.schema_sha256 {
            return Err(damaged("the schema is not the one that was backed up".to_owned()));
        }
        for table in &manifest.tables {
            match contents.tables.iter().find(|found| found.name == table.name) {
                None => return Err(damaged(format!("the table {} is missing", table.name))),
                Some(found) if found.rows != table.rows => {
                    return Err(damaged(format!("{} has {} rows instead of {}", table.name, found.rows, table.rows)));
                }
                Some(found) if found.digest != table.digest => {
                    return Err(damaged(format!("{} has other rows than were backed up", table.name)));
                }
                Some(_) => {}
            }
        }
        if contents.tables.len() != manifest.tables.len() {
            return Err(damaged("there are more tables than were backed up".to_owned()));
        }
        Ok(contents.rows())
    }

    pub(in crate::backup) async fn open(&self) -> Result<Direct, Fault> {
        Direct::open(&self.url()).await
    }
}
