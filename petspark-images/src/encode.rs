//! From pixels to files. Nothing but pixels goes in, so nothing else can come out.

use jpeg_encoder::{ChromaSubsamplingMethod, ColorType, Encoder, SamplingFactor};

use crate::format::Format;
use crate::picture::Picture;
use crate::refused::Refused;

/// What variants are made as; every browser since 2020 shows WebP, everything else JPEG.
#[cfg(feature = "webp")]
pub(crate) const FORMATS: &[Format] = &[Format::Jpeg, Format::Webp];
#[cfg(not(feature = "webp"))]
pub(crate) const FORMATS: &[Format] = &[Format::Jpeg];

/// Of 100: where artefacts around fur and whiskers stop being seen at arm's length.
const JPEG_QUALITY: u8 = 82;
/// Looks like JPEG's 82, in two thirds of the bytes.
#[cfg(feature = "webp")]
const WEBP_QUALITY: f32 = 80.0;

pub(crate) fn encode(picture: &Picture, format: Format) -> Result<Vec<u8>, Refused> {
    match format {
        #[cfg(feature = "webp")]
        Format::Webp => webp(picture),
        _ => jpeg(picture),
    }
}

/// Baseline in a single scan, as cameras write it: a progressive one is a few per cent smaller, but
/// has to be kept in memory as a whole by whatever shows it.
fn jpeg(picture: &Picture) -> Result<Vec<u8>, Refused> {
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes, JPEG_QUALITY);
    encoder.set_sampling_factor(SamplingFactor::F_2_2);
    encoder.set_chroma_subsampling_method(ChromaSubsamplingMethod::Average);
    // A variant has at most 1920 pixels a side, which `fit` saw to.
    let (width, height) = (picture.width as u16, picture.height as u16);
    encoder.encode(&picture.pixels, width, height, ColorType::Rgb).map_err(|_| Refused::Damaged)?;
    Ok(bytes)
}

#[cfg(feature = "webp")]
fn webp(picture: &Picture) -> Result<Vec<u8>, Refused> {
    let mut config = webp::WebPConfig::new().map_err(|()| Refused::TooMuchMemory)?;
    config.quality = WEBP_QUALITY;
    let encoder = webp::Encoder::from_rgb(&picture.pixels, picture.width, picture.height);
    let bytes = encoder.encode_advanced(&config).map_err(|_| Refused::TooMuchMemory)?;
    Ok(bytes.to_vec())
}
