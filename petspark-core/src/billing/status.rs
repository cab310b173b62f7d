//! Where a subscription is in its life, in Stripe's words. What that allows says `access.rs`.

use std::fmt;

/// Where a subscription is in its life, in Stripe's words
/// (<https://docs.stripe.com/billing/subscriptions/overview#subscription-statuses>).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SubscriptionStatus {
    /// The first payment hasn't come; after 23 hours it is too late.
    Incomplete,
    /// It was too late.
    IncompleteExpired,
    /// Not paid for yet, by agreement.
    Trialing,
    /// Paid for.
    Active,
    /// A payment failed, and is tried again.
    PastDue,
    /// It failed too often; invoices stay open.
    Unpaid,
    /// A trial ended without a way to pay.
    Paused,
    /// Over.
    Canceled,
    /// One that this release doesn't know.
    Other(String),
}

impl SubscriptionStatus {
    /// Every one that this release knows.
    pub const KNOWN: [Self; 8] = [
        Self::Incomplete,
        Self::IncompleteExpired,
        Self::Trialing,
        Self::Active,
        Self::PastDue,
        Self::Unpaid,
        Self::Paused,
        Self::Canceled,
    ];

    /// Stripe's word for it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Incomplete => "incomplete",
            Self::IncompleteExpired => "incomplete_expired",
            Self::Trialing => "trialing",
            Self::Active => "active",
            Self::PastDue => "past_due",
            Self::Unpaid => "unpaid",
            Self::Paused => "paused",
            Self::Canceled => "canceled",
            Self::Other(word) => word,
        }
    }

    /// Whether nothing comes after it.
    #[must_use]
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Canceled | Self::IncompleteExpired)
    }

    /// Whether a payment is owed.
    pub(super) fn is_failing(&self) -> bool {
        matches!(self, Self::PastDue | Self::Unpaid)
    }
}

impl From<String> for SubscriptionStatus {
    fn from(word: String) -> Self {
        let known = Self::KNOWN.into_iter().find(|status| status.as_str() == word);
        known.unwrap_or(Self::Other(word))
    }
}

impl fmt::Display for SubscriptionStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl serde::Serialize for SubscriptionStatus {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}
