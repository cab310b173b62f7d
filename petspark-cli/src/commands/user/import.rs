//! `user import`: accounts from elsewhere, a line of JSON each.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _};
use std::path::PathBuf;

use clap::{Arg, ArgMatches, Command, value_parser};
use petspark_core::auth::{Import, Imported};
use serde::Serialize;

use super::flag;
use crate::context::Context;
use crate::exit::Exit;
use crate::outcome::Outcome;
use crate::plugin::{Failure, required};

pub(super) fn command() -> Command {
    Command::new("import")
        .about("Make accounts of a file of JSON lines, whose passwords go on working")
        .long_about(
            "Make accounts of a file of JSON lines, whose passwords go on working.\n\n\
             A line is {\"email\": ..., \"displayName\": ..., \"passwordHash\": ..., \"emailVerified\": true, \
             \"role\": \"user\", \"createdAt\": ...}; all but the address may be left out. A hash is an Argon2 PHC \
             string or bcrypt, and is replaced by one of today's strength when its user signs in. Lines whose \
             address has an account are reported and change nothing, so an import that was interrupted can be \
             started again.",
        )
        .arg(
            Arg::new("file")
                .value_name("FILE")
                .required(true)
                .value_parser(value_parser!(PathBuf))
                .help("The file; - is standard input"),
        )
        .arg(flag("dry-run", "Only say what would be imported"))
}

#[derive(Serialize)]
struct Report {
    changed: bool,
    dry_run: bool,
    #[serde(flatten)]
    done: Imported,
}

pub(super) async fn import(cx: &Context, args: &ArgMatches) -> Result<Outcome, Failure> {
    let (path, dry_run) = (required::<PathBuf>(args, "file")?, args.get_flag("dry-run"));
    let unreadable = |error: io::Error| Failure::new(Exit::Usage, format!("can't read {}: {error}", path.display()));
    let mut from: Box<dyn BufRead + Send> = if path.as_os_str() == "-" {
        Box::new(BufReader::new(io::stdin()))
    } else {
        Box::new(BufReader::new(File::open(path).map_err(unreadable)?))
    };
    let mut import = cx.petspark().await?.auth().import(&cx.caller(), dry_run)?;
    let mut line = Vec::new();
    while read_line(&mut from, &mut line).map_err(unreadable)? {
        import.add(&line).await?;
    }
    let done = import.finish().await?;
    let report = Report { changed: done.imported > 0 && !dry_run, dry_run, done };
    let mut outcome = Outcome::record(
        "petspark.user.import/v1",
        &report,
        &[
            ("lines", |report| report.done.lines.to_string()),
            ("imported", |report| report.done.imported.to_string()),
            ("duplicates", |report| report.done.duplicates.to_string()),
            ("invalid", |report| report.done.invalid.to_string()),
        ],
    );
    for problem in &report.done.problems {
        outcome = outcome.note(format!("Line {}: {}", problem.line, problem.problem));
    }
    let untold = report.done.duplicates + report.done.invalid - report.done.problems.len() as u64;
    if untold > 0 {
        outcome = outcome.note(format!("And {untold} more lines like these."));
    }
    if dry_run {
        outcome = outcome.note("This is what would be imported; nothing was changed.");
    }
    Ok(if report.done.invalid > 0 { outcome.exit(Exit::Usage) } else { outcome })
}

/// The next line, without its end; of one that is too long no more than shows that it is.
fn read_line(from: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    let most = Import::MAX_LINE as u64 + 2;
    if from.by_ref().take(most).read_until(b'\n', line)? == 0 {
        return Ok(false);
    }
    if line.pop_if(|byte| *byte == b'\n').is_none() {
        skip_line(from)?;
    }
    line.pop_if(|byte| *byte == b'\r');
    Ok(true)
}

fn skip_line(from: &mut impl BufRead) -> io::Result<()> {
    loop {
        let buffer = from.fill_buf()?;
        let (read, is_over) = match buffer.iter().position(|byte| *byte == b'\n') {
            Some(end) => (end + 1, true),
            None => (buffer.len(), buffer.is_empty()),
        };
        from.consume(read);
        if is_over {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_any_length_are_told_apart() {
        let long = "x".repeat(Import::MAX_LINE);
        for (input, lengths) in [
            ("a\nbc\r\n\nd".to_owned(), vec![1, 2, 0, 1]),
            (format!("{long}\nend\n"), vec![Import::MAX_LINE, 3]),
            (format!("{long}{long}\nend"), vec![Import::MAX_LINE + 2, 3]),
            (format!("{long}{long}"), vec![Import::MAX_LINE + 2]),
        ] {
            let (mut from, mut line, mut read) = (input.as_bytes(), Vec::new(), Vec::new());
            while read_line(&mut from, &mut line).unwrap() {
                read.push(line.len());
            }
            assert_eq!(read, lengths);
        }
    }
}
