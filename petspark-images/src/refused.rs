//! Why a photo isn't taken, in words that its owner can do something with.

use crate::format::{Format, Sniffed};

/// Why a photo isn't taken. The text is made for the photo's owner.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// No bytes at all.
    #[error("The file is empty. Please choose the photo again.")]
    Empty,
    /// It is something else than what it was announced as.
    #[error("The file was announced as {declared}, but it is {found}.")]
    NotThis {
        /// What the client said.
        declared: Format,
        /// What it is by its first bytes.
        found: Sniffed,
    },
    /// HEIC, whatever it was announced as: iPhones give it any name.
    #[error(
        "HEIC photos can't be shown everywhere. Please send the photo as JPEG: on an iPhone choose \
         Settings, Camera, Formats, Most Compatible, or export it as JPEG."
    )]
    Heic,
    /// It can't be decoded to the end.
    #[error("The photo is damaged or incomplete. Please choose it again, or save it anew as JPEG.")]
    Damaged,
    /// More than [`max_pixels`](crate::Limits::max_pixels).
    #[error("The photo has {} megapixels, at most {} are possible. Please send a smaller one.", in_millions(*.pixels), *.most / 1_000_000)]
    TooManyPixels {
        /// Width times height.
        pixels: u64,
        /// The limit.
        most: u64,
    },
    /// Longer than [`max_side`](crate::Limits::max_side).
    #[error("The photo is {side} pixels long, at most {most} are possible. Please send a smaller one.")]
    TooLong {
        /// Pixels of the longer side.
        side: u32,
        /// The limit.
        most: u32,
    },
    /// Decoding would take more than [`max_memory`](crate::Limits::max_memory).
    #[error("The photo takes too much memory to read. Please send a smaller one, or save it as ordinary JPEG.")]
    TooMuchMemory,
    /// It took longer than [`max_time`](crate::Limits::max_time).
    #[error("Reading the photo took too long. Please try again, or send a smaller one.")]
    TookTooLong,
}

/// Rounded up, so that 50,000,001 aren't "50, at most 50".
fn in_millions(pixels: u64) -> u64 {
    pixels.div_ceil(1_000_000)
}
