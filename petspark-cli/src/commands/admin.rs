//! `admin bootstrap`: the first administrator, who can make the others.

use clap::{Arg, ArgMatches, Command};
use futures_util::future::BoxFuture;
use petspark_core::UserId;
use petspark_core::config::Environment;
use petspark_core::mail::Template;
use serde::Serialize;

use crate::context::Context;
use crate::exit::Exit;
use crate::outcome::{Column, Outcome};
use crate::plugin::{Failure, Plugin, required};

pub(crate) struct Admin;

impl Plugin for Admin {
    fn command(&self) -> Command {
        Command::new("admin")
            .about("Make the first administrator; `user list --role admin` says who is one")
            .subcommand_required(true)
            .arg_required_else_help(true)
            .subcommand(
                Command::new("bootstrap")
                    .about("Make the first administrator, and print a link by which they choose their password")
                    .arg(
                        Arg::new("email")
                            .long("email")
                            .value_name("EMAIL")
                            .required(true)
                            .help("The address they will sign in with"),
                    )
                    .arg(
                        Arg::new("name")
                            .long("name")
                            .value_name("NAME")
                            .default_value("Administrator")
                            .help("The name that others see"),
                    ),
            )
    }

    fn run<'a>(&'a self, cx: &'a Context, args: &'a ArgMatches) -> BoxFuture<'a, Result<Outcome, Failure>> {
        Box::pin(async move {
            match args.subcommand() {
                Some((_, args)) => bootstrap(cx, args).await,
                None => Ok(Outcome::done().exit(Exit::Usage)),
            }
        })
    }
}

#[derive(Serialize)]
struct Made {
    id: UserId,
    email: String,
    link: String,
}

async fn bootstrap(cx: &Context, args: &ArgMatches) -> Result<Outcome, Failure> {
    let petspark = cx.petspark_or_new().await?;
    let (email, name) = (required::<String>(args, "email")?, required::<String>(args, "name")?);
    let (user, token) = petspark.auth().bootstrap_admin(&cx.caller(), email, name).await?;
    let link = petspark.mail().link(Template::Invite, &token).expose().to_owned();
    let fields: &[Column<Made>] = &[("email", |made| made.email.clone()), ("link", |made| made.link.clone())];
    let outcome =
        Outcome::record("petspark.admin.bootstrap/v1", &Made { id: user.id, email: user.email, link }, fields);
    let outcome = outcome.note("The link is shown this once only, and counts once.");
    let core = petspark.settings();
    Ok(match (core.environment, &core.public_web_url) {
        (Environment::Production, None) => outcome
            .note("PUBLIC_WEB_URL is not set, so that the link leads nowhere; the token that it ends with counts."),
        _ => outcome,
    })
}
