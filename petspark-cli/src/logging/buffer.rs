//! Takes a server's log lines to standard error by a thread of their own. Whoever logs only ever
//! appends to memory: a reader of standard error that is slow, stalled or gone costs log lines
//! and never a request. It also makes a system call a tenth of a second of one a request.
//! Whoever kills the process loses that tenth; errors don't wait for it.

use std::io::{self, ErrorKind, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

/// Lines wait at most this long.
const DELAY: Duration = Duration::from_millis(100);
/// More than this doesn't wait.
const MUCH: usize = 64 * 1024;
/// More than this isn't kept.
const FULL: usize = 1024 * 1024;

/// Lines that wait to be written. Clones share them.
#[derive(Clone, Default)]
pub(super) struct Buffer(Arc<Shared>);

#[derive(Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    /// The thread that writes has something to do, or has to do it now.
    work: Condvar,
    /// It has written a batch.
    written: Condvar,
}

#[derive(Default)]
struct Waiting {
    lines: Vec<u8>,
    /// Don't wait for more lines.
    urgent: bool,
    /// How many lines nobody will read, and nobody has been told of.
    lost: u64,
    /// Batches handed to the thread.
    taken: u64,
    /// Batches it is through with.
    done: u64,
}

impl Buffer {
    /// Starts the thread that writes to standard error. `tell` makes the line that says how many
    /// lines were lost.
    pub(super) fn start(tell: impl Fn(u64) -> String + Send + 'static) -> io::Result<Self> {
        let buffer = Self::default();
        let shared = buffer.clone();
        std::thread::Builder::new().name("petspark-log".to_owned()).spawn(move || {
            let mut batch = Batch::default();
            loop {
                shared.write_batch(&mut batch, &mut io::stderr(), &tell);
            }
        })?;
        Ok(buffer)
    }

    /// Has what waits written, and waits for that, but not longer than this.
    pub(super) fn flush(&self, limit: Duration) {
        let mut waiting = self.lock();
        let mut last = waiting.taken;
        if !waiting.lines.is_empty() {
            last += 1;
            waiting.urgent = true;
            self.0.work.notify_one();
        }
        // Late or not, there is nothing else to be done about it.
        drop(self.0.written.wait_timeout_while(waiting, limit, |waiting| waiting.done < last));
    }

    /// Waits for lines and writes them, without keeping those waiting who have more.
    fn write_batch(&self, batch: &mut Batch, out: &mut impl Write, tell: impl Fn(u64) -> String) {
        let wait = self.0.work.wait_while(self.lock(), |waiting| waiting.lines.is_empty());
        let waiting = wait.unwrap_or_else(PoisonError::into_inner);
        let wait = self.0.work.wait_timeout_while(waiting, DELAY, |waiting| !waiting.urgent);
        let (mut waiting, _) = wait.unwrap_or_else(PoisonError::into_inner);
        batch.lines.clear();
        std::mem::swap(&mut batch.lines, &mut waiting.lines);
        let lost = std::mem::take(&mut waiting.lost);
        waiting.urgent = false;
        waiting.taken += 1;
        drop(waiting);

        let lost = batch.write(out, lost, tell);

        let mut waiting = self.lock();
        waiting.lost += lost;
        waiting.done += 1;
        drop(waiting);
        self.0.written.notify_all();
    }

    #[cfg(test)]
    pub(super) fn take(&self) -> Vec<u8> {
        std::mem::take(&mut self.lock().lines)
    }

    fn append(&self, line: &[u8], urgent: bool) {
        let mut waiting = self.lock();
        if waiting.lines.len() + line.len() > FULL {
            waiting.lost += 1;
            return;
        }
        let is_first = waiting.lines.is_empty();
        waiting.lines.extend_from_slice(line);
        let hurry = !waiting.urgent && (urgent || waiting.lines.len() >= MUCH);
        waiting.urgent |= hurry;
        drop(waiting);
        if is_first || hurry {
            self.0.work.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the thread is writing.
#[derive(Default)]
struct Batch {
    lines: Vec<u8>,
    /// The last thing that could be written was the beginning of a line.
    torn: bool,
}

impl Batch {
    /// Writes the lines and, if some were lost, how many. Gives how many are still to be told of.
    fn write(&mut self, out: &mut impl Write, lost: u64, tell: impl Fn(u64) -> String) -> u64 {
        let length = self.lines.len();
        if lost > 0 {
            self.lines.extend_from_slice(tell(lost).as_bytes());
        }
        if self.torn {
            if write_all(out, b"\n") == 0 {
                return lost + count_lines(&self.lines[..length]);
            }
            self.torn = false;
        }
        let written = write_all(out, &self.lines);
        if written == self.lines.len() {
            return 0;
        }
        self.torn = written > 0 && self.lines[written - 1] != b'\n';
        lost + count_lines(&self.lines[written.min(length)..length])
    }
}

/// How much could be written. Why not more doesn't matter: there is no other place to complain at.
fn write_all(out: &mut impl Write, text: &[u8]) -> usize {
    let mut written = 0;
    while written < text.len() {
        match out.write(&text[written..]) {
            Ok(0) => break,
            Ok(more) => written += more,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    written
}

fn count_lines(text: &[u8]) -> u64 {
    text.iter().map(|byte| u64::from(*byte == b'\n')).sum()
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
        self.buffer.append(line, self.urgent);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes this many bytes and then no more.
    struct Disk {
        room: usize,
        content: Vec<u8>,
    }

    impl Write for Disk {
        fn write(&mut self, text: &[u8]) -> io::Result<usize> {
            if self.room == 0 {
                return Err(ErrorKind::StorageFull.into());
            }
            let length = text.len().min(self.room);
            self.room -= length;
            self.content.extend_from_slice(&text[..length]);
            Ok(length)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn tell(lost: u64) -> String {
        format!("{lost} lost\n")
    }

    #[test]
    fn what_does_not_fit_is_counted_and_told() {
        let (buffer, mut batch) = (Buffer::default(), Batch::default());
        let line = [b"x".repeat(1023), b"\n".to_vec()].concat();
        for _ in 0..1024 + 3 {
            buffer.append(&line, false);
        }
        let mut disk = Disk { room: usize::MAX, content: Vec::new() };
        buffer.write_batch(&mut batch, &mut disk, tell);
        assert_eq!(disk.content.len(), FULL + "3 lost\n".len());
        assert!(disk.content.ends_with(b"x\n3 lost\n"));
        buffer.append(b"on\n", true);
        buffer.write_batch(&mut batch, &mut disk, tell);
        assert!(disk.content.ends_with(b"x\n3 lost\non\n"), "it is told once");
    }

    #[test]
    fn a_failed_write_loses_its_lines_and_the_next_one_tells_of_them() {
        let (buffer, mut batch) = (Buffer::default(), Batch::default());
        let mut disk = Disk { room: 6, content: Vec::new() };
        for lines in ["one\ntwo\nthree\n", "four\n"] {
            buffer.append(lines.as_bytes(), true);
            buffer.write_batch(&mut batch, &mut disk, tell);
        }
        disk.room = usize::MAX;
        buffer.append(b"five\n", true);
        buffer.write_batch(&mut batch, &mut disk, tell);
        assert_eq!(String::from_utf8(disk.content).unwrap(), "one\ntw\nfive\n3 lost\n");
    }

    #[test]
    fn nobody_waits_longer_than_they_like_for_lines_that_are_not_written() {
        let buffer = Buffer::default();
        buffer.flush(Duration::MAX);
        buffer.append(b"nobody writes this\n", false);
        buffer.flush(Duration::from_millis(1));
    }
}
