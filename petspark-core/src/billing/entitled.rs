//! What somebody may have: computed from what they bought or were given, by the clock, whenever it is asked.
//! Pets and media ask here before they count.

use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use moka::future::Cache;
use serde::Serialize;

use super::access::{Access, Patience, Standing};
use super::plan::{Limits, Plan, Plans};
use super::settings::BillingSettings;
use super::status::SubscriptionStatus;
use super::store;
use crate::clock::{Clock, Timestamp};
use crate::database::{Database, Tx, text_enum};
use crate::error::Fault;
use crate::id::UserId;

text_enum! {
    /// Why somebody has a plan.
    pub enum Source {
        /// Everybody has it.
        Free = "free",
        /// They subscribed.
        Subscription = "subscription",
        /// They bought it once.
        Purchase = "purchase",
        /// An administrator gave it to them.
        Admin = "admin",
    }
}

/// What somebody may have at the moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Entitlements {
    /// Which plan: the one worth most of those they have.
    pub plan: String,
    /// Every feature that some plan has, and whether this one does.
    pub features: BTreeMap<String, bool>,
    /// How much of everything.
    pub limits: Limits,
    /// Until when, if nothing changes; the free plan has no end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub valid_until: Option<Timestamp>,
    /// Why.
    pub source: Source,
}

/// One thing that somebody has, as stored.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(super) struct Fact {
    pub(super) source: Source,
    pub(super) plan: Option<String>,
    pub(super) lookup_key: Option<String>,
    pub(super) status: Option<String>,
    pub(super) period_end: Option<Timestamp>,
    pub(super) cancel_at: Option<Timestamp>,
    pub(super) cancel_at_period_end: Option<bool>,
    pub(super) ended_at: Option<Timestamp>,
    pub(super) paused: Option<String>,
    pub(super) failing_since: Option<Timestamp>,
    pub(super) last_access: Option<Access>,
    pub(super) ends_at: Option<Timestamp>,
}

impl Fact {
    fn plan<'a>(&self, plans: &'a Plans) -> Option<&'a Plan> {
        plan_of(plans, self.plan.as_deref(), self.lookup_key.as_deref())
    }

    /// Until when it counts, if it counts at `now`.
    fn counts(&self, now: Timestamp, patience: Patience) -> Option<Option<Timestamp>> {
        let Some(status) = self.status.clone() else {
            return self.ends_at.is_none_or(|end| end > now).then_some(self.ends_at);
        };
        let standing = Standing {
            status: SubscriptionStatus::from(status),
            period_end: self.period_end,
            cancel_at: self.cancel_at,
            cancel_at_period_end: self.cancel_at_period_end.unwrap_or_default(),
            ended_at: self.ended_at,
            is_void: self.paused.as_deref() == Some("void"),
            failing_since: self.failing_since,
            last_access: self.last_access.unwrap_or(Access::None),
        };
        (standing.access(now, patience) != Access::None).then(|| standing.ends_at(patience))
    }
}

/// Which plan a price stands for: what it or its product says, or what its lookup key begins with.
pub(super) fn plan_of<'a>(plans: &'a Plans, said: Option<&str>, lookup_key: Option<&str>) -> Option<&'a Plan> {
    let by_key = |key: &str| {
        let begins = |plan: &&Plan| {
            let rest = key.strip_prefix(plan.name.as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['_', '-']))
        };
        plans.iter().filter(begins).max_by_key(|plan| plan.name.len())
    };
    match said {
        // What is said and makes no sense isn't guessed at.
        Some(name) => plans.find(name),
        None => lookup_key.and_then(by_key),
    }
}

/// Knows what everybody may have; see the [module](self). Cheap to clone.
#[derive(Clone)]
pub(crate) struct Entitled(Arc<Inner>);

struct Inner {
    db: Database,
    clock: Clock,
    plans: Plans,
    /// The free plan, which most have, as it is answered.
    free: Entitlements,
    patience: Patience,
    seen: Cache<UserId, Seen>,
    /// Counts the changes to what some users have, each in the slot that its hash says: what was looked up
    /// before the last one, and may have been on its way meanwhile, isn't believed.
    changes: Box<[AtomicU64]>,
    hasher: RandomState,
}

#[derive(Clone)]
struct Seen {
    changes: u64,
    facts: Arc<[Fact]>,
}

/// People remembered at most; about 10 MB.
const CAPACITY: u64 = 100_000;
/// Slots of `changes`: few of those who share one change within the seconds that anything is remembered.
const SLOTS: usize = 1024;

impl Entitled {
    pub(crate) fn open(db: Database, clock: Clock, free: Limits, settings: &BillingSettings) -> Self {
        let plans = Plans::new(free, &settings.plans);
        let free = answer(&plans, plans.free(), Source::Free, None);
        Self(Arc::new(Inner {
            db,
            clock,
            free,
            plans,
            patience: settings.patience(),
            seen: Cache::builder().max_capacity(CAPACITY).time_to_live(settings.cache_ttl).build(),
            changes: (0..SLOTS).map(|_| AtomicU64::new(0)).collect(),
            hasher: RandomState::new(),
        }))
    }

    pub(crate) fn plans(&self) -> &Plans {
        &self.0.plans
    }

    /// What a user may have now; from memory, or by one statement.
    pub(crate) async fn of(&self, user: UserId) -> Result<Entitlements, Fault> {
        let facts = self.facts(user).await?;
        if facts.is_empty() {
            return Ok(self.0.free.clone());
        }
        Ok(self.0.judge(&facts, self.0.clock.now()))
    }

    /// How much of everything a user may have now.
    pub(crate) async fn limits(&self, user: UserId) -> Result<Limits, Fault> {
        let facts = self.facts(user).await?;
        Ok(match facts.is_empty() {
            true => self.0.free.limits,
            false => self.0.judge(&facts, self.0.clock.now()).limits,
        })
    }

    /// Has it looked up anew once this transaction, which changes it, is committed.
    pub(super) fn forget_after(&self, tx: &mut Tx, user: UserId) {
        let this = self.clone();
        tx.after_commit(move || {
            this.slot(user).fetch_add(1, Ordering::SeqCst);
        });
    }

    async fn facts(&self, user: UserId) -> Result<Arc<[Fact]>, Fault> {
        let slot = self.slot(user);
        let seen = self.0.seen.get(&user).await;
        if let Some(seen) = seen.filter(|seen| seen.changes == slot.load(Ordering::SeqCst)) {
            return Ok(seen.facts);
        }
        let changes = slot.load(Ordering::SeqCst);
        let facts: Arc<[Fact]> = store::facts(&self.0.db, user).await?.into();
        self.0.seen.insert(user, Seen { changes, facts: facts.clone() }).await;
        Ok(facts)
    }

    fn slot(&self, user: UserId) -> &AtomicU64 {
        let slot = self.0.hasher.hash_one(user) % SLOTS as u64;
        &self.0.changes[usize::try_from(slot).unwrap_or_default()]
    }
}

impl Inner {
    /// The best of what somebody has.
    fn judge(&self, facts: &[Fact], now: Timestamp) -> Entitlements {
        // A plan without an end lasts longest.
        let lasts = |until: Option<Timestamp>| until.map_or(i64::MAX, Timestamp::as_micros);
        let best = facts
            .iter()
            .filter_map(|fact| Some((fact.plan(&self.plans)?, fact.source, fact.counts(now, self.patience)?)))
            .max_by_key(|(plan, _, until)| (self.plans.rank(&plan.name), lasts(*until)));
        match best {
            Some((plan, source, until)) => answer(&self.plans, plan, source, until),
            None => self.free.clone(),
        }
    }
}

fn answer(plans: &Plans, plan: &Plan, source: Source, valid_until: Option<Timestamp>) -> Entitlements {
    let has = |feature: &str| (feature.to_owned(), plan.features.contains(feature));
    Entitlements {
        plan: plan.name.clone(),
        features: plans.features().into_iter().map(has).collect(),
        limits: plan.limits,
        valid_until,
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_says_its_plan_or_its_lookup_key_does() {
        let free = Limits { photos_per_pet: 1, storage_bytes: 1, pets: 1 };
        let paid =
            ["pro photos=1 storage=1 pets=1".parse().unwrap(), "pro-max photos=1 storage=1 pets=1".parse().unwrap()];
        let plans = Plans::new(free, &paid);
        let name = |said, key| plan_of(&plans, said, key).map(|plan| plan.name.as_str());
        assert_eq!(name(Some("pro"), None), Some("pro"));
        assert_eq!(name(None, Some("pro_monthly")), Some("pro"));
        assert_eq!(name(None, Some("pro-max-yearly")), Some("pro-max"));
        assert_eq!(name(None, Some("pro")), Some("pro"));
        assert_eq!(name(None, Some("professional")), None);
        assert_eq!(name(Some("gold"), Some("pro_monthly")), None);
        assert_eq!(name(None, None), None);
    }
}
