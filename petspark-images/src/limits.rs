//! How much one photo may cost, and the clock that a decoder's input carries along.

use std::io::{self, BufRead, Cursor, Read, Seek, SeekFrom};
use std::time::{Duration, Instant};

use crate::refused::Refused;

/// How much one photo may cost. `Default` are PetSpark's limits.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Width times height; 50 million.
    pub max_pixels: u64,
    /// Pixels of the longer side; 16,384.
    pub max_side: u32,
    /// Bytes that decoding may take beside the file itself, known before it begins; 240 MiB, which
    /// leaves room for the file, the program and what is made below 300.
    pub max_memory: u64,
    /// For all of it, on a machine that has better things to do as well; 30 seconds. Looked at
    /// between steps and whenever a decoder reads on, so it may be passed by a second.
    pub max_time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_pixels: 50_000_000,
            max_side: 16_384,
            max_memory: 240 * 1024 * 1024,
            max_time: Duration::from_secs(30),
        }
    }
}

impl Limits {
    /// Whether a picture of this size may be decoded, which takes this much memory at once.
    pub(crate) fn admit(&self, width: u32, height: u32, memory: u64) -> Result<(), Refused> {
        let pixels = u64::from(width) * u64::from(height);
        if pixels == 0 {
            return Err(Refused::Damaged);
        }
        if width.max(height) > self.max_side {
            return Err(Refused::TooLong { side: width.max(height), most: self.max_side });
        }
        if pixels > self.max_pixels {
            return Err(Refused::TooManyPixels { pixels, most: self.max_pixels });
        }
        if memory > self.max_memory {
            return Err(Refused::TooMuchMemory);
        }
        Ok(())
    }
}

/// When the time for a photo is over.
pub(crate) struct Deadline(Option<Instant>);

impl Deadline {
    /// A time that is too far away to be told never comes.
    pub(crate) fn of(limits: &Limits) -> Self {
        Self(Instant::now().checked_add(limits.max_time))
    }

    pub(crate) fn check(&self) -> Result<(), Refused> {
        if self.is_over() { Err(Refused::TookTooLong) } else { Ok(()) }
    }

    /// Why a decoder that reads from [`Timed`] gave up.
    pub(crate) fn or_damaged(&self) -> Refused {
        if self.is_over() { Refused::TookTooLong } else { Refused::Damaged }
    }

    fn is_over(&self) -> bool {
        self.0.is_some_and(|end| Instant::now() >= end)
    }
}

/// A file in memory that can't be read any more when the time is over.
pub(crate) struct Timed<'a> {
    bytes: Cursor<&'a [u8]>,
    deadline: &'a Deadline,
}

/// How much is given away between two looks at the clock: 16 KiB inflate to 16 MiB at most.
const PIECE: usize = 16 * 1024;

impl<'a> Timed<'a> {
    pub(crate) fn new(bytes: &'a [u8], deadline: &'a Deadline) -> Self {
        Self { bytes: Cursor::new(bytes), deadline }
    }
}

impl Read for Timed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let piece = self.fill_buf()?;
        let length = piece.len().min(buffer.len());
        buffer[..length].copy_from_slice(&piece[..length]);
        self.consume(length);
        Ok(length)
    }
}

impl BufRead for Timed<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        // Decoders ask for every few bytes; the clock is looked at once a piece.
        let at = self.bytes.position() as usize;
        if at.is_multiple_of(PIECE) && self.deadline.is_over() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let rest = self.bytes.fill_buf()?;
        Ok(&rest[..rest.len().min(PIECE - at % PIECE)])
    }

    fn consume(&mut self, amount: usize) {
        self.bytes.consume(amount);
    }
}

impl Seek for Timed<'_> {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        self.bytes.seek(position)
    }
}
