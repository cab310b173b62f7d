//! Events in any order, some twice, some never: in the end everything is as it is at Stripe.

use petspark_core::Clock;
use petspark_core::billing::SubscriptionChange;
use petspark_core::testing::stripe::{Card, Delivery};
use petspark_core::testing::{TestUser, on_both};

use super::shop::{DAY, Shop, operator};

/// SplitMix64: the same numbers in every run.
struct Dice(u64);

impl Dice {
    fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.number() % end as u64).unwrap()
    }

    fn shuffle<T>(&mut self, all: &mut [T]) {
        for n in (1..all.len()).rev() {
            all.swap(n, self.below(n + 1));
        }
    }
}

/// Lives that are lived at once: each a subscription, and each with its own luck.
const LIVES: usize = 8;

/// Takes some of what is under way in, in any order, a few twice; loses a few; and processes what came, at
/// times by two servers at once.
async fn some_arrive(shop: &Shop, dice: &mut Dice, under_way: &mut Vec<Delivery>, all: bool) {
    under_way.extend(shop.stripe.take_deliveries());
    dice.shuffle(under_way);
    let arriving = if all { under_way.len() } else { dice.below(under_way.len() + 1) };
    for delivery in under_way.drain(..arriving) {
        match dice.below(10) {
            // Lost; unless Stripe learns that it came, it will be among the undelivered.
            0 | 1 => {}
            2 => {
                shop.receive(&delivery).await;
                shop.receive(&delivery).await;
                shop.stripe.acknowledge(&delivery.event);
            }
            _ => {
                shop.receive(&delivery).await;
                shop.stripe.acknowledge(&delivery.event);
            }
        }
    }
    let jobs = shop.petspark.jobs();
    let (one, other) = tokio::join!(jobs.run_due(), jobs.run_due());
    assert!(one.unwrap().is_empty() && other.unwrap().is_empty());
}

on_both! {
    async fn in_any_order_with_repeats_and_losses_the_end_is_as_at_stripe(app: TestApp) {
        // Ours stands still, so that nothing on a schedule mends what events should.
        let shop = Shop::open_with(&app, Clock::manual(app.clock.now()), |_| {}).await;
        let mut dice = Dice(42);
        let mut lives: Vec<(TestUser, String)> = Vec::new();
        for n in 0..LIVES {
            let user = app.register(&format!("user{n}")).await;
            let begun = shop.subscribe_and_pay(&user, &shop.premium, "pm_card_visa").await;
            lives.push((user, begun.id));
        }
        let (mut under_way, mut lost) = (Vec::new(), 0);
        some_arrive(&shop, &mut dice, &mut under_way, false).await;
        let cards: Vec<_> = lives.iter().map(|(_, id)| shop.card_of(id)).collect();
        for month in 0..5 {
            for (n, (user, id)) in lives.iter().enumerate() {
                if shop.status_there(id) == "canceled" {
                    continue;
                }
                // Paid or failed, swapped, ended or to be ended, whatever the dice say.
                shop.stripe.set_card(&cards[n], if dice.below(3) == 0 { Card::Declines("generic_decline") } else { Card::Pays });
                let billing = shop.petspark.billing();
                let change = match dice.below(6) {
                    0 => SubscriptionChange { price_id: Some(shop.pro.clone()), ..SubscriptionChange::default() },
                    1 => SubscriptionChange { price_id: Some(shop.premium.clone()), ..SubscriptionChange::default() },
                    2 => SubscriptionChange { cancel_at_period_end: Some(dice.below(2) == 0), ..SubscriptionChange::default() },
                    3 if month > 2 => {
                        shop.stripe.ask("DELETE", &format!("/v1/subscriptions/{id}"), &[]);
                        continue;
                    }
                    _ => continue,
                };
                // One that ended meanwhile refuses; the others take it.
                let _ = billing.change_subscription(&user.caller, id, &change).await;
            }
            for _ in 0..3 {
                shop.stripe.advance(10 * DAY);
                some_arrive(&shop, &mut dice, &mut under_way, false).await;
            }
            // Stripe tells of an event for thirty days; a sweep every hour doesn't miss any.
            lost += shop.petspark.billing().sweep(&operator()).await.unwrap().taken_in;
            shop.work().await;
        }
        some_arrive(&shop, &mut dice, &mut under_way, true).await;
        let billing = shop.petspark.billing();
        lost += billing.sweep(&operator()).await.unwrap().taken_in;
        assert!(lost > 10, "hardly anything was lost: {lost}");
        shop.work().await;
        let mut ends = std::collections::BTreeSet::new();
        for (user, id) in &lives {
            let here = billing.subscriptions(&user.caller).await.unwrap();
            let there = shop.stripe.object(id).unwrap();
            assert_eq!(here.len(), 1);
            assert_eq!(here[0].status.as_str(), there["status"].as_str().unwrap(), "{id}");
            assert_eq!(here[0].price_id.as_deref(), there["items"]["data"][0]["price"]["id"].as_str(), "{id}");
            assert_eq!(here[0].cancel_at_period_end, there["cancel_at_period_end"].as_bool().unwrap(), "{id}");
            let end = here[0].current_period_end.map(petspark_core::Timestamp::as_seconds);
            assert_eq!(end, there["items"]["data"][0]["current_period_end"].as_i64(), "{id}");
            assert_eq!(here[0].ended_at.map(petspark_core::Timestamp::as_seconds), there["ended_at"].as_i64(), "{id}");
            ends.insert(here[0].status.as_str().to_owned());
        }
        assert!(ends.len() > 1, "all ended alike: {ends:?}");
        let report = billing.sync(&operator(), true).await.unwrap();
        assert_eq!((report.differences, report.subscriptions), (Vec::new(), LIVES as u64));
    }

    async fn an_older_reading_is_never_written_over_a_newer_one(app: TestApp) {
        let (shop, ada) = (Shop::open(&app).await, app.register("ada").await);
        let id = shop.subscribe_and_pay(&ada, &shop.premium, "pm_card_visa").await.id;
        let deliveries = shop.stripe.take_deliveries();
        // All of them at once, in as many jobs, while it changes there.
        for delivery in &deliveries {
            shop.receive(delivery).await;
        }
        let jobs = shop.petspark.jobs();
        let changes = async {
            for n in 0..10 {
                let end = if n % 2 == 0 { "true" } else { "false" };
                shop.stripe.ask("POST", &format!("/v1/subscriptions/{id}"), &[("cancel_at_period_end", end)]);
                for delivery in shop.stripe.take_deliveries() {
                    shop.receive(&delivery).await;
                }
                tokio::task::yield_now().await;
            }
        };
        let (_, a, b, c) = tokio::join!(changes, jobs.run_due(), jobs.run_due(), jobs.run_due());
        for faults in [a, b, c] {
            assert!(faults.unwrap().is_empty());
        }
        shop.work().await;
        let here = shop.petspark.billing().subscriptions(&ada.caller).await.unwrap();
        assert!(!here[0].cancel_at_period_end);
        assert!(shop.petspark.billing().sync(&operator(), true).await.unwrap().differences.is_empty());
    }
}
