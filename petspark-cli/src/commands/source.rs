//! What an import reads: a file or standard input, a line at a time, how far it got, and what is
//! wrong with it.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use petspark_core::LineProblem;

use crate::exit::Exit;
use crate::outcome::Outcome;
use crate::plugin::Failure;

pub(super) struct Source {
    path: PathBuf,
    /// In bytes; 0 where nobody knows.
    pub(super) size: u64,
    from: BufReader<Counted>,
}

/// Counts what was read.
pub(super) struct Counted {
    from: Box<dyn Read + Send>,
    read: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(buffer)?;
        self.read.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

impl Source {
    /// `-` is standard input.
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        let (from, size): (Box<dyn Read + Send>, u64) = if path.as_os_str() == "-" {
            (Box::new(io::stdin()), 0)
        } else {
            let file = File::open(path).map_err(|error| unreadable(path, &error))?;
            let size = file.metadata().map_or(0, |metadata| metadata.len());
            (Box::new(file), size)
        };
        let from = BufReader::with_capacity(64 * 1024, Counted { from, read: Arc::default() });
        Ok(Self { path: path.to_owned(), size, from })
    }

    /// How many bytes were read, which goes on counting.
    pub(super) fn position(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.from.get_ref().read)
    }

    /// For those who read it in another way.
    pub(super) fn into_reader(self) -> BufReader<Counted> {
        self.from
    }

    /// The next line, without its end; of one longer than `most` bytes no more than shows that it is.
    pub(super) fn read_line(&mut self, line: &mut Vec<u8>, most: usize) -> Result<bool, Failure> {
        read_line(&mut self.from, line, most).map_err(|error| unreadable(&self.path, &error))
    }
}

pub(super) fn unreadable(path: &Path, error: &dyn std::fmt::Display) -> Failure {
    Failure::new(Exit::Usage, format!("can't read {}: {error}", path.display()))
}

/// Says what is wrong with lines, of which there are `all`, and some may be left out of `problems`.
pub(super) fn tell_problems(mut outcome: Outcome, problems: &[LineProblem], all: u64) -> Outcome {
    for problem in problems {
        outcome = outcome.note(format!("Line {}: {}", problem.line, problem.problem));
    }
    match all - problems.len() as u64 {
        0 => outcome,
        untold => outcome.note(format!("And {untold} more lines like these.")),
    }
}

fn read_line(from: &mut impl BufRead, line: &mut Vec<u8>, most: usize) -> io::Result<bool> {
    line.clear();
    if from.by_ref().take(most as u64 + 2).read_until(b'\n', line)? == 0 {
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

    const MOST: usize = 1000;

    #[test]
    fn lines_of_any_length_are_told_apart() {
        let long = "x".repeat(MOST);
        for (input, lengths) in [
            ("a\nbc\r\n\nd".to_owned(), vec![1, 2, 0, 1]),
            (format!("{long}\nend\n"), vec![MOST, 3]),
            (format!("{long}{long}\nend"), vec![MOST + 2, 3]),
            (format!("{long}{long}"), vec![MOST + 2]),
        ] {
            let (mut from, mut line, mut read) = (input.as_bytes(), Vec::new(), Vec::new());
            while read_line(&mut from, &mut line, MOST).unwrap() {
                read.push(line.len());
            }
            assert_eq!(read, lengths);
        }
    }
}
