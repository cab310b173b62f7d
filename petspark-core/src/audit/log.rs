//! Reading the audit log: a page at a time, or all of it as a stream. There is no way to change
//! it from here.

use std::time::Duration;

use futures_util::{Stream, stream};
use serde::Serialize;
use serde_json::Value;

use super::{Action, store};
use crate::auth::{Denied, Permission};
use crate::caller::Caller;
use crate::clock::{Clock, Timestamp};
use crate::database::Database;
use crate::error::{Fault, FieldErrors, failure};
use crate::id::{AuditId, UserId};
use crate::page::{Cursors, Key, Page, PageRequest, invalid_page};

/// Something that happened, as it was written down.
#[derive(Clone, Debug, Serialize, sqlx::FromRow)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// Which.
    pub id: AuditId,
    /// When.
    pub at: Timestamp,
    /// Who did it: `user:<id>`, `apikey:<id>`, `cli:<os-user>@<host>`, `system` or `anonymous`.
    pub actor: String,
    /// What was done: a name of [`Action`], or one that a newer release has.
    pub action: String,
    /// On what or whom: `user:<id>`, `session:<id>` and the like.
    pub subject: Option<String>,
    /// Whether it worked.
    pub succeeded: bool,
    /// Why, in the words of who did it, or why it was refused.
    pub reason: Option<String>,
    /// From which address.
    pub ip: Option<String>,
    /// What the request is called in the server's log.
    pub request_id: Option<String>,
    /// More, depending on the action.
    #[sqlx(json)]
    pub details: Value,
}

/// Which entries to read.
#[derive(Clone, Debug, Default)]
pub struct AuditFilter {
    /// Only what this actor did, as in [`Entry::actor`]; a bare id is a user's.
    pub actor: Option<String>,
    /// Only this.
    pub action: Option<Action>,
    /// Only what was done to this, as in [`Entry::subject`]; a bare id is a user's.
    pub subject: Option<String>,
    /// Not before this time.
    pub from: Option<Timestamp>,
    /// Before this time.
    pub to: Option<Timestamp>,
}

impl AuditFilter {
    fn normal(self) -> Self {
        let full = |name: String| name.parse::<UserId>().map_or(name, |user| format!("user:{user}"));
        Self { actor: self.actor.map(full), subject: self.subject.map(full), ..self }
    }
}

/// Why the audit log can't be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuditError {
    /// A cursor that is none.
    #[error("Some fields are invalid: {0}")]
    Invalid(FieldErrors),
    /// Not by this caller.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// Not the caller's doing.
    #[error(transparent)]
    Fault(#[from] Fault),
}

failure! {
    AuditError,
    own {
        Invalid(fields) => (Kind::Invalid, "VALIDATION_FAILED", fields: fields),
    },
    asks { Denied(denied), Fault(fault) }
}

invalid_page!(AuditError);

/// The audit log; see the [module](super). Cheap to clone.
#[derive(Clone)]
pub struct Audit {
    db: Database,
    clock: Clock,
    cursors: Cursors,
}

/// Entries that an export reads at a time.
const BATCH: u16 = 500;

impl Audit {
    pub(crate) fn open(db: Database, clock: Clock, cursors: Cursors) -> Self {
        Self { db, clock, cursors }
    }

    /// Entries, the newest first.
    ///
    /// # Errors
    /// [`AuditError::Invalid`] for a foreign cursor; [`AuditError::Denied`] unless an
    /// administrator asks.
    pub async fn list(
        &self,
        caller: &Caller,
        filter: AuditFilter,
        page: &PageRequest,
    ) -> Result<Page<Entry>, AuditError> {
        caller.require(Permission::ReadAudit)?;
        let filter = filter.normal();
        let list = self.cursors.list(&("audit", &filter));
        let rows = store::list(&self.db, &filter, page, page.after_key(&list)?).await?;
        Ok(Page::of(page, rows, None, key, &list))
    }

    /// All entries up to now, the oldest first, read in batches: memory stays the same however
    /// many there are. A fault ends the stream.
    ///
    /// # Errors
    /// [`AuditError::Denied`] unless an administrator asks.
    pub fn export(
        &self,
        caller: &Caller,
        filter: AuditFilter,
    ) -> Result<impl Stream<Item = Result<Vec<Entry>, Fault>> + Send + 'static, AuditError> {
        caller.require(Permission::ReadAudit)?;
        let mut filter = filter.normal();
        let now = self.clock.now().after(Duration::from_micros(1));
        filter.to = Some(filter.to.map_or(now, |to| to.min(now)));
        let db = self.db.clone();
        Ok(stream::try_unfold(Some(None), move |place: Option<Option<Key<AuditId>>>| {
            let (db, filter) = (db.clone(), filter.clone());
            async move {
                let Some(after) = place else { return Ok(None) };
                let entries = store::export(&db, &filter, after, i64::from(BATCH)).await?;
                let next = entries.last().filter(|_| entries.len() == usize::from(BATCH)).map(|last| Some(key(last)));
                Ok((!entries.is_empty()).then_some((entries, next)))
            }
        }))
    }
}

fn key(entry: &Entry) -> Key<AuditId> {
    Key { at: entry.at, id: entry.id }
}
