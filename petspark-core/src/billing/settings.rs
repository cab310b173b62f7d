//! Settings of payments and plans.

use std::time::Duration;

use super::access::Patience;
use super::account::AccountId;
use super::plan::{FREE, Limits, Plan};
use crate::clock::DAY;
use crate::config::{Environment, Loader, Setting, WebUrl};
use crate::secret::Secret;

/// Plans, and how payments work.
#[derive(Clone, Debug)]
pub struct BillingSettings {
    /// What can be bought, each worth more than the one before. The free plan is none of these: it has the
    /// limits `media.max_photos`, `media.max_bytes` and `pets.max_pets`.
    pub plans: Vec<Plan>,
    /// How long a plan goes on when a payment failed.
    pub grace: Duration,
    /// How long after the end of a period we wait for word of the next.
    pub slack: Duration,
    /// How long what somebody has is believed without asking the database again.
    pub cache_ttl: Duration,
    /// Days that the first subscription of somebody is free; 0 is none.
    pub trial_days: u32,
    /// Whether Stripe computes taxes.
    pub automatic_tax: bool,
    /// Where Stripe's pages may lead back to, beside `PUBLIC_WEB_URL`.
    pub return_origins: Vec<WebUrl>,
    /// Stripe itself.
    pub stripe: StripeSettings,
}

/// Stripe, for payments.
#[derive(Clone, Debug)]
pub struct StripeSettings {
    /// `STRIPE_SECRET_KEY`; without it payments are off.
    pub secret_key: Option<Secret>,
    /// `STRIPE_WEBHOOK_SECRET`: one or several, separated by commas. Each counts.
    pub webhook_secret: Option<Secret>,
    /// Whose key it is, for one that Stripe doesn't let know: a restricted one.
    pub account: Option<AccountId>,
    /// `STRIPE_API_BASE`, for a stand-in.
    pub api_base: Option<WebUrl>,
    /// How long one attempt of a call may take, its answer's body included.
    pub timeout: Duration,
    /// How long to wait before the second attempt; before the third, twice that.
    pub retry_after: Duration,
}

impl BillingSettings {
    pub(crate) fn read(from: &mut Loader) -> Self {
        let mut get = |key, default, about| from.get(Setting { key, env: None, default, about });
        let grace = get("billing.grace", 7 * DAY, "How long a plan goes on when a payment failed and is tried again.");
        let slack = get(
            "billing.slack",
            2 * DAY,
            "How long after the end of what is paid for a plan goes on while no word has come of the next period.",
        );
        let cache_ttl = get(
            "billing.cache_ttl",
            Duration::from_secs(2),
            "How long what somebody has bought is believed without asking the database again: what another process learned is noticed by then. At most 1m.",
        );
        let defaults = Limits { photos_per_pet: 30, storage_bytes: 10 << 30, pets: 2000 };
        let premium =
            Plan { name: "premium".to_owned(), limits: defaults, features: ["advanced_filters".to_owned()].into() };
        let more = Limits { photos_per_pet: 100, storage_bytes: 100 << 30, pets: 10_000 };
        let pro = Plan { name: "pro".to_owned(), limits: more, features: premium.features.clone() };
        let plans: Vec<Plan> = from.get(Setting {
            key: "billing.plans",
            env: None,
            default: vec![premium, pro],
            about: "What can be bought beside the free plan, each worth more than the one before: name, photos of a pet, storage, pets, and features, which are words that frontends and embedders ask for. A price at Stripe belongs to a plan by its metadata `plan` or its product's, or by a lookup key that begins with the plan's name, such as premium_monthly.",
        });
        let trial_days = from.get(Setting {
            key: "billing.trial_days",
            env: None,
            default: 0,
            about: "Days that somebody's first subscription costs nothing; 0 is none.",
        });
        let automatic_tax = from.get(Setting {
            key: "billing.automatic_tax",
            env: None,
            default: false,
            about: "Whether Stripe computes taxes for subscriptions and on its pages.",
        });
        let return_origins = from.get(Setting {
            key: "billing.return_origins",
            env: None,
            default: Vec::new(),
            about: "Where Stripe's pages may lead back to, beside PUBLIC_WEB_URL and the origins in CORS_ORIGIN: origins such as https://app.example.org, separated by commas.",
        });
        let settings = Self {
            plans,
            grace,
            slack,
            cache_ttl,
            trial_days,
            automatic_tax,
            return_origins,
            stripe: StripeSettings::read(from),
        };
        settings.check(from);
        settings
    }

    fn check(&self, from: &mut Loader) {
        let names: Vec<_> = self.plans.iter().map(|plan| plan.name.as_str()).collect();
        let is_twice = names.iter().enumerate().any(|(n, name)| names[..n].contains(name));
        if is_twice || names.contains(&FREE) {
            from.problem("billing.plans", "must have each name once, and `free` is the plan of everybody");
        }
        if self.cache_ttl > Duration::from_secs(60) {
            from.problem("billing.cache_ttl", "must be at most 1m");
        }
        if self.trial_days > 730 {
            from.problem("billing.trial_days", "must be at most 730");
        }
    }

    pub(super) fn patience(&self) -> Patience {
        Patience { grace: self.grace, slack: self.slack }
    }
}

impl StripeSettings {
    fn read(from: &mut Loader) -> Self {
        let secret_key = from.secret(
            "billing.stripe.secret_key",
            Some("STRIPE_SECRET_KEY"),
            "Stripe's secret or restricted key, sk_ or rk_. Without it nothing can be bought, and everything else works.",
        );
        let webhook_secret = from.secret(
            "billing.stripe.webhook_secret",
            Some("STRIPE_WEBHOOK_SECRET"),
            "What Stripe signs events with: whsec_. Several, separated by commas, all count, for the time of a change.",
        );
        let api_base = from.find(
            "billing.stripe.api_base",
            Some("STRIPE_API_BASE"),
            "A stand-in for the Stripe API. Default: https://api.stripe.com.",
        );
        let timeout = from.get(Setting {
            key: "billing.stripe.timeout",
            env: None,
            default: Duration::from_secs(8),
            about: "How long one of three attempts to ask Stripe may take.",
        });
        let account = from.find(
            "billing.stripe.account",
            None,
            "Whose the key is, acct_...: believed where Stripe doesn't tell that to a restricted key, and compared where it does.",
        );
        let retry_after = Duration::from_millis(250);
        let settings = Self { secret_key, webhook_secret, account, api_base, timeout, retry_after };
        if let Some((key, problem)) = settings.problem(from.environment()) {
            from.problem(key, problem);
        }
        from.require_positive(&[("billing.stripe.timeout", settings.timeout)]);
        settings
    }

    /// Why these can't work together, and which of them is to blame.
    pub(super) fn problem(&self, environment: Environment) -> Option<(&'static str, String)> {
        let key = self.secret_key.as_ref()?;
        if is_live(key).is_none() {
            let problem = "must be a secret or restricted key of Stripe's: sk_test_, sk_live_, rk_test_ or rk_live_";
            return Some(("billing.stripe.secret_key", problem.to_owned()));
        }
        let Some(secrets) = &self.webhook_secret else {
            let problem = "is missing, and without it no event of Stripe's is believed: set STRIPE_WEBHOOK_SECRET";
            return Some(("billing.stripe.webhook_secret", problem.to_owned()));
        };
        if secrets.expose().split(',').any(|secret| secret.trim().len() < 16) {
            let problem = "must be one secret of Stripe's or several, separated by commas, and none is empty";
            return Some(("billing.stripe.webhook_secret", problem.to_owned()));
        }
        let to_stand_in = self.api_base.as_ref().is_some_and(|base| !base.as_str().starts_with("https://"));
        if to_stand_in && environment == Environment::Production && is_live(key) == Some(true) {
            return Some(("billing.stripe.api_base", "must be https where a live key is sent".to_owned()));
        }
        None
    }
}

/// Whether real money is moved with this key, if it is one.
pub(super) fn is_live(key: &Secret) -> Option<bool> {
    let rest = key.expose().strip_prefix("sk_").or_else(|| key.expose().strip_prefix("rk_"))?;
    let (mode, random) = rest.split_once('_')?;
    let plain = !random.is_empty() && random.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    match mode {
        "live" if plain => Some(true),
        "test" if plain => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(key: &str, webhook: Option<&str>) -> StripeSettings {
        StripeSettings {
            secret_key: Some(Secret::new(key)),
            webhook_secret: webhook.map(Secret::new),
            account: None,
            api_base: None,
            timeout: Duration::from_secs(1),
            retry_after: Duration::ZERO,
        }
    }

    #[test]
    fn keys_that_can_not_work_are_named_before_the_first_call() {
        let blamed = |settings: &StripeSettings| settings.problem(Environment::Production).map(|(key, _)| key);
        let good = Some("whsec_0123456789abcdef");
        assert_eq!(blamed(&settings("sk_test_abc", good)), None);
        assert_eq!(blamed(&settings("rk_live_abc", Some("whsec_0123456789abcdef, whsec_fedcba9876543210"))), None);
        for wrong in ["", "pk_test_abc", "sk_test_", "sk_abc", "sk_test_a b", "sk_test_a\nb"] {
            assert_eq!(blamed(&settings(wrong, good)), Some("billing.stripe.secret_key"), "{wrong:?}");
        }
        for wrong in [None, Some(""), Some("whsec_0123456789abcdef,"), Some("whsec_")] {
            assert_eq!(blamed(&settings("sk_test_abc", wrong)), Some("billing.stripe.webhook_secret"), "{wrong:?}");
        }
        let plain =
            StripeSettings { api_base: Some("http://127.0.0.1:1".parse().unwrap()), ..settings("sk_live_abc", good) };
        assert_eq!(blamed(&plain), Some("billing.stripe.api_base"));
    }
}
