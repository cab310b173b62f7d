//! What can be bought: products and prices as Stripe has them, kept here so that showing them asks nobody.

use serde::Serialize;
use serde_json::Value;

use super::entitled::plan_of;
use super::money::{Currency, Money};
use super::remote::Period;
use super::store::ListedPrice;
use super::{Billing, BillingError, store};
use crate::error::Fault;

/// Something that is sold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Product {
    /// Stripe's id.
    pub id: String,
    /// What it is called.
    pub name: String,
    /// What it is.
    pub description: Option<String>,
    /// What is said of it, a line each.
    pub features: Vec<String>,
    /// What it costs, the least first.
    pub prices: Vec<Price>,
}

/// What something costs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Price {
    /// Stripe's id.
    pub id: String,
    /// In the currency's smallest unit.
    pub amount: i64,
    /// Which currency.
    pub currency: Currency,
    /// How often; once if it isn't said.
    pub interval: Option<Period>,
    /// Every how many of these.
    pub interval_count: Option<i32>,
    /// The plan that it buys.
    pub plan: Option<String>,
}

impl ListedPrice {
    pub(super) fn money(&self) -> Result<Option<Money>, Fault> {
        let currency = self.currency.parse().map_err(Fault::internal)?;
        Ok(self.amount.map(|amount| Money::new(amount, currency)))
    }
}

impl Billing {
    /// Everything that is sold.
    ///
    /// # Errors
    /// [`BillingError::NotConfigured`].
    pub async fn products(&self) -> Result<Vec<Product>, BillingError> {
        self.configured()?;
        let mut products: Vec<Product> = Vec::new();
        for row in store::listed_prices(&self.db).await? {
            // Tiers and what customers choose themselves have no amount to be shown, nor to be charged by us.
            let Some(money) = row.money()? else { continue };
            let plan = plan_of(self.entitled.plans(), row.plan.as_deref(), row.lookup_key.as_deref());
            let price = Price {
                id: row.id,
                amount: money.amount,
                currency: money.currency,
                interval: row.period,
                interval_count: row.period_count,
                plan: plan.map(|plan| plan.name.clone()),
            };
            match products.last_mut().filter(|product| product.id == row.product_id) {
                Some(product) => product.prices.push(price),
                None => products.push(Product {
                    id: row.product_id,
                    name: row.name,
                    description: row.description,
                    features: lines(&row.features),
                    prices: vec![price],
                }),
            }
        }
        Ok(products)
    }

    /// A price that is sold.
    pub(super) async fn sold(&self, id: &str) -> Result<ListedPrice, BillingError> {
        let price = store::find_price(&self.db, id).await?.filter(|price| price.sold);
        price.ok_or_else(|| BillingError::BadPrice("There is no such price.".to_owned()))
    }

    /// Reads a product anew.
    pub(super) async fn read_product(&self, id: &str) -> Result<bool, BillingError> {
        let (remote, now) = (self.remote().await?, self.clock.now());
        let turn = self.take_turn(id).await?;
        let product = match remote.product(id).await {
            Err(error) if error.is_not_found() => None,
            product => Some(product?),
        };
        let mut tx = self.db.begin().await?;
        let changed = store::use_turn(&mut tx, id, turn).await?
            && match &product {
                Some(product) => store::put_product(&mut tx, product, now).await?,
                None => store::retire_product(&mut tx, id, now).await?,
            };
        tx.commit().await?;
        Ok(changed)
    }

    /// Reads a price anew, and its product if it isn't known.
    pub(super) async fn read_price(&self, id: &str) -> Result<bool, BillingError> {
        let (remote, now) = (self.remote().await?, self.clock.now());
        let turn = self.take_turn(id).await?;
        let price = match remote.price(id).await {
            Err(error) if error.is_not_found() => None,
            price => Some(price?),
        };
        if let Some(price) = &price
            && !store::has_product(&self.db, &price.product).await?
        {
            self.read_product(&price.product).await?;
        }
        let mut tx = self.db.begin().await?;
        let changed = store::use_turn(&mut tx, id, turn).await?
            && match &price {
                Some(price) => store::put_price(&mut tx, price, now).await?,
                None => store::retire_price(&mut tx, id, now).await?,
            };
        tx.commit().await?;
        Ok(changed)
    }

    /// Sees to it that a price is known.
    pub(super) async fn know_price(&self, id: &str) -> Result<Option<ListedPrice>, BillingError> {
        if let Some(price) = store::find_price(&self.db, id).await? {
            return Ok(Some(price));
        }
        self.read_price(id).await?;
        Ok(store::find_price(&self.db, id).await?)
    }
}

fn lines(features: &Value) -> Vec<String> {
    let texts = features.as_array().map(Vec::as_slice).unwrap_or_default();
    texts.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}
