//! What a photo looks like in a few bytes: a blurred placeholder, and a number that is close to
//! that of a photo which looks alike.

use std::f32::consts::PI;

use crate::picture::Picture;
use crate::refused::Refused;

/// What the placeholder's format is defined for at most.
const PLACEHOLDER_SIDE: u32 = 100;

pub(crate) fn thumb_hash(picture: &Picture) -> Result<Vec<u8>, Refused> {
    let small = picture.fit(PLACEHOLDER_SIDE)?;
    let rgba: Vec<u8> = small.pixels.chunks_exact(3).flat_map(|p| [p[0], p[1], p[2], 255]).collect();
    Ok(thumbhash::rgba_to_thumb_hash(small.width as usize, small.height as usize, &rgba))
}

/// In how many of 64 bits two perceptual hashes differ. Measured by a test of this crate on eight
/// photos: the same one brighter, with more contrast, smaller or compressed harder is at most 5
/// away, others are 26 to 40, its own mirror image 31 or more. Ten or less is worth a person's
/// look; it proves nothing.
#[must_use]
pub fn distance(a: u64, b: u64) -> u32 {
    (a ^ b).count_ones()
}

const SIDE: usize = 32;
const WAVES: usize = 8;

/// pHash (Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions", 2010, 3.2): of
/// the picture as 32 x 32 greys the slowest 8 x 8 waves, and of each whether it is stronger than half
/// of them. Turned or mirrored photos are others; those turned by EXIF were turned back before.
pub(crate) fn perceptual_hash(picture: &Picture) -> Result<u64, Refused> {
    let small = picture.squeeze(SIDE as u32, SIDE as u32)?;
    // Rec. 601: as JPEG tells brightness.
    let luma = |p: &[u8]| 0.299 * f32::from(p[0]) + 0.587 * f32::from(p[1]) + 0.114 * f32::from(p[2]);
    let greys: Vec<f32> = small.pixels.chunks_exact(3).map(luma).collect();
    let wave = |frequency: usize, at: usize| ((at as f32 + 0.5) * frequency as f32 * PI / SIDE as f32).cos();
    let mut strengths = [0.0_f32; WAVES * WAVES];
    for (n, strength) in strengths.iter_mut().enumerate() {
        let (down, across) = (n / WAVES, n % WAVES);
        let sum: f32 = greys.iter().enumerate().map(|(i, g)| g * wave(down, i / SIDE) * wave(across, i % SIDE)).sum();
        // Whole numbers: what rounding errors leave of a plain surface must not be a pattern.
        *strength = (sum / SIDE as f32).round();
    }
    // The first is the brightness of all, which says nothing of what is to be seen.
    let mut sorted = strengths;
    sorted[1..].sort_by(f32::total_cmp);
    let median = sorted[WAVES * WAVES / 2];
    Ok(strengths.iter().skip(1).fold(0, |hash, strength| hash << 1 | u64::from(*strength > median)))
}
