//! Plans that administrators give, for a reason and mostly for a time, and take back.

use serde::Serialize;

use super::entitled::Source;
use super::{Billing, BillingError, store};
use crate::audit::{self, Action, Event, Subject};
use crate::auth::Permission;
use crate::caller::Caller;
use crate::clock::Timestamp;
use crate::database::violates_foreign_key;
use crate::error::FieldErrors;
use crate::id::{GrantId, UserId};

/// A plan for somebody.
#[derive(Clone, Debug)]
pub struct NewGrant {
    /// For whom.
    pub user: UserId,
    /// The plan's name.
    pub plan: String,
    /// Why: 1 to 500 characters, for the record and for the user to read.
    pub reason: String,
    /// Until when; for good if it isn't said.
    pub until: Option<Timestamp>,
}

/// A plan that somebody has beside a subscription.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, sqlx::FromRow)]
#[serde(rename_all = "camelCase")]
pub struct Grant {
    /// Which.
    pub id: GrantId,
    /// Whose.
    pub user_id: UserId,
    /// Bought, or given.
    pub source: Source,
    /// The plan's name.
    pub plan: String,
    /// Why it was given.
    pub reason: Option<String>,
    /// The payment, if it was bought.
    pub payment_id: Option<String>,
    /// Who gave it: `user:<id>` and the like, as in the audit log.
    pub granted_by: String,
    /// Until when.
    pub ends_at: Option<Timestamp>,
    /// When it was taken back.
    pub revoked_at: Option<Timestamp>,
    /// Since when.
    pub created_at: Timestamp,
}

const MAX_REASON: usize = 500;

impl Billing {
    /// Gives somebody a plan.
    ///
    /// # Errors
    /// [`BillingError::Invalid`]; [`BillingError::NotFound`] for a user who isn't there;
    /// [`BillingError::NotAdmin`].
    pub async fn grant(&self, caller: &Caller, new: NewGrant) -> Result<Grant, BillingError> {
        self.grant_if(true, caller, new).await
    }

    /// What [`Billing::grant`] would give, giving nothing.
    ///
    /// # Errors
    /// The same.
    pub async fn preview_grant(&self, caller: &Caller, new: NewGrant) -> Result<Grant, BillingError> {
        self.grant_if(false, caller, new).await
    }

    async fn grant_if(&self, meant: bool, caller: &Caller, new: NewGrant) -> Result<Grant, BillingError> {
        caller.require(Permission::ManageBilling)?;
        let now = self.clock.now();
        let mut problems = FieldErrors::default();
        let reason = new.reason.trim();
        if self.entitled.plans().find(&new.plan).is_none() {
            let names: Vec<_> = self.entitled.plans().iter().map(|plan| plan.name.as_str()).collect();
            problems.add("plan", format!("must be one of {}", names.join(", ")));
        }
        if reason.is_empty() || reason.chars().count() > MAX_REASON || reason.contains('\0') {
            problems.add("reason", format!("must have 1 to {MAX_REASON} characters"));
        }
        if new.until.is_some_and(|until| until <= now) {
            problems.add("until", "must be in the future");
        }
        problems.finish(Some(())).map_err(BillingError::Invalid)?;
        let grant = Grant {
            id: GrantId::new(),
            user_id: new.user,
            source: Source::Admin,
            plan: new.plan,
            reason: Some(reason.to_owned()),
            payment_id: None,
            granted_by: caller.to_string(),
            ends_at: new.until,
            revoked_at: None,
            created_at: now,
        };
        let mut tx = self.db.begin().await?;
        match store::insert_grant(&mut tx, &grant).await {
            Err(error) if violates_foreign_key(&error) => return Err(BillingError::NotFound("user")),
            result => result.map_err(crate::Fault::from)?,
        };
        if !meant {
            return Ok(grant);
        }
        let event = Event::new(Action::PlanGranted).on(Subject::User(new.user)).reason(reason);
        let event = event.detail("plan", grant.plan.clone()).detail("grant", grant.id.to_string());
        let until = grant.ends_at.map(|until| until.to_string());
        audit::record(&mut tx, now, caller, event.detail("until", until)).await?;
        self.entitled.forget_after(&mut tx, new.user);
        tx.commit().await?;
        Ok(grant)
    }

    /// Takes a plan back that was given or bought.
    ///
    /// # Errors
    /// [`BillingError::NotFound`], also for one that was taken back; [`BillingError::NotAdmin`].
    pub async fn revoke_grant(&self, caller: &Caller, id: GrantId, reason: &str) -> Result<Grant, BillingError> {
        self.revoke_if(true, caller, id, reason).await
    }

    /// What [`Billing::revoke_grant`] would take back, taking nothing.
    ///
    /// # Errors
    /// The same.
    pub async fn preview_revocation(&self, caller: &Caller, id: GrantId, reason: &str) -> Result<Grant, BillingError> {
        self.revoke_if(false, caller, id, reason).await
    }

    async fn revoke_if(&self, meant: bool, caller: &Caller, id: GrantId, reason: &str) -> Result<Grant, BillingError> {
        caller.require(Permission::ManageBilling)?;
        let now = self.clock.now();
        let mut tx = self.db.begin().await?;
        let revoked = store::revoke_grant(&mut tx, id, now).await?.ok_or(BillingError::NotFound("grant"))?;
        if !meant {
            return Ok(revoked);
        }
        let event = Event::new(Action::PlanRevoked).on(Subject::User(revoked.user_id)).reason(reason.trim());
        let event = event.detail("plan", revoked.plan.clone()).detail("grant", id.to_string());
        audit::record(&mut tx, now, caller, event).await?;
        self.entitled.forget_after(&mut tx, revoked.user_id);
        tx.commit().await?;
        Ok(revoked)
    }

    /// Everything that a user bought once or was given, the newest first.
    ///
    /// # Errors
    /// [`BillingError::NotAdmin`].
    pub async fn grants(&self, caller: &Caller, user: UserId) -> Result<Vec<Grant>, BillingError> {
        caller.require(Permission::ReadBilling)?;
        Ok(store::grants_of(&self.db, user).await?)
    }
}
