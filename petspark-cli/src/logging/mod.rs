//! Sends log events to standard error: as JSON in production, readable elsewhere. What is worth
//! an event is decided where it happens.

mod buffer;
mod json;

use std::io::IsTerminal as _;
use std::sync::OnceLock;
use std::time::Duration;

use buffer::Buffer;
use json::JsonLines;
use petspark_core::Clock;
use petspark_core::config::{Environment, Loader, Setting, Value};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use crate::options::Options;

/// What is logged, and how.
#[derive(Clone, Debug)]
pub struct LogSettings {
    /// `LOG_LEVEL`.
    pub level: LogLevel,
    /// One JSON object a line instead of text for people.
    pub json: bool,
    is_default: bool,
}

/// A level, or directives as `tracing_subscriber::EnvFilter` understands them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLevel(String);

impl Value for LogLevel {
    fn parse(text: &str) -> Result<Self, String> {
        let expected =
            || "error, warn, info, debug, trace or off, or a list such as info,petspark_core=debug".to_owned();
        // To the filter, a misspelt level is the name of a crate that is to log everything.
        let plausible = |part: &str| part.contains('=') || (!part.is_empty() && part.parse::<LevelFilter>().is_ok());
        if !text.split(',').all(|part| plausible(part.trim())) || EnvFilter::builder().parse(text).is_err() {
            return Err(expected());
        }
        Ok(Self(text.to_owned()))
    }

    fn render(&self) -> String {
        self.0.clone()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LogFormat {
    Auto,
    Json,
    Text,
}

impl Value for LogFormat {
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "json" => Ok(Self::Json),
            "text" => Ok(Self::Text),
            _ => Err("auto, json or text".to_owned()),
        }
    }

    fn render(&self) -> String {
        match self {
            Self::Auto => "auto",
            Self::Json => "json",
            Self::Text => "text",
        }
        .to_owned()
    }
}

impl LogSettings {
    pub(crate) fn read(from: &mut Loader, environment: Environment) -> Self {
        let level = from.find(
            "log.level",
            Some("LOG_LEVEL"),
            "What is logged: error, warn, info, debug, trace, or a list such as info,petspark_core=debug. \
             Default: info for the server, warn for other commands.",
        );
        let format = from.get(Setting {
            key: "log.format",
            env: None,
            default: LogFormat::Auto,
            about: "json, text, or auto: json in production and text elsewhere.",
        });
        Self {
            is_default: level.is_none(),
            level: level.unwrap_or_else(|| LogLevel("info".to_owned())),
            json: match format {
                LogFormat::Auto => environment == Environment::Production,
                LogFormat::Json => true,
                LogFormat::Text => false,
            },
        }
    }

    /// What `-q` and `-v` say goes before the setting; of a command that isn't a server, nobody
    /// wants to hear what went well.
    fn filter(&self, options: &Options, is_server: bool) -> &str {
        match (options.quiet, options.verbose) {
            (true, _) => "error",
            (_, 0) if self.is_default && !is_server => "warn",
            (_, 0) => &self.level.0,
            (_, 1) if !is_server => "info",
            (_, 1) => "debug",
            (_, 2) if !is_server => "debug",
            _ => "trace",
        }
    }
}

/// What a server's lines wait in; other commands write theirs at once.
static BUFFER: OnceLock<Buffer> = OnceLock::new();

/// How long the end of the process waits for somebody to read what is left of the log.
const LAST_LINES: Duration = Duration::from_secs(1);
/// How long a thread that panics waits for that to be read. Some panics end the process.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// Starts logging, unless the program that embeds us has done so.
pub(crate) fn start(settings: &LogSettings, options: &Options, is_server: bool) {
    let filter = EnvFilter::builder().parse_lossy(settings.filter(options, is_server));
    // Those errors would go to standard error, which is what failed, and that panics.
    let events = tracing_subscriber::fmt().log_internal_errors(false).with_env_filter(filter);
    let json = JsonLines { clock: Clock::system() };
    let colored = options.colored(std::io::stderr().is_terminal());
    let is_json = settings.json;
    let buffer = if is_server { Buffer::start(move |lost| tell_lost(lost, is_json)).ok() } else { None };
    // Starting fails only if somebody else got there first, and then theirs is what they want.
    let started = match buffer.map(|buffer| BUFFER.get_or_init(|| buffer).clone()) {
        Some(buffer) if is_json => events.event_format(json).with_writer(buffer).try_init(),
        Some(buffer) => events.with_ansi(colored).with_writer(buffer).try_init(),
        None if is_json => events.event_format(json).with_writer(std::io::stderr).try_init(),
        None => events.with_ansi(colored).with_writer(std::io::stderr).try_init(),
    };
    // A panic in a panic hook ends the process. Our own logging doesn't panic; of somebody
    // else's we don't know that.
    if is_server && started.is_ok() {
        std::panic::set_hook(Box::new(log_panic));
    }
}

/// Has written what is still waiting to be, unless nobody takes it.
pub(crate) fn flush() {
    if let Some(buffer) = BUFFER.get() {
        buffer.flush(LAST_LINES);
    }
}

/// The line that stands for those that nobody took in time.
fn tell_lost(lost: u64, json: bool) -> String {
    let (now, target) = (Clock::system().now(), module_path!());
    if json {
        format!(
            r#"{{"timestamp":"{now}","level":"WARN","target":"{target}","message":"log lines were lost","lost":{lost}}}"#
        ) + "\n"
    } else {
        format!("{now}  WARN {target}: log lines were lost lost={lost}\n")
    }
}

/// A panic as an event like others, not as loose text among JSON lines. Its message stays out:
/// whoever catches the panic logs it with what it happened to.
fn log_panic(panic: &std::panic::PanicHookInfo<'_>) {
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    let thread = std::thread::current().name().unwrap_or("unnamed").to_owned();
    tracing::error!(place, thread, backtrace = %std::backtrace::Backtrace::capture(), "a thread panicked");
    if let Some(buffer) = BUFFER.get() {
        buffer.flush(LAST_WORDS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_level_is_refused() {
        for right in ["info", "WARN", "off", "info,petspark_core=debug", "sqlx=off"] {
            assert!(LogLevel::parse(right).is_ok(), "{right}");
        }
        for wrong in ["", "verbose", "info,verbose", "petspark_core=loud", "info,"] {
            assert!(LogLevel::parse(wrong).is_err(), "{wrong}");
        }
    }
    #[test]
    fn the_line_about_lost_lines_is_in_the_format_of_the_others() {
        let line: serde_json::Value = serde_json::from_str(tell_lost(7, true).strip_suffix('\n').unwrap()).unwrap();
        assert_eq!((&line["lost"], line["level"].as_str()), (&7.into(), Some("WARN")));
        assert!(tell_lost(7, false).ends_with("log lines were lost lost=7\n"));
    }
}
