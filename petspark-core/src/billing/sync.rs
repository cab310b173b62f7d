//! Comparing everything that we have with everything that Stripe has, and mending ours. Events do this as
//! things happen; once a day it is made certain.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde::Serialize;

use super::access::{Access, SubscriptionStatus};
use super::remote::{Remote, RemoteCustomer, RemoteSubscription};
use super::store::SubscriptionRow;
use super::{Billing, BillingError, in_job, store};
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
    /// Payments that weren't settled and were looked at.
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
/// Payments that aren't made by then never will be.
const UNSETTLED_FOR: Duration = DAY.saturating_mul(7);

impl Billing {
    /// Compares the catalogue, customers, subscriptions and open payments with Stripe, and mends what is here
    /// and the addresses that are there; nothing, if this is a dry run.
    ///
    /// # Errors
    /// [`BillingError::NotConfigured`], [`BillingError::Unavailable`], [`BillingError::NotAdmin`].
    pub async fn sync(&self, caller: &Caller, dry_run: bool) -> Result<SyncReport, BillingError> {
        caller.require(Permission::ManageBilling)?;
        let remote = self.remote()?;
        let mut report = SyncReport { dry_run, ..SyncReport::default() };
        self.sync_catalogue(&mut report).await?;
        self.sync_customers(remote, &mut report).await?;
        self.sync_subscriptions(remote, &mut report).await?;
        self.sync_payments(remote, &mut report).await?;
        if !dry_run {
            let event = Event::new(Action::BillingSynced).detail("differences", report.differences.len());
            audit::record_now(&self.db, self.clock.now(), caller, event).await?;
        }
        Ok(report)
    }

    async fn sync_catalogue(&self, report: &mut SyncReport) -> Result<(), BillingError> {
        let (products, prices) = self.whole_catalogue().await?;
        report.catalogue = (products.len() + prices.len()) as u64;
        let (mut changed_products, mut changed_prices) = (Vec::new(), Vec::new());
        let there: BTreeSet<&str> = products.iter().map(|product| product.id.as_str()).collect();
        let mut tx = self.db.begin().await?;
        for product in &products {
            if store::put_product(&mut tx, product, self.clock.now()).await? {
                changed_products.push(product.id.clone());
            }
        }
        for price in prices.iter().filter(|price| there.contains(price.product.as_str())) {
            if store::put_price(&mut tx, price, self.clock.now()).await? {
                changed_prices.push(price.id.clone());
            }
        }
        // Only to see what would change: between asking and now, an event may have told something newer.
        drop(tx);
        let gone = |known: Vec<String>, there: BTreeSet<&str>| -> Vec<String> {
            known.into_iter().filter(|id| !there.contains(id.as_str())).collect()
        };
        changed_products.extend(gone(store::all_products(&self.db).await?, there));
        let there = prices.iter().map(|price| price.id.as_str()).collect();
        changed_prices.extend(gone(store::all_prices(&self.db).await?, there));
        for id in changed_products {
            report.add(&id, "product", None, None);
            if !report.dry_run {
                self.read_product(&id).await?;
            }
        }
        for id in changed_prices {
            report.add(&id, "price", None, None);
            if !report.dry_run {
                self.read_price(&id).await?;
            }
        }
        Ok(())
    }

    async fn sync_customers(&self, remote: &dyn Remote, report: &mut SyncReport) -> Result<(), BillingError> {
        let (mut there, mut after) = (BTreeSet::new(), None);
        loop {
            let page = remote.customers(None, after).await?;
            for customer in page.items {
                self.sync_customer(&customer, report).await?;
                there.insert(customer.id);
            }
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        let mut last = String::new();
        loop {
            let rows = store::customers_after(&self.db, &last, BATCH).await?;
            for row in rows.iter().filter(|row| row.deleted_at.is_none() && !there.contains(&row.stripe_id)) {
                report.add(&row.stripe_id, "here", Some("customer".to_owned()), None);
                if !report.dry_run {
                    self.read_customer(&row.stripe_id).await?;
                }
            }
            match rows.last() {
                Some(row) => last.clone_from(&row.stripe_id),
                None => return Ok(()),
            }
        }
    }

    async fn sync_customer(&self, customer: &RemoteCustomer, report: &mut SyncReport) -> Result<(), BillingError> {
        let row = store::customer_by_id(&self.db, &customer.id).await?;
        let Some(user) = row.as_ref().and_then(|row| row.user_id).or(customer.user) else { return Ok(()) };
        if row.is_some() {
            report.customers += 1;
            let email = store::email_of(&self.db, user).await?;
            if email.is_some() && email != customer.email {
                report.add(&customer.id, "email", None, None);
                if !report.dry_run {
                    self.push_email(user).await?;
                }
            }
            return Ok(());
        }
        // Made for a user who has none: an answer was lost. Others may be another installation's.
        if !store::live_user(&self.db, user).await? {
            return Ok(());
        }
        report.customers += 1;
        if store::customer_of(&self.db, user).await?.is_some() {
            report.add(&customer.id, "there", None, Some("a second customer of one user".to_owned())).mended = false;
            return Ok(());
        }
        report.add(&customer.id, "there", None, Some("customer".to_owned()));
        if !report.dry_run {
            self.adopt_customer(&customer.id, user).await?;
            self.push_email(user).await?;
        }
        Ok(())
    }

    async fn sync_subscriptions(&self, remote: &dyn Remote, report: &mut SyncReport) -> Result<(), BillingError> {
        let (mut there, mut after) = (BTreeSet::new(), None);
        loop {
            let page = remote.subscriptions(after).await?;
            for subscription in page.items {
                there.insert(subscription.id.clone());
                self.sync_subscription(subscription, report).await?;
            }
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        let mut last = String::new();
        loop {
            let rows = store::subscriptions_after(&self.db, &last, BATCH).await?;
            let is_live = |row: &&SubscriptionRow| !SubscriptionStatus::from(row.status.clone()).is_final();
            for row in rows.iter().filter(is_live).filter(|row| !there.contains(&row.id)) {
                report.add(&row.id, "here", Some(row.status.clone()), None);
                if !report.dry_run {
                    self.read_subscription(&row.id).await?;
                }
            }
            match rows.last() {
                Some(row) => last.clone_from(&row.id),
                None => return Ok(()),
            }
        }
    }

    async fn sync_subscription(&self, read: RemoteSubscription, report: &mut SyncReport) -> Result<(), BillingError> {
        // Those of customers that aren't ours, whatever they are, aren't ours either.
        let Some(customer) = store::customer_by_id(&self.db, &read.customer).await? else { return Ok(()) };
        report.subscriptions += 1;
        let id = read.id.clone();
        let before = report.differences.len();
        match store::find_subscription(&self.db, &id).await? {
            None => drop(report.add(&id, "there", None, Some(read.status.to_string()))),
            Some(here) => {
                let there = self.row(read, customer.user_id, Access::None).await?;
                for (field, here, there) in compare(&here, &there) {
                    report.add(&id, field, Some(here), Some(there));
                }
            }
        }
        if !report.dry_run && report.differences.len() > before {
            self.read_subscription(&id).await?;
        }
        Ok(())
    }

    async fn sync_payments(&self, remote: &dyn Remote, report: &mut SyncReport) -> Result<(), BillingError> {
        let since = self.clock.now().before(UNSETTLED_FOR);
        for id in store::unsettled_payments(&self.db, since, 1000).await? {
            let Some(here) = store::find_payment(&self.db, &id).await? else { continue };
            report.payments += 1;
            let there = match remote.intent(&id).await {
                Err(error) if error.is_not_found() => {
                    // Of another account, or of tests that are over: nothing will come of it.
                    report.add(&id, "here", Some(here.status), None).mended = false;
                    continue;
                }
                there => there?,
            };
            if there.status != here.status {
                report.add(&id, "status", Some(here.status), Some(there.status));
                if !report.dry_run {
                    self.read_intent(&id).await?;
                }
            }
        }
        Ok(())
    }
}

/// In what they differ of what Stripe says.
fn compare(here: &SubscriptionRow, there: &SubscriptionRow) -> Vec<(&'static str, String, String)> {
    let fields = |row: &SubscriptionRow| {
        [
            ("status", row.status.clone()),
            ("customer", row.customer_id.clone()),
            ("price", format!("{:?}", row.price_id)),
            ("quantity", row.quantity.to_string()),
            ("period_start", format!("{:?}", row.period_start)),
            ("period_end", format!("{:?}", row.period_end)),
            ("trial_end", format!("{:?}", row.trial_end)),
            ("cancel_at", format!("{:?}", row.cancel_at)),
            ("cancel_at_period_end", row.cancel_at_period_end.to_string()),
            ("canceled_at", format!("{:?}", row.canceled_at)),
            ("ended_at", format!("{:?}", row.ended_at)),
            ("paused", format!("{:?}", row.paused)),
        ]
    };
    let both = fields(here).into_iter().zip(fields(there));
    both.filter(|(here, there)| here.1 != there.1).map(|((name, here), (_, there))| (name, here, there)).collect()
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
