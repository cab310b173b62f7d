//! A row on its way: a value of SQLite as PostgreSQL takes and gives it in its binary form of
//! COPY, and the same in the one form that both sides are compared in.

use std::collections::BTreeMap;

use serde_json::value::RawValue;
use sqlx::sqlite::{SqliteRow, SqliteValueRef};
use sqlx::{Decode, Row as _, Sqlite, ValueRef as _};
use time::Date;
use time::format_description::well_known::Iso8601;

/// What a column holds. SQLite's types follow: `STRICT` tables hold nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// BLOB of 16 bytes.
    Uuid,
    /// BLOB.
    Bytes,
    /// TEXT.
    Text,
    /// TEXT that is JSON.
    Json,
    /// TEXT, `2026-11-27`.
    Date,
    /// INTEGER, microseconds since 1970.
    Time,
    /// INTEGER, 0 or 1.
    Bool,
    /// INTEGER of so many bytes.
    Int(usize),
    /// REAL.
    Float,
}

/// PostgreSQL counts from 2000-01-01.
const EPOCH_MICROS: i64 = 946_684_800_000_000;
const EPOCH_DAY: i32 = 2_451_545;

impl Kind {
    pub(super) fn of(postgres: &str) -> Option<Self> {
        Some(match postgres {
            "uuid" => Self::Uuid,
            "bytea" => Self::Bytes,
            "text" => Self::Text,
            "jsonb" => Self::Json,
            "date" => Self::Date,
            "timestamp with time zone" => Self::Time,
            "boolean" => Self::Bool,
            "smallint" => Self::Int(2),
            "integer" => Self::Int(4),
            "bigint" => Self::Int(8),
            "double precision" => Self::Float,
            _ => return None,
        })
    }

    /// Appends a value as a field of binary COPY: its length and its bytes, or -1 for null.
    pub(super) fn encode(self, value: SqliteValueRef<'_>, into: &mut Vec<u8>) -> Result<(), String> {
        if value.is_null() {
            into.extend((-1_i32).to_be_bytes());
            return Ok(());
        }
        let start = into.len();
        into.extend([0; 4]);
        self.encode_value(value, into)?;
        let length = i32::try_from(into.len() - start - 4).map_err(|_| "a value is too long".to_owned())?;
        into[start..start + 4].copy_from_slice(&length.to_be_bytes());
        Ok(())
    }

    fn encode_value(self, value: SqliteValueRef<'_>, into: &mut Vec<u8>) -> Result<(), String> {
        let told = |error: sqlx::error::BoxDynError| error.to_string();
        match self {
            Self::Uuid | Self::Bytes => {
                let bytes = <&[u8] as Decode<Sqlite>>::decode(value).map_err(told)?;
                if self == Self::Uuid && bytes.len() != 16 {
                    return Err(format!("an id has {} bytes instead of 16", bytes.len()));
                }
                into.extend(bytes);
            }
            Self::Text | Self::Json | Self::Date => {
                let text = <&str as Decode<Sqlite>>::decode(value).map_err(told)?;
                if text.contains('\0') {
                    return Err("a text holds the character U+0000, which PostgreSQL can't".to_owned());
                }
                match self {
                    Self::Date => into.extend(day(text)?.to_be_bytes()),
                    Self::Json => {
                        into.push(1);
                        into.extend(text.as_bytes());
                    }
                    _ => into.extend(text.as_bytes()),
                }
            }
            Self::Time | Self::Bool | Self::Int(_) => {
                let number = <i64 as Decode<Sqlite>>::decode(value).map_err(told)?;
                self.encode_integer(number, into)?;
            }
            Self::Float => {
                into.extend(<f64 as Decode<Sqlite>>::decode(value).map_err(told)?.to_be_bytes());
            }
        }
        Ok(())
    }

    fn encode_integer(self, number: i64, into: &mut Vec<u8>) -> Result<(), String> {
        let too_large = || format!("{number} is out of range");
        match self {
            Self::Time => {
                let micros = number.checked_sub(EPOCH_MICROS).ok_or_else(too_large)?;
                into.extend(micros.to_be_bytes());
            }
            Self::Bool => match number {
                0 | 1 => into.push(u8::from(number == 1)),
                _ => return Err(format!("{number} is neither true nor false")),
            },
            Self::Int(2) => into.extend(i16::try_from(number).map_err(|_| too_large())?.to_be_bytes()),
            Self::Int(4) => into.extend(i32::try_from(number).map_err(|_| too_large())?.to_be_bytes()),
            _ => into.extend(number.to_be_bytes()),
        }
        Ok(())
    }

    /// Appends a field's bytes so that equal values are equal bytes: of JSON, PostgreSQL keeps
    /// neither the order of keys nor how numbers are written.
    pub(super) fn canonical(self, field: &[u8], into: &mut Vec<u8>) -> Result<(), String> {
        if self != Self::Json {
            into.extend(field);
            return Ok(());
        }
        let text = std::str::from_utf8(field.get(1..).unwrap_or_default()).map_err(|error| error.to_string())?;
        write_json(text.trim(), JSON_DEPTH, into)
    }
}

/// What is deeper was never taken in.
const JSON_DEPTH: u8 = 128;

/// The days from 2000-01-01.
fn day(text: &str) -> Result<i32, String> {
    let date = Date::parse(text, &Iso8601::DATE).map_err(|_| "a date is not like 2026-11-27".to_owned())?;
    Ok(date.to_julian_day() - EPOCH_DAY)
}

/// From its text, because a number as `f64` is not the number that was written.
fn write_json(text: &str, depth: u8, into: &mut Vec<u8>) -> Result<(), String> {
    let none = |error: serde_json::Error| format!("no JSON: {error}");
    let below = || depth.checked_sub(1).ok_or("JSON that is too deep");
    match text.as_bytes().first() {
        Some(b'{') => {
            // Of a key that is there twice the last one counts, to PostgreSQL as well.
            let map: BTreeMap<String, &RawValue> = serde_json::from_str(text).map_err(none)?;
            into.push(b'{');
            for (key, value) in map {
                into.extend(key.as_bytes());
                into.push(0);
                write_json(value.get(), below()?, into)?;
            }
            into.push(b'}');
        }
        Some(b'[') => {
            let items: Vec<&RawValue> = serde_json::from_str(text).map_err(none)?;
            into.push(b'[');
            for item in items {
                write_json(item.get(), below()?, into)?;
            }
            into.push(b']');
        }
        Some(b'"') => {
            let text: String = serde_json::from_str(text).map_err(none)?;
            into.push(b'"');
            into.extend(text.as_bytes());
            into.push(0);
        }
        Some(b'-' | b'0'..=b'9') => {
            into.push(b'#');
            into.extend(number(text).ok_or_else(|| format!("no number: {text}"))?.as_bytes());
        }
        _ => into.extend(text.as_bytes()),
    }
    Ok(())
}

/// 1e2, 100.0 and 100 are one number: its digits without zeros at either end, and the power of ten
/// that they are multiplied by.
fn number(text: &str) -> Option<String> {
    let (sign, amount) = text.strip_prefix('-').map_or(("", text), |amount| ("-", amount));
    let (digits, power) = amount.split_once(['e', 'E']).unwrap_or((amount, "0"));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let digits = format!("{whole}{fraction}");
    let digits = digits.trim_start_matches('0');
    let significant = digits.trim_end_matches('0');
    if significant.is_empty() {
        return Some("0".to_owned());
    }
    let (zeros, behind) = (digits.len() - significant.len(), fraction.len());
    let power = power.parse::<i64>().ok()?.checked_add_unsigned(zeros as u64)?.checked_sub_unsigned(behind as u64)?;
    Some(format!("{sign}{significant}e{power}"))
}

/// One value of a primary key, to go on behind.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) enum KeyValue {
    Int(i64),
    Text(String),
    Blob(Vec<u8>),
}

impl KeyValue {
    pub(super) fn of(row: &SqliteRow, place: usize, kind: Kind) -> Result<Self, sqlx::Error> {
        Ok(match kind {
            Kind::Uuid | Kind::Bytes => Self::Blob(row.try_get(place)?),
            Kind::Text | Kind::Json | Kind::Date => Self::Text(row.try_get(place)?),
            _ => Self::Int(row.try_get_unchecked(place)?),
        })
    }
}

impl std::fmt::Display for KeyValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Int(number) => write!(f, "{number}"),
            Self::Text(text) => f.write_str(text),
            Self::Blob(bytes) => match uuid::Uuid::from_slice(bytes) {
                Ok(id) => write!(f, "{id}"),
                Err(_) => f.write_str(&crate::text::hex(bytes)),
            },
        }
    }
}

/// A primary key in words.
pub(super) fn told(key: &[KeyValue]) -> String {
    key.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_equal_whatever_the_order_of_its_keys_and_the_form_of_its_numbers() {
        let form = |text: &str| {
            let mut field = vec![1];
            field.extend(text.as_bytes());
            let mut canonical = Vec::new();
            Kind::Json.canonical(&field, &mut canonical).unwrap();
            canonical
        };
        assert_eq!(form(r#"{"b": [1, 2.5e1], "a": "x"}"#), form(r#"{"a":"x","b":[1.0,25]}"#));
        assert_ne!(form(r#"["ab", "c"]"#), form(r#"["a", "bc"]"#));
        assert_ne!(form(r#"{"a": 1}"#), form(r#"{"a": "1"}"#));
        assert_ne!(form("1.5"), form("1"));
        assert_eq!(form(r#" {"a": 1, "a": [true, null]} "#), form(r#"{"a":[true,null]}"#));
    }

    #[test]
    fn numbers_are_compared_as_they_are_written_and_not_as_floats() {
        // On the left as one may write it, on the right as PostgreSQL gives it back.
        for (written, given) in [
            ("9e15", "9000000000000000"),
            ("1E+16", "10000000000000000"),
            ("1.0e23", "100000000000000000000000"),
            ("9007199254740993e0", "9007199254740993"),
            ("-0.0", "0.0"),
            ("-12.50", "-12.50"),
            ("1e-7", "0.0000001"),
            ("0.10", "0.1"),
        ] {
            assert_eq!(number(written), number(given), "{written}");
        }
        for (one, other) in [
            ("9007199254740993", "9007199254740992"),
            ("1e400", "1e401"),
            ("1", "-1"),
            ("100", "1"),
            ("0.1", "0.1000000000000000000001"),
        ] {
            assert_ne!(number(one), number(other), "{one}");
        }
    }

    #[test]
    fn json_without_end_is_no_way_to_use_up_the_stack() {
        let deep = "[".repeat(200) + &"]".repeat(200);
        assert!(write_json(&deep, JSON_DEPTH, &mut Vec::new()).is_err());
    }

    #[test]
    fn days_are_counted_from_2000() {
        assert_eq!((day("2000-01-01"), day("1999-12-31"), day("2026-11-27")), (Ok(0), Ok(-1), Ok(9827)));
        assert!(day("27.11.2026").is_err());
    }
}
