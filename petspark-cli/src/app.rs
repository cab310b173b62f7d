//! Puts the commands together, reads the command line, and runs what it asks for.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{ArgMatches, Command};

use crate::context::Context;
use crate::exit::Exit;
use crate::options::{self, Options};
use crate::plugin::{Failure, Plugin};
use crate::usage::{explain, is_help, refuse};
use crate::{build_info, commands, external, logging, output};

/// Commands that will be built in one day, or that people would take for ours. Nobody else may
/// have them, as a plug-in or as a program on the search path.
const RESERVED: &[&str] = &["checklist", "help", "login", "report", "verify"];

/// Whether nobody but PetSpark may have this name.
pub(crate) fn is_reserved(name: &str) -> bool {
    RESERVED.contains(&name) || name.starts_with("backup-")
}

/// A tool made of commands. See the [crate](crate) for an example.
pub struct App {
    name: &'static str,
    version: &'static str,
    plugins: Vec<Arc<dyn Plugin>>,
    built_in: usize,
    /// Built-in commands that were to be left out and aren't there.
    unknown: Vec<String>,
}

impl App {
    /// All the built-in commands.
    #[must_use]
    pub fn standard() -> Self {
        let plugins = commands::all();
        Self {
            name: "petspark-cli",
            version: build_info::VERSION,
            built_in: plugins.len(),
            plugins,
            unknown: Vec::new(),
        }
    }

    /// Another name than `petspark-cli`. External commands are then programs called `NAME-COMMAND`.
    #[must_use]
    pub fn name(self, name: &'static str) -> Self {
        Self { name, ..self }
    }

    /// Another version for `--version` than PetSpark's.
    #[must_use]
    pub fn version(self, version: &'static str) -> Self {
        Self { version, ..self }
    }

    /// Leaves a built-in command out, with its checks. A command of your own may have the name
    /// then, but no program on the search path. One that doesn't exist is a start-up error.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        let is_it = |plugin: &Arc<dyn Plugin>| plugin.command().get_name() == name;
        match self.plugins[..self.built_in].iter().position(is_it) {
            Some(place) => {
                self.plugins.remove(place);
                self.built_in -= 1;
            }
            None => self.unknown.push(name.to_owned()),
        }
        self
    }

    /// Adds a command. Its name must be free: two commands of one name are a start-up error.
    #[must_use]
    pub fn plugin(mut self, plugin: impl Plugin + 'static) -> Self {
        self.plugins.push(Arc::new(plugin));
        self
    }

    /// Reads this process's command line, does what it says, and gives the exit code for `main`.
    #[must_use]
    pub fn main(self) -> ExitCode {
        self.run(std::env::args_os().collect()).into()
    }

    /// The same with a command line of the caller's; the first word is the program's name.
    #[must_use]
    pub fn run(&self, args: Vec<OsString>) -> Exit {
        let root = match self.root(&args) {
            Ok(root) => root,
            Err(failure) => return output::fail(&Options::default(), &failure),
        };
        let matches = match root.clone().allow_external_subcommands(true).try_get_matches_from(&args) {
            Ok(matches) => matches,
            Err(error) if is_help(&error) => {
                // What was said of settings isn't known yet; those of the environment are.
                let cx = Context::new(Options::default(), root, self.plugins.clone(), self.built_in);
                return explain(external::declare(&cx), &args);
            }
            Err(error) => {
                return self.help_of_external(&root, &args).unwrap_or_else(|| refuse(&root, &args, &error));
            }
        };
        let options = Options::read(&matches);
        let cx = Context::new(options, root, self.plugins.clone(), self.built_in);
        let exit = match self.dispatch(&cx, &args, &matches) {
            Ok(exit) => exit,
            Err(failure) => output::fail(&cx.options, &failure),
        };
        logging::flush();
        exit
    }

    /// `help NAME` of a command that isn't built in is its own help, as `NAME --help`. `None` if that isn't what
    /// was asked.
    fn help_of_external(&self, root: &Command, args: &[OsString]) -> Option<Exit> {
        let [before @ .., help, name] = args else { return None };
        let name = name.to_str().filter(|_| help == "help")?;
        let alone = root.clone().subcommand_required(false).arg_required_else_help(false);
        // Of a sub-command's own `help` this is not the place.
        let matches = alone.try_get_matches_from(before).ok().filter(|matches| matches.subcommand().is_none())?;
        let cx = Context::new(Options::read(&matches), root.clone(), self.plugins.clone(), self.built_in);
        let ran = external::find(&cx, name).transpose()?.and_then(|program| {
            let runtime = runtime()?;
            let exit = runtime.block_on(external::run(&cx, &program, &["--help".into()]));
            runtime.shutdown_background();
            exit
        });
        logging::flush();
        Some(ran.unwrap_or_else(|failure| output::fail(&cx.options, &failure)))
    }

    /// The whole command line. External commands are not declared: they are found when asked for.
    fn root(&self, args: &[OsString]) -> Result<Command, Failure> {
        if let Some(name) = self.unknown.first() {
            return Err(Failure::new(Exit::Failed, format!("there is no built-in command {name} to be left out")));
        }
        let mut root = Command::new(self.name)
            .version(self.version)
            .about("Runs and operates PetSpark")
            .color(options::color_of(args))
            .subcommand_required(true)
            .arg_required_else_help(true);
        root = options::declare(root);
        for plugin in &self.plugins {
            let command = plugin.command();
            for name in std::iter::once(command.get_name()).chain(command.get_all_aliases()) {
                check_name(name, &root)?;
            }
            root = root.subcommand(command);
        }
        self.check_checks()?;
        Ok(root)
    }

    /// Refuses checks whose id is taken, or doesn't say whose they are.
    fn check_checks(&self) -> Result<(), Failure> {
        let mut taken = BTreeSet::new();
        for (n, plugin) in self.plugins.iter().enumerate() {
            let checks = plugin.checks();
            let is_own = n >= self.built_in && !checks.is_empty();
            let prefix = if is_own { format!("x.{}.", plugin.command().get_name()) } else { String::new() };
            for check in &checks {
                let id = check.id();
                let problem = if !id.starts_with(&prefix) {
                    format!("must begin with {prefix}")
                } else if !id.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c)) {
                    "has other characters than a-z, 0-9, dots, hyphens and underscores".to_owned()
                } else if !taken.insert(id.to_owned()) {
                    "exists already".to_owned()
                } else {
                    continue;
                };
                return Err(Failure::new(Exit::Failed, format!("the check \"{id}\" {problem}")));
            }
        }
        Ok(())
    }

    fn dispatch(&self, cx: &Context, args: &[OsString], matches: &ArgMatches) -> Result<Exit, Failure> {
        // subcommand_required: clap has refused a command line without one.
        let Some((name, args_of_command)) = matches.subcommand() else { return Ok(Exit::Usage) };
        let plugin = self.plugins.iter().find(|plugin| plugin.command().get_name() == name);
        let to_its_end = plugin.and_then(|plugin| plugin.runs_to_its_end(args_of_command));
        if let (Some(why), Some(_)) = (to_its_end, cx.options.timeout) {
            return Err(Failure::new(Exit::Usage, format!("--timeout is not for this: {why}; nothing was done")));
        }
        let runtime = runtime()?;
        let exit = match plugin {
            Some(plugin) => runtime.block_on(async {
                let outcome = tokio::select! {
                    outcome = plugin.run(cx, args_of_command) => outcome,
                    // What it was at is given up in the middle, as by a second Ctrl-C.
                    () = cx.timed_out() => return Err(cx.late()),
                };
                cx.close().await;
                outcome.map(|outcome| output::finish(&cx.options, &outcome))
            }),
            None => match external::find(cx, name)? {
                Some(program) => runtime.block_on(external::run(cx, &program, &external::args_of(args_of_command))),
                None => Ok(explain(external::declare(cx), args)),
            },
        };
        // A thread that waits for something slow, such as a lock, must not hold up the end.
        runtime.shutdown_background();
        exit
    }
}

fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.map_err(|error| Failure::io("can't start the runtime", &error))
}

/// Refuses a name that isn't one, is reserved, or is taken: never does the last one win.
fn check_name(name: &str, root: &Command) -> Result<(), Failure> {
    let problem = if !external::is_name(name) {
        "is no name for one: use lower-case letters, digits and hyphens, at most 32"
    } else if is_reserved(name) {
        "is reserved"
    } else if root.find_subcommand(name).is_some() {
        "exists already"
    } else {
        return Ok(());
    };
    Err(Failure::new(Exit::Failed, format!("a plug-in wants to be the command \"{name}\", which {problem}")))
}
