//! Whether what is sold here is what is sold at Stripe.

use std::collections::BTreeSet;

use super::SyncReport;
use crate::billing::remote::{Remote, all_pages};
use crate::billing::{Billing, BillingError, store};

impl Billing {
    pub(super) async fn sync_catalogue(
        &self,
        remote: &dyn Remote,
        report: &mut SyncReport,
    ) -> Result<(), BillingError> {
        let products = all_pages(|after| remote.products(after)).await?;
        let prices = all_pages(|after| remote.prices(after)).await?;
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
}
