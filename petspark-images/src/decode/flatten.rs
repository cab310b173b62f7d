//! Takes transparency away: onto white, as paper is. Before colours are converted, because white
//! is the same three numbers in every profile of cameras and screens.

/// Appends red, green, blue and alpha without the last.
pub(super) fn push_rgba(target: &mut Vec<u8>, row: &[u8]) {
    for pixel in row.chunks_exact(4) {
        target.extend(pixel[..3].iter().map(|sample| over_white(*sample, pixel[3])));
    }
}

/// Appends grey and alpha without the last.
pub(super) fn push_grey_alpha(target: &mut Vec<u8>, row: &[u8]) {
    target.extend(row.chunks_exact(2).map(|pixel| over_white(pixel[0], pixel[1])));
}

/// The same in place: a second buffer of a large picture would be too much.
pub(super) fn rgba(mut pixels: Vec<u8>) -> Vec<u8> {
    let count = pixels.len() / 4;
    for n in 0..count {
        let alpha = pixels[n * 4 + 3];
        for sample in 0..3 {
            pixels[n * 3 + sample] = over_white(pixels[n * 4 + sample], alpha);
        }
    }
    pixels.truncate(count * 3);
    pixels
}

/// As [`rgba`].
pub(super) fn grey_alpha(mut pixels: Vec<u8>) -> Vec<u8> {
    let count = pixels.len() / 2;
    for n in 0..count {
        pixels[n] = over_white(pixels[n * 2], pixels[n * 2 + 1]);
    }
    pixels.truncate(count);
    pixels
}

fn over_white(sample: u8, alpha: u8) -> u8 {
    let (sample, alpha) = (u32::from(sample), u32::from(alpha));
    ((sample * alpha + 255 * (255 - alpha) + 127) / 255) as u8
}
