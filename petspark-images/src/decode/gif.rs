//! GIF: the first frame, where it belongs on the canvas.

use std::num::NonZeroU64;

use gif::{DecodeOptions, DecodingError, MemoryLimit};

use super::pixels;
use crate::limits::{Deadline, Limits, Timed};
use crate::orientation::Orientation;
use crate::picture::{Photo, Samples};
use crate::refused::Refused;

/// A palette's index, and what it stands for.
const BYTES_PER_PIXEL: u64 = 1 + 3;
const WHITE: u8 = 255;

pub(super) fn decode(file: Timed<'_>, limits: &Limits, deadline: &Deadline) -> Result<Photo, Refused> {
    let refused = |_: DecodingError| deadline.or_damaged();
    let mut options = DecodeOptions::new();
    options.set_memory_limit(NonZeroU64::new(limits.max_memory).map_or(MemoryLimit::Unlimited, MemoryLimit::Bytes));
    // A frame is within the canvas then, and not larger.
    options.check_frame_consistency(true);
    let mut decoder = options.read_info(file).map_err(refused)?;
    let (width, height) = (u32::from(decoder.width()), u32::from(decoder.height()));
    limits.admit(width, height, pixels(width, height) * BYTES_PER_PIXEL)?;

    let frame = decoder.next_frame_info().map_err(refused)?.ok_or(Refused::Damaged)?;
    let (left, top, across) = (usize::from(frame.left), usize::from(frame.top), usize::from(frame.width));
    let transparent = frame.transparent;
    let mut indexes = vec![0; decoder.buffer_size()];
    decoder.read_into_buffer(&mut indexes).map_err(refused)?;
    let palette = decoder.palette().map_err(refused)?;
    let mut canvas = vec![WHITE; pixels(width, height) as usize * 3];
    for (y, row) in indexes.chunks_exact(across.max(1)).enumerate() {
        let start = (top + y) * width as usize + left;
        for (index, pixel) in row.iter().zip(canvas[start * 3..].chunks_exact_mut(3)) {
            if Some(*index) != transparent {
                // An index beyond the palette is nothing, as in browsers.
                let color = palette.get(usize::from(*index) * 3..usize::from(*index) * 3 + 3);
                pixel.copy_from_slice(color.unwrap_or(&[0, 0, 0]));
            }
        }
    }
    Ok(Photo {
        width,
        height,
        samples: Samples::Rgb,
        pixels: canvas,
        profile: None,
        orientation: Orientation::default(),
    })
}
