//! Amounts of money: whole numbers of a currency's smallest unit, never fractions, and never computed
//! past what can be stored.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A currency by its three letters of ISO 4217, written in lower case as Stripe does.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency([u8; 3]);

/// What was given is no currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be the three letters of a currency, such as eur")]
pub struct InvalidCurrency;

/// Currencies without a smaller unit (<https://docs.stripe.com/currencies#zero-decimal>).
const WITHOUT_DECIMALS: [&str; 16] =
    ["bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "ugx", "vnd", "vuv", "xaf", "xof", "xpf"];
/// Those whose smaller unit is a thousandth (<https://docs.stripe.com/currencies#three-decimal>).
const THREE_DECIMALS: [&str; 5] = ["bhd", "jod", "kwd", "omr", "tnd"];
/// Stripe takes these with two decimals that must be zero, for the sake of what was before
/// (<https://docs.stripe.com/currencies#special-cases>).
const WHOLE_IN_HUNDREDTHS: [&str; 2] = ["isk", "ugx"];

impl Currency {
    /// Its three letters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Made of ASCII letters only.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// How many decimals an amount has when it is written for people.
    #[must_use]
    pub fn decimals(self) -> u32 {
        let name = self.as_str();
        if WHOLE_IN_HUNDREDTHS.contains(&name) {
            2
        } else if WITHOUT_DECIMALS.contains(&name) {
            0
        } else if THREE_DECIMALS.contains(&name) {
            3
        } else {
            2
        }
    }

    /// Of how many smallest units an amount must be a multiple, so that it can be charged.
    #[must_use]
    pub fn step(self) -> i64 {
        let name = self.as_str();
        if WHOLE_IN_HUNDREDTHS.contains(&name) {
            100
        } else if THREE_DECIMALS.contains(&name) {
            10
        } else {
            1
        }
    }
}

impl FromStr for Currency {
    type Err = InvalidCurrency;

    fn from_str(text: &str) -> Result<Self, InvalidCurrency> {
        let bytes: [u8; 3] = text.as_bytes().try_into().map_err(|_| InvalidCurrency)?;
        if bytes.iter().all(u8::is_ascii_alphabetic) {
            Ok(Self(bytes.map(|byte| byte.to_ascii_lowercase())))
        } else {
            Err(InvalidCurrency)
        }
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl TryFrom<String> for Currency {
    type Error = InvalidCurrency;

    fn try_from(text: String) -> Result<Self, InvalidCurrency> {
        text.parse()
    }
}

impl Serialize for Currency {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Currency {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        std::borrow::Cow::<'de, str>::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// An amount in some currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Money {
    /// In the currency's smallest unit: cents of euros, whole yen.
    pub amount: i64,
    /// Which currency.
    pub currency: Currency,
}

/// The largest amount that Stripe takes: eight digits, and twelve in the currencies that need them.
/// We stop at the smaller (<https://docs.stripe.com/currencies#minimum-and-maximum-charge-amounts>).
pub const MAX_CHARGE: i64 = 99_999_999;

impl Money {
    /// An amount of this many smallest units.
    #[must_use]
    pub fn new(amount: i64, currency: Currency) -> Self {
        Self { amount, currency }
    }

    /// So many of these; `None` if that is more than can be.
    #[must_use]
    pub fn times(self, count: u32) -> Option<Self> {
        Some(Self { amount: self.amount.checked_mul(i64::from(count))?, ..self })
    }

    /// Both together; `None` in two currencies, or if that is more than can be.
    #[must_use]
    pub fn plus(self, other: Self) -> Option<Self> {
        if self.currency != other.currency {
            return None;
        }
        Some(Self { amount: self.amount.checked_add(other.amount)?, ..self })
    }

    /// What is left; `None` in two currencies, or if less than nothing is.
    #[must_use]
    pub fn minus(self, other: Self) -> Option<Self> {
        if self.currency != other.currency {
            return None;
        }
        let amount = self.amount.checked_sub(other.amount).filter(|amount| *amount >= 0)?;
        Some(Self { amount, ..self })
    }

    /// Whether it can be charged: something, not too much, and in whole steps of its currency.
    #[must_use]
    pub fn is_chargeable(self) -> bool {
        (1..=MAX_CHARGE).contains(&self.amount) && self.amount % self.currency.step() == 0
    }
}

/// For people: `12.30 EUR`, `500 JPY`, `1.250 KWD`.
impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let decimals = self.currency.decimals();
        let unit = 10_u64.pow(decimals);
        let (sign, amount) = (if self.amount < 0 { "-" } else { "" }, self.amount.unsigned_abs());
        let name = self.currency.as_str().to_ascii_uppercase();
        let whole = amount / unit;
        match decimals {
            0 => write!(f, "{sign}{whole} {name}"),
            decimals => write!(f, "{sign}{whole}.{:0width$} {name}", amount % unit, width = decimals as usize),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::billing::dice::Dice;

    fn money(amount: i64, currency: &str) -> Money {
        Money::new(amount, currency.parse().unwrap())
    }

    #[test]
    fn an_amount_is_written_as_its_currency_has_it() {
        for (amount, currency, text) in [
            (1230, "eur", "12.30 EUR"),
            (5, "USD", "0.05 USD"),
            (500, "jpy", "500 JPY"),
            (1250, "kwd", "1.250 KWD"),
            (-199, "gbp", "-1.99 GBP"),
            (50_000, "isk", "500.00 ISK"),
            (i64::MIN, "eur", "-92233720368547758.08 EUR"),
        ] {
            assert_eq!(money(amount, currency).to_string(), text);
        }
    }

    #[test]
    fn what_is_no_currency_is_refused() {
        for wrong in ["", "e", "euro", "eu1", "€", "e r"] {
            assert_eq!(wrong.parse::<Currency>(), Err(InvalidCurrency), "{wrong}");
        }
        assert_eq!("EUR".parse::<Currency>().unwrap().as_str(), "eur");
    }

    #[test]
    fn only_what_stripe_takes_can_be_charged() {
        assert!(money(1, "eur").is_chargeable() && money(1, "jpy").is_chargeable());
        assert!(money(1_250, "kwd").is_chargeable() && !money(1_255, "kwd").is_chargeable());
        assert!(money(500, "isk").is_chargeable() && !money(550, "ugx").is_chargeable());
        assert!(!money(0, "eur").is_chargeable() && !money(-5, "eur").is_chargeable());
        assert!(money(MAX_CHARGE, "eur").is_chargeable() && !money(MAX_CHARGE + 1, "eur").is_chargeable());
    }

    #[test]
    fn arithmetic_is_exact_or_refuses() {
        let mut dice = Dice::new(7);
        let currencies = ["eur", "jpy", "kwd", "isk"];
        for _ in 0..20_000 {
            let currency = currencies[dice.below(4) as usize];
            // All magnitudes: from some cents to what doesn't fit any more.
            let (a, b) = (dice.number() >> dice.below(63), dice.number() >> dice.below(63));
            let (a, b) = ((a >> 1).cast_signed(), (b >> 1).cast_signed());
            let count = u32::try_from(dice.number() >> (32 + dice.below(31))).unwrap();
            let (left, right) = (money(a, currency), money(b, currency));

            let product = i128::from(a) * i128::from(count);
            assert_eq!(left.times(count).map(|m| i128::from(m.amount)), i64::try_from(product).ok().map(i128::from));
            let sum = i128::from(a) + i128::from(b);
            assert_eq!(left.plus(right).map(|m| i128::from(m.amount)), i64::try_from(sum).ok().map(i128::from));
            let rest = left.minus(right);
            assert_eq!(rest.is_some(), a >= b);
            if let Some(rest) = rest {
                assert_eq!(rest.plus(right), Some(left));
            }
            // Written and read again it is the same number of smallest units.
            let text = left.to_string();
            let digits: String = text.chars().filter(char::is_ascii_digit).collect();
            assert_eq!(digits.parse::<i64>().unwrap(), a, "{text}");
        }
        assert_eq!(money(1, "eur").plus(money(1, "usd")), None);
        assert_eq!(money(2, "eur").minus(money(1, "usd")), None);
    }
}
