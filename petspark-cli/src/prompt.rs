//! Asks the person at the terminal: for passwords, which never stand on the command line, and
//! for confirmations.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read};
use std::path::{Path, PathBuf};

use clap::{Arg, ArgAction, ArgGroup, ArgMatches, Command, value_parser};
use petspark_core::Secret;
use petspark_core::auth::Password;

use crate::context::unconfirmed;
use crate::exit::Exit;
use crate::options::Options;
use crate::output;
use crate::plugin::Failure;

/// Where a new password comes from.
pub(crate) enum Source {
    File(PathBuf),
    Stdin,
    Generate,
    Nowhere,
}

/// A new password, and whether we made it up: then somebody has to be told.
pub(crate) struct NewPassword {
    pub(crate) secret: Secret,
    pub(crate) generated: bool,
}

impl NewPassword {
    pub(crate) fn password(&self) -> Password {
        Password::new(self.secret.expose())
    }
}

/// Adds `--password-file` and `--password-stdin` to a command.
pub(crate) fn password_options(command: Command) -> Command {
    command
        .arg(
            Arg::new("password-file")
                .long("password-file")
                .value_name("FILE")
                .value_parser(value_parser!(PathBuf))
                .help("Take the password from the first line of a file; - is standard input"),
        )
        .arg(
            Arg::new("password-stdin")
                .long("password-stdin")
                .action(ArgAction::SetTrue)
                .help("Take the password from the first line of standard input"),
        )
        .group(ArgGroup::new("password").args(["password-file", "password-stdin"]))
}

/// Adds `--generate` to a command with password options.
pub(crate) fn generate_option(command: Command) -> Command {
    command
        .arg(
            Arg::new("generate")
                .long("generate")
                .action(ArgAction::SetTrue)
                .help("Make a random password up and print it, this once"),
        )
        .mut_group("password", |group| group.arg("generate"))
}

/// What the password options say.
pub(crate) fn password_source(args: &ArgMatches) -> Source {
    let flag = |name| args.try_get_one::<bool>(name).ok().flatten().copied().unwrap_or(false);
    match args.get_one::<PathBuf>("password-file") {
        Some(path) if path.as_os_str() == "-" => Source::Stdin,
        Some(path) => Source::File(path.clone()),
        None if flag("password-stdin") => Source::Stdin,
        None if flag("generate") => Source::Generate,
        None => Source::Nowhere,
    }
}

/// A new password from `source`, or typed twice at the terminal when it names none.
pub(crate) fn new_password(options: &Options, source: &Source) -> Result<NewPassword, Failure> {
    let (secret, generated) = match source {
        Source::File(path) => {
            let file = File::open(path).map_err(|error| unreadable(&named(path), &error))?;
            (first_line(file).map_err(|error| unreadable(&named(path), &error))?, false)
        }
        Source::Stdin => {
            (first_line(io::stdin().lock()).map_err(|error| unreadable(&"standard input", &error))?, false)
        }
        Source::Generate => (Password::generate()?, true),
        Source::Nowhere if options.may_ask() => (typed_twice()?, false),
        Source::Nowhere => {
            return Err(Failure::new(
                Exit::Usage,
                "a password is needed, and there is no terminal to type it at: \
                 use --password-file, --password-stdin or --generate",
            ));
        }
    };
    Ok(NewPassword { secret, generated })
}

/// A file that a secret was to come from, for a message. What isn't there may be the secret itself.
pub(crate) fn named(path: &Path) -> String {
    if path.exists() {
        path.display().to_string()
    } else {
        "the file that was named, which is not repeated here as it may be the secret itself".to_owned()
    }
}

fn unreadable(what: &dyn std::fmt::Display, error: &io::Error) -> Failure {
    Failure::new(Exit::Usage, format!("can't read a password from {what}: {error}"))
}

/// No password is nearly that long; a file that is endless must not be read for ever.
const MAX_LINE: u64 = 64 * 1024;

/// The first line without its line feed, and with everything else that may be in it.
fn first_line(from: impl Read) -> io::Result<Secret> {
    let mut line = String::new();
    BufReader::new(from.take(MAX_LINE)).read_line(&mut line)?;
    Ok(Secret::new(line.strip_suffix('\n').unwrap_or(&line)))
}

fn typed_twice() -> Result<Secret, Failure> {
    let unusable = |error: io::Error| Failure::io("can't ask for a password", &error);
    let first = Secret::new(rpassword::prompt_password("Password: ").map_err(unusable)?);
    let second = Secret::new(rpassword::prompt_password("The same again: ").map_err(unusable)?);
    if first.expose() != second.expose() {
        return Err(Failure::new(Exit::Usage, "these were two different passwords; nothing was done"));
    }
    Ok(first)
}

/// See [`Context::confirm`](crate::Context::confirm).
pub(crate) fn confirm(options: &Options, what: &str, flag: &str, given: bool) -> Result<(), Failure> {
    if given {
        return Ok(());
    }
    if !options.may_ask() {
        return Err(unconfirmed(format!("{what} This needs {flag}")));
    }
    match &*answer(&format!("{what} Go on? [y/N]"))?.to_lowercase() {
        "y" | "yes" => Ok(()),
        _ => Err(unconfirmed("Not confirmed")),
    }
}

/// See [`Context::confirm_by_name`](crate::Context::confirm_by_name).
pub(crate) fn confirm_by_name(options: &Options, what: &str, name: &str, given: Option<&str>) -> Result<(), Failure> {
    let said = match given {
        Some(said) => said.to_owned(),
        None if options.may_ask() => answer(&format!("{what} Type {name} to go on:"))?,
        None => return Err(unconfirmed(format!("{what} This needs --confirm {name}"))),
    };
    if said == name {
        Ok(())
    } else {
        Err(unconfirmed(format!("{what} This needs --confirm {name}, not another name")))
    }
}

fn answer(question: &str) -> Result<String, Failure> {
    output::ask(question);
    let mut line = String::new();
    io::stdin()
        .lock()
        .take(MAX_LINE)
        .read_line(&mut line)
        .map_err(|error| Failure::io("can't read the answer", &error))?;
    Ok(line.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_password_only_the_line_feed_is_taken_away() {
        for (input, password) in
            [("a b \n", "a b "), ("x\r\n", "x\r"), ("first\nsecond\n", "first"), ("\n\n", ""), ("", "")]
        {
            assert_eq!(first_line(input.as_bytes()).unwrap().expose(), password, "{input:?}");
        }
        assert!(first_line(&b"\xff\n"[..]).is_err());
        assert_eq!(first_line(io::repeat(b'x')).unwrap().expose().len() as u64, MAX_LINE);
    }
}
