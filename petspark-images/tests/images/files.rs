//! Files to look at: pictures that are known to the pixel, and what turns them into files.

use std::path::PathBuf;
use std::process::Command;

use image_webp::{ColorType as WebpColor, WebPEncoder};
use jpeg_encoder::{ColorType as JpegColor, Encoder as JpegEncoder};
use petspark_images::{Format, Limits, Processed, Refused, Variant, process};
use png::{BitDepth, ColorType};

pub(crate) const RED: [u8; 3] = [220, 30, 30];
pub(crate) const GREEN: [u8; 3] = [30, 200, 40];
pub(crate) const BLUE: [u8; 3] = [30, 40, 210];
pub(crate) const GREY: [u8; 3] = [128, 128, 128];

/// Red, green and blue pixels, from the top left.
#[derive(Clone)]
pub(crate) struct Pixels {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) rgb: Vec<u8>,
}

pub(crate) fn pixels(width: u32, height: u32, color: impl Fn(u32, u32) -> [u8; 3]) -> Pixels {
    let rgb = (0..height).flat_map(|y| (0..width).map(move |x| (x, y))).flat_map(|(x, y)| color(x, y)).collect();
    Pixels { width, height, rgb }
}

pub(crate) fn plain(width: u32, height: u32, color: [u8; 3]) -> Pixels {
    pixels(width, height, |_, _| color)
}

/// Hills, a sun and fur: something with edges and noise at every size, always the same.
pub(crate) fn scene(width: u32, height: u32) -> Pixels {
    pixels(width, height, |x, y| {
        let (u, v) = (f64::from(x) / f64::from(width), f64::from(y) / f64::from(height));
        let noise = f64::from((x.wrapping_mul(2_654_435_761) ^ y.wrapping_mul(40_503)).wrapping_mul(97) >> 28);
        let sun = ((u - 0.7).powi(2) + (v - 0.3).powi(2)).sqrt() < 0.12;
        let hill = v > 0.6 + 0.15 * (u * 7.0).sin();
        let [r, g, b] = match (sun, hill) {
            (true, _) => [250.0, 220.0, 90.0],
            (_, true) => [60.0 + 60.0 * u, 130.0 - 40.0 * v, 50.0],
            _ => [110.0 + 60.0 * v, 160.0 + 30.0 * v, 220.0],
        };
        [(r - noise) as u8, (g - noise) as u8, (b - noise) as u8]
    })
}

impl Pixels {
    pub(crate) fn jpeg(&self) -> Vec<u8> {
        self.jpeg_with(|_| ())
    }

    pub(crate) fn jpeg_with(&self, change: impl FnOnce(&mut JpegEncoder<&mut Vec<u8>>)) -> Vec<u8> {
        jpeg_of(&self.rgb, self.width, self.height, JpegColor::Rgb, change)
    }

    pub(crate) fn png(&self) -> Vec<u8> {
        self.png_with(|_| ())
    }

    pub(crate) fn png_with(&self, change: impl FnOnce(&mut png::Info<'_>)) -> Vec<u8> {
        png_of(&self.rgb, self.width, self.height, ColorType::Rgb, BitDepth::Eight, change)
    }

    pub(crate) fn webp(&self) -> Vec<u8> {
        webp::Encoder::from_rgb(&self.rgb, self.width, self.height).encode(90.0).to_vec()
    }

    pub(crate) fn webp_lossless(&self) -> Vec<u8> {
        self.webp_with(|_| ())
    }

    pub(crate) fn webp_with(&self, change: impl FnOnce(&mut WebPEncoder<&mut Vec<u8>>)) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = WebPEncoder::new(&mut bytes);
        change(&mut encoder);
        encoder.encode(&self.rgb, self.width, self.height, WebpColor::Rgb8).unwrap();
        bytes
    }

    /// Of at most 64 colours: 2 bits of each of the three.
    pub(crate) fn gif(&self) -> Vec<u8> {
        self.gif_with_frames(1)
    }

    pub(crate) fn gif_with_frames(&self, frames: u32) -> Vec<u8> {
        let palette: Vec<u8> = (0..64_u8).flat_map(|n| [n >> 4, n >> 2 & 3, n & 3].map(|s| s * 85)).collect();
        let nearest = |p: &[u8]| p.iter().fold(0_u8, |index, sample| index << 2 | sample >> 6);
        let indexes: Vec<u8> = self.rgb.chunks_exact(3).map(nearest).collect();
        let (width, height) = (self.width as u16, self.height as u16);
        let mut encoder = gif::Encoder::new(Vec::new(), width, height, &palette).unwrap();
        for _ in 0..frames {
            encoder.write_frame(&gif::Frame::from_indexed_pixels(width, height, indexes.clone(), None)).unwrap();
        }
        encoder.into_inner().unwrap()
    }

    /// As this format, as well as it can.
    pub(crate) fn file(&self, format: Format) -> Vec<u8> {
        match format {
            Format::Jpeg => self.jpeg(),
            Format::Png => self.png(),
            Format::Webp => self.webp(),
            Format::Gif => self.gif(),
        }
    }
}

pub(crate) fn jpeg_of(
    samples: &[u8],
    width: u32,
    height: u32,
    color: JpegColor,
    change: impl FnOnce(&mut JpegEncoder<&mut Vec<u8>>),
) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = JpegEncoder::new(&mut bytes, 95);
    change(&mut encoder);
    encoder.encode(samples, width as u16, height as u16, color).unwrap();
    bytes
}

pub(crate) fn png_of(
    samples: &[u8],
    width: u32,
    height: u32,
    color: ColorType,
    depth: BitDepth,
    change: impl FnOnce(&mut png::Info<'_>),
) -> Vec<u8> {
    let mut info = png::Info::with_size(width, height);
    (info.color_type, info.bit_depth) = (color, depth);
    change(&mut info);
    let mut bytes = Vec::new();
    let mut writer = png::Encoder::with_info(&mut bytes, info).unwrap().write_header().unwrap();
    writer.write_image_data(samples).unwrap();
    writer.finish().unwrap();
    bytes
}

/// A PNG file of these chunks between header and end, whatever they say.
pub(crate) fn png_of_chunks(header: &png::Info<'_>, chunks: &[([u8; 4], &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = png::Encoder::with_info(&mut bytes, header.clone()).unwrap().write_header().unwrap();
    for (kind, body) in chunks {
        writer.write_chunk(png::chunk::ChunkType(*kind), body).unwrap();
    }
    writer.finish().ok();
    bytes
}

/// A segment with this marker after a JPEG file's first two bytes.
pub(crate) fn with_segment(jpeg: &[u8], marker: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len() + 2).unwrap().to_be_bytes();
    [&jpeg[..2], &[0xff, marker], &length, body, &jpeg[2..]].concat()
}

/// A WebP file of these chunks.
pub(crate) fn webp_of_chunks(chunks: &[(&[u8; 4], &[u8])]) -> Vec<u8> {
    let body: Vec<u8> = chunks.iter().flat_map(|(kind, body)| webp_chunk(kind, body)).collect();
    webp_chunk(b"RIFF", &[b"WEBP", &body[..]].concat())
}

pub(crate) fn webp_chunk(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap().to_le_bytes();
    [&kind[..], &length, body, &[0][..body.len() % 2]].concat()
}

/// EXIF data: little-endian TIFF with these entries (tag, type, count, value) in its one directory.
pub(crate) fn exif(entries: &[(u16, u16, u32, u32)]) -> Vec<u8> {
    let mut tiff = [&b"II*\0"[..], &8_u32.to_le_bytes(), &(entries.len() as u16).to_le_bytes()].concat();
    for (tag, kind, count, value) in entries {
        tiff.extend([tag.to_le_bytes(), kind.to_le_bytes()].concat());
        tiff.extend([count.to_le_bytes(), value.to_le_bytes()].concat());
    }
    tiff.extend([0; 4]);
    tiff
}

pub(crate) fn exif_orientation(value: u16) -> Vec<u8> {
    exif(&[(0x0112, 3, 1, u32::from(value))])
}

pub(crate) fn processed(bytes: &[u8], format: Format) -> Processed {
    let result: Result<Processed, Refused> = process(bytes, format, &Limits::default());
    result.unwrap()
}

/// A variant's pixels, by decoders that know nothing of this crate.
pub(crate) fn shown(variant: &Variant) -> Pixels {
    let (width, height) = (variant.width, variant.height);
    let rgb = match variant.format {
        Format::Webp => webp::Decoder::new(&variant.bytes).decode().unwrap().to_vec(),
        _ => {
            let cursor = zune_core::bytestream::ZCursor::new(&variant.bytes);
            zune_jpeg::JpegDecoder::new(cursor).decode().unwrap()
        }
    };
    assert_eq!(rgb.len(), (width * height * 3) as usize, "{variant:?}");
    Pixels { width, height, rgb }
}

/// The mean of a square around this point, 0 to 1 from left to right and from top to bottom.
pub(crate) fn color_at(picture: &Pixels, x: f64, y: f64) -> [u8; 3] {
    let (center_x, center_y) = (x * f64::from(picture.width), y * f64::from(picture.height));
    let reach = f64::from(picture.width.min(picture.height)) / 16.0;
    let mut sums = [0_u64; 4];
    for (n, pixel) in picture.rgb.chunks_exact(3).enumerate() {
        let (px, py) = (n as u32 % picture.width, n as u32 / picture.width);
        if (f64::from(px) + 0.5 - center_x).abs() <= reach.max(0.5)
            && (f64::from(py) + 0.5 - center_y).abs() <= reach.max(0.5)
        {
            sums[3] += 1;
            (0..3).for_each(|i| sums[i] += u64::from(pixel[i]));
        }
    }
    [0, 1, 2].map(|i| (sums[i] / sums[3]) as u8)
}

pub(crate) fn assert_close(seen: [u8; 3], expected: [u8; 3], tolerance: u8, what: &str) {
    let far = seen.iter().zip(expected).any(|(a, b)| a.abs_diff(b) > tolerance);
    assert!(!far, "{what}: {seen:?} instead of {expected:?}");
}

/// The folder of real photos.
pub(crate) fn photos() -> PathBuf {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/photos");
    let output = Command::new(script).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    PathBuf::from(String::from_utf8(output.stdout).unwrap().trim_end())
}
