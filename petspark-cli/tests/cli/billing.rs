//! `billing` at the terminal, with Stripe's stand-in at the other end. What is right is tested in the library.

use petspark_core::testing::TestStripe;
use petspark_core::{Clock, Timestamp};

use crate::support::{Place, on_both};

/// A Stripe that outlives this test's commands, with a plan to be sold.
pub(crate) struct Stripe {
    pub(crate) stripe: TestStripe,
    runtime: tokio::runtime::Runtime,
}

impl Stripe {
    pub(crate) fn start() -> Self {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let clock = Clock::manual(Timestamp::from_micros(Clock::system().now().as_micros()));
        let stripe = runtime.block_on(TestStripe::start(clock));
        let price = [
            ("currency", "eur"),
            ("unit_amount", "900"),
            ("recurring[interval]", "month"),
            ("lookup_key", "premium_month"),
            ("product_data[name]", "Premium"),
        ];
        assert_eq!(stripe.ask("POST", "/v1/prices", &price).0, 200);
        Self { stripe, runtime }
    }

    /// The price of the plan.
    pub(crate) fn price(&self) -> String {
        self.stripe.objects("price")[0]["id"].as_str().unwrap().to_owned()
    }

    /// Until a call is held that a fault delays.
    pub(crate) fn wait_for_a_held_call(&self) {
        let held = async { tokio::time::timeout(std::time::Duration::from_secs(120), self.stripe.delayed()).await };
        self.runtime.block_on(held).expect("no such call came");
    }

    pub(crate) fn keys(&self, place: Place) -> Place {
        place
            .with("STRIPE_SECRET_KEY", self.stripe.secret_key().expose())
            .with("STRIPE_WEBHOOK_SECRET", self.stripe.webhook_secret().expose())
            .with("STRIPE_API_BASE", self.stripe.url().as_str())
    }
}

on_both! {
    fn what_differs_from_stripe_is_shown_and_mended(place) {
        let stripe = Stripe::start();
        let place = stripe.keys(place);
        place.ok("migrate run");
        let status = place.ok("billing status --json").json();
        assert_eq!((&status["schema"], &status["configured"]), (&"petspark.billing.status/v1".into(), &true.into()));
        assert_eq!((&status["live"], &status["prices"]), (&false.into(), &0.into()));
        let planned = place.ok("billing sync --dry-run --json").json();
        assert!(!planned["differences"].as_array().unwrap().is_empty(), "{planned}");
        assert_eq!(place.ok("billing status --json").json()["prices"], 0);
        place.ok("billing sync");
        assert_eq!(place.ok("billing status --json").json()["prices"], 1);
        assert_eq!(place.ok("billing sync --json").json()["differences"], serde_json::json!([]));
        let checked = place.run("check --only billing.* --json").expect(0).json();
        assert!(checked["checks"].as_array().unwrap().iter().all(|check| check["status"] == "pass"), "{checked}");
        crate::check::tamper(
            &place,
            "INSERT INTO billing_events (id, type, body, status, attempts, error, created_at, received_at) \
             SELECT 'evt_1', 'charge.refunded', '{}', 'dead', 12, 'status 403, request req_1', accepted_at, accepted_at \
             FROM billing_account",
        );
        let checked = place.run("check --only billing.events --json").expect(0).json();
        assert_eq!(checked["checks"][0]["status"], "warn");
        assert!(checked["checks"][0]["observed"].as_str().unwrap().contains("status 403"), "{checked}");
        assert_eq!(place.ok("billing status --json").json()["dead_cause"], "status 403, request req_1");
    }

    fn a_key_of_another_account_changes_nothing_until_that_is_accepted(place) {
        let stripe = Stripe::start();
        let place = stripe.keys(place);
        place.ok("migrate run");
        assert_eq!(place.ok("billing status --json").json()["account"], serde_json::Value::Null);
        place.ok("billing sync");
        let first = place.ok("billing account --json").json();
        assert_eq!((&first["same"], &first["kept"]), (&true.into(), &first["key"]));
        stripe.stripe.set_account("acct_another");
        place.run("billing sync").expect(7).says("another account");
        let held = place.ok("billing status --json").json();
        assert!(held["held"].as_str().unwrap().contains("acct_another"), "{held}");
        let checked = place.run("check --only billing.* --json").expect(0).json();
        assert_eq!((&checked["checks"][0]["id"], &checked["checks"][0]["status"]), (&"billing.stripe.account".into(), &"warn".into()));
        assert!(checked["checks"][0]["observed"].as_str().unwrap().contains("acct_another"), "{checked}");
        assert_eq!(checked["checks"][1]["status"], "pass");
        let found = place.ok("billing account --json").json();
        assert_eq!((&found["same"], &found["kept"], &found["key"]), (&false.into(), &first["kept"], &"acct_another".into()));
        place.run("billing account --accept").expect(2).says("--reason");
        place.run("billing account --accept --reason moved").expect(6).says("--yes");
        place.ok("billing account --accept --reason moved --dry-run");
        place.run("billing sync").expect(7);
        place.ok("billing account --accept --reason moved --yes");
        assert_eq!(place.ok("billing status --json").json()["account"], "acct_another");
        place.ok("billing sync");
        place.run("billing sync --although-gone").expect(6).says("--yes");
        place.ok("billing sync --although-gone --yes");
    }

    fn a_key_that_stripe_refuses_is_named_by_its_setting_and_never_told(place) {
        let stripe = Stripe::start();
        let place = stripe.keys(place).with("STRIPE_SECRET_KEY", "sk_test_hunter2hunter2");
        place.ok("migrate run");
        for line in ["billing sync", "billing account", "billing refund pi_1 --reason x --yes"] {
            let ran = place.run(line).expect(7).says("Stripe refuses STRIPE_SECRET_KEY").says("`check` tells more").says("401");
            assert!(!ran.stderr.contains("hunter2"), "{line}: {ran:#?}");
        }
        let checked = place.run("check --only billing.stripe.account --json").json();
        assert!(checked["checks"][0]["observed"].as_str().unwrap().contains("401"), "{checked}");
    }

    fn a_plan_is_given_and_taken_back(place) {
        place.ok("migrate run");
        let user = place.user("ada@example.org", "");
        let give = "billing grant ada@example.org --plan pro --reason prize --until 30d";
        let planned = place.ok(&format!("{give} --dry-run --json")).json();
        assert_eq!((&planned["plan"], &planned["id"], &planned["dry_run"]), (&"pro".into(), &serde_json::Value::Null, &true.into()));
        let given = place.ok(&format!("{give} --json")).json();
        assert_eq!(given["user_id"], user["id"]);
        assert!(given["until"].is_string(), "{given}");
        let id = given["id"].as_str().unwrap();
        let listed = place.ok("billing grants ada@example.org --json").json();
        assert_eq!((&listed["grants"][0]["id"], listed["grants"].as_array().unwrap().len()), (&given["id"], 1), "{listed}");
        place.run("billing grants eve@example.org").expect(4);
        place.run("billing grant ada@example.org --plan platinum --reason x").expect(2).says("plan");
        place.run("billing grant eve@example.org --plan pro --reason x").expect(4);
        place.run("billing grant ada@example.org --plan pro").expect(2).says("--reason");

        let take = format!("billing revoke-grant {id} --reason over");
        place.run(&take).expect(6).says("--yes");
        assert!(place.ok(&format!("{take} --dry-run --json")).json()["dry_run"].as_bool().unwrap());
        assert!(place.ok(&format!("{take} --yes --json")).json()["revoked_at"].is_string());
        place.run(&format!("{take} --yes")).expect(4);
        place.run("billing revoke-grant nonsense --reason x --yes").expect(4).says("no such grant");
    }

    fn webhooks_are_set_up_once_and_the_secret_is_told(place) {
        let stripe = Stripe::start();
        let place = stripe.keys(place);
        place.ok("migrate run");
        let url = "https://pets.example.org/api/v1/payments/webhook";
        place.ok(&format!("billing webhook setup {url} --dry-run"));
        assert!(stripe.stripe.objects("webhook_endpoint").is_empty());
        let made = place.ok(&format!("billing webhook setup {url} --json")).json();
        assert!(made["secret"].as_str().unwrap().starts_with("whsec_"), "{made}");
        let endpoints = stripe.stripe.objects("webhook_endpoint");
        assert_eq!((endpoints.len(), &endpoints[0]["api_version"]), (1, &petspark_core::testing::stripe::VERSION.into()));
        place.run(&format!("billing webhook setup {url}")).expect(5).says("already");
        place.run("billing webhook setup ftp://pets.example.org").expect(2);
        assert_eq!(stripe.stripe.objects("webhook_endpoint").len(), 1);
    }

    fn what_isnt_there_is_told_and_nothing_needs_keys_that_doesnt_ask_stripe(place) {
        place.ok("migrate run");
        assert_eq!(place.ok("billing status --json").json()["configured"], false);
        let listed = place.ok("billing events --status dead --json").json();
        assert_eq!(listed["events"], serde_json::json!([]));
        place.run("billing replay evt_nothing").expect(4).says("no such event");
        place.run("billing replay evt_nothing --dry-run").expect(4).says("no such event");
        place.run("billing replay").expect(2);
        assert_eq!(place.ok("billing replay --all-dead --dry-run --json").json()["events"], 0);
        for line in [
            "billing sync",
            "billing refund pi_1 --reason x --dry-run",
            "billing webhook setup https://pets.example.org --dry-run",
        ] {
            place.run(line).expect(7).says("not available");
        }
        let stripe = Stripe::start();
        let place = stripe.keys(place);
        place.run("billing refund pi_1 --reason x --yes").expect(4).says("no such payment");
        place.run("billing refund pi_1 --amount -5 --reason x --yes").expect(2);
        assert!(stripe.stripe.objects("refund").is_empty());
    }
}
