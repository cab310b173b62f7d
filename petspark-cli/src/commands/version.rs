//! `version`: what this program was built from.

use clap::{ArgMatches, Command};
use futures_util::future::BoxFuture;
use petspark_core::database::Migration;
use serde::Serialize;

use crate::build_info;
use crate::context::Context;
use crate::outcome::Outcome;
use crate::plugin::{Failure, Plugin};

pub(crate) struct Version;

#[derive(Serialize)]
struct Build {
    name: String,
    version: String,
    petspark: &'static str,
    commit: &'static str,
    rust: &'static str,
    schema_version: i64,
}

impl Plugin for Version {
    fn command(&self) -> Command {
        Command::new("version").about("Show what this program was built from")
    }

    fn run<'a>(&'a self, cx: &'a Context, _: &'a ArgMatches) -> BoxFuture<'a, Result<Outcome, Failure>> {
        Box::pin(async move {
            let build = Build {
                name: cx.command().get_name().to_owned(),
                version: cx.command().get_version().unwrap_or_default().to_owned(),
                petspark: build_info::VERSION,
                commit: build_info::COMMIT,
                rust: build_info::RUST_VERSION,
                schema_version: Migration::all().last().map_or(0, |migration| migration.version),
            };
            Ok(Outcome::record(
                "petspark.version/v1",
                &build,
                &[
                    ("name", |build| build.name.clone()),
                    ("version", |build| build.version.clone()),
                    ("petspark", |build| build.petspark.to_owned()),
                    ("commit", |build| build.commit.to_owned()),
                    ("rust", |build| build.rust.to_owned()),
                    ("schema version", |build| build.schema_version.to_string()),
                ],
            ))
        })
    }
}
