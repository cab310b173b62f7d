//! Pets from elsewhere, or from a backup. They are taken in batches, each a transaction, so that an
//! import of any size takes the same memory and locks nobody out, and one that was interrupted goes
//! on where it is started again: pets whose id is known are skipped.

mod line;

pub use line::PetLine;

use std::collections::{HashMap, HashSet};

use serde::Serialize;

use self::line::{Candidate, OwnerRef};
use super::{PetError, Pets, store};
use crate::audit::{self, Action, Event};
use crate::auth::Permission;
use crate::caller::Caller;
use crate::id::{PetId, UserId};
use crate::lines::LineProblem;

/// What an import did, or would do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PetsImported {
    /// Lines with something in them.
    pub lines: u64,
    /// Pets that were made.
    pub imported: u64,
    /// Lines whose id a pet has already, or had one further up.
    pub skipped: u64,
    /// Lines that can't be pets.
    pub invalid: u64,
    /// Those lines, the first thousand of them.
    pub problems: Vec<LineProblem>,
}

/// An import under way. Lines are added one by one; [`PetImport::finish`] stores the last of them.
pub struct PetImport {
    pets: Pets,
    caller: Caller,
    dry_run: bool,
    strict: bool,
    /// Ids so far: of the batch, and in a dry run of all lines, 16 bytes each.
    seen: HashSet<PetId>,
    batch: Vec<(u64, Candidate)>,
    stopped: bool,
    done: PetsImported,
}

impl Pets {
    /// Begins to import pets. A dry run stores none of them; a strict one stops at a line that can't
    /// be a pet, and stores nothing of its batch.
    ///
    /// # Errors
    /// [`PetError::Denied`] unless an administrator asks.
    pub fn import(&self, caller: &Caller, dry_run: bool, strict: bool) -> Result<PetImport, PetError> {
        caller.require(Permission::ManageStaff)?;
        Ok(PetImport {
            pets: self.clone(),
            caller: caller.clone(),
            dry_run,
            strict,
            seen: HashSet::new(),
            batch: Vec::new(),
            stopped: false,
            done: PetsImported::default(),
        })
    }
}

impl PetImport {
    /// Lines in a transaction.
    const BATCH: usize = 1000;
    /// Pets in a statement: it is prepared once, and far from the 32,766 parameters of SQLite.
    const ROWS: usize = 100;
    const MAX_PROBLEMS: usize = 1000;

    /// Takes what was read from a line, counted from 1. Says whether it wants more.
    ///
    /// # Errors
    /// [`PetError::Fault`] when the database can't take a batch: then none of it is stored.
    pub async fn add(&mut self, line: u64, pet: Result<PetLine, String>) -> Result<bool, PetError> {
        self.done.lines += 1;
        let checked = pet.and_then(|pet| pet.check(self.pets.clock.now()).map_err(|errors| errors.to_string()));
        match checked {
            Ok(pet) => self.batch.push((line, pet)),
            Err(problem) => self.refuse(line, problem),
        }
        if self.batch.len() >= Self::BATCH {
            self.store().await?;
        }
        Ok(!self.stopped)
    }

    /// Stores what is left, and says what came of it all.
    ///
    /// # Errors
    /// As [`PetImport::add`].
    pub async fn finish(mut self) -> Result<PetsImported, PetError> {
        self.store().await?;
        self.done.problems.sort_by_key(|problem| problem.line);
        Ok(self.done)
    }

    async fn store(&mut self) -> Result<(), PetError> {
        let batch = std::mem::take(&mut self.batch);
        if batch.is_empty() || self.stopped {
            return Ok(());
        }
        if !self.dry_run {
            self.seen.clear();
        }
        let now = self.pets.clock.now();
        let mut tx = self.pets.db.begin().await?;
        let ids = batch.iter().filter(|(_, pet)| pet.has_id).map(|(_, pet)| pet.row.id);
        self.seen.extend(store::known_ids(&mut tx, ids).await?);
        let owners = Owners::find(&mut tx, &batch).await?;
        let mut rows = Vec::with_capacity(batch.len());
        for (line, Candidate { owner, row, .. }) in batch {
            if !self.seen.insert(row.id) {
                self.done.skipped += 1;
                continue;
            }
            match owners.id(&owner, row.past.deleted_at.is_some()) {
                Some(owner_id) => rows.push(store::NewPetRow { owner_id, ..row }),
                None => self.refuse(line, "owner: there is no such user".to_owned()),
            }
        }
        if self.stopped {
            return Ok(());
        }
        let mut stored = 0;
        for rows in rows.chunks(Self::ROWS) {
            stored += store::insert_pets(&mut tx, rows).await?;
        }
        if stored > 0 && !self.dry_run {
            let event = Event::new(Action::PetsImported).detail("count", stored);
            audit::record(&mut tx, now, &self.caller, event).await?;
            tx.commit().await?;
        }
        self.done.imported += stored;
        // Somebody else was quicker with those.
        self.done.skipped += rows.len() as u64 - stored;
        Ok(())
    }

    fn refuse(&mut self, line: u64, problem: String) {
        self.done.invalid += 1;
        self.stopped |= self.strict;
        if self.done.problems.len() < Self::MAX_PROBLEMS {
            self.done.problems.push(LineProblem { line, problem });
        }
    }
}

/// The owners of a batch.
struct Owners {
    by_email: HashMap<String, UserId>,
    /// And whether their account is deleted.
    by_id: HashMap<UserId, bool>,
}

impl Owners {
    async fn find(tx: &mut crate::database::Tx, batch: &[(u64, Candidate)]) -> Result<Self, PetError> {
        let (mut ids, mut emails) = (HashSet::new(), HashSet::new());
        for (_, pet) in batch {
            match &pet.owner {
                OwnerRef::Id(id) => drop(ids.insert(*id)),
                OwnerRef::Email(email) => drop(emails.insert(email.as_str())),
            }
        }
        let emails = emails.iter().map(|email| (*email).to_owned());
        let found = store::find_owners(tx, ids.iter().copied(), emails).await?;
        Ok(Self {
            by_id: found.iter().map(|owner| (owner.id, owner.is_deleted)).collect(),
            by_email: found.into_iter().map(|owner| (owner.email, owner.id)).collect(),
        })
    }

    /// A deleted account has no pets but deleted ones.
    fn id(&self, owner: &OwnerRef, deleted_too: bool) -> Option<UserId> {
        let id = match owner {
            OwnerRef::Id(id) => *id,
            OwnerRef::Email(email) => *self.by_email.get(email)?,
        };
        self.by_id.get(&id).filter(|is_deleted| deleted_too || !**is_deleted).map(|_| id)
    }
}
