//! PNG, with 16 bits brought down to 8 and transparency onto white row by row, so that a large one
//! never stands in memory with more than it ends up with.

use png::{ColorType, Decoder, DecodingError, Reader, Transformations};

use super::{flatten, pixels};
use crate::limits::{Deadline, Limits, Timed};
use crate::orientation::Orientation;
use crate::picture::{Photo, Samples};
use crate::refused::Refused;

/// Bytes that all chunks but the pixels may take; the largest colour profiles have about 3 MB.
const MAX_METADATA: usize = 16 * 1024 * 1024;

pub(super) fn decode(file: Timed<'_>, limits: &Limits, deadline: &Deadline) -> Result<Photo, Refused> {
    let refused = |error| match error {
        DecodingError::LimitsExceeded => Refused::TooMuchMemory,
        _ => deadline.or_damaged(),
    };
    let mut decoder = Decoder::new_with_limits(file, png::Limits { bytes: MAX_METADATA });
    decoder.set_transformations(Transformations::EXPAND | Transformations::STRIP_16);
    decoder.set_ignore_text_chunk(true);
    let header = decoder.read_header_info().map_err(refused)?;
    let (width, height, interlaced) = (header.width, header.height, header.interlaced);
    let grey = matches!(header.color_type, ColorType::Grayscale | ColorType::GrayscaleAlpha);
    // Interlaced ones come as a whole, with transparency.
    let most_per_pixel = match (grey, interlaced) {
        (true, false) => 1,
        (true, true) => 2,
        (false, false) => 3,
        (false, true) => 4,
    };
    limits.admit(width, height, pixels(width, height) * most_per_pixel)?;

    let mut reader = decoder.read_info().map_err(refused)?;
    let info = reader.info();
    let profile = info.icc_profile.as_deref().map(<[u8]>::to_vec);
    let orientation = info.exif_metadata.as_deref().map(Orientation::of_exif).unwrap_or_default();
    let read = if interlaced { whole(&mut reader) } else { row_by_row(&mut reader, deadline) };
    let (samples, decoded) = read.map_err(refused)?;
    if decoded.len() as u64 != pixels(width, height) * samples.per_pixel() as u64 {
        return Err(deadline.or_damaged());
    }
    Ok(Photo { width, height, samples, pixels: decoded, profile, orientation })
}

fn whole(reader: &mut Reader<Timed<'_>>) -> Result<(Samples, Vec<u8>), DecodingError> {
    let mut all = vec![0; reader.output_buffer_size().ok_or(DecodingError::LimitsExceeded)?];
    reader.next_frame(&mut all)?;
    Ok(match reader.output_color_type().0 {
        ColorType::Grayscale => (Samples::Grey, all),
        ColorType::GrayscaleAlpha => (Samples::Grey, flatten::grey_alpha(all)),
        ColorType::Rgba => (Samples::Rgb, flatten::rgba(all)),
        // Palettes were expanded.
        ColorType::Rgb | ColorType::Indexed => (Samples::Rgb, all),
    })
}

/// What is missing when the time is over, the caller sees by the length.
fn row_by_row(reader: &mut Reader<Timed<'_>>, deadline: &Deadline) -> Result<(Samples, Vec<u8>), DecodingError> {
    let color = reader.output_color_type().0;
    let samples = match color {
        ColorType::Grayscale | ColorType::GrayscaleAlpha => Samples::Grey,
        ColorType::Rgb | ColorType::Rgba | ColorType::Indexed => Samples::Rgb,
    };
    let (width, height) = reader.info().size();
    let mut all = Vec::with_capacity(pixels(width, height) as usize * samples.per_pixel());
    while deadline.check().is_ok()
        && let Some(row) = reader.next_row()?
    {
        match color {
            ColorType::GrayscaleAlpha => flatten::push_grey_alpha(&mut all, row.data()),
            ColorType::Rgba => flatten::push_rgba(&mut all, row.data()),
            ColorType::Grayscale | ColorType::Rgb | ColorType::Indexed => all.extend_from_slice(row.data()),
        }
    }
    Ok((samples, all))
}
