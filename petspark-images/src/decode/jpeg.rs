//! JPEG: baseline and progressive, grey, colour and ink. A file that was cut is refused, where a viewer
//! would fill the rest with grey; one whose end comes too early is filled as by a viewer.

use std::borrow::Cow;

use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;

use super::jpeg_segments::{self, Adobe, Head, MAX_SCANS};
use super::pixels;
use crate::limits::Limits;
use crate::orientation::Orientation;
use crate::picture::{Photo, Samples};
use crate::refused::Refused;

/// The decoder can't be told the time; what bounds it are the limits of pixels and of scans.
pub(super) fn decode(bytes: &[u8], limits: &Limits) -> Result<Photo, Refused> {
    let head = jpeg_segments::read(bytes).ok_or(Refused::Damaged)?;
    let (width, height) = (u32::from(head.width), u32::from(head.height));
    let decoded = pixels(width, height) * head.components.len() as u64;
    limits.admit(width, height, decoded + head.coefficients())?;

    let options = DecoderOptions::default()
        .set_max_width(limits.max_side as usize)
        .set_max_height(limits.max_side as usize)
        .set_strict_mode(true)
        .jpeg_set_max_scans(MAX_SCANS);
    let plain_rgb = is_plain_rgb(&head);
    let bytes = if plain_rgb { as_differences(bytes, head.adobe) } else { Cow::Borrowed(bytes) };
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(&bytes), options);
    decoder.decode_headers().map_err(|_| Refused::Damaged)?;
    // What Adobe's programs write as ink is what is left of the paper.
    let inverted = head.adobe.is_some();
    let (wanted, samples) = match decoder.input_colorspace() {
        Some(ColorSpace::Luma) => (ColorSpace::Luma, Samples::Grey),
        Some(ColorSpace::YCbCr) if plain_rgb => (ColorSpace::YCbCr, Samples::Rgb),
        Some(ColorSpace::CMYK) => (ColorSpace::CMYK, Samples::Cmyk { inverted }),
        Some(ColorSpace::YCCK) if head.components.len() == 4 => (ColorSpace::YCCK, Samples::Ycck { inverted }),
        _ => (ColorSpace::RGB, Samples::Rgb),
    };
    decoder.set_options(decoder.options().jpeg_set_out_colorspace(wanted));
    let mut photo = Photo {
        width,
        height,
        samples,
        pixels: vec![0; pixels(width, height) as usize * samples.per_pixel()],
        profile: decoder.icc_profile(),
        orientation: decoder.exif().map(|exif| Orientation::of_exif(exif)).unwrap_or_default(),
    };
    decoder.decode_into(&mut photo.pixels).map_err(|_| Refused::Damaged)?;
    Ok(photo)
}

/// Red, green and blue as they are, which Adobe's marker says and the decoder doesn't know of.
fn is_plain_rgb(head: &Head) -> bool {
    head.components.len() == 3 && head.adobe.is_some_and(|adobe| adobe.transform == 0)
}

/// A copy that is announced as brightness and colour differences: asked for just these, the
/// decoder gives what is in the file.
fn as_differences(bytes: &[u8], adobe: Option<Adobe>) -> Cow<'_, [u8]> {
    let mut bytes = bytes.to_vec();
    if let Some(transform) = adobe.and_then(|adobe| bytes.get_mut(adobe.transform_at)) {
        *transform = 1;
    }
    Cow::Owned(bytes)
}
