//! Pets from elsewhere, or from a backup. They are taken in batches, each a transaction, so that an
//! import of any size takes the same memory and locks nobody out, and one that was interrupted goes
//! on where it is started again: pets whose id is known are skipped.

mod line;

pub use line::PetLine;

use std::collections::{HashMap, HashSet};

use serde::Serialize;
use tokio::task::JoinSet;

use self::line::{Candidate, OwnerRef};
use super::{PetError, Pets, store};
use crate::audit::{self, Action, Event};
use crate::auth::Permission;
use crate::caller::Caller;
use crate::error::Fault;
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

/// An import under way. Lines are added one by one, and stored while the next ones are read;
/// [`PetImport::finish`] stores the last of them.
pub struct PetImport {
    pets: Pets,
    caller: Caller,
    dry_run: bool,
    lines: Vec<(u64, Candidate)>,
    /// At most one. Dropped with the import, and then none of it is stored.
    storing: JoinSet<Result<Batch, PetError>>,
    /// Ids of the batch before, and in a dry run of all lines: 16 bytes each.
    seen: HashSet<PetId>,
    tally: Tally,
}

/// Lines of one transaction.
struct Batch {
    pets: Pets,
    caller: Caller,
    dry_run: bool,
    lines: Vec<(u64, Candidate)>,
    seen: HashSet<PetId>,
    tally: Tally,
}

#[derive(Default)]
struct Tally {
    strict: bool,
    stopped: bool,
    done: PetsImported,
}

impl Pets {
    /// Begins to import pets. A dry run stores none of them; a strict one stops at a line that can't
    /// be a pet, and stores nothing of its batch.
    /// How many pets an owner's plan has room for is no matter here: what was there before is to be there again.
    ///
    /// # Errors
    /// [`PetError::Denied`] unless an administrator asks.
    pub fn import(&self, caller: &Caller, dry_run: bool, strict: bool) -> Result<PetImport, PetError> {
        caller.require(Permission::ManageStaff)?;
        Ok(PetImport {
            pets: self.clone(),
            caller: caller.clone(),
            dry_run,
            lines: Vec::new(),
            storing: JoinSet::new(),
            seen: HashSet::new(),
            tally: Tally { strict, ..Tally::default() },
        })
    }
}

impl PetImport {
    /// Lines in a transaction. Their ids and names are spread over all of an index, so that many of them
    /// share its pages where few would write a page each; others who write wait a quarter of a second.
    const BATCH: usize = 5000;

    /// Takes what was read from a line, counted from 1. Says whether it wants more.
    ///
    /// # Errors
    /// [`PetError::Fault`] when the database couldn't take a batch: then none of it is stored.
    pub async fn add(&mut self, line: u64, pet: Result<PetLine, String>) -> Result<bool, PetError> {
        self.tally.done.lines += 1;
        let checked = pet.and_then(|pet| pet.check(self.pets.clock.now()).map_err(|errors| errors.to_string()));
        match checked {
            Ok(pet) => self.lines.push((line, pet)),
            Err(problem) => self.tally.refuse(line, problem),
        }
        if self.lines.len() >= Self::BATCH {
            self.store().await?;
        }
        Ok(!self.tally.stopped)
    }

    /// Stores what is left, and says what came of it all.
    ///
    /// # Errors
    /// As [`PetImport::add`].
    pub async fn finish(mut self) -> Result<PetsImported, PetError> {
        self.store().await?;
        self.stored().await?;
        self.tally.done.problems.sort_by_key(|problem| problem.line);
        Ok(self.tally.done)
    }

    async fn store(&mut self) -> Result<(), PetError> {
        self.stored().await?;
        let lines = std::mem::take(&mut self.lines);
        if lines.is_empty() || self.tally.stopped {
            return Ok(());
        }
        let mut batch = Batch {
            pets: self.pets.clone(),
            caller: self.caller.clone(),
            dry_run: self.dry_run,
            lines,
            seen: std::mem::take(&mut self.seen),
            tally: Tally { strict: self.tally.strict, ..Tally::default() },
        };
        self.storing.spawn(async move { batch.store().await.map(|()| batch) });
        Ok(())
    }

    /// Waits for the batch that is being stored.
    async fn stored(&mut self) -> Result<(), PetError> {
        if let Some(batch) = self.storing.join_next().await {
            let batch = batch.map_err(Fault::internal)??;
            self.seen = batch.seen;
            self.tally.add(batch.tally);
        }
        Ok(())
    }
}

impl Batch {
    /// Pets in a statement: it is prepared once, and below the 32,766 parameters of SQLite, which notes for
    /// every statement how to undo it alone, page by page.
    const ROWS: usize = 1000;

    async fn store(&mut self) -> Result<(), PetError> {
        let lines = std::mem::take(&mut self.lines);
        if !self.dry_run {
            self.seen.clear();
        }
        let now = self.pets.clock.now();
        let mut tx = self.pets.db.begin().await?;
        let ids = lines.iter().filter(|(_, pet)| pet.has_id).map(|(_, pet)| pet.row.id);
        self.seen.extend(store::known_ids(&mut tx, ids).await?);
        let owners = Owners::find(&mut tx, &lines).await?;
        let mut rows = Vec::with_capacity(lines.len());
        for (line, Candidate { owner, row, .. }) in lines {
            if !self.seen.insert(row.id) {
                self.tally.done.skipped += 1;
                continue;
            }
            match owners.id(&owner, row.past.deleted_at.is_some()) {
                Some(owner_id) => rows.push(store::NewPetRow { owner_id, ..row }),
                None => self.tally.refuse(line, "owner: there is no such user".to_owned()),
            }
        }
        if self.tally.stopped {
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
        self.tally.done.imported += stored;
        // Somebody else was quicker with those.
        self.tally.done.skipped += rows.len() as u64 - stored;
        Ok(())
    }
}

impl Tally {
    const MAX_PROBLEMS: usize = 1000;

    fn refuse(&mut self, line: u64, problem: String) {
        self.done.invalid += 1;
        self.stopped |= self.strict;
        if self.done.problems.len() < Self::MAX_PROBLEMS {
            self.done.problems.push(LineProblem { line, problem });
        }
    }

    fn add(&mut self, batch: Self) {
        self.stopped |= batch.stopped;
        let Self { done, .. } = self;
        done.imported += batch.done.imported;
        done.skipped += batch.done.skipped;
        done.invalid += batch.done.invalid;
        let room = Self::MAX_PROBLEMS - done.problems.len();
        done.problems.extend(batch.done.problems.into_iter().take(room));
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
