//! What a command is. The built-in ones use the same trait as an embedder's: no private door.

use clap::ArgMatches;
use futures_util::future::BoxFuture;

use petspark_core::PetSpark;

use crate::check::Check;
use crate::context::Context;
use crate::exit::Exit;
use crate::outcome::Outcome;

/// A command of the tool, or a noun with its verbs as sub-commands.
pub trait Plugin: Send + Sync {
    /// What the command line looks like. Its name is the sub-command: lower-case letters, digits
    /// and hyphens, at most 32.
    fn command(&self) -> clap::Command;

    /// Does it. Data goes into the [`Outcome`]; nothing else is written to standard output.
    fn run<'a>(&'a self, cx: &'a Context, args: &'a ArgMatches) -> BoxFuture<'a, Result<Outcome, Failure>>;

    /// Why this command line must not be given up in the middle, if that would leave something half done:
    /// `--timeout` is refused with it then, before anything is begun.
    fn runs_to_its_end(&self, args: &ArgMatches) -> Option<&'static str> {
        let _ = args;
        None
    }

    /// Checks that `check` runs beside the built-in ones. Their ids begin with `x.`, the command's
    /// name and a dot.
    fn checks(&self) -> Vec<Box<dyn Check>> {
        Vec::new()
    }

    /// Called whenever a PetSpark was opened, by `serve` too: the place to register
    /// [job handlers](petspark_core::jobs::Handler), those with a schedule among them.
    fn opened(&self, petspark: &PetSpark) {
        let _ = petspark;
    }
}

/// Why a command failed: an exit code, and what the operator is told.
#[derive(Debug)]
pub struct Failure {
    exit: Exit,
    message: String,
}

impl Failure {
    /// A failure with its exit code and a message that says how to mend it.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into() }
    }

    /// A failed reading, writing or the like.
    pub(crate) fn io(what: impl std::fmt::Display, error: &std::io::Error) -> Self {
        Self::new(Exit::Failed, format!("{what}: {error}"))
    }

    /// How the process should end.
    #[must_use]
    pub fn exit(&self) -> Exit {
        self.exit
    }

    /// What the operator is told.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }
}

/// So that `?` works on every error of the library, and no command picks exit codes for them.
impl<E: petspark_core::Failure> From<E> for Failure {
    fn from(error: E) -> Self {
        Self { exit: Exit::of(&error), message: explain(&error) }
    }
}

/// The message for somebody who runs the database: other than a client of the API, they are
/// told the cause.
fn explain(error: &dyn petspark_core::Failure) -> String {
    let text = error.to_string();
    if let Some(cause) = error.for_operators() {
        return format!("{text} {cause}");
    }
    let Some(source) = error.source() else { return text };
    let causes = petspark_core::chain(source);
    let is_fault = matches!(error.code(), "INTERNAL_ERROR" | "UNAVAILABLE");
    let told = causes.rsplit(": ").next().is_some_and(|cause| text.contains(cause));
    if is_fault && !told { causes } else { text }
}

/// The value of an argument that clap guarantees to be there.
///
/// # Errors
/// When the command's definition doesn't guarantee it after all.
pub fn required<'a, T: Clone + Send + Sync + 'static>(args: &'a ArgMatches, name: &str) -> Result<&'a T, Failure> {
    args.get_one(name)
        .ok_or_else(|| Failure::new(Exit::Failed, format!("the argument {name} is not declared as required")))
}
