//! The operator's tool of PetSpark, and the program that serves it. Everything it can do is a
//! [`Plugin`], the built-in commands too; what PetSpark can do is in `petspark-core`, not here.
//!
//! A tool of your own with all the commands of `petspark-cli` and one more:
//!
//! ```no_run
//! use futures_util::future::BoxFuture;
//! use petspark_cli::{App, Context, Failure, Outcome, Plugin};
//!
//! struct Clinic;
//!
//! impl Plugin for Clinic {
//!     fn command(&self) -> clap::Command {
//!         clap::Command::new("clinic").about("How many patients there could be")
//!     }
//!
//!     fn run<'a>(
//!         &'a self,
//!         cx: &'a Context,
//!         _args: &'a clap::ArgMatches,
//!     ) -> BoxFuture<'a, Result<Outcome, Failure>> {
//!         Box::pin(async move {
//!             let users = cx.petspark().await?.auth().count_users(&cx.caller()).await?;
//!             Ok(Outcome::text(format!("{users}\n")))
//!         })
//!     }
//! }
//!
//! fn main() -> std::process::ExitCode {
//!     App::standard().name("clinic-admin").plugin(Clinic).main()
//! }
//! ```

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod app;
pub mod build_info;
mod check;
mod commands;
mod context;
mod exit;
mod external;
mod logging;
mod options;
mod os;
mod outcome;
mod output;
mod plugin;
mod prompt;
pub mod settings;
mod signals;
mod usage;
mod when;

pub use app::App;
pub use check::{Check, Severity, SkipReason, Verdict};
pub use context::Context;
pub use exit::Exit;
pub use logging::{LogLevel, LogSettings};
pub use options::Format;
pub use outcome::{Column, Outcome};
pub use plugin::{Failure, Plugin, required};
