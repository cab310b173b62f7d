//! Collects log lines and writes them to standard error together: a system call a tenth of a
//! second instead of one a request. Whoever kills the process loses that tenth; errors are
//! written at once.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

/// Lines wait at most this long.
const DELAY: Duration = Duration::from_millis(100);
/// More than this doesn't wait.
const FULL: usize = 64 * 1024;

/// Lines that wait to be written. Clones share them.
#[derive(Clone, Default)]
pub(super) struct Buffer(Arc<Shared>);

#[derive(Default)]
struct Shared {
    lines: Mutex<Vec<u8>>,
    first_line: Condvar,
}

impl Buffer {
    /// Starts the thread that writes what has waited long enough.
    pub(super) fn start() -> io::Result<Self> {
        let buffer = Self::default();
        let shared = buffer.clone();
        std::thread::Builder::new().name("petspark-log".to_owned()).spawn(move || {
            loop {
                let mut lines = shared.lock();
                while lines.is_empty() {
                    lines = shared.0.first_line.wait(lines).unwrap_or_else(PoisonError::into_inner);
                }
                drop(lines);
                std::thread::sleep(DELAY);
                shared.flush();
            }
        })?;
        Ok(buffer)
    }

    /// Writes what waits.
    pub(super) fn flush(&self) {
        // Held while writing, so that lines stay in their order.
        let mut lines = self.lock();
        write_out(&mut lines);
    }

    #[cfg(test)]
    pub(super) fn take(&self) -> Vec<u8> {
        std::mem::take(&mut self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn write_out(lines: &mut Vec<u8>) {
    // There is no other place to complain at when standard error is gone.
    let _ = io::stderr().lock().write_all(lines);
    lines.clear();
}

/// One event's way into the buffer: tracing-subscriber hands over whole lines.
pub(super) struct Line {
    buffer: Buffer,
    urgent: bool,
}

impl<'a> MakeWriter<'a> for Buffer {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line { buffer: self.clone(), urgent: false }
    }

    fn make_writer_for(&'a self, metadata: &Metadata<'_>) -> Line {
        Line { buffer: self.clone(), urgent: *metadata.level() == Level::ERROR }
    }
}

impl Write for Line {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut lines = self.buffer.lock();
        if lines.is_empty() {
            self.buffer.0.first_line.notify_one();
        }
        lines.extend_from_slice(line);
        if self.urgent || lines.len() >= FULL {
            write_out(&mut lines);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
