//! `serve`: runs the server until a signal ends it.

use std::net::IpAddr;
use std::sync::OnceLock;
use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use futures_util::future::BoxFuture;
use petspark_core::auth::lacking_secrets;
use petspark_core::config::{Environment, Settings};
use petspark_core::{Clock, Migrate, PetSpark, chain};
use petspark_http::{BuildInfo, Drained, Server};
use serde::Serialize;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::commands::migrate::names;
use crate::context::Context;
use crate::exit::Exit;
use crate::options::Format;
use crate::outcome::Outcome;
use crate::plugin::{Failure, Plugin};
use crate::settings::{self, Loaded};
use crate::signals::Signals;
use crate::{build_info, logging, output};

/// How long a database may take to say goodbye. One that vanished without a word never does.
const CLOSING: Duration = Duration::from_secs(5);

pub(crate) struct Serve;

impl Plugin for Serve {
    fn command(&self) -> Command {
        Command::new("serve")
            .about("Run the server")
            .arg(
                Arg::new("host")
                    .long("host")
                    .value_name("ADDRESS")
                    .value_parser(value_parser!(IpAddr))
                    .help("Address to listen on, instead of HOST"),
            )
            .arg(
                Arg::new("port")
                    .long("port")
                    .value_name("PORT")
                    .value_parser(value_parser!(u16))
                    .help("Port to listen on, instead of PORT; 0 picks a free one"),
            )
            .arg(Arg::new("migrate").long("migrate").action(ArgAction::SetTrue).help(
                "Apply pending migrations first; without it only a new SQLite file gets them, and in development any",
            ))
    }

    fn runs_to_its_end(&self, _: &ArgMatches) -> Option<&'static str> {
        Some("a server runs until it is told to end")
    }

    fn run<'a>(&'a self, cx: &'a Context, args: &'a ArgMatches) -> BoxFuture<'a, Result<Outcome, Failure>> {
        Box::pin(async move {
            let settings = load(cx, args)?;
            // Before anything takes time: a signal at any moment ends us in good order.
            let mut signals = Signals::listen().map_err(|error| Failure::io("can't listen for signals", &error))?;
            let migrate = if args.get_flag("migrate") { Migrate::Always } else { Migrate::EmbeddedOnly };
            let opening = PetSpark::open_with(settings.core.clone(), migrate, Clock::system());
            let petspark = tokio::select! {
                opened = opening => opened?,
                // A database that is away may be waited for longer than somebody likes.
                exit = signals.next() => return Ok(Outcome::done().exit(exit)),
            };
            cx.tell_opened(&petspark);
            tell_lacking_secrets(&settings.core).await;
            tell_newer_migrations(&petspark).await;
            serve(cx, &petspark, settings, &mut signals).await
        })
    }
}

fn load(cx: &Context, args: &ArgMatches) -> Result<Loaded, Failure> {
    let mut sources = cx.sources()?;
    if let Some(host) = args.get_one::<IpAddr>("host") {
        sources.flags.insert("http.host".to_owned(), host.to_string());
    }
    if let Some(port) = args.get_one::<u16>("port") {
        sources.flags.insert("http.port".to_owned(), port.to_string());
    }
    let mut settings = settings::load(sources)?;
    let is_unset = settings.core.media.public_url.is_none() && settings.http.port != 0;
    if settings.core.environment == Environment::Development && is_unset {
        // A frontend of the same machine, but on another port, can't do with a path.
        settings.core.media.public_url = format!("http://localhost:{}", settings.http.port).parse().ok();
    }
    settings.http.build = BuildInfo {
        version: build_info::VERSION.into(),
        commit: build_info::COMMIT.into(),
        rust_version: build_info::RUST_VERSION.into(),
    };
    logging::start(&settings.log, &cx.options, true);
    Ok(settings)
}

/// Everything but what they sealed works, so the server starts; but nobody would think of this by the answers.
async fn tell_lacking_secrets(settings: &Settings) {
    match lacking_secrets(settings).await {
        Ok(lacking) if lacking.is_empty() => {}
        Ok(lacking) => tracing::error!(
            keys = lacking.join(", "),
            "second factors or signing keys are sealed by secrets that aren't set: `check` says more"
        ),
        Err(fault) => tracing::warn!(cause = fault.chain(), "whether a secret is lacking could not be found out"),
    }
}

/// A release that was gone back to works with what the newer one left, and is not meant to stay.
async fn tell_newer_migrations(petspark: &PetSpark) {
    match petspark.database().migrations().newer().await {
        Ok(newer) if newer.is_empty() => {}
        Ok(newer) => tracing::warn!(
            migrations = names(&newer),
            "a newer release has migrated this database; this one works with it, as the schema allows"
        ),
        Err(error) => tracing::warn!(cause = chain(&error), "whether a newer release was here could not be found out"),
    }
}

#[derive(Serialize)]
struct Listening {
    schema: &'static str,
    url: String,
}

async fn serve(cx: &Context, petspark: &PetSpark, settings: Loaded, signals: &mut Signals) -> Result<Outcome, Failure> {
    let environment = settings.core.environment;
    let server = Server::bind(petspark.clone(), settings.http).await?;
    let address = server.local_addr().map_err(|error| Failure::io("can't tell the address", &error))?;
    let url = format!("http://{address}");
    tracing::info!(url, %environment, database = petspark.database().engine_name(), version = build_info::VERSION, "listening");
    announce(cx, url)?;
    let (stop, stopped) = watch::channel(false);
    let worker = work(petspark, stopped.clone());
    let stopped_by = OnceLock::new();
    let drained = tokio::select! {
        drained = server.run(ended(stopped)) => drained,
        second = async {
            let first = signals.next().await;
            stopped_by.get_or_init(|| first);
            // It fails only if the server has ended, and then there is nothing to stop.
            let _ = stop.send(true);
            signals.next().await
        } => return Ok(Outcome::done().exit(second)),
    };
    match drained {
        Drained::Completely => {
            tokio::select! {
                // It ends by itself, or with a panic that was logged.
                _ = worker => {}
                exit = signals.next() => return Ok(Outcome::done().exit(exit)),
            }
            tokio::select! {
                closed = tokio::time::timeout(CLOSING, petspark.close()) => if closed.is_err() {
                    tracing::warn!("the database doesn't let go; left as it is");
                },
                exit = signals.next() => return Ok(Outcome::done().exit(exit)),
            }
            // Every request was answered: that is good order, whatever became of the database.
            Ok(Outcome::done())
        }
        // Not closed: that would wait for those who were given no more time.
        Drained::CutOff(connections) => {
            tracing::warn!(connections, "time is over; connections were cut off");
            Ok(Outcome::done().exit(stopped_by.get().copied().unwrap_or(Exit::Terminated)))
        }
    }
}

/// Does jobs beside answering requests, until `stopped`.
fn work(petspark: &PetSpark, stopped: watch::Receiver<bool>) -> JoinHandle<()> {
    let jobs = petspark.jobs().clone();
    let any = petspark.settings().jobs.workers > 0;
    tokio::spawn(async move {
        if any {
            jobs.run_worker(ended(stopped)).await;
        }
    })
}

/// Waits until it is said to stop, or nobody is left who could say it.
async fn ended(mut stopped: watch::Receiver<bool>) {
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

/// One line, when the server listens: scripts wait for it.
fn announce(cx: &Context, url: String) -> Result<(), Failure> {
    let line = match cx.format() {
        Format::Table => format!("Listening on {url}"),
        Format::Json | Format::Jsonl => serde_json::to_string(&Listening { schema: "petspark.serve/v1", url })
            .map_err(|error| Failure::new(Exit::Failed, error.to_string()))?,
    };
    output::data(&format!("{line}\n")).map_err(|error| Failure::io("can't write to standard output", &error))
}
