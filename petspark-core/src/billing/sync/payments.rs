//! Whether payments here are as Stripe has them, also those of which no event told.

use std::collections::BTreeSet;
use std::time::Duration;

use super::SyncReport;
use crate::billing::remote::{Remote, RemoteIntent};
use crate::billing::{Billing, BillingError, store};
use crate::clock::DAY;

/// Payments are compared that were begun since then; those that aren't made by then never will be.
const LOOK_BACK: Duration = DAY.saturating_mul(30);
/// Of those of which something was given back: that may fail at the bank weeks later.
const REFUND_LOOK_BACK: Duration = DAY.saturating_mul(90);
/// Payments asked for one by one at most.
const AT_MOST: i64 = 1000;

impl Billing {
    pub(super) async fn sync_payments(&self, remote: &dyn Remote, report: &mut SyncReport) -> Result<(), BillingError> {
        let (since, mut seen, mut after) = (self.clock.now().before(LOOK_BACK), BTreeSet::new(), None);
        loop {
            let page = remote.intents(None, since, after).await?;
            for there in page.items.into_iter().filter(|there| there.price.is_some()) {
                seen.insert(there.id.clone());
                self.sync_payment(there, report).await?;
            }
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        let mut open = store::unsettled_payments(&self.db, since, AT_MOST).await?;
        let refunded_since = self.clock.now().before(REFUND_LOOK_BACK);
        open.extend(store::refunded_payments(&self.db, refunded_since, AT_MOST).await?);
        for id in open {
            let Some(here) = store::find_payment(&self.db, &id).await?.filter(|_| !seen.contains(&id)) else {
                continue;
            };
            report.payments += 1;
            match remote.intent(&id).await {
                // Of tests that are over: nothing will come of it.
                Err(error) if error.is_not_found() => {
                    report.add(&id, "here", Some(here.status), None).mended = false;
                }
                there => self.sync_payment(there?, report).await?,
            }
        }
        Ok(())
    }

    async fn sync_payment(&self, there: RemoteIntent, report: &mut SyncReport) -> Result<(), BillingError> {
        // Those of customers that aren't ours aren't ours either.
        let Some(customer) = &there.customer else { return Ok(()) };
        if store::customer_by_id(&self.db, customer).await?.is_none() {
            return Ok(());
        }
        report.payments += 1;
        let before = report.differences.len();
        match store::find_payment(&self.db, &there.id).await? {
            None => drop(report.add(&there.id, "there", None, Some(there.status))),
            Some(here) => {
                if here.status != there.status {
                    report.add(&there.id, "status", Some(here.status), Some(there.status));
                }
                if here.refunded != there.refunded {
                    let (here, there_too) = (here.refunded.to_string(), there.refunded.to_string());
                    report.add(&there.id, "refunded", Some(here), Some(there_too));
                }
            }
        }
        if !report.dry_run && report.differences.len() > before {
            self.read_intent(&there.id).await?;
        }
        Ok(())
    }
}
