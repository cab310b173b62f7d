//! From whatever colours a file has to sRGB, and the colour that most of a picture has.

use moxcms::{ColorProfile, DataColorSpace, Layout, TransformOptions};

use crate::picture::{Photo, Picture, Samples};

/// A profile that can't be read or belongs to another kind of pixels is passed over, as browsers
/// do: the colours are a little off then, and the photo is there.
pub(crate) fn to_srgb(photo: Photo) -> Picture {
    let Photo { width, height, samples, mut pixels, profile, .. } = photo;
    let profile = profile.and_then(|icc| ColorProfile::new_from_slice(&icc).ok());
    match samples {
        Samples::Cmyk { inverted } => to_inks(&mut pixels, inverted),
        Samples::Ycck { inverted } => {
            differences_to_inks(&mut pixels);
            to_inks(&mut pixels, inverted);
        }
        Samples::Grey | Samples::Rgb => {}
    }
    let converted = profile.and_then(|profile| convert(&pixels, samples, &profile));
    let pixels = converted.unwrap_or_else(|| match samples {
        Samples::Rgb => pixels,
        Samples::Grey => grey_to_rgb(&pixels),
        Samples::Cmyk { .. } | Samples::Ycck { .. } => inks_to_rgb(&pixels),
    });
    Picture { width, height, pixels }
}

fn convert(pixels: &[u8], samples: Samples, profile: &ColorProfile) -> Option<Vec<u8>> {
    let (layout, expected) = match samples {
        // Some programs leave the camera's profile with what they made grey.
        Samples::Grey if profile.color_space == DataColorSpace::Rgb => {
            return convert(&grey_to_rgb(pixels), Samples::Rgb, profile);
        }
        Samples::Grey => (Layout::Gray, DataColorSpace::Gray),
        Samples::Rgb => (Layout::Rgb, DataColorSpace::Rgb),
        Samples::Cmyk { .. } | Samples::Ycck { .. } => (Layout::Rgba, DataColorSpace::Cmyk),
    };
    if profile.color_space != expected {
        return None;
    }
    let srgb = ColorProfile::new_srgb();
    let transform = profile.create_transform_8bit(layout, &srgb, Layout::Rgb, TransformOptions::default()).ok()?;
    let mut converted = vec![0; pixels.len() / samples.per_pixel() * 3];
    transform.transform(pixels, &mut converted).ok()?;
    Some(converted)
}

fn grey_to_rgb(pixels: &[u8]) -> Vec<u8> {
    pixels.iter().flat_map(|grey| [*grey; 3]).collect()
}

/// 255 is full ink afterwards, as profiles want it.
fn to_inks(pixels: &mut [u8], inverted: bool) {
    if inverted {
        for sample in pixels {
            *sample = 255 - *sample;
        }
    }
}

/// The first three as in any JPEG file (JFIF 1.02, page 3), but of what ink leaves over.
fn differences_to_inks(pixels: &mut [u8]) {
    for pixel in pixels.chunks_exact_mut(4) {
        let (y, cb, cr) = (f32::from(pixel[0]), f32::from(pixel[1]) - 128.0, f32::from(pixel[2]) - 128.0);
        let rgb = [y + 1.402 * cr, y - 0.344_136 * cb - 0.714_136 * cr, y + 1.772 * cb];
        for (ink, light) in pixel.iter_mut().zip(rgb) {
            *ink = 255 - light.round().clamp(0.0, 255.0) as u8;
        }
    }
}

/// Without a profile nobody knows the inks: each takes away its light, and black takes all.
fn inks_to_rgb(pixels: &[u8]) -> Vec<u8> {
    let left = |ink: u8, black: u8| ((255 - u32::from(ink)) * (255 - u32::from(black)) / 255) as u8;
    pixels.chunks_exact(4).flat_map(|p| [left(p[0], p[3]), left(p[1], p[3]), left(p[2], p[3])]).collect()
}

/// The mean of those pixels whose colour is the most common one, told apart in 4096 colours. The mean
/// of all would be a brown that is nowhere in the photo.
pub(crate) fn dominant(picture: &Picture) -> [u8; 3] {
    let mut buckets = vec![[0_u64; 4]; 4096];
    for pixel in picture.pixels.chunks_exact(3) {
        let coarse = pixel.iter().fold(0, |sum, sample| sum << 4 | usize::from(sample >> 4));
        let bucket = &mut buckets[coarse];
        bucket[3] += 1;
        for (sum, sample) in bucket.iter_mut().zip(pixel) {
            *sum += u64::from(*sample);
        }
    }
    let largest = buckets.into_iter().max_by_key(|bucket| bucket[3]).unwrap_or_default();
    let mean = |sum: u64| (sum / largest[3].max(1)) as u8;
    [mean(largest[0]), mean(largest[1]), mean(largest[2])]
}
