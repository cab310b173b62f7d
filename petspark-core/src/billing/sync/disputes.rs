//! Whether every dispute that a bank has decided against us is known here, also those of which no event told.

use std::time::Duration;

use super::SyncReport;
use crate::billing::remote::Remote;
use crate::billing::{Billing, BillingError, store};
use crate::clock::DAY;

/// Banks take up to three months to decide, and some ask once more.
const LOOK_BACK: Duration = DAY.saturating_mul(180);

impl Billing {
    pub(super) async fn sync_disputes(&self, remote: &dyn Remote, report: &mut SyncReport) -> Result<(), BillingError> {
        let (since, mut after) = (self.clock.now().before(LOOK_BACK), None);
        loop {
            // All of the account's: there are few, and they say whose they are.
            let page = remote.disputes(since, after).await?;
            for lost in page.items.into_iter().filter(|dispute| dispute.is_lost) {
                let Some(payment) = lost.payment else { continue };
                if store::find_payment(&self.db, &payment).await?.is_none_or(|row| row.disputed) {
                    continue;
                }
                report.add(&payment, "dispute", None, Some(format!("lost: {}", lost.id)));
                if !report.dry_run {
                    self.lose_dispute(&payment).await?;
                }
            }
            after = page.next;
            if after.is_none() {
                return Ok(());
            }
        }
    }
}
