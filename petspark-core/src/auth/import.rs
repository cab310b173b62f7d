//! Accounts from elsewhere: a line of JSON each, with the hash of a password that keeps working.
//! Lines are taken in batches, each a transaction, so that an import of any size takes the same
//! memory and locks nobody out, and one that was interrupted goes on where it is started again.

use std::collections::HashSet;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;

use serde::{Deserialize, Serialize};

use super::store::{self, NewUserRow};
use super::stored_hash::StoredHash;
use super::user::{DisplayName, Email, Role};
use super::{Auth, AuthError, Permission};
use crate::audit::{self, Action, Event};
use crate::caller::Caller;
use crate::clock::Timestamp;
use crate::error::FieldErrors;
use crate::id::UserId;
use crate::lines::{LineProblem, explain};

/// One account, as a line has it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Line {
    email: String,
    /// Without it, what stands before the @.
    display_name: Option<String>,
    /// Without it, they need a link that sets a password.
    password_hash: Option<String>,
    #[serde(default)]
    email_verified: bool,
    role: Option<Role>,
    created_at: Option<Timestamp>,
}

/// What an import did, or would do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Imported {
    /// Lines with something in them.
    pub lines: u64,
    /// Accounts that were made.
    pub imported: u64,
    /// Lines whose address has an account already, or had one further up.
    pub duplicates: u64,
    /// Lines that can't be accounts.
    pub invalid: u64,
    /// Duplicates and invalid lines, the first thousand of them.
    pub problems: Vec<LineProblem>,
}

/// An import under way. Lines are added one by one; [`Import::finish`] stores the last of them.
pub struct Import {
    auth: Auth,
    caller: Caller,
    dry_run: bool,
    /// Of a dry run only, hashes of the addresses so far: 16 bytes a line.
    seen: HashSet<u64>,
    hasher: RandomState,
    line: u64,
    batch: Vec<(u64, NewUserRow)>,
    done: Imported,
}

impl Auth {
    /// Begins to import accounts; a dry run stores none of them.
    ///
    /// # Errors
    /// [`AuthError::Forbidden`] unless an administrator asks.
    pub fn import(&self, caller: &Caller, dry_run: bool) -> Result<Import, AuthError> {
        caller.require(Permission::ManageStaff)?;
        Ok(Import {
            auth: self.clone(),
            caller: caller.clone(),
            dry_run,
            seen: HashSet::new(),
            hasher: RandomState::new(),
            line: 0,
            batch: Vec::new(),
            done: Imported::default(),
        })
    }
}

impl Import {
    /// Longest line, in bytes.
    pub const MAX_LINE: usize = 16 * 1024;
    const BATCH: usize = 500;
    const MAX_PROBLEMS: usize = 1000;

    /// Takes the next line; an empty one is only counted.
    ///
    /// # Errors
    /// [`AuthError::Fault`] when the database can't take a batch: then none of it is stored.
    pub async fn add(&mut self, line: &[u8]) -> Result<(), AuthError> {
        self.line += 1;
        if line.trim_ascii().is_empty() {
            return Ok(());
        }
        self.done.lines += 1;
        match parse(line, self.auth.0.clock.now()) {
            Ok(row) => self.batch.push((self.line, row)),
            Err(problem) => {
                self.done.invalid += 1;
                self.tell(self.line, problem);
            }
        }
        if self.batch.len() >= Self::BATCH { self.store().await } else { Ok(()) }
    }

    /// Stores what is left, and says what came of it all.
    ///
    /// # Errors
    /// As [`Import::add`].
    pub async fn finish(mut self) -> Result<Imported, AuthError> {
        self.store().await?;
        self.done.problems.sort_by_key(|problem| problem.line);
        Ok(self.done)
    }

    async fn store(&mut self) -> Result<(), AuthError> {
        let mut taken = HashSet::new();
        if self.dry_run {
            for (line, row) in &self.batch {
                if !self.seen.insert(self.hasher.hash_one(row.email.as_str())) {
                    taken.insert(*line);
                }
            }
        }
        // Anew without those lines whose address turns out to be kept for its former owner.
        while !self.try_to_store(&mut taken).await? {}
        self.done.duplicates += taken.len() as u64;
        self.done.imported += (self.batch.len() - taken.len()) as u64;
        for line in taken {
            self.tell(line, "email: there is already an account with this address".to_owned());
        }
        self.batch.clear();
        Ok(())
    }

    async fn try_to_store(&self, taken: &mut HashSet<u64>) -> Result<bool, AuthError> {
        let db = &self.auth.0.db;
        let now = self.auth.0.clock.now();
        let mut tx = db.begin().await?;
        let mut stored = 0u64;
        for (line, row) in &self.batch {
            if taken.contains(line) {
                continue;
            }
            if store::insert_users(&mut tx, std::slice::from_ref(row)).await? == 0 {
                taken.insert(*line);
            } else if store::is_reserved(&mut tx, row.email.as_str(), row.id, now).await? {
                taken.insert(*line);
                return Ok(false);
            } else {
                stored += 1;
            }
        }
        if stored > 0 && !self.dry_run {
            let event = Event::new(Action::UserCreated).detail("by", "import").detail("count", stored);
            audit::record(&mut tx, now, &self.caller, event).await?;
            tx.commit().await?;
        }
        Ok(true)
    }

    fn tell(&mut self, line: u64, problem: String) {
        if self.done.problems.len() < Self::MAX_PROBLEMS {
            self.done.problems.push(LineProblem { line, problem });
        }
    }
}

fn parse(line: &[u8], now: Timestamp) -> Result<NewUserRow, String> {
    if line.len() > Import::MAX_LINE {
        return Err("is longer than 16 KiB".to_owned());
    }
    let line: Line = serde_json::from_slice(line).map_err(|error| explain(&error))?;
    let mut errors = FieldErrors::default();
    let email = errors.check("email", Email::parse(&line.email));
    let name = line.display_name.as_deref().unwrap_or_else(|| line.email.split('@').next().unwrap_or_default());
    let display_name = errors.check("displayName", DisplayName::parse(name));
    if let Some(hash) = &line.password_hash {
        errors.check("passwordHash", StoredHash::parse(hash).map(drop));
    }
    if line.created_at.is_some_and(|at| at > now) {
        errors.add("createdAt", "is in the future");
    }
    let (email, display_name) = errors.finish(email.zip(display_name)).map_err(|errors| errors.to_string())?;
    Ok(NewUserRow {
        id: UserId::new(),
        email,
        email_verified_at: line.email_verified.then_some(now),
        password_hash: line.password_hash,
        display_name,
        role: line.role.unwrap_or(Role::User),
        created_at: line.created_at.unwrap_or(now),
    })
}
