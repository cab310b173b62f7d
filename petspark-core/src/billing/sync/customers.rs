//! Whether customers here are those that Stripe has, with the addresses that their users have.

use std::collections::BTreeSet;

use super::{BATCH, SyncReport};
use crate::billing::remote::RemoteCustomer;
use crate::billing::{Billing, BillingError, store};

/// Fewer customers may be gone for any reason.
const MANY: i64 = 5;

impl Billing {
    /// Stops before most of what is here is taken for deleted: more likely, what was asked is another Stripe.
    pub(super) async fn require_customers(&self, there: &[RemoteCustomer]) -> Result<(), BillingError> {
        let all = store::count_customers(&self.db).await?;
        let mut known = 0;
        for customer in there {
            let row = store::customer_by_id(&self.db, &customer.id).await?;
            known += i64::from(row.is_some_and(|row| row.deleted_at.is_none()));
        }
        match all - known {
            gone if gone >= MANY && gone * 10 > all * 9 => Err(BillingError::Conflict(
                "Nearly all customers are gone at Stripe; nothing was changed. Look at it by a dry run, and say so if it is meant.",
            )),
            _ => Ok(()),
        }
    }

    pub(super) async fn sync_customers(
        &self,
        customers: Vec<RemoteCustomer>,
        report: &mut SyncReport,
    ) -> Result<(), BillingError> {
        let mut there = BTreeSet::new();
        for customer in customers {
            self.sync_customer(&customer, report).await?;
            there.insert(customer.id);
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
        if row.as_ref().is_some_and(|row| row.deleted_at.is_some()) {
            return self.sync_undeleted(&customer.id, report).await;
        }
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

    /// One that was taken for deleted, and is there: as after a key of another account.
    async fn sync_undeleted(&self, id: &str, report: &mut SyncReport) -> Result<(), BillingError> {
        report.customers += 1;
        let (is_dry_run, found) =
            (report.dry_run, report.add(id, "deleted", Some("yes".to_owned()), Some("no".to_owned())));
        if !is_dry_run {
            self.read_customer(id).await?;
            // Its user may have another one by now.
            let row = store::customer_by_id(&self.db, id).await?;
            found.mended = row.is_some_and(|row| row.deleted_at.is_none());
        }
        Ok(())
    }
}
