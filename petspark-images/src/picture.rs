//! Pixels in memory: as a file has them, and as all that comes later wants them.

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};

use crate::orientation::Orientation;
use crate::refused::Refused;

/// What the samples of a pixel mean, one byte each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Samples {
    Grey,
    Rgb,
    /// Inks as JPEG files have them: 255 is no ink if Adobe's programs wrote it, else 255 is full.
    Cmyk {
        inverted: bool,
    },
    /// CMY as brightness and two colour differences, K as it is.
    Ycck {
        inverted: bool,
    },
}

impl Samples {
    pub(crate) fn per_pixel(self) -> usize {
        match self {
            Self::Grey => 1,
            Self::Rgb => 3,
            Self::Cmyk { .. } | Self::Ycck { .. } => 4,
        }
    }
}

/// What a file holds: any colours, any way up, but without transparency and 8 bits a sample.
pub(crate) struct Photo {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) samples: Samples,
    pub(crate) pixels: Vec<u8>,
    pub(crate) profile: Option<Vec<u8>>,
    pub(crate) orientation: Orientation,
}

/// Red, green and blue in sRGB.
#[derive(Clone)]
pub(crate) struct Picture {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) pixels: Vec<u8>,
}

impl Photo {
    /// Made smaller if a side is longer than this.
    pub(crate) fn fit(mut self, long_side: u32) -> Result<Self, Refused> {
        let (width, height) = fitting(self.width, self.height, long_side);
        if (width, height) != (self.width, self.height) {
            let pixel = match self.samples.per_pixel() {
                1 => PixelType::U8,
                3 => PixelType::U8x3,
                _ => PixelType::U8x4,
            };
            self.pixels = resized(&self.pixels, (self.width, self.height), (width, height), pixel)?;
            (self.width, self.height) = (width, height);
        }
        Ok(self)
    }
}

impl Picture {
    /// A copy, smaller if a side is longer than this.
    pub(crate) fn fit(&self, long_side: u32) -> Result<Self, Refused> {
        let (width, height) = fitting(self.width, self.height, long_side);
        if (width, height) == (self.width, self.height) { Ok(self.clone()) } else { self.squeeze(width, height) }
    }

    /// A copy of exactly this size.
    pub(crate) fn squeeze(&self, width: u32, height: u32) -> Result<Self, Refused> {
        let pixels = resized(&self.pixels, (self.width, self.height), (width, height), PixelType::U8x3)?;
        Ok(Self { width, height, pixels })
    }
}

/// The largest size of this shape whose longer side is at most `long_side`; never enlarged.
fn fitting(width: u32, height: u32, long_side: u32) -> (u32, u32) {
    let longer = width.max(height);
    if longer <= long_side {
        return (width, height);
    }
    let scaled = |side: u32| {
        let (side, longer) = (u64::from(side), u64::from(longer));
        // Rounded; at most `long_side`, so that it fits.
        (((side * u64::from(long_side) + longer / 2) / longer) as u32).max(1)
    };
    (scaled(width), scaled(height))
}

fn resized(pixels: &[u8], from: (u32, u32), to: (u32, u32), pixel: PixelType) -> Result<Vec<u8>, Refused> {
    // Ours is the length of the buffer; the sizes were checked by the limits.
    let source = ImageRef::new(from.0, from.1, pixels, pixel).map_err(|_| Refused::Damaged)?;
    let mut target = Image::new(to.0, to.1, pixel);
    // The fourth sample is an ink, not transparency.
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Lanczos3)).use_alpha(false);
    Resizer::new().resize(&source, &mut target, &options).map_err(|_| Refused::Damaged)?;
    Ok(target.into_vec())
}
