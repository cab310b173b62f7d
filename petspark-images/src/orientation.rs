//! Which way up a photo is (EXIF 2.32, tag 0x0112), and turning it.

use crate::picture::Picture;

/// How the stored pixels have to be turned, as three steps: mirrored on the diagonal from the top
/// left, then from left to right, then upside down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Orientation {
    transpose: bool,
    flip_x: bool,
    flip_y: bool,
}

const TAG: u16 = 0x0112;
const SHORT: u16 = 3;

impl Orientation {
    /// Of EXIF data, with or without the `Exif\0\0` that belongs to JPEG only. What can't be
    /// read is upright.
    pub(crate) fn of_exif(data: &[u8]) -> Self {
        let tiff = data.strip_prefix(b"Exif\0\0").unwrap_or(data);
        find(tiff).map(Self::of_value).unwrap_or_default()
    }

    fn of_value(value: u16) -> Self {
        let (transpose, flip_x, flip_y) = match value {
            2 => (false, true, false),
            3 => (false, true, true),
            4 => (false, false, true),
            5 => (true, false, false),
            6 => (true, true, false),
            7 => (true, true, true),
            8 => (true, false, true),
            _ => (false, false, false),
        };
        Self { transpose, flip_x, flip_y }
    }

    /// Width and height of the turned picture.
    pub(crate) fn turned(self, width: u32, height: u32) -> (u32, u32) {
        if self.transpose { (height, width) } else { (width, height) }
    }

    pub(crate) fn apply(self, picture: Picture) -> Picture {
        if self == Self::default() {
            return picture;
        }
        let (width, height) = self.turned(picture.width, picture.height);
        let stride = picture.width as usize;
        let mut pixels = Vec::with_capacity(picture.pixels.len());
        for y in 0..height as usize {
            let y = if self.flip_y { height as usize - 1 - y } else { y };
            for x in 0..width as usize {
                let x = if self.flip_x { width as usize - 1 - x } else { x };
                let from = if self.transpose { x * stride + y } else { y * stride + x };
                pixels.extend_from_slice(&picture.pixels[from * 3..from * 3 + 3]);
            }
        }
        Picture { width, height, pixels }
    }
}

/// The value in the first directory of TIFF data.
fn find(tiff: &[u8]) -> Option<u16> {
    let big_endian = match tiff.get(..4)? {
        b"MM\0*" => true,
        b"II*\0" => false,
        _ => return None,
    };
    let u16_at = |at: usize| {
        let two = tiff.get(at..at.checked_add(2)?)?.try_into().ok()?;
        Some(if big_endian { u16::from_be_bytes(two) } else { u16::from_le_bytes(two) })
    };
    let u32_at = |at: usize| {
        let four = tiff.get(at..at.checked_add(4)?)?.try_into().ok()?;
        Some(if big_endian { u32::from_be_bytes(four) } else { u32::from_le_bytes(four) })
    };
    let directory = usize::try_from(u32_at(4)?).ok()?;
    let entries = usize::from(u16_at(directory)?);
    (0..entries)
        .map(|n| directory + 2 + n * 12)
        .find(|at| u16_at(*at) == Some(TAG) && u16_at(at + 2) == Some(SHORT))
        .and_then(|at| u16_at(at + 8))
}
