//! Everything that is kept about one person, in one document. What would let somebody in, such
//! as the hash of a password, isn't in it, nor is what it would tell about others.

use serde::Serialize;
use serde_json::{Map, Value};

use super::{People, store};
use crate::audit::{self, Action, Event, Subject};
use crate::auth::{AuthError, Permission, Purpose, Role, UserStatus};
use crate::caller::Caller;
use crate::clock::Timestamp;
use crate::id::{ApiKeyId, AuditId, PetId, SessionId, SubjectId, UploadId, UserId};
use crate::media::{self, MediaType, UploadStatus};
use crate::moderation::{Decision, ReportReason, SubjectKind};
use crate::pets::{self, StoredPet};

/// What [`Archive::format`] says.
const FORMAT: &str = "petspark.archive/v1";

/// Everything that is kept about a person.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Archive {
    /// Names this form: `petspark.archive/v1`. Fields may be added to it.
    pub format: &'static str,
    /// When it was made.
    pub created_at: Timestamp,
    /// How they sign in.
    pub account: ArchivedAccount,
    /// What they say of themselves.
    pub profile: ArchivedProfile,
    /// What their apps remember.
    pub preferences: Map<String, Value>,
    /// Where they were signed in, ended sessions included.
    pub sessions: Vec<ArchivedSession>,
    /// Their authenticator app and recovery codes, without what they are made of.
    pub second_factors: Vec<ArchivedFactor>,
    /// Links that were mailed to them.
    pub links: Vec<ArchivedLink>,
    /// Their pets, deleted ones included.
    pub pets: Vec<StoredPet>,
    /// What they uploaded, without the files: those of photos are at the URLs of their sizes.
    pub uploads: Vec<ArchivedUpload>,
    /// What they created under idempotency keys lately.
    pub idempotency_keys: Vec<ArchivedIdempotencyKey>,
    /// Pets that they like.
    pub favorites: Vec<ArchivedFavorite>,
    /// Whom they don't want to meet. Who doesn't want to meet them is not theirs to know.
    pub blocks: Vec<ArchivedBlock>,
    /// What they reported.
    pub reports: Vec<ArchivedReport>,
    /// What moderators decided on things of theirs.
    pub decisions: Vec<ArchivedDecision>,
    /// The customers that they are at the payment provider.
    pub customers: Vec<ArchivedCustomer>,
    /// What they subscribed to.
    pub subscriptions: Vec<ArchivedSubscription>,
    /// What they paid once.
    pub payments: Vec<ArchivedPayment>,
    /// Plans that they bought once or were given.
    pub plans: Vec<ArchivedPlan>,
    /// What was asked of the payment provider for them lately.
    pub payment_operations: Vec<ArchivedOperation>,
    /// API keys of the installation that they made.
    pub api_keys: Vec<ArchivedKey>,
    /// What the audit log knows of them, the oldest first.
    pub activity: Vec<ArchivedEvent>,
}

/// The account in an [`Archive`].
#[derive(Clone, Debug, Serialize, sqlx::FromRow)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "as in the user's row")]
pub struct ArchivedAccount {
    pub id: UserId,
    pub email: String,
    pub email_verified_at: Option<Timestamp>,
    pub has_password: bool,
    pub password_changed_at: Option<Timestamp>,
    pub role: Role,
    pub status: UserStatus,
    pub status_reason: Option<String>,
    pub suspended_until: Option<Timestamp>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub last_seen_at: Option<Timestamp>,
    pub deleted_at: Option<Timestamp>,
    pub erase_at: Option<Timestamp>,
}

/// The profile in an [`Archive`].
#[derive(Clone, Debug, Serialize, sqlx::FromRow)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "as in the profile")]
pub struct ArchivedProfile {
    pub display_name: String,
    pub bio: Option<String>,
    pub location: Option<String>,
}

/// A session in an [`Archive`].
#[derive(Clone, Debug, Serialize, sqlx::FromRow)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "as in the session's row")]
pub struct ArchivedSession {
    pub id: SessionId,
    pub created_at: Timestamp,
    pub rotated_at: Timestamp,
    pub authenticated_at: Timestamp,
    pub second_factor_at: Option<Timestamp>,
    pub idle_expires_at: Timestamp,
    pub absolute_expires_at: Timestamp,
    pub revoked_at: Option<Timestamp>,
    pub revoke_reason: Option<String>,
    pub client: Option<String>,
    pub device_name: Option<String>,
    pub user_agent: Option<String>,
    pub ip: Option<String>,
}

/// A second factor in an [`Archive`]: `totp` or `recovery_code`.
#[derive(Clone, Debug, Serialize, sqlx::FromRow)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "as in its row")]
pub struct ArchivedFactor {
    pub kind: String,
    pub created_at: Timestamp,
    pub confirmed_at: Option<Timestamp>,
    pub used_at: Option<Timestamp>,
}

/// A link of a mail in an [`Archive`], without what would make it work.
#[derive(Clone, Debug, Serialize, sqlx::FromRow)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "as in the one-time token's row")]
pub struct ArchivedLink {
    pub purpose: Purpose,
    pub bound_email: String,
    pub new_email: Option<String>,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
    pub consumed_at: Option<Timestamp>,
}

/// A photo or document in an [`Archive`].
#[derive(Clone, Debug, Serialize, sqlx::FromRow)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "as in the upload's row")]
pub struct ArchivedUpload {
    pub id: UploadId,
    pub pet_id: Option<PetId>,
    pub purpose: media::Purpose,
    pub status: UploadStatus,
    pub reason: Option<String>,
    pub file_name: String,
    pub content_type: MediaType,
    pub size: i64,
    pub width: Option<i32>,
    pub height: Option<i32>,
    pub created_at: Timestamp,
}

/// An idempotency key in an [`Archive`], and what was created under it.
#[derive(Clone, Debug, Serialize, sqlx::FromRow)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "as in the key's row")]
pub struct ArchivedIdempotencyKey {
    pub key: String,
    pub operation: String,
    #[sqlx(json)]
    pub result: Value,
    pub created_at: Timestamp,
}

/// A favourite in an [`Archive`].
#[derive(Clone, Debug, Serialize, sqlx::FromRow)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "as in its row")]
pub struct ArchivedFavorite {
    pub pet_id: PetId,
    pub created_at: Timestamp,
}

/// A block in an [`Archive`].
#[derive(Clone, Debug, Serialize, sqlx::FromRow)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "as in its row")]
pub struct ArchivedBlock {
    pub blocked_id: UserId,
    pub created_at: Timestamp,
}

/// A report in an [`Archive`].
#[derive(Clone, Debug, Serialize, sqlx::FromRow)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "as in its row")]
pub struct ArchivedReport {
    pub subject_kind: SubjectKind,
    pub subject_id: SubjectId,
    pub reason: ReportReason,
    pub note: Option<String>,
    pub created_at: Timestamp,
}

/// A moderator's decision in an [`Archive`].
#[derive(Clone, Debug, Serialize, sqlx::FromRow)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "as in the task's row")]
pub struct ArchivedDecision {
    pub subject_kind: SubjectKind,
    pub subject_id: SubjectId,
    pub decision: Decision,
    pub reason: String,
    pub decided_at: Timestamp,
}

/// A customer at the payment provider in an [`Archive`].
#[derive(Clone, Debug, Serialize, sqlx::FromRow)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "as in its row")]
pub struct ArchivedCustomer {
    pub stripe_id: String,
    pub created_at: Timestamp,
    pub deleted_at: Option<Timestamp>,
}

/// A subscription in an [`Archive`].
#[derive(Clone, Debug, Serialize, sqlx::FromRow)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "as in its row")]
pub struct ArchivedSubscription {
    pub id: String,
    pub status: String,
    pub price_id: Option<String>,
    pub quantity: i64,
    pub period_end: Option<Timestamp>,
    pub trial_end: Option<Timestamp>,
    pub cancel_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
    pub created_at: Timestamp,
}

/// A payment in an [`Archive`].
#[derive(Clone, Debug, Serialize, sqlx::FromRow)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "as in its row")]
pub struct ArchivedPayment {
    pub id: String,
    pub price_id: Option<String>,
    pub quantity: i64,
    pub amount: i64,
    pub currency: String,
    pub status: String,
    pub refunded: i64,
    pub created_at: Timestamp,
}

/// A plan that was bought once or given in an [`Archive`].
#[derive(Clone, Debug, Serialize, sqlx::FromRow)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "as in its row")]
pub struct ArchivedPlan {
    pub source: String,
    pub plan: String,
    pub reason: Option<String>,
    pub payment_id: Option<String>,
    pub ends_at: Option<Timestamp>,
    pub revoked_at: Option<Timestamp>,
    pub created_at: Timestamp,
}

/// What was asked of the payment provider in an [`Archive`].
#[derive(Clone, Debug, Serialize, sqlx::FromRow)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "as in its row")]
pub struct ArchivedOperation {
    pub kind: String,
    pub state: String,
    pub stripe_id: Option<String>,
    pub created_at: Timestamp,
}

/// An API key in an [`Archive`].
#[derive(Clone, Debug, Serialize, sqlx::FromRow)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "as in the key's row")]
pub struct ArchivedKey {
    pub id: ApiKeyId,
    pub name: String,
    pub scopes: String,
    pub created_at: Timestamp,
    pub expires_at: Option<Timestamp>,
    pub revoked_at: Option<Timestamp>,
}

/// An entry of the audit log in an [`Archive`].
#[derive(Clone, Debug, Serialize, sqlx::FromRow)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "as in the audit log")]
pub struct ArchivedEvent {
    pub id: AuditId,
    pub at: Timestamp,
    /// `you`, `nobody` who had signed in, or `staff`, whose names are their own.
    pub by: String,
    pub action: String,
    pub succeeded: bool,
    pub reason: Option<String>,
    /// Only of what they did themselves, or somebody in their name.
    pub ip: Option<String>,
    #[sqlx(json)]
    pub details: Value,
}

impl People {
    /// Everything that is kept about the caller. They must have signed in lately: it is all at once.
    ///
    /// # Errors
    /// [`AuthError::StepUpRequired`]; [`AuthError::Unauthenticated`] when no user is asking.
    pub async fn export_own(&self, caller: &Caller) -> Result<Archive, AuthError> {
        let id = caller.user_id().ok_or(AuthError::Unauthenticated)?;
        self.auth.require_recent(caller)?;
        self.archive(caller, id).await?.ok_or(AuthError::Unauthenticated)
    }

    /// Everything that is kept about a user, deleted or not.
    ///
    /// # Errors
    /// [`AuthError::UserNotFound`]; [`AuthError::Forbidden`] unless an administrator asks, and
    /// [`AuthError::StepUpRequired`] unless they signed in lately.
    pub async fn export(&self, caller: &Caller, user: UserId) -> Result<Archive, AuthError> {
        caller.require(Permission::ManageStaff)?;
        self.auth.require_recent(caller)?;
        self.archive(caller, user).await?.ok_or(AuthError::UserNotFound)
    }

    async fn archive(&self, caller: &Caller, user: UserId) -> Result<Option<Archive>, AuthError> {
        let now = self.clock.now();
        let Some(person) = store::archived_person(&self.db, user).await? else { return Ok(None) };
        // First the entry, so that it is part of what it is about.
        audit::record_now(&self.db, now, caller, Event::new(Action::DataExported).on(Subject::User(user))).await?;
        let sessions = store::archived_sessions(&self.db, user).await?;
        let mut subjects: Vec<_> = sessions.iter().map(|session| Subject::Session(session.id).to_string()).collect();
        let actor = Subject::User(user).to_string();
        subjects.push(actor.clone());
        Ok(Some(Archive {
            format: FORMAT,
            created_at: now,
            account: person.account,
            profile: person.profile,
            preferences: person.preferences.map(|sqlx::types::Json(preferences)| preferences).unwrap_or_default(),
            sessions,
            second_factors: store::archived_factors(&self.db, user).await?,
            links: store::archived_links(&self.db, user).await?,
            pets: pets::store::stored_pets_of(&self.db, user).await?,
            uploads: store::archived_uploads(&self.db, user).await?,
            idempotency_keys: store::archived_idempotency_keys(&self.db, user).await?,
            favorites: store::archived_favorites(&self.db, user).await?,
            blocks: store::archived_blocks(&self.db, user).await?,
            reports: store::archived_reports(&self.db, user).await?,
            decisions: store::archived_decisions(&self.db, user).await?,
            customers: store::archived_customers(&self.db, user).await?,
            subscriptions: store::archived_subscriptions(&self.db, user).await?,
            payments: store::archived_payments(&self.db, user).await?,
            plans: store::archived_plans(&self.db, user).await?,
            payment_operations: store::archived_operations(&self.db, user).await?,
            api_keys: store::archived_keys(&self.db, &actor).await?,
            activity: store::archived_events(&self.db, &actor, &subjects).await?,
        }))
    }
}
