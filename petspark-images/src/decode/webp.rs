//! WebP, with and without loss; of an animation the first frame.

use image_webp::{DecodingError, WebPDecoder};

use super::{flatten, pixels, webp_chunks};
use crate::limits::{Deadline, Limits, Timed};
use crate::orientation::Orientation;
use crate::picture::{Photo, Samples};
use crate::refused::Refused;

pub(super) fn decode(bytes: &[u8], limits: &Limits, deadline: &Deadline) -> Result<Photo, Refused> {
    let head = webp_chunks::read(bytes).ok_or(Refused::Damaged)?;
    limits.admit(head.width, head.height, pixels(head.width, head.height) * head.bytes_per_pixel + head.tables)?;

    let refused = |_: DecodingError| deadline.or_damaged();
    let mut decoder = WebPDecoder::new(Timed::new(bytes, deadline)).map_err(refused)?;
    if decoder.dimensions() != (head.width, head.height) {
        return Err(Refused::Damaged);
    }
    let profile = decoder.icc_profile().map_err(refused)?;
    let exif = decoder.exif_metadata().map_err(refused)?;
    let mut decoded = vec![0; decoder.output_buffer_size().ok_or(Refused::TooMuchMemory)?];
    decoder.read_image(&mut decoded).map_err(refused)?;
    Ok(Photo {
        width: head.width,
        height: head.height,
        samples: Samples::Rgb,
        pixels: if decoder.has_alpha() { flatten::rgba(decoded) } else { decoded },
        profile,
        orientation: exif.as_deref().map(Orientation::of_exif).unwrap_or_default(),
    })
}
