//! Checks of payments: whether the key is one for what is kept here, and whether events were given up.

use petspark_core::billing::Billing;

use super::builtin::{fail, no_settings};
use crate::check::{SkipReason, Verdict};
use crate::context::Context;

/// Payments, where there are any.
async fn payments(cx: &Context) -> Result<&Billing, Verdict> {
    let Ok(settings) = cx.settings() else { return Err(no_settings()) };
    if settings.core.billing.stripe.secret_key.is_none() {
        return Err(Verdict::Skip(SkipReason::FeatureOff, "STRIPE_SECRET_KEY is not set: nothing is sold".to_owned()));
    }
    let petspark = cx.petspark().await.map_err(|failure| Verdict::Broken(failure.message().to_owned()))?;
    Ok(petspark.billing())
}

pub(super) async fn account(cx: &Context) -> Verdict {
    let billing = match payments(cx).await {
        Ok(billing) => billing,
        Err(verdict) => return verdict,
    };
    match billing.check_account(&cx.caller()).await {
        Ok(()) => Verdict::Pass("the key is one for the payments that are kept here".to_owned()),
        Err(error) => fail(
            error.cause().unwrap_or_else(|| error.to_string()),
            "an answer of Stripe's, and the account whose payments are kept here",
            "Look at STRIPE_SECRET_KEY; `billing account` tells whose it is, and accepts another.",
        ),
    }
}

pub(super) async fn events(cx: &Context) -> Verdict {
    let billing = match payments(cx).await {
        Ok(billing) => billing,
        Err(verdict) => return verdict,
    };
    let status = match billing.status(&cx.caller()).await {
        Ok(status) => status,
        Err(error) => return Verdict::Broken(error.cause().unwrap_or_else(|| error.to_string())),
    };
    match status.events_dead {
        0 => Verdict::Pass(format!("{} wait", status.events_pending)),
        dead => fail(
            format!("{dead} given up, the last because of: {}", status.dead_cause.unwrap_or_default()),
            "none",
            "Mend the cause, then `billing replay --all-dead`; `billing events --status dead` lists them.",
        ),
    }
}
