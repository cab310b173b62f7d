//! `billing`: payments as an operator looks at them and mends them.

mod events;
mod money;
mod status;

use clap::builder::TypedValueParser;
use clap::{Arg, ArgMatches, Command, value_parser};
use futures_util::future::BoxFuture;
use petspark_core::billing::EventStatus;

use crate::commands::args::{end, flag, one_of, page_options};
use crate::context::Context;
use crate::exit::Exit;
use crate::outcome::Outcome;
use crate::plugin::{Failure, Plugin};

pub(crate) struct Billing;

fn event_status() -> impl TypedValueParser<Value = EventStatus> {
    one_of(EventStatus::ALL.iter().map(|status| status.as_str()))
}

fn reason() -> Arg {
    Arg::new("reason").long("reason").value_name("TEXT").required(true).help("Why, for the record")
}

impl Plugin for Billing {
    fn command(&self) -> Command {
        Command::new("billing")
            .about("Look at payments, compare them with Stripe, give plans and money back")
            .subcommand_required(true)
            .arg_required_else_help(true)
            .subcommand(Command::new("status").about("Show how payments are; asks Stripe only whose the key is"))
            .subcommand(
                Command::new("account")
                    .about("Show whose payments are kept here and whose key there is; accept another account")
                    .arg(
                        flag("accept", "Take the key's account for the one whose payments are kept here")
                            .requires("reason"),
                    )
                    .arg(reason().required(false).requires("accept"))
                    .arg(flag("yes", "Don't ask").requires("accept"))
                    .arg(flag("dry-run", "Only say which would be accepted").requires("accept")),
            )
            .subcommand(
                Command::new("sync")
                    .about(
                        "Compare catalogue, customers, subscriptions and payments with Stripe, and mend what differs",
                    )
                    .arg(
                        flag(
                            "although-gone",
                            "Also when Stripe knows hardly any of the customers: they are deleted then",
                        )
                        .conflicts_with("dry-run"),
                    )
                    .arg(flag("yes", "Don't ask").requires("although-gone"))
                    .arg(flag("dry-run", "Only say what differs")),
            )
            .subcommand(
                Command::new("events")
                    .about("List Stripe's events as they came, the last first")
                    .arg(
                        Arg::new("status")
                            .long("status")
                            .value_name("STATUS")
                            .value_parser(event_status())
                            .help("Only with this status"),
                    )
                    .args(page_options()),
            )
            .subcommand(
                Command::new("replay")
                    .about("Have events processed again: what they are about is read anew")
                    .arg(
                        Arg::new("id")
                            .value_name("ID")
                            .required_unless_present("all-dead")
                            .conflicts_with("all-dead")
                            .help("Which event, by Stripe's id"),
                    )
                    .arg(flag("all-dead", "All that were given up"))
                    .arg(flag("dry-run", "Only say how many those are")),
            )
            .subcommand(
                Command::new("grants")
                    .about("List what somebody was given or bought once, the newest first")
                    .arg(Arg::new("user").value_name("USER").required(true).help("Whose: an id or an e-mail address")),
            )
            .subcommand(
                Command::new("grant")
                    .about("Give somebody a plan")
                    .arg(Arg::new("user").value_name("USER").required(true).help("Whom: an id or an e-mail address"))
                    .arg(Arg::new("plan").long("plan").value_name("PLAN").required(true).help("Which plan"))
                    .arg(reason())
                    .arg(
                        Arg::new("until")
                            .long("until")
                            .value_name("TIME|DURATION")
                            .value_parser(end)
                            .help("When it ends, such as 30d or 2027-01-31T00:00:00Z [default: never]"),
                    )
                    .arg(flag("dry-run", "Only say what would be given")),
            )
            .subcommand(
                Command::new("revoke-grant")
                    .about("Take a plan back that was given or bought")
                    .arg(Arg::new("id").value_name("ID").required(true).help("Which; `billing grants` tells"))
                    .arg(reason())
                    .arg(flag("yes", "Don't ask"))
                    .arg(flag("dry-run", "Only say what would be taken back")),
            )
            .subcommand(
                Command::new("refund")
                    .about("Give money back; with the last of it goes what it bought")
                    .arg(Arg::new("payment").value_name("PAYMENT").required(true).help("Of which payment: pi_..."))
                    .arg(
                        Arg::new("amount")
                            .long("amount")
                            .value_name("N")
                            .value_parser(value_parser!(i64).range(1..))
                            .help("How much, in the currency's smallest unit [default: all that is left]"),
                    )
                    .arg(reason())
                    .arg(flag("yes", "Don't ask"))
                    .arg(flag("dry-run", "Only say what would be given back")),
            )
            .subcommand(
                Command::new("webhook")
                    .about("Stripe's way to tell us of payments")
                    .subcommand_required(true)
                    .arg_required_else_help(true)
                    .subcommand(
                        Command::new("setup")
                            .about("Have Stripe send its events here; prints the secret for STRIPE_WEBHOOK_SECRET")
                            .arg(
                                Arg::new("url")
                                    .value_name("URL")
                                    .required(true)
                                    .help("Of this server: https://.../api/v1/payments/webhook"),
                            )
                            .arg(flag("dry-run", "Only say what would be set up")),
                    ),
            )
    }

    fn runs_to_its_end(&self, args: &ArgMatches) -> Option<&'static str> {
        let ("webhook", args) = args.subcommand()? else { return None };
        let (_, args) = args.subcommand()?;
        (!args.get_flag("dry-run"))
            .then_some("given up in the middle, `billing webhook setup` would lose the secret, which Stripe tells once")
    }

    fn run<'a>(&'a self, cx: &'a Context, args: &'a ArgMatches) -> BoxFuture<'a, Result<Outcome, Failure>> {
        Box::pin(async move {
            match args.subcommand() {
                Some(("status", _)) => status::status(cx).await,
                Some(("account", args)) => status::account(cx, args).await,
                Some(("sync", args)) => status::sync(cx, args).await,
                Some(("events", args)) => events::list(cx, args).await,
                Some(("replay", args)) => events::replay(cx, args).await,
                Some(("grants", args)) => money::grants(cx, args).await,
                Some(("grant", args)) => money::grant(cx, args).await,
                Some(("revoke-grant", args)) => money::revoke(cx, args).await,
                Some(("refund", args)) => money::refund(cx, args).await,
                Some((_, args)) => match args.subcommand() {
                    Some((_, args)) => status::set_up(cx, args).await,
                    None => Ok(Outcome::done().exit(Exit::Usage)),
                },
                None => Ok(Outcome::done().exit(Exit::Usage)),
            }
        })
    }
}
