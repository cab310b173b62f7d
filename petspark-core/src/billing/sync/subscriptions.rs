//! Whether subscriptions here are as Stripe has them, and everybody has one at most.

use std::collections::BTreeSet;

use super::{BATCH, SyncReport};
use crate::billing::access::Access;
use crate::billing::remote::{Remote, RemoteSubscription};
use crate::billing::status::SubscriptionStatus;
use crate::billing::store::SubscriptionRow;
use crate::billing::{Billing, BillingError, store};

impl Billing {
    pub(super) async fn sync_subscriptions(
        &self,
        remote: &dyn Remote,
        report: &mut SyncReport,
    ) -> Result<(), BillingError> {
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
                None => break,
            }
        }
        // Which of the two is meant, a person has to say.
        for row in store::second_subscriptions(&self.db, BATCH).await? {
            let text = "a second subscription of one user".to_owned();
            report.add(&row.id, "user", Some(text), Some(row.status)).mended = false;
        }
        Ok(())
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
