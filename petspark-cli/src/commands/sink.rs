//! Where an export goes: standard output, or a file that wasn't there and that nobody else can read. One that
//! isn't finished is removed: half an export looks like a whole one.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use clap::{Arg, value_parser};

use crate::exit::Exit;
use crate::output;
use crate::plugin::Failure;

/// `--output`, for which [`Sink::open`] takes what it gives.
pub(super) fn output_option() -> Arg {
    Arg::new("output")
        .short('o')
        .long("output")
        .value_name("FILE")
        .value_parser(value_parser!(PathBuf))
        .default_value("-")
        .help("A file that isn't there yet; - is standard output")
}

pub(super) struct Sink {
    path: PathBuf,
    /// `None` is standard output, or a file that is finished.
    file: Option<File>,
}

impl Drop for Sink {
    fn drop(&mut self) {
        if self.file.is_some() {
            // Why it was given up is told by whoever did.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

impl Sink {
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        let file = if path.as_os_str() == "-" { None } else { Some(create(path)?) };
        Ok(Self { path: path.to_owned(), file })
    }

    pub(super) fn write(&mut self, text: &str) -> Result<(), Failure> {
        let written = match &mut self.file {
            Some(file) => file.write_all(text.as_bytes()),
            None => output::data(text),
        };
        written.map_err(|error| self.unwritable(&error))
    }

    /// Waits for the disk, and gives the name of the file if it is one.
    pub(super) fn finish(mut self) -> Result<Option<PathBuf>, Failure> {
        let Some(file) = &self.file else { return Ok(None) };
        file.sync_all().map_err(|error| self.unwritable(&error))?;
        self.file = None;
        Ok(Some(self.path.clone()))
    }

    fn unwritable(&self, error: &std::io::Error) -> Failure {
        Failure::io(format!("can't write to {}", self.path.display()), error)
    }
}

fn create(path: &Path) -> Result<File, Failure> {
    let mut options = OpenOptions::new();
    options.create_new(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => Failure::new(Exit::Conflict, format!("{} is there already", path.display())),
        _ => Failure::io(format!("can't make {}", path.display()), &error),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_stays_only_when_it_is_finished() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pets.csv");
        let mut given_up = Sink::open(&path).unwrap();
        given_up.write("half").unwrap();
        drop(given_up);
        assert!(!path.exists());
        let mut finished = Sink::open(&path).unwrap();
        finished.write("all").unwrap();
        assert_eq!(finished.finish().unwrap().as_ref(), Some(&path));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "all");
    }
}
