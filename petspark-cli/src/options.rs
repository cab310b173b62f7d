//! The options that every command has.

use std::ffi::OsString;
use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use petspark_core::config::Environment;

use crate::commands::args::duration;
use crate::os;

/// How data is written to standard output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// For a person.
    #[default]
    Table,
    /// One JSON document.
    Json,
    /// One JSON record a line.
    Jsonl,
}

impl Format {
    /// The name on the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::Json => "json",
            Self::Jsonl => "jsonl",
        }
    }
}

/// What was said before, or anywhere after, the command's name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Options {
    pub(crate) config: Option<PathBuf>,
    pub(crate) environment: Option<Environment>,
    pub(crate) format: Format,
    pub(crate) color: clap::ColorChoice,
    pub(crate) quiet: bool,
    pub(crate) verbose: u8,
    pub(crate) no_input: bool,
    pub(crate) timeout: Option<Duration>,
}

const HEADING: &str = "Global options";

/// Adds the options to the root command.
pub(crate) fn declare(root: Command) -> Command {
    let environments = PossibleValuesParser::new(Environment::ALL.iter().map(|value| value.as_str()));
    let options = [
        Arg::new("config")
            .short('c')
            .long("config")
            .value_name("FILE")
            .value_parser(value_parser!(PathBuf))
            .help("TOML file with settings [env: PETSPARK_CONFIG]"),
        Arg::new("env")
            .long("env")
            .value_name("NAME")
            .value_parser(environments.try_map(|text| text.parse::<Environment>()))
            .help("Environment to run in, instead of PETSPARK_ENV"),
        Arg::new("format")
            .long("format")
            .value_name("FORMAT")
            .value_parser(PossibleValuesParser::new(["table", "json", "jsonl"]).map(|text| match &*text {
                "json" => Format::Json,
                "jsonl" => Format::Jsonl,
                _ => Format::Table,
            }))
            .help("How to write data to standard output [default: table]"),
        Arg::new("json")
            .long("json")
            .action(ArgAction::SetTrue)
            .conflicts_with("format")
            .help("Short for --format json"),
        Arg::new("color")
            .long("color")
            .value_name("WHEN")
            .value_parser(value_parser!(clap::ColorChoice))
            .default_value("auto")
            .help("When to use colours"),
        Arg::new("quiet").short('q').long("quiet").action(ArgAction::SetTrue).help("Only data and errors"),
        Arg::new("verbose")
            .short('v')
            .long("verbose")
            .action(ArgAction::Count)
            .conflicts_with("quiet")
            .help("Log more; twice for even more"),
        Arg::new("no-input")
            .long("no-input")
            .action(ArgAction::SetTrue)
            .help("Never ask; what would need an answer fails instead"),
        Arg::new("timeout")
            .long("timeout")
            .value_name("DURATION")
            .value_parser(duration)
            .help("Give up after so long, with exit code 7"),
    ];
    options.into_iter().fold(root, |root, option| root.arg(option.global(true).help_heading(HEADING)))
}

impl Options {
    pub(crate) fn read(args: &ArgMatches) -> Self {
        let format = args.get_one::<Format>("format").copied().unwrap_or_default();
        Self {
            config: args.get_one("config").cloned(),
            environment: args.get_one("env").copied(),
            format: if args.get_flag("json") { Format::Json } else { format },
            color: args.get_one("color").copied().unwrap_or_default(),
            quiet: args.get_flag("quiet"),
            verbose: args.get_count("verbose"),
            no_input: args.get_flag("no-input"),
            timeout: args.get_one("timeout").copied(),
        }
    }

    /// Whether to colour what goes to a stream that is, or isn't, a terminal.
    pub(crate) fn colored(&self, is_terminal: bool) -> bool {
        match self.color {
            clap::ColorChoice::Always => true,
            clap::ColorChoice::Never => false,
            clap::ColorChoice::Auto => {
                is_terminal
                    && os::variable("NO_COLOR").is_none()
                    && os::variable("TERM").is_none_or(|term| term != "dumb")
            }
        }
    }

    /// Whether somebody is there to be asked.
    pub(crate) fn may_ask(&self) -> bool {
        !self.no_input && std::io::stdin().is_terminal()
    }
}

/// What `--color` says, before clap has read the command line: its own messages need to know.
pub(crate) fn color_of(args: &[OsString]) -> clap::ColorChoice {
    let words: Vec<_> = args.iter().map_while(|arg| arg.to_str().filter(|arg| *arg != "--")).collect();
    let after = |n: usize| words.get(n + 1).copied();
    let said = words.iter().enumerate().find_map(|(n, word)| match word.strip_prefix("--color") {
        Some("") => after(n),
        Some(value) => value.strip_prefix('='),
        None => None,
    });
    match said {
        Some("always") => clap::ColorChoice::Always,
        Some("never") => clap::ColorChoice::Never,
        _ => clap::ColorChoice::Auto,
    }
}
