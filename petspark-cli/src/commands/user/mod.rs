//! `user`: accounts, as an operator makes and finds them.

mod find;
mod import;
mod leaving;
mod rescue;
mod standing;

use clap::builder::TypedValueParser;
use clap::{Arg, ArgMatches, Command};
use futures_util::future::BoxFuture;
use petspark_core::auth::{AuthError, NewAccount, NewUser, Role, UserStatus};
use petspark_core::{Timestamp, UserId};
use serde::Serialize;

use crate::commands::args::{flag, one_of};
use crate::context::Context;
use crate::exit::Exit;
use crate::outcome::{Column, Outcome};
use crate::plugin::{Failure, Plugin, required};
use crate::prompt;

pub(crate) struct User;

fn role() -> impl TypedValueParser<Value = Role> {
    one_of(Role::ALL.iter().map(|role| role.as_str()))
}

fn selector() -> Arg {
    Arg::new("user").value_name("ID|EMAIL").required(true).help("Who, by id or e-mail address")
}

impl Plugin for User {
    fn command(&self) -> Command {
        Command::new("user")
            .about("Make and find users, and say what they may do")
            .subcommand_required(true)
            .arg_required_else_help(true)
            .subcommand(create_command())
            .subcommands(find::commands())
            .subcommands(standing::commands())
            .subcommands(rescue::commands())
            .subcommands(leaving::commands())
            .subcommand(import::command())
    }

    fn run<'a>(&'a self, cx: &'a Context, args: &'a ArgMatches) -> BoxFuture<'a, Result<Outcome, Failure>> {
        Box::pin(async move {
            match args.subcommand() {
                Some(("create", args)) => create(cx, args).await,
                Some(("list", args)) => find::list(cx, args).await,
                Some(("set-role", args)) => standing::set_role(cx, args).await,
                Some(("suspend", args)) => standing::set_status(cx, args, UserStatus::Suspended).await,
                Some(("unsuspend", args)) => standing::set_status(cx, args, UserStatus::Active).await,
                Some(("ban", args)) => standing::set_status(cx, args, UserStatus::Banned).await,
                Some(("logout", args)) => standing::logout(cx, args).await,
                Some(("reset-link", args)) => rescue::reset_link(cx, args).await,
                Some(("invite", args)) => rescue::invite(cx, args).await,
                Some(("verify-email", args)) => rescue::verify_email(cx, args).await,
                Some(("set-email", args)) => rescue::set_email(cx, args).await,
                Some(("set-password", args)) => rescue::set_password(cx, args).await,
                Some(("delete", args)) => leaving::delete(cx, args).await,
                Some(("restore", args)) => leaving::restore(cx, args).await,
                Some(("export", args)) => leaving::export(cx, args).await,
                Some(("import", args)) => import::import(cx, args).await,
                Some((_, args)) => find::show(cx, args).await,
                None => Ok(Outcome::done().exit(Exit::Usage)),
            }
        })
    }
}

fn create_command() -> Command {
    let command = Command::new("create")
        .about("Make a user; without a password option, the password is typed at the terminal")
        .arg(Arg::new("email").value_name("EMAIL").required(true).help("The address they sign in with"))
        .arg(
            Arg::new("name")
                .long("name")
                .value_name("NAME")
                .help("The name that others see [default: what stands before the @]"),
        )
        .arg(
            Arg::new("role")
                .long("role")
                .value_name("ROLE")
                .value_parser(role())
                .default_value("user")
                .help("What they may do"),
        )
        .arg(flag("verified", "The address is known to be theirs"))
        .arg(flag("if-not-exists", "Do nothing, and succeed, if there is such a user"));
    prompt::generate_option(prompt::password_options(command))
}

/// A user as the tool shows them.
#[derive(Serialize)]
struct Shown {
    id: UserId,
    email: String,
    name: String,
    role: Role,
    status: UserStatus,
    email_verified_at: Option<Timestamp>,
    created_at: Timestamp,
    updated_at: Timestamp,
    last_seen_at: Option<Timestamp>,
}

impl Shown {
    fn of(user: petspark_core::auth::User) -> Self {
        Self {
            id: user.id,
            email: user.email,
            name: user.display_name,
            role: user.role,
            status: user.status,
            email_verified_at: user.email_verified_at,
            created_at: user.created_at,
            updated_at: user.updated_at,
            last_seen_at: user.last_seen_at,
        }
    }
}

fn time(at: Option<Timestamp>) -> String {
    at.map(|at| at.to_string()).unwrap_or_default()
}

const FIELDS: &[Column<Shown>] = &[
    ("id", |user| user.id.to_string()),
    ("email", |user| user.email.clone()),
    ("name", |user| user.name.clone()),
    ("role", |user| user.role.to_string()),
    ("status", |user| user.status.to_string()),
    ("email_verified_at", |user| time(user.email_verified_at)),
    ("created_at", |user| user.created_at.to_string()),
    ("updated_at", |user| user.updated_at.to_string()),
    ("last_seen_at", |user| time(user.last_seen_at)),
];

#[derive(Serialize)]
struct Created {
    changed: bool,
    #[serde(flatten)]
    user: Shown,
    #[serde(skip_serializing_if = "Option::is_none")]
    password: Option<String>,
}

async fn create(cx: &Context, args: &ArgMatches) -> Result<Outcome, Failure> {
    let email: &String = required(args, "email")?;
    let password = prompt::new_password(&cx.options, &prompt::password_source(args))?;
    let before_at = || email.split('@').next().unwrap_or_default().to_owned();
    let account = NewAccount {
        email: email.clone(),
        password: password.password(),
        display_name: args.get_one("name").cloned().unwrap_or_else(before_at),
    };
    let new = NewUser { account, role: *required(args, "role")?, email_verified: args.get_flag("verified") };
    let auth = cx.petspark_or_new().await?.auth();
    let created = match auth.create_user(&cx.caller(), new).await {
        Err(AuthError::EmailTaken) if args.get_flag("if-not-exists") => {
            Created { changed: false, user: Shown::of(auth.get_user(&cx.caller(), email).await?), password: None }
        }
        result => Created {
            changed: true,
            user: Shown::of(result?),
            password: password.generated.then(|| password.secret.expose().to_owned()),
        },
    };
    let mut fields: Vec<Column<Created>> = vec![
        ("id", |created| created.user.id.to_string()),
        ("email", |created| created.user.email.clone()),
        ("name", |created| created.user.name.clone()),
        ("role", |created| created.user.role.to_string()),
    ];
    if created.password.is_some() {
        fields.push(("password", |created| created.password.clone().unwrap_or_default()));
    }
    let outcome = Outcome::record("petspark.user.create/v1", &created, &fields);
    Ok(match (created.changed, &created.password) {
        (false, _) => outcome.note("There is such a user already; nothing was changed."),
        (true, Some(_)) => outcome.note("The password is shown this once only."),
        (true, None) => outcome,
    })
}
