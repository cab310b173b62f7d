//! A part of a file as a stream: large chunks, read on threads that may block, each while the one
//! before it is on its way.

use std::fs::File;
use std::io;
use std::ops::Range;

use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream::try_unfold;
use rustix::buffer::spare_capacity;
use rustix::io::{Errno, pread};
use tokio::task::{JoinHandle, spawn_blocking};

/// Large enough that changing threads for each doesn't count, small enough for hundreds of readers.
const CHUNK: u64 = 256 << 10;

/// What is still to be read.
pub(super) struct Rest {
    file: File,
    range: Range<u64>,
}

impl Rest {
    pub(super) fn new(file: File, range: Range<u64>) -> Self {
        Self { file, range }
    }

    /// The next chunk, empty at the end. A file that became shorter is an error.
    pub(super) fn read(mut self) -> io::Result<(Bytes, Self)> {
        let size = usize::try_from(CHUNK.min(self.range.end - self.range.start)).map_err(io::Error::other)?;
        let mut chunk = Vec::with_capacity(size);
        while chunk.len() < size {
            let offset = self.range.start + chunk.len() as u64;
            match pread(&self.file, spare_capacity(&mut chunk), offset) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        chunk.truncate(size);
        self.range.start += size as u64;
        Ok((Bytes::from(chunk), self))
    }
}

/// Where a stream is.
enum State {
    /// This chunk is to be given next.
    Read(Bytes, Rest),
    /// It is being read.
    Reading(JoinHandle<io::Result<(Bytes, Rest)>>),
}

/// A chunk that was read already, and what comes after it.
pub(super) fn stream(first: Bytes, rest: Rest) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    try_unfold(State::Read(first, rest), |state| async move {
        let (chunk, rest) = match state {
            State::Read(chunk, rest) => (chunk, rest),
            State::Reading(reading) => reading.await.map_err(io::Error::other)??,
        };
        if chunk.is_empty() {
            return Ok(None);
        }
        let next = if rest.range.is_empty() {
            State::Read(Bytes::new(), rest)
        } else {
            State::Reading(spawn_blocking(|| rest.read()))
        };
        Ok(Some((chunk, next)))
    })
}
