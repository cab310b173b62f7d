//! Arguments that several commands have, so that they read and work the same everywhere.

use std::str::FromStr;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Arg, ArgAction, ArgMatches, value_parser};
use petspark_core::config::{Environment, Value as _};
use petspark_core::{PageRequest, Timestamp};

use crate::context::Context;
use crate::exit::Exit;
use crate::plugin::{Failure, required};

/// An option that is either there or not.
pub(super) fn flag(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).action(ArgAction::SetTrue).help(help)
}

/// `--reason` of a command that changes what others rely on.
pub(super) fn reason() -> Arg {
    Arg::new("reason").long("reason").value_name("TEXT").help("Why, for the audit log; needed in production")
}

/// `--reason` of a command that asks for none.
pub(super) fn why() -> Arg {
    Arg::new("reason").long("reason").value_name("TEXT").help("Why, for the audit log")
}

/// What that says.
pub(super) fn why_given(args: &ArgMatches) -> Option<&str> {
    args.get_one::<String>("reason").map(String::as_str)
}

/// What `--reason` says. In production nothing is done without it; `question` is what is asked then.
pub(super) fn reason_given(cx: &Context, args: &ArgMatches, question: &str) -> Result<Option<String>, Failure> {
    let reason = args.get_one::<String>("reason").filter(|reason| !reason.trim().is_empty()).cloned();
    if reason.is_none() && cx.settings()?.core.environment == Environment::Production {
        return Err(Failure::new(Exit::Usage, format!("production needs --reason: {question}")));
    }
    Ok(reason)
}

/// For `value_parser`: a duration as settings have it.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    Duration::parse(text).map_err(|expected| format!("must be {expected}"))
}

/// A point in time, or how long from now.
#[derive(Clone, Copy, Debug)]
pub(super) enum End {
    At(Timestamp),
    In(Duration),
}

impl End {
    pub(super) fn after(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(at) => at,
            Self::In(duration) => now.after(duration),
        }
    }
}

/// For `value_parser`: when something ends.
pub(super) fn end(text: &str) -> Result<End, String> {
    if let Ok(duration) = Duration::parse(text) {
        return Ok(End::In(duration));
    }
    let json = serde_json::Value::String(text.to_owned());
    serde_json::from_value(json)
        .map(End::At)
        .map_err(|_| "must be a time such as 2027-01-31T00:00:00Z, or a duration such as 7d".to_owned())
}

/// For `value_parser`: one of a few words.
pub(super) fn one_of<T>(words: impl Iterator<Item = &'static str>) -> impl TypedValueParser<Value = T>
where
    T: FromStr<Err = String> + Clone + Send + Sync + 'static,
{
    PossibleValuesParser::new(words).try_map(|text| text.parse::<T>())
}

/// `--limit` and `--cursor` of a command that lists something page by page.
pub(super) fn page_options() -> [Arg; 2] {
    [
        Arg::new("limit")
            .long("limit")
            .value_name("N")
            .value_parser(value_parser!(u32).range(1..=i64::from(PageRequest::MAX_LIMIT)))
            .default_value("20")
            .help("At most so many, up to 100"),
        Arg::new("cursor").long("cursor").value_name("CURSOR").help("Go on where an earlier list ended"),
    ]
}

/// The page that those two ask for.
pub(super) fn page(args: &ArgMatches) -> Result<PageRequest, Failure> {
    let page = PageRequest::first(*required(args, "limit")?).unwrap_or_default();
    Ok(match args.get_one::<String>("cursor") {
        Some(cursor) => page.after(cursor),
        None => page,
    })
}
