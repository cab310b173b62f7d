//! Comparing everything that we have with everything that Stripe has, and mending ours. Events do this as
//! things happen; once a day it is made certain. A file for each kind of thing.

mod catalogue;
mod customers;
mod disputes;
mod payments;
mod subscriptions;

use std::time::Duration;

use futures_util::future::BoxFuture;
use serde::Serialize;

use super::remote::all_pages;
use super::{Billing, BillingError, in_job};
use crate::audit::{self, Action, Event};
use crate::auth::Permission;
use crate::caller::Caller;
use crate::clock::DAY;
use crate::error::Fault;
use crate::jobs::{Handler, Job};

/// Something that isn't here as it is at Stripe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Which object, by Stripe's id.
    pub object: String,
    /// In what they differ: a field, or `here`, `there` for what is only at one of the two.
    pub field: String,
    /// What it is here. Addresses aren't told.
    pub here: Option<String>,
    /// What it is there.
    pub there: Option<String>,
    /// Whether it is mended, or would be.
    pub mended: bool,
}

/// What a comparison found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SyncReport {
    /// Whether nothing was changed.
    pub dry_run: bool,
    /// Products and prices at Stripe.
    pub catalogue: u64,
    /// Customers at Stripe that are ours.
    pub customers: u64,
    /// Subscriptions of these at Stripe.
    pub subscriptions: u64,
    /// Payments of the last thirty days.
    pub payments: u64,
    /// What differed.
    pub differences: Vec<Difference>,
}

impl SyncReport {
    fn add(&mut self, object: &str, field: &str, here: Option<String>, there: Option<String>) -> &mut Difference {
        let (object, field) = (object.to_owned(), field.to_owned());
        self.differences.push(Difference { object, field, here, there, mended: !self.dry_run });
        // It was just added.
        let last = self.differences.len() - 1;
        &mut self.differences[last]
    }
}

/// Rows looked through at a time.
const BATCH: i64 = 500;

impl Billing {
    /// Compares the catalogue, customers, subscriptions, payments and disputes with Stripe, and mends what is here
    /// and the addresses that are there; nothing, if this is a dry run.
    ///
    /// # Errors
    /// [`BillingError::NotConfigured`], [`BillingError::Unavailable`], [`BillingError::NotAdmin`];
    /// [`BillingError::Conflict`] when nearly all customers are gone at Stripe: then nothing is mended.
    pub async fn sync(&self, caller: &Caller, dry_run: bool) -> Result<SyncReport, BillingError> {
        self.sync_if(caller, dry_run, false).await
    }

    /// The same, mending though nearly all customers are gone at Stripe: after another account was accepted, for one.
    ///
    /// # Errors
    /// As [`Billing::sync`], but for [`BillingError::Conflict`].
    pub async fn sync_although_gone(&self, caller: &Caller) -> Result<SyncReport, BillingError> {
        self.sync_if(caller, false, true).await
    }

    async fn sync_if(&self, caller: &Caller, dry_run: bool, although_gone: bool) -> Result<SyncReport, BillingError> {
        caller.require(Permission::ManageBilling)?;
        let remote = if dry_run { self.remote_to_look().await? } else { self.remote().await? };
        let mut report = SyncReport { dry_run, ..SyncReport::default() };
        let customers = all_pages(|after| remote.customers(None, after)).await?;
        if !dry_run && !although_gone {
            self.require_customers(&customers).await?;
        }
        self.sync_catalogue(remote, &mut report).await?;
        self.sync_customers(customers, &mut report).await?;
        self.sync_subscriptions(remote, &mut report).await?;
        self.sync_payments(remote, &mut report).await?;
        match self.sync_disputes(remote, &mut report).await {
            // A restricted key may not be allowed to read them; everything else was compared.
            Err(BillingError::KeyRefused { cause }) => {
                report.add("disputes", "there", None, Some(cause)).mended = false;
            }
            compared => compared?,
        }
        if !dry_run {
            let event = Event::new(Action::BillingSynced).detail("differences", report.differences.len());
            audit::record_now(&self.db, self.clock.now(), caller, event).await?;
        }
        Ok(report)
    }
}

/// The job that does it, once a day.
pub(crate) struct Reconcile(pub(crate) Billing);

impl Handler for Reconcile {
    fn kind(&self) -> &'static str {
        "billing.sync"
    }

    fn every(&self) -> Option<Duration> {
        Some(DAY)
    }

    fn run<'a>(&'a self, _: &'a Job) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(async move {
            if !self.0.is_configured() {
                return Ok(());
            }
            let report = in_job(self.0.sync(&Caller::system(), false).await)?;
            if !report.differences.is_empty() {
                tracing::warn!(differences = report.differences.len(), "what is here differed from Stripe");
            }
            Ok(())
        })
    }

    fn limit(&self) -> Duration {
        Duration::from_secs(3600)
    }
}
