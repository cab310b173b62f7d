//! The one module that writes to standard output and standard error. Data goes to the former,
//! everything else to the latter; whoever stops reading ends nothing but the writing.

use std::io::{self, ErrorKind, IsTerminal as _, Write as _};

use crate::exit::Exit;
use crate::options::{Format, Options};
use crate::outcome::{Body, Outcome};
use crate::plugin::Failure;

/// Writes an outcome and gives its exit code.
pub(crate) fn finish(options: &Options, outcome: &Outcome) -> Exit {
    if options.format == Format::Table && !options.quiet {
        outcome.notes.iter().for_each(|note| remark(note));
    }
    let text = match &outcome.body {
        Body::Failed(reason) => return fail(options, &Failure::new(Exit::Failed, format!("no output: {reason}"))),
        body => render(options, body),
    };
    match data(&text) {
        Ok(()) => match &outcome.failed_besides {
            None => outcome.exit,
            Some(failure) => match (fail(options, failure), outcome.exit) {
                (exit, Exit::Done) => exit,
                (_, exit) => exit,
            },
        },
        Err(error) => fail(options, &Failure::io("can't write to standard output", &error)),
    }
}

/// Tells of a failure and gives its exit code.
pub(crate) fn fail(options: &Options, failure: &Failure) -> Exit {
    let label = if options.colored(io::stderr().is_terminal()) { "\x1b[1;31merror:\x1b[0m" } else { "error:" };
    remark(&format!("{label} {}", failure.message()));
    failure.exit()
}

/// Writes text to standard output. That nobody reads it is no error.
pub(crate) fn data(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

/// Writes a line for a person to standard error. If that fails there is nobody left to tell.
pub(crate) fn remark(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// Writes a question to standard error; the answer comes on the same line.
pub(crate) fn ask(question: &str) {
    let _ = write!(io::stderr().lock(), "{question} ");
}

fn render(options: &Options, body: &Body) -> String {
    let lines = |lines: &[String]| lines.iter().map(|line| format!("{line}\n")).collect();
    match (options.format, body) {
        (_, Body::Nothing | Body::Failed(_)) => String::new(),
        (_, Body::Text(text)) => text.clone(),
        (Format::Json, Body::Record { document, .. } | Body::List { document, .. }) => format!("{document}\n"),
        (Format::Jsonl, Body::Record { line, .. }) => format!("{line}\n"),
        (Format::Jsonl, Body::List { lines: records, .. }) => lines(records),
        (Format::Table, Body::Record { fields, .. }) => {
            let width = fields.iter().map(|(title, _)| title.len()).max().unwrap_or(0);
            fields.iter().map(|(title, text)| format!("{title:width$}  {}\n", plain(text))).collect()
        }
        (Format::Table, Body::List { columns, rows, .. }) => {
            table(columns, rows, options.colored(io::stdout().is_terminal()))
        }
    }
}

fn table(columns: &[&str], rows: &[Vec<String>], colored: bool) -> String {
    let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(|cell| plain(cell)).collect()).collect();
    let widths: Vec<usize> = columns
        .iter()
        .enumerate()
        .map(|(n, title)| rows.iter().map(|row| row[n].chars().count()).max().unwrap_or(0).max(title.len()))
        .collect();
    let line = |cells: Vec<&str>| {
        let padded = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let header = line(columns.to_vec());
    let header = if colored { format!("\x1b[1m{header}\x1b[0m") } else { header };
    let body = rows.iter().map(|row| line(row.iter().map(String::as_str).collect()));
    std::iter::once(header).chain(body).map(|line| line + "\n").collect()
}

/// Text from the database as a terminal may have it: nothing that moves the cursor.
fn plain(text: &str) -> String {
    if text.is_empty() {
        return "-".to_owned();
    }
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell_and_nothing_escapes() {
        let rows = [vec!["1".to_owned(), "a\x1b[2Jb".to_owned()], vec!["1000".to_owned(), String::new()]];
        assert_eq!(table(&["id", "name"], &rows, false), "id    name\n1     a\u{fffd}[2Jb\n1000  -\n");
    }
}
