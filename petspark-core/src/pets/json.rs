//! How parts of a pet look in JSON, wherever pets are written down: kept under an idempotency key,
//! exported, imported, archived.

time::serde::format_description!(pub(super) mod day [time::Date] = "[year]-[month]-[day]");

/// Degrees as text, because readers of JSON may lose the last digit of a number; numbers are read too.
pub(super) mod degrees {
    use std::fmt;

    use serde::de::{Deserialize, Deserializer, Error, Visitor};
    use serde::{Serialize as _, Serializer};

    pub(in crate::pets) fn serialize<S: Serializer>(degrees: &Option<f64>, serializer: S) -> Result<S::Ok, S::Error> {
        degrees.map(|degrees| degrees.to_string()).serialize(serializer)
    }

    pub(in crate::pets) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
        Ok(Option::<Degrees>::deserialize(deserializer)?.map(|Degrees(degrees)| degrees))
    }

    struct Degrees(f64);

    struct NumberOrText;

    impl Visitor<'_> for NumberOrText {
        type Value = Degrees;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a number")
        }

        fn visit_f64<E: Error>(self, degrees: f64) -> Result<Degrees, E> {
            Ok(Degrees(degrees))
        }

        #[allow(clippy::cast_precision_loss, reason = "a longitude has three digits")]
        fn visit_i64<E: Error>(self, degrees: i64) -> Result<Degrees, E> {
            Ok(Degrees(degrees as f64))
        }

        #[allow(clippy::cast_precision_loss, reason = "a longitude has three digits")]
        fn visit_u64<E: Error>(self, degrees: u64) -> Result<Degrees, E> {
            Ok(Degrees(degrees as f64))
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<Degrees, E> {
            text.parse().map(Degrees).map_err(|_| E::custom("a field must be a number"))
        }
    }

    impl<'de> Deserialize<'de> for Degrees {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            deserializer.deserialize_any(NumberOrText)
        }
    }
}
