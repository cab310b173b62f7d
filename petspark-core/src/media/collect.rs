//! Clearing away what belongs to nothing, and finding what is missing. A database that isn't the right one,
//! or an older one, knows little of what is there: so what would go is counted first, and when that is a
//! lot, somebody has to say how much it may be. What came after the moment that this database was restored
//! to stays for a month: the restoring may be undone.

use std::collections::HashMap;
use std::time::Duration;

use serde::Serialize;

use super::objects::{ObjectError, ObjectInfo, ObjectKey};
use super::photo::Upload;
use super::upkeep::{BATCH, MAX_TOLD, is_settled};
use super::{Links, Media, MediaError, store};
use crate::audit::{self, Action, Event};
use crate::auth::Permission;
use crate::caller::Caller;
use crate::clock::{DAY, Timestamp};
use crate::error::Fault;
use crate::id::UploadId;

/// How to clear away.
#[derive(Clone, Copy, Debug)]
pub struct Collect {
    /// Nothing is removed, only counted.
    pub dry_run: bool,
    /// Only what is older; at least an hour, since something may be written just now. A day if nothing else
    /// is said.
    pub older_than: Duration,
    /// So many objects may go, by who has looked at them. Without that not more than a fifth of all may,
    /// beyond a handful.
    pub at_most: Option<u64>,
}

impl Default for Collect {
    fn default() -> Self {
        Self { dry_run: false, older_than: DAY, at_most: None }
    }
}

impl Collect {
    /// Whether so much may go, or this looks like the wrong database.
    ///
    /// # Errors
    /// [`MediaError::TooManyLeftovers`].
    pub fn permit(&self, planned: &Collected) -> Result<(), MediaError> {
        let Collected { objects, leftovers, .. } = *planned;
        let is_few = match self.at_most {
            Some(at_most) => leftovers <= at_most,
            None => leftovers <= HANDFUL || leftovers.saturating_mul(5) <= objects,
        };
        if is_few { Ok(()) } else { Err(MediaError::TooManyLeftovers { leftovers, objects }) }
    }
}

/// What is left over, and what is missing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Collected {
    /// Objects that were looked at.
    pub objects: u64,
    /// Those that belong to nothing: removed, unless it was a dry run.
    pub leftovers: u64,
    /// Bytes of those.
    pub leftover_bytes: u64,
    /// Objects that belong to nothing either, and stay: this database was restored lately, to a moment
    /// before them.
    pub spared: u64,
    /// Uploads of which something is missing, the first thousand of them.
    pub missing: Vec<UploadId>,
}

/// Objects listed in one go: a folder looks at all names for every list.
const LISTED: usize = 10_000;
/// What is younger may belong to something that is being written just now, whatever is asked.
const YOUNG: Duration = Duration::from_secs(3600);
/// So many may go however many there are.
const HANDFUL: u64 = 10;
/// How long a restoring may still be undone.
const SECOND_THOUGHTS: Duration = DAY.saturating_mul(30);

/// What may be collected by its age.
struct Ages {
    before: Timestamp,
    /// What is younger than this stays.
    restored_to: Option<Timestamp>,
}

impl Media {
    /// Compares what is kept with what is written down, both ways, and removes objects that belong to
    /// nothing. `go_on` is told how far it is and may end it between two objects: what was done until then
    /// is told, and written down.
    ///
    /// # Errors
    /// [`MediaError::TooManyLeftovers`]: nothing was removed; [`MediaError::Denied`] unless an administrator
    /// asks.
    pub async fn collect(
        &self,
        caller: &Caller,
        how: &Collect,
        mut go_on: impl FnMut(&Collected) -> bool + Send,
    ) -> Result<Collected, MediaError> {
        caller.require(Permission::ManageStaff)?;
        let ages = self.ages(how.older_than).await?;
        let mut collected = Collected::default();
        if how.dry_run {
            if self.clear(&ages, None, &mut collected, &mut go_on).await? {
                self.find_missing(&mut collected, &mut go_on).await?;
            }
            return Ok(collected);
        }
        let mut planned = Collected::default();
        if !self.clear(&ages, None, &mut planned, &mut |_: &Collected| go_on(&collected)).await? {
            return Ok(collected);
        }
        how.permit(&planned)?;
        if planned.leftovers > 0 {
            // Before anything goes: what is removed by a process that is killed was written down too.
            let event = Event::new(Action::MediaCollected).detail("planned", planned.leftovers);
            audit::record_now(&self.db, self.clock.now(), caller, event).await?;
        }
        let cleared = self.clear(&ages, Some(planned.leftovers), &mut collected, &mut go_on).await;
        if collected.leftovers > 0 {
            // Also when it was ended, or the store went away in the middle.
            let event = Event::new(Action::MediaCollected).detail("objects", collected.leftovers);
            audit::record_now(&self.db, self.clock.now(), caller, event).await?;
        }
        if cleared? {
            self.find_missing(&mut collected, &mut go_on).await?;
        }
        Ok(collected)
    }

    async fn ages(&self, older_than: Duration) -> Result<Ages, MediaError> {
        let now = self.clock.now();
        let restored = audit::last_restored(&self.db).await?;
        let lately = restored.filter(|(at, _)| now.since(*at) < SECOND_THOUGHTS);
        Ok(Ages { before: now.before(older_than.max(YOUNG)), restored_to: lately.map(|(_, moment)| moment) })
    }

    /// Counts leftovers; or removes them, so many at most. Says whether it went to the end.
    async fn clear(
        &self,
        ages: &Ages,
        remove: Option<u64>,
        collected: &mut Collected,
        go_on: &mut (impl FnMut(&Collected) -> bool + Send),
    ) -> Result<bool, MediaError> {
        let mut after: Option<ObjectKey> = None;
        loop {
            let objects = self.objects.list("", after.as_ref(), LISTED).await?;
            let Some(last) = objects.last() else { return Ok(true) };
            after = Some(last.key.clone());
            for objects in objects.chunks(BATCH) {
                for leftover in self.leftovers(objects, ages.before).await? {
                    if ages.restored_to.is_some_and(|moment| leftover.modified_at > moment) {
                        collected.spared += 1;
                        continue;
                    }
                    if !go_on(collected) {
                        return Ok(false);
                    }
                    if remove == Some(collected.leftovers) {
                        // More than was counted, and agreed to.
                        continue;
                    }
                    if remove.is_some() {
                        self.objects.delete(&leftover.key).await?;
                    }
                    collected.leftovers += 1;
                    collected.leftover_bytes += leftover.size;
                }
                collected.objects += objects.len() as u64;
            }
        }
    }

    async fn leftovers(&self, objects: &[ObjectInfo], before: Timestamp) -> Result<Vec<ObjectInfo>, MediaError> {
        let ids = Links::uploads(objects.iter().map(|object| object.key.as_str()));
        let uploads = store::find_all(&self.db, &ids).await?;
        let known: HashMap<UploadId, &Upload> = uploads.iter().map(|upload| (upload.id, upload)).collect();
        let is_leftover = |object: &&ObjectInfo| {
            // What isn't named as we name things isn't ours.
            let Some((owner, id, _)) = Links::parse(object.key.as_str()) else { return false };
            known.get(&id).is_none_or(|upload| {
                upload.owner_id != owner
                    || (is_settled(upload) && !upload.names().iter().any(|name| name == object.key.as_str()))
            })
        };
        let is_old = |object: &&ObjectInfo| object.modified_at < before;
        Ok(objects.iter().filter(is_leftover).filter(is_old).cloned().collect())
    }

    async fn find_missing(
        &self,
        collected: &mut Collected,
        go_on: &mut (impl FnMut(&Collected) -> bool + Send),
    ) -> Result<(), MediaError> {
        let mut last = None;
        loop {
            let uploads = store::uploads_after(&self.db, last, BATCH).await?;
            let Some(next) = uploads.last().map(|upload| upload.id) else { return Ok(()) };
            for upload in &uploads {
                if !go_on(collected) {
                    return Ok(());
                }
                if collected.missing.len() < MAX_TOLD && !self.has_all(upload).await? {
                    collected.missing.push(upload.id);
                }
            }
            last = Some(next);
        }
    }

    async fn has_all(&self, upload: &Upload) -> Result<bool, MediaError> {
        if !is_settled(upload) {
            return Ok(true);
        }
        for name in upload.names() {
            match self.objects.head(&name.parse().map_err(Fault::internal)?).await {
                Ok(_) => {}
                Err(ObjectError::NotFound) => return Ok(false),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fifth_of_all_or_a_handful_may_go_and_more_only_by_number() {
        let may = |leftovers, objects, at_most| {
            let how = Collect { at_most, ..Collect::default() };
            how.permit(&Collected { objects, leftovers, ..Collected::default() }).is_ok()
        };
        assert!(may(0, 0, None) && may(10, 10, None) && may(20, 100, None));
        assert!(!may(11, 11, None) && !may(21, 100, None));
        assert!(may(21, 100, Some(21)) && !may(21, 100, Some(20)), "one more than was looked at");
        assert!(!may(5, 100, Some(4)), "fewer than would go without a word, too");
    }
}
