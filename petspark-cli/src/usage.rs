//! What is said of a command line that can't be right: clap's message, unless it would repeat what may be a
//! secret. Commands that take one from a file or standard input are those to which people give it as an argument.

use std::ffi::OsString;

use clap::Command;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::exit::Exit;

/// Arguments by which a secret comes, or an address with a password in it; never is it the argument itself.
const BY_WHICH_SECRETS_COME: [&str; 4] = ["password-stdin", "token-file", "identity-file", "to-file"];

/// Whether somebody asked for the help, by saying so or by saying nothing.
pub(crate) fn is_help(error: &clap::Error) -> bool {
    matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand)
}

/// Clap's help, or its error for a command that doesn't exist with what was probably meant, once
/// it knows the external commands: only then is the search path worth reading.
pub(crate) fn explain(root: Command, args: &[OsString]) -> Exit {
    match root.try_get_matches_from(args) {
        Err(error) => print(&error),
        Ok(_) => Exit::Usage,
    }
}

/// Tells what is wrong.
pub(crate) fn refuse(root: &Command, args: &[OsString], error: &clap::Error) -> Exit {
    let kinds = [ErrorKind::UnknownArgument, ErrorKind::TooManyValues, ErrorKind::InvalidSubcommand];
    // What nearly is the name of something we have is no secret.
    let is_typo =
        [ContextKind::SuggestedArg, ContextKind::SuggestedSubcommand].iter().any(|kind| error.get(*kind).is_some());
    let repeats = kinds.contains(&error.kind()) && !is_typo && !is_flag_of_ours(root, error);
    match repeats.then(|| meant(root, args)).filter(takes_secrets) {
        Some(mut command) => print(&command.error(
            error.kind(),
            "an argument that this command doesn't know, which is not repeated here as it may be a secret: a secret comes \
             by a file or standard input",
        )),
        None => print(error),
    }
}

/// Whether what is refused is an option that another command has, and no more than that.
fn is_flag_of_ours(root: &Command, error: &clap::Error) -> bool {
    let Some(ContextValue::String(refused)) = error.get(ContextKind::InvalidArg) else { return false };
    // Of one that has no value clap would tell the value.
    error.kind() == ErrorKind::UnknownArgument && refused.strip_prefix("--").is_some_and(|name| has_option(root, name))
}

fn has_option(command: &Command, name: &str) -> bool {
    command.get_arguments().any(|arg| arg.get_long() == Some(name))
        || command.get_subcommands().any(|inner| has_option(inner, name))
}

/// Prints clap's message: to standard output what was asked for, to standard error what is wrong.
fn print(error: &clap::Error) -> Exit {
    // Nobody is left to be told when this fails.
    drop(error.print());
    if error.exit_code() == 0 { Exit::Done } else { Exit::Usage }
}

/// The innermost command that a wrong command line names.
fn meant(root: &Command, args: &[OsString]) -> Command {
    let mut command = root.clone();
    command.build();
    let Ok(matches) = root.clone().ignore_errors(true).try_get_matches_from(args) else { return command };
    let mut matches = &matches;
    while let Some((name, inner)) = matches.subcommand() {
        let Some(found) = command.find_subcommand(name).cloned() else { break };
        (command, matches) = (found, inner);
    }
    command
}

/// Whether it takes a secret, or does nothing but by commands that do.
fn takes_secrets(command: &Command) -> bool {
    let mut inner = command.get_subcommands().filter(|command| command.get_name() != "help").peekable();
    command.get_arguments().any(|arg| BY_WHICH_SECRETS_COME.contains(&arg.get_id().as_str()))
        || inner.peek().is_some() && inner.all(takes_secrets)
}
