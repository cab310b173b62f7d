//! The names of what is written down, by the OWASP Logging Vocabulary Cheat Sheet where it has one.

use crate::database::text_enum;

text_enum! {
    /// What was done, or tried.
    pub enum Action {
        /// Somebody signed in.
        LoginSuccess = "authn_login_success",
        /// A sign-in was refused.
        LoginFail = "authn_login_fail",
        /// A sign-in was refused because there were too many before it.
        LoginFailMax = "authn_login_fail_max",
        /// Registrations or mails were refused because there were too many before them.
        RateLimitExceeded = "excess_rate_limit_exceeded",
        /// An operator lifted limits.
        ThrottleCleared = "throttle_cleared",
        /// Somebody signed out.
        Logout = "authn_logout",
        /// A refresh token was used a second time; its session was ended.
        TokenReuse = "authn_token_reuse",
        /// A refresh token was used a second time where that is no theft.
        TokenReuseGrace = "authn_token_reuse_grace",
        /// Somebody set a password.
        PasswordChange = "authn_password_change",
        /// Somebody asked for a link that sets a new password.
        PasswordResetRequested = "authn_password_reset_requested",
        /// A one-time token was presented that no longer counts, or not for this.
        OneTimeTokenFail = "authn_one_time_token_fail",
        /// Somebody asked for the link that verifies an address.
        VerificationRequested = "user_verification_requested",
        /// An address was proven to be its user's.
        EmailVerified = "user_email_verified",
        /// A user wants another address.
        EmailChangeRequested = "user_email_change_requested",
        /// A user has another address.
        EmailChanged = "user_email_changed",
        /// A user was given their old address back.
        EmailChangeUndone = "user_email_change_undone",
        /// One session or more were ended.
        SessionRevoked = "session_revoked",
        /// A second factor was set up.
        SecondFactorAdded = "authn_second_factor_added",
        /// A user removed their second factor.
        SecondFactorRemoved = "authn_second_factor_removed",
        /// Somebody else removed it for them.
        SecondFactorReset = "authn_second_factor_reset",
        /// A code was wrong, or was used before.
        SecondFactorFail = "authn_second_factor_fail",
        /// A recovery code stood in for the second factor.
        RecoveryCodeUsed = "authn_recovery_code_used",
        /// New recovery codes replaced the old.
        RecoveryCodesRenewed = "authn_recovery_codes_renewed",
        /// Somebody proved themselves anew in their session.
        StepUp = "authn_step_up",
        /// An account was made.
        UserCreated = "user_created",
        /// Somebody changed what they say of themselves.
        UserUpdated = "user_updated",
        /// An account was deleted, and can be restored for a while.
        UserDeleted = "user_deleted",
        /// A deletion was taken back.
        UserRestored = "user_restored",
        /// Everything about a person was erased.
        UserErased = "user_erased",
        /// Everything kept about a person was read at once.
        DataExported = "sensitive_read_personal_data",
        /// A signing key was made and published.
        SigningKeyCreated = "sensitive_create_signing_key",
        /// A signing key began to sign.
        SigningKeyPromoted = "sensitive_update_signing_key",
        /// A signing key was retired.
        SigningKeyRetired = "sensitive_delete_signing_key",
        /// Signing keys or second factors were sealed by the newest secret, as far as one that is set opened them.
        SecretsResealed = "sensitive_update_sealed_secrets",
        /// Somebody was kept from signing in: suspended or banned.
        LoginLocked = "authn_login_lock",
        /// Somebody who was suspended or banned may sign in again.
        LoginUnlocked = "authn_login_unlock",
        /// An API key was made.
        ApiKeyCreated = "authn_token_created",
        /// An API key was given another secret.
        ApiKeyRotated = "authn_token_rotated",
        /// An API key was ended.
        ApiKeyRevoked = "authn_token_revoked",
        /// A user was given another role.
        RoleChanged = "authz_change",
        /// Somebody else than its owner hid, banned or showed a pet.
        PetStatusChanged = "pet_status_changed",
        /// Somebody else than its owner changed what is said of a pet.
        PetUpdated = "pet_updated",
        /// Somebody else than its owner deleted a pet.
        PetDeleted = "pet_deleted",
        /// Pets were imported.
        PetsImported = "pets_imported",
        /// Somebody else than its owner restored a deleted pet.
        PetRestored = "pet_restored",
        /// Pets were removed for good that had been deleted for long.
        PetsPurged = "sys_pets_purged",
        /// Somebody else than its owner deleted a photo.
        PhotoDeleted = "photo_deleted",
        /// Objects were removed that belonged to nothing.
        MediaCollected = "sys_media_collected",
        /// A moderator took a task, or took it over from another.
        TaskTaken = "moderation_task_taken",
        /// A moderator decided on what was reported.
        TaskDecided = "moderation_task_decided",
        /// Somebody was given a plan.
        PlanGranted = "plan_granted",
        /// A plan that was bought or given was taken back.
        PlanRevoked = "plan_revoked",
        /// An administrator asked for money to be given back; what became of it is another entry.
        PaymentRefundAsked = "payment_refund_asked",
        /// Money was given back.
        PaymentRefunded = "payment_refunded",
        /// Money that was given back came back: the bank couldn't take it.
        PaymentRefundFailed = "payment_refund_failed",
        /// Somebody tried to pay what isn't sold, or to touch what isn't theirs.
        PaymentRefused = "payment_refused",
        /// An event came that Stripe didn't sign; noted once a minute.
        WebhookRefused = "payment_webhook_refused",
        /// An operator had an event of Stripe's processed again.
        BillingEventReplayed = "sys_billing_event_replayed",
        /// What is kept of payments was compared with Stripe.
        BillingSynced = "sys_billing_synced",
        /// The account of the first key was taken for the one whose payments are kept.
        BillingAccountKept = "sys_billing_account_kept",
        /// An operator took another account of Stripe's for the one whose payments are kept.
        BillingAccountAccepted = "sys_billing_account_accepted",
        /// An operator had Stripe send its events.
        WebhookSetUp = "sys_billing_webhook_set_up",
        /// Entries of this log were removed because of their age.
        AuditPurged = "sys_audit_purged",
        /// An administrator had a job tried again.
        JobRetried = "sys_job_retried",
        /// An administrator removed a job undone.
        JobDropped = "sys_job_dropped",
        /// Jobs were removed that had been dead for long.
        DeadJobsRemoved = "sys_dead_jobs_removed",
        /// An operator removed what accounts had left behind.
        LeftoversRemoved = "sys_leftovers_removed",
        /// An operator brought the database's schema up to date.
        SchemaMigrated = "sys_schema_migrated",
        /// An operator declared that a database has the schema of this release.
        SchemaBaselined = "sys_schema_baselined",
        /// An operator ended the lock of a process that was gone.
        MigrationUnlocked = "sys_migration_unlocked",
        /// An operator copied an installation to another database.
        InstallationCopied = "sys_installation_copied",
        /// An operator ran a program that is a command.
        PluginExecuted = "sys_plugin_exec",
        /// A backup was made.
        BackupCreated = "sys_backup_created",
        /// Backups were removed by the rules of how many stay.
        BackupsPruned = "sys_backups_pruned",
        /// This database was restored from a backup.
        BackupRestored = "sys_backup_restored",
        /// Files of uploads were given back from a backup.
        UploadsRestored = "sys_uploads_restored",
        /// An operator sent a mail to see whether mails arrive.
        TestMailSent = "sys_test_mail_sent",
    }
}
