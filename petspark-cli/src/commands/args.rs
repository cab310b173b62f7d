//! Arguments that several commands have, so that they read and work the same everywhere.

use std::str::FromStr;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Arg, ArgAction, ArgMatches, value_parser};
use petspark_core::PageRequest;
use petspark_core::config::Value as _;

use crate::plugin::{Failure, required};

/// An option that is either there or not.
pub(super) fn flag(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).action(ArgAction::SetTrue).help(help)
}

/// For `value_parser`: a duration as settings have it.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    Duration::parse(text).map_err(|expected| format!("must be {expected}"))
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
