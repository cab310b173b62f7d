//! Photos as PetSpark wants them: really what they say they are, upright, in sRGB, without a word
//! of metadata, in four sizes. Bytes in, bytes out: knows no database, no HTTP and nothing async.
//!
//! ```
//! use petspark_images::{Format, Limits, Refused, process};
//!
//! let page = b"\xff\xd8\xff<html><script>alert(1)</script></html>";
//! assert_eq!(process(page, Format::Jpeg, &Limits::default()).unwrap_err(), Refused::Damaged);
//! ```

mod color;
mod decode;
mod encode;
mod format;
mod likeness;
mod limits;
mod orientation;
mod picture;
mod refused;
mod variants;

use std::panic::{AssertUnwindSafe, catch_unwind};

pub use self::format::{Format, Sniffed, sniff};
pub use self::likeness::distance;
pub use self::limits::Limits;
pub use self::refused::Refused;
pub use self::variants::{Variant, VariantName};

use self::limits::Deadline;

/// What a file is that was decoded to its last pixel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Pixels from left to right, upright.
    pub width: u32,
    /// Pixels from top to bottom, upright.
    pub height: u32,
}

/// All that is ever shown of a photo.
#[derive(Clone, Debug)]
pub struct Processed {
    /// Pixels from left to right of the original, upright.
    pub width: u32,
    /// Pixels from top to bottom of the original, upright.
    pub height: u32,
    /// Every [`VariantName`] as JPEG, then all of them as WebP if this build has the feature
    /// `webp`; each from the smallest to the largest. A small photo's larger variants are the same bytes.
    pub variants: Vec<Variant>,
    /// A placeholder of at most 25 bytes (<https://evanw.github.io/thumbhash/>).
    pub thumb_hash: Vec<u8>,
    /// Close to that of a photo that looks alike: see [`distance`].
    pub perceptual_hash: u64,
    /// Red, green and blue of the colour that most of it has.
    pub dominant_color: [u8; 3],
}

/// Decodes all of it (the first frame of an animation) and says how large it is.
///
/// # Errors
/// Why it isn't taken; see [`Refused`].
pub fn verify(bytes: &[u8], declared: Format, limits: &Limits) -> Result<Verified, Refused> {
    contained(|| {
        let photo = decode::decode(bytes, declared, limits, &Deadline::of(limits))?;
        let (width, height) = photo.orientation.turned(photo.width, photo.height);
        Ok(Verified { width, height })
    })
}

/// Makes everything that is shown of a photo. The same bytes give the same result, always.
///
/// # Errors
/// Why it isn't taken; see [`Refused`].
pub fn process(bytes: &[u8], declared: Format, limits: &Limits) -> Result<Processed, Refused> {
    contained(|| {
        let deadline = Deadline::of(limits);
        let photo = decode::decode(bytes, declared, limits, &deadline)?;
        let (orientation, (width, height)) = (photo.orientation, photo.orientation.turned(photo.width, photo.height));
        // From here on only as large as the largest variant: colours and turning cost a fifth then.
        let largest = orientation.apply(color::to_srgb(photo.fit(VariantName::Large.long_side())?));
        let ladder = variants::ladder(largest, &deadline)?;
        let smallest = &ladder.thumb;
        Ok(Processed {
            width,
            height,
            thumb_hash: likeness::thumb_hash(smallest)?,
            perceptual_hash: likeness::perceptual_hash(smallest)?,
            dominant_color: color::dominant(smallest),
            variants: variants::encode_all(&ladder, &deadline)?,
        })
    })
}

/// Decoders of other people's files are other people's code: whatever makes one panic is damaged.
fn contained<T>(work: impl FnOnce() -> Result<T, Refused>) -> Result<T, Refused> {
    // Nothing of ours is looked at again after a panic.
    catch_unwind(AssertUnwindSafe(work)).unwrap_or(Err(Refused::Damaged))
}
