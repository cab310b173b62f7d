//! From one store to the other: everything, compared by checksum. What was copied stays where it
//! was; which store the rows of the database mean is decided by the settings.

use super::{Expected, ObjectError, ObjectInfo, ObjectKey, ObjectStore};

/// Objects looked at between two words about how far it is; a folder finds large pages cheaper.
const PAGE: usize = 10_000;

/// What became of the objects so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Copied {
    /// Objects that were copied, or would have been.
    pub copied: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Objects that were at the other end already, with the same bytes.
    pub already_there: u64,
    /// Objects that are at the other end with other bytes: both are left as they are.
    pub differing: Vec<ObjectKey>,
}

impl ObjectStore {
    /// Copies every object that `to` hasn't; one that ended half-way goes on when it is run again.
    /// With `dry_run` nothing is written. `go_on` hears of every object, and may end it between two.
    ///
    /// # Errors
    /// [`ObjectError::Mismatch`] if an object isn't what its own store says that it is;
    /// [`ObjectError::Fault`].
    pub async fn copy_all(
        &self,
        to: &Self,
        dry_run: bool,
        mut go_on: impl FnMut(&Copied) -> bool + Send,
    ) -> Result<Copied, ObjectError> {
        let mut done = Copied::default();
        let mut after = None;
        loop {
            let page = self.list("", after.as_ref(), PAGE).await?;
            let Some(last) = page.last() else { return Ok(done) };
            after = Some(last.key.clone());
            for object in &page {
                match self.copy(to, object, dry_run).await {
                    Ok(Outcome::Copied) => {
                        done.copied += 1;
                        done.bytes += object.size;
                    }
                    Ok(Outcome::Same) => done.already_there += 1,
                    Ok(Outcome::Differs) => done.differing.push(object.key.clone()),
                    // Deleted since it was listed.
                    Err(ObjectError::NotFound) => {}
                    Err(error) => return Err(error),
                }
                if !go_on(&done) {
                    return Ok(done);
                }
            }
        }
    }

    async fn copy(&self, to: &Self, object: &ObjectInfo, dry_run: bool) -> Result<Outcome, ObjectError> {
        let ours = self.head(&object.key).await?;
        match to.head(&object.key).await {
            Ok(theirs) => return self.compare(&ours, to, &theirs).await,
            Err(ObjectError::NotFound) if dry_run => return Ok(Outcome::Copied),
            Err(ObjectError::NotFound) => {}
            Err(error) => return Err(error),
        }
        let (_, body) = self.get(&ours.key, None).await?;
        let expected = Expected { size: ours.size, sha256: ours.sha256 };
        match to.receive(&ours.key, ours.size, Some(&expected), body).await {
            Ok(_) => Ok(Outcome::Copied),
            // Somebody else was quicker; perhaps with the same.
            Err(ObjectError::AlreadyThere) => {
                let theirs = to.head(&ours.key).await?;
                self.compare(&ours, to, &theirs).await
            }
            // Not the other end broke off, but this one.
            Err(ObjectError::Sender(error)) => Err(ObjectError::unavailable(error)),
            Err(error) => Err(error),
        }
    }

    async fn compare(&self, ours: &ObjectInfo, to: &Self, theirs: &ObjectInfo) -> Result<Outcome, ObjectError> {
        let same = ours.size == theirs.size && self.known_digest(ours).await? == to.known_digest(theirs).await?;
        Ok(if same { Outcome::Same } else { Outcome::Differs })
    }

    async fn known_digest(&self, object: &ObjectInfo) -> Result<[u8; 32], ObjectError> {
        match object.sha256 {
            Some(sha256) => Ok(sha256),
            None => self.digest(&object.key).await,
        }
    }
}

enum Outcome {
    Copied,
    Same,
    Differs,
}
