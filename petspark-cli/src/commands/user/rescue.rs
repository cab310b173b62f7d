//! `user reset-link`, `invite`, `verify-email`, `set-email` and `set-password`: helping somebody
//! who can't help themselves. A link is better than a password: nobody but they learns it.

use clap::{Arg, ArgMatches, Command};
use petspark_core::UserId;
use petspark_core::auth::{Delivery, Invitation, NewEmail};
use petspark_core::mail::Template;
use serde::Serialize;

use super::{flag, role, selector};
use crate::context::Context;
use crate::outcome::Outcome;
use crate::plugin::{Failure, required};
use crate::prompt;

pub(super) fn commands() -> Vec<Command> {
    let send = || flag("send", "Mail the link to them instead of printing it");
    let set_password = Command::new("set-password")
        .about("Give a user another password, when a link is of no use; ends their sessions")
        .arg(selector())
        .arg(flag("keep-sessions", "Leave them signed in where they are"))
        .arg(flag("yes", "Don't ask"))
        .arg(flag("dry-run", "Only say what would change"));
    vec![
        Command::new("reset-link")
            .about("Make a link by which a user sets a new password, and print it, this once")
            .arg(selector())
            .arg(send()),
        Command::new("invite")
            .about("Make a user without a password, and a link by which they choose one")
            .arg(Arg::new("email").value_name("EMAIL").required(true).help("The address they will sign in with"))
            .arg(Arg::new("name").long("name").value_name("NAME").required(true).help("The name that others see"))
            .arg(
                Arg::new("role")
                    .long("role")
                    .value_name("ROLE")
                    .value_parser(role())
                    .default_value("user")
                    .help("What they may do"),
            )
            .arg(send()),
        Command::new("verify-email").about("Take a user's address for proven").arg(selector()),
        Command::new("set-email")
            .about("Give a user another address, and tell the one before")
            .arg(selector())
            .arg(Arg::new("new").value_name("EMAIL").required(true).help("The new address"))
            .arg(flag("verified", "The new address is known to be theirs"))
            .arg(flag(
                "no-undo",
                "Somebody else reads the mail of the address before: send it no link that undoes this",
            ))
            .arg(flag("yes", "Don't ask")),
        prompt::generate_option(prompt::password_options(set_password)),
    ]
}

#[derive(Serialize)]
struct Helped {
    id: UserId,
    email: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    link: Option<String>,
}

/// What was done, with the link if it is for the operator to pass on.
fn helped(schema: &str, helped: &Helped, done: &str) -> Outcome {
    let outcome = match helped.link {
        Some(_) => Outcome::record(
            schema,
            helped,
            &[("email", |helped| helped.email.clone()), ("link", |helped| helped.link.clone().unwrap_or_default())],
        ),
        None => Outcome::record(schema, helped, &[("email", |helped| helped.email.clone())]),
    };
    outcome.note(if helped.link.is_some() { "The link is shown this once only, and counts once." } else { done })
}

fn delivery(args: &ArgMatches) -> Delivery {
    if args.get_flag("send") { Delivery::Mail } else { Delivery::Return }
}

pub(super) async fn reset_link(cx: &Context, args: &ArgMatches) -> Result<Outcome, Failure> {
    let petspark = cx.petspark().await?;
    let user = petspark.auth().get_user(&cx.caller(), required::<String>(args, "user")?).await?;
    let token = petspark.auth().send_reset_link(&cx.caller(), user.id, delivery(args)).await?;
    let link = token.map(|token| petspark.mail().link(Template::ResetPassword, &token).expose().to_owned());
    let done = Helped { id: user.id, email: user.email, link };
    Ok(helped("petspark.user.reset-link/v1", &done, "A running server sends the mail."))
}

pub(super) async fn invite(cx: &Context, args: &ArgMatches) -> Result<Outcome, Failure> {
    let petspark = cx.petspark_or_new().await?;
    let invitation = Invitation {
        email: required::<String>(args, "email")?.clone(),
        display_name: required::<String>(args, "name")?.clone(),
        role: *required(args, "role")?,
    };
    let (user, token) = petspark.auth().invite(&cx.caller(), invitation, delivery(args)).await?;
    let link = token.map(|token| petspark.mail().link(Template::Invite, &token).expose().to_owned());
    let done = Helped { id: user.id, email: user.email, link };
    Ok(helped("petspark.user.invite/v1", &done, "A running server sends the mail."))
}

pub(super) async fn verify_email(cx: &Context, args: &ArgMatches) -> Result<Outcome, Failure> {
    let auth = cx.petspark().await?.auth();
    let user = auth.get_user(&cx.caller(), required::<String>(args, "user")?).await?;
    let changed = auth.set_email_verified(&cx.caller(), user.id).await?;
    let done = Helped { id: user.id, email: user.email, link: None };
    let note = if changed { "The address counts as proven." } else { "It was proven already; nothing was changed." };
    Ok(helped("petspark.user.verify-email/v1", &done, note))
}

pub(super) async fn set_email(cx: &Context, args: &ArgMatches) -> Result<Outcome, Failure> {
    let auth = cx.petspark().await?.auth();
    let user = auth.get_user(&cx.caller(), required::<String>(args, "user")?).await?;
    let new = NewEmail {
        email: required::<String>(args, "new")?.clone(),
        verified: args.get_flag("verified"),
        undo: !args.get_flag("no-undo"),
    };
    cx.confirm(&format!("This moves {} to {}.", user.email, new.email), "--yes", args.get_flag("yes"))?;
    auth.set_email(&cx.caller(), user.id, new).await?;
    let user = auth.get_user(&cx.caller(), &user.id.to_string()).await?;
    let done = Helped { id: user.id, email: user.email, link: None };
    Ok(helped("petspark.user.set-email/v1", &done, "The address is changed; the one before is told."))
}

#[derive(Serialize)]
struct PasswordSet {
    dry_run: bool,
    id: UserId,
    email: String,
    sessions_ended: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    password: Option<String>,
}

pub(super) async fn set_password(cx: &Context, args: &ArgMatches) -> Result<Outcome, Failure> {
    let auth = cx.petspark().await?.auth();
    let user = auth.get_user(&cx.caller(), required::<String>(args, "user")?).await?;
    let (dry_run, keep) = (args.get_flag("dry-run"), args.get_flag("keep-sessions"));
    let planned = auth.preview_password(&cx.caller(), user.id, keep).await?;
    let mut done = PasswordSet { dry_run, id: user.id, email: user.email, sessions_ended: planned, password: None };
    if !dry_run {
        let what = format!("This gives {} another password, and ends {planned} sessions.", done.email);
        cx.confirm(&what, "--yes", args.get_flag("yes"))?;
        let password = prompt::new_password(&cx.options, &prompt::password_source(args))?;
        done.sessions_ended = auth.set_password(&cx.caller(), user.id, password.password(), keep).await?;
        done.password = password.generated.then(|| password.secret.expose().to_owned());
    }
    let mut fields: Vec<crate::outcome::Column<PasswordSet>> =
        vec![("email", |done| done.email.clone()), ("sessions ended", |done| done.sessions_ended.to_string())];
    if done.password.is_some() {
        fields.push(("password", |done| done.password.clone().unwrap_or_default()));
    }
    let outcome = Outcome::record("petspark.user.set-password/v1", &done, &fields);
    Ok(match (dry_run, &done.password) {
        (true, _) => outcome.note("This is what would change; nothing was changed."),
        (false, Some(_)) => outcome.note("The password is shown this once only."),
        (false, None) => outcome,
    })
}
