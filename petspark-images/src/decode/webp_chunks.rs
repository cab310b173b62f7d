//! Walks over a WebP file without decoding it (RFC 9649): the decoder believes the size that the
//! container states, and would allocate what the picture inside claims before it compares.

/// What has to be known before decoding.
pub(super) struct Head {
    pub(super) width: u32,
    pub(super) height: u32,
    /// Bytes that the decoder takes for a pixel at its worst.
    pub(super) bytes_per_pixel: u64,
    /// Bytes that its tables may take beside that.
    pub(super) tables: u64,
}

/// `None` if the file isn't whole, or says different things about its size.
pub(super) fn read(bytes: &[u8]) -> Option<Head> {
    let stated = usize::try_from(u32_at(bytes, 4)?).ok()?;
    let file = bytes.get(12..stated.checked_add(8)?)?;
    let (kind, body) = chunks(file).next()?;
    match kind {
        b"VP8 " => {
            let (width, height) = lossy_size(body)?;
            Some(Head { width, height, bytes_per_pixel: LOSSY, tables: 0 })
        }
        b"VP8L" => {
            let (width, height) = lossless_size(body)?;
            Some(Head { width, height, bytes_per_pixel: LOSSLESS, tables: tables(body) })
        }
        b"VP8X" => extended(file, body),
        _ => None,
    }
}

/// Three planes (1.5) and the result (3); rounded up.
const LOSSY: u64 = 5;
/// Also its result with transparency, and the transparency by itself, which is coded as a
/// picture without loss: 1.5, 4, 1 and 4.
const LOSSY_ALPHA: u64 = 11;
/// With transparency, and a copy without.
const LOSSLESS: u64 = 7;
/// The frame, the canvas, and the copy that is given away.
const ANIMATED: u64 = 12;

/// What is coded without loss brings its own codes, as many as it likes, and the decoder makes tables of
/// all of them: 4 KiB of one that takes 93 bits in the file, whatever the size of the picture. So a file
/// of some hundred KiB is all that is read of these.
fn tables(lossless: &[u8]) -> u64 {
    const MOST_FOR_A_BYTE: u64 = 4096 * 8 / 93 + 1;
    lossless.len() as u64 * MOST_FOR_A_BYTE
}

/// The same of all pictures and transparencies among these chunks.
fn all_tables<'a>(chunks: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> u64 {
    chunks.filter(|(kind, _)| matches!(*kind, b"VP8L" | b"ALPH")).map(|(_, body)| tables(body)).sum()
}

fn extended(file: &[u8], header: &[u8]) -> Option<Head> {
    let animated = header.first()? & 0b10 != 0;
    let (width, height) = (u24_at(header, 4)? + 1, u24_at(header, 7)? + 1);
    let find = |wanted: &[u8; 4]| chunks(file).find(|(kind, _)| *kind == wanted).map(|(_, body)| body);
    let (bytes_per_pixel, tables) = match (animated, find(b"ANMF")) {
        (true, Some(frame)) => {
            let size = (u24_at(frame, 6)? + 1, u24_at(frame, 9)? + 1);
            agree(chunks(frame.get(16..)?), size)?;
            (ANIMATED, all_tables(chunks(frame.get(16..)?)))
        }
        (false, None) => {
            agree(chunks(file), (width, height))?;
            let bytes_per_pixel = match (find(b"VP8L"), find(b"ALPH")) {
                (Some(_), _) => LOSSLESS,
                (None, Some(_)) => LOSSY_ALPHA,
                (None, None) => LOSSY,
            };
            (bytes_per_pixel, all_tables(chunks(file)))
        }
        _ => return None,
    };
    Some(Head { width, height, bytes_per_pixel, tables })
}

/// Whether every picture among these chunks has this size.
fn agree<'a>(mut chunks: impl Iterator<Item = (&'a [u8], &'a [u8])>, size: (u32, u32)) -> Option<()> {
    let agrees = chunks.all(|(kind, body)| match kind {
        b"VP8 " => lossy_size(body) == Some(size),
        b"VP8L" => lossless_size(body) == Some(size),
        _ => true,
    });
    agrees.then_some(())
}

/// Kind and body of each; ends where one isn't whole.
fn chunks(mut rest: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::try_from(u32_at(rest, 4)?).ok()?;
        let (kind, body) = (&rest[..4], rest.get(8..length.checked_add(8)?)?);
        // Odd ones are followed by a byte that doesn't count.
        rest = rest.get(8 + length + length % 2..).unwrap_or_default();
        Some((kind, body))
    })
}

fn lossy_size(body: &[u8]) -> Option<(u32, u32)> {
    let sides = u32_at(body, 6)?;
    Some((sides & 0x3fff, sides >> 16 & 0x3fff))
}

fn lossless_size(body: &[u8]) -> Option<(u32, u32)> {
    let sides = u32_at(body, 1)?;
    Some(((sides & 0x3fff) + 1, (sides >> 14 & 0x3fff) + 1))
}

fn u24_at(bytes: &[u8], at: usize) -> Option<u32> {
    let three = bytes.get(at..at + 3)?;
    Some(u32::from_le_bytes([three[0], three[1], three[2], 0]))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}
