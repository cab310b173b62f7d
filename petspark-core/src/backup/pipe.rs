//! The way of bytes into a file of a backup and back: compressed, encrypted if there is somebody to
//! do it for, and digested before and after. What passes through is never held as a whole.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::Path;

use age::DecryptError;
use age::stream::StreamWriter;
use sha2::{Digest as _, Sha256};

use super::keys::{IdentityKey, RecipientKey, encryptor};
use crate::error::Fault;
use crate::private;
use crate::text::hex;

/// Of zstd's levels the fastest that is of use: a database shrinks to a fourth or less.
const LEVEL: i32 = 1;
const BUFFER: usize = 256 << 10;

/// Bytes that went by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Measured {
    pub(super) bytes: u64,
    /// SHA-256 in hexadecimal digits.
    pub(super) sha256: String,
}

/// What went into a file, and what that became.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) plain: Measured,
    pub(super) stored: Measured,
}

/// Counts and digests on the way.
pub(super) struct Meter<T> {
    inner: T,
    bytes: u64,
    digest: Sha256,
}

impl<T> Meter<T> {
    pub(super) fn new(inner: T) -> Self {
        Self { inner, bytes: 0, digest: Sha256::new() }
    }

    pub(super) fn end(self) -> (T, Measured) {
        (self.inner, Measured { bytes: self.bytes, sha256: hex(&self.digest.finalize()) })
    }

    fn saw(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        self.digest.update(bytes);
    }
}

impl<W: Write> Write for Meter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.saw(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<R: Read> Read for Meter<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(into)?;
        self.saw(&into[..read]);
        Ok(read)
    }
}

type Stored = BufWriter<Meter<File>>;

enum Sealing {
    Plain(Stored),
    Age(StreamWriter<Stored>),
}

impl Write for Sealing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(inner) => inner.write(bytes),
            Self::Age(inner) => inner.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(inner) => inner.flush(),
            Self::Age(inner) => inner.flush(),
        }
    }
}

/// Compresses, encrypts for `recipients` if there are any, and writes all of `from` to a new file;
/// it is on the disk when this returns. Blocks.
pub(super) fn pack(from: impl Read, path: &Path, recipients: &[RecipientKey]) -> Result<Written, Fault> {
    let failed = |error: io::Error| Fault::unavailable(private::told(path, &error));
    let file = private::open(path, OpenOptions::new().write(true).create_new(true)).map_err(Fault::unavailable)?;
    let stored = BufWriter::with_capacity(BUFFER, Meter::new(file));
    let sealing = if recipients.is_empty() {
        Sealing::Plain(stored)
    } else {
        Sealing::Age(encryptor(recipients)?.wrap_output(stored).map_err(failed)?)
    };
    let mut from = Meter::new(from);
    let mut encoder = zstd::Encoder::new(sealing, LEVEL).map_err(failed)?;
    encoder.include_checksum(true).map_err(failed)?;
    copy(&mut from, &mut encoder).map_err(failed)?;
    let stored = match encoder.finish().map_err(failed)? {
        Sealing::Plain(stored) => stored,
        Sealing::Age(stream) => stream.finish().map_err(failed)?,
    };
    let meter = stored.into_inner().map_err(|error| failed(error.into_error()))?;
    let (file, stored) = meter.end();
    file.sync_all().map_err(failed)?;
    Ok(Written { plain: from.end().1, stored })
}

/// Why a file can't be read as what it should be.
#[derive(Debug)]
pub(super) enum Unreadable {
    /// None of the keys opens it.
    Key,
    /// It isn't what was written.
    Damaged(String),
}

/// The bytes that went into a file of a backup.
pub(super) fn unpack(file: File, is_encrypted: bool, keys: &[IdentityKey]) -> Result<Box<dyn Read + Send>, Unreadable> {
    let damaged = |error: io::Error| Unreadable::Damaged(error.to_string());
    let file = BufReader::with_capacity(BUFFER, file);
    if !is_encrypted {
        return Ok(Box::new(zstd::Decoder::with_buffer(file).map_err(damaged)?));
    }
    let decryptor = age::Decryptor::new_buffered(file).map_err(|error| Unreadable::Damaged(error.to_string()))?;
    match decryptor.decrypt(keys.iter().map(|key| &key.0 as &dyn age::Identity)) {
        Ok(opened) => Ok(Box::new(zstd::Decoder::new(opened).map_err(damaged)?)),
        Err(DecryptError::NoMatchingKeys) => Err(Unreadable::Key),
        Err(error) => Err(Unreadable::Damaged(error.to_string())),
    }
}

/// Reads a file to its end.
pub(super) fn measure(from: impl Read) -> io::Result<Measured> {
    let mut meter = Meter::new(from);
    copy(&mut meter, &mut io::sink())?;
    Ok(meter.end().1)
}

/// Like `io::copy`, with larger steps.
pub(super) fn copy(from: &mut impl Read, into: &mut impl Write) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(read) => into.write_all(&buffer[..read])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_packed_comes_back_for_whom_it_was_packed_and_nobody_else() {
        let folder = tempfile::tempdir().unwrap();
        let (ours, other) = (IdentityKey::generate(), IdentityKey::generate());
        let text: Vec<u8> = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();
        for (name, recipients) in [("plain", vec![]), ("sealed", vec![ours.public()])] {
            let path = folder.path().join(name);
            let written = pack(&text[..], &path, &recipients).unwrap();
            let is_encrypted = !recipients.is_empty();
            assert_eq!(written.stored, measure(File::open(&path).unwrap()).unwrap());
            assert_eq!(written.plain, measure(&text[..]).unwrap());
            let keys = std::slice::from_ref(&ours);
            let mut read = Vec::new();
            unpack(File::open(&path).unwrap(), is_encrypted, keys).ok().unwrap().read_to_end(&mut read).unwrap();
            assert_eq!(read, text);
            let whole = std::fs::read(&path).unwrap();
            for at in [0, whole.len() / 2, whole.len() - 1] {
                std::fs::write(&path, &whole[..at]).unwrap();
                let mut read = Vec::new();
                let end = unpack(File::open(&path).unwrap(), is_encrypted, keys).map(|mut r| r.read_to_end(&mut read));
                assert!(!matches!(end, Ok(Ok(_))) || read != text, "{name} cut off at {at}");
            }
            std::fs::write(&path, &whole).unwrap();
            let refused = unpack(File::open(&path).unwrap(), is_encrypted, std::slice::from_ref(&other)).err();
            assert_eq!(matches!(refused, Some(Unreadable::Key)), is_encrypted);
        }
    }
}
