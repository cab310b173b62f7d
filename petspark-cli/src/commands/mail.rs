//! `mail test`: whether mails arrive.

use clap::{Arg, ArgMatches, Command};
use futures_util::future::BoxFuture;
use petspark_core::mail::HandedOver;
use serde::Serialize;

use crate::context::Context;
use crate::exit::Exit;
use crate::outcome::{Column, Outcome};
use crate::plugin::{Failure, Plugin, required};

pub(crate) struct Mail;

impl Plugin for Mail {
    fn command(&self) -> Command {
        Command::new("mail")
            .about("See whether mails arrive")
            .subcommand_required(true)
            .arg_required_else_help(true)
            .subcommand(
                Command::new("test")
                    .about("Send a mail now, and say what the mail server says to it")
                    .arg(Arg::new("to").long("to").value_name("EMAIL").required(true).help("Where it is to arrive")),
            )
    }

    fn run<'a>(&'a self, cx: &'a Context, args: &'a ArgMatches) -> BoxFuture<'a, Result<Outcome, Failure>> {
        Box::pin(async move {
            match args.subcommand() {
                Some((_, args)) => test(cx, args).await,
                None => Ok(Outcome::done().exit(Exit::Usage)),
            }
        })
    }
}

#[derive(Serialize)]
struct Sent {
    to: String,
    /// The mail as a file, when there is no mail server.
    file: Option<String>,
}

const FIELDS: &[Column<Sent>] =
    &[("to", |sent| sent.to.clone()), ("file", |sent| sent.file.clone().unwrap_or_default())];

async fn test(cx: &Context, args: &ArgMatches) -> Result<Outcome, Failure> {
    let to: &String = required(args, "to")?;
    let (file, note) = match cx.petspark().await?.mail().send_test(&cx.caller(), to).await? {
        HandedOver::Server => (None, "The mail server took it. Whether it arrives, only the mailbox can tell."),
        HandedOver::File(path) => (Some(path.display().to_string()), "SMTP_URL is not set: the mail became a file."),
    };
    Ok(Outcome::record("petspark.mail.test/v1", &Sent { to: to.clone(), file }, FIELDS).note(note))
}
