//! `man`: manual pages, made from the same declarations as `--help`.

use std::path::{Path, PathBuf};

use clap::{Arg, ArgMatches, Command, value_parser};
use clap_mangen::Man as Page;
use futures_util::future::BoxFuture;
use serde::Serialize;

use crate::context::Context;
use crate::exit::Exit;
use crate::outcome::Outcome;
use crate::plugin::{Failure, Plugin};

pub(crate) struct Man;

#[derive(Serialize)]
struct Written {
    path: String,
}

impl Plugin for Man {
    fn command(&self) -> Command {
        Command::new("man").about("Print the manual page, or write one for each command to a folder").arg(
            Arg::new("out")
                .short('o')
                .long("out")
                .value_name("DIR")
                .value_parser(value_parser!(PathBuf))
                .help("Folder to write all pages to; created if it isn't there"),
        )
    }

    fn run<'a>(&'a self, cx: &'a Context, args: &'a ArgMatches) -> BoxFuture<'a, Result<Outcome, Failure>> {
        Box::pin(async move {
            match args.get_one::<PathBuf>("out") {
                Some(folder) => write_all(cx.command(), folder),
                None => {
                    let mut page = Vec::new();
                    Page::new(cx.command().clone())
                        .render(&mut page)
                        .map_err(|error| Failure::io("can't make the page", &error))?;
                    let page =
                        String::from_utf8(page).map_err(|error| Failure::new(Exit::Failed, error.to_string()))?;
                    Ok(Outcome::text(page))
                }
            }
        })
    }
}

fn write_all(root: &Command, folder: &Path) -> Result<Outcome, Failure> {
    let failed = |error: std::io::Error| Failure::io(format_args!("can't write to {}", folder.display()), &error);
    std::fs::create_dir_all(folder).map_err(failed)?;
    let mut root = root.clone();
    root.build();
    let mut written = Vec::new();
    write_pages(&root, folder, &mut written).map_err(failed)?;
    Ok(Outcome::list("petspark.man/v1", "pages", &written, &[("page", |page| page.path.clone())]))
}

/// A page for a command and one for each below it, named as `git-commit.1` is.
fn write_pages(command: &Command, folder: &Path, written: &mut Vec<Written>) -> std::io::Result<()> {
    // Help about help is in every page already.
    for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
        write_pages(sub, folder, written)?;
    }
    let path = Page::new(command.clone().disable_help_subcommand(true)).generate_to(folder)?;
    written.push(Written { path: path.display().to_string() });
    Ok(())
}
