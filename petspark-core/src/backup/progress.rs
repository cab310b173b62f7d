//! How far a long operation is, for somebody who waits at a terminal. Nothing depends on it.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How far a part of an operation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackupProgress {
    /// What is being done, in a few words.
    pub what: &'static str,
    /// How much of it is done, in bytes unless `what` says otherwise.
    pub done: u64,
    /// How many there are, as far as is known.
    pub total: u64,
}

type Watch = dyn Fn(BackupProgress) + Send + Sync;

/// Who is told, if anybody.
#[derive(Clone, Default)]
pub(super) struct Watcher(Option<Arc<Watch>>);

impl Watcher {
    pub(super) fn new(watch: impl Fn(BackupProgress) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(watch)))
    }

    /// A part of so many bytes begins.
    pub(super) fn part(&self, what: &'static str, total: u64) -> Part {
        Part { watch: self.0.clone(), what, total, done: Arc::default() }
    }
}

/// A part of an operation.
#[derive(Clone)]
pub(super) struct Part {
    watch: Option<Arc<Watch>>,
    what: &'static str,
    total: u64,
    done: Arc<AtomicU64>,
}

impl Part {
    pub(super) fn add(&self, bytes: u64) {
        let done = self.done.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if let Some(watch) = &self.watch {
            watch(BackupProgress { what: self.what, done: done.min(self.total), total: self.total });
        }
    }

    /// Counts what is read.
    pub(super) fn of<R: Read>(&self, from: R) -> Watched<R> {
        Watched { from, part: self.clone() }
    }
}

/// See [`Part::of`].
pub(super) struct Watched<R> {
    from: R,
    part: Part,
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(into)?;
        self.part.add(read as u64);
        Ok(read)
    }
}
