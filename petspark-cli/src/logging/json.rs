//! One JSON object a line. tracing-subscriber's own formatter builds a tree of every event
//! first; that was the dearest part of a request that needs no database.

use std::fmt::{self, Write as _};

use petspark_core::Clock;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

pub(super) struct JsonLines {
    pub(super) clock: Clock,
}

impl<S, N> FormatEvent<S, N> for JsonLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let metadata = event.metadata();
        let (now, level, target) = (self.clock.now(), metadata.level(), metadata.target());
        write!(writer, r#"{{"timestamp":"{now}","level":"{level}","target":"{target}""#)?;
        let mut fields = Fields { writer: writer.by_ref(), result: Ok(()), text: String::new() };
        event.record(&mut fields);
        fields.result?;
        writer.write_str("}\n")
    }
}

struct Fields<'a> {
    writer: Writer<'a>,
    result: fmt::Result,
    text: String,
}

impl Fields<'_> {
    fn write(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        if self.result.is_ok() {
            self.result = write!(self.writer, r#","{}":{value}"#, field.name());
        }
    }

    fn write_text(&mut self, field: &Field, text: &str) {
        if self.result.is_ok() {
            self.result = write!(self.writer, r#","{}":""#, field.name())
                .and_then(|()| write_escaped(&mut self.writer, text))
                .and_then(|()| self.writer.write_char('"'));
        }
    }
}

impl Visit for Fields<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.write_text(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.write(field, format_args!("{value}"));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.write(field, format_args!("{value}"));
    }

    // What is wider than 64 bits, most parsers would round.
    fn record_u128(&mut self, field: &Field, value: u128) {
        match u64::try_from(value) {
            Ok(value) => self.record_u64(field, value),
            Err(_) => self.record_debug(field, &value),
        }
    }

    fn record_i128(&mut self, field: &Field, value: i128) {
        match i64::try_from(value) {
            Ok(value) => self.record_i64(field, value),
            Err(_) => self.record_debug(field, &value),
        }
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.write(field, format_args!("{value}"));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        // JSON has no NaN and no infinity.
        if value.is_finite() {
            self.write(field, format_args!("{value}"));
        } else {
            self.write(field, format_args!("null"));
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let mut text = std::mem::take(&mut self.text);
        text.clear();
        // Writing to a String can't fail.
        let _ = write!(text, "{value:?}");
        self.write_text(field, &text);
        self.text = text;
    }
}

/// RFC 8259 section 7: quotes, backslashes and control characters.
fn write_escaped(writer: &mut Writer<'_>, text: &str) -> fmt::Result {
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| c < ' ' || matches!(c, '"' | '\\')) {
        writer.write_str(&rest[..at])?;
        match rest.as_bytes()[at] {
            b'"' => writer.write_str("\\\"")?,
            b'\\' => writer.write_str("\\\\")?,
            b'\n' => writer.write_str("\\n")?,
            control => write!(writer, "\\u{control:04x}")?,
        }
        rest = &rest[at + 1..];
    }
    writer.write_str(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a JSON parser makes of the one line that this logs.
    fn logged(log: impl FnOnce()) -> serde_json::Value {
        let lines = super::super::buffer::Buffer::default();
        let subscriber = tracing_subscriber::fmt()
            .log_internal_errors(false)
            .event_format(JsonLines { clock: Clock::system() })
            .with_writer(lines.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, log);
        let line = String::from_utf8(lines.take()).unwrap();
        assert_eq!(line.matches('\n').count(), 1, "{line}");
        serde_json::from_str(&line).unwrap()
    }

    #[test]
    fn whatever_is_logged_comes_back_from_a_json_parser() {
        let nasty = "a \"quote\" \\ a\nline\t\u{1}\u{7f} 🐕";
        let event = logged(|| {
            tracing::info!(target: "clinic", text = nasty, shown = %nasty, count = 7_u64, ratio = f64::NAN, on = true, missing = None::<u64>, "{nasty}");
        });
        assert_eq!((event["level"].as_str(), event["target"].as_str()), (Some("INFO"), Some("clinic")));
        for text in ["text", "shown", "message"] {
            assert_eq!(event[text].as_str(), Some(nasty), "{text}");
        }
        assert_eq!((&event["count"], &event["on"]), (&7.into(), &true.into()));
        assert!(event["ratio"].is_null() && event.get("missing").is_none());
    }
    #[test]
    fn wide_numbers_are_numbers_as_long_as_parsers_keep_them_exact() {
        let event = logged(|| tracing::info!(took_ms = 7_u128, low = -7_i128, wide = u128::MAX, deep = i128::MIN));
        assert_eq!((&event["took_ms"], &event["low"]), (&7.into(), &(-7).into()));
        assert_eq!(event["wide"].as_str(), Some(u128::MAX.to_string().as_str()));
        assert_eq!(event["deep"].as_str(), Some(i128::MIN.to_string().as_str()));
    }
}
