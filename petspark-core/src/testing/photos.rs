//! Photos for tests.

use jpeg_encoder::{ColorType, Encoder};
use sha2::{Digest, Sha256};

/// A JPEG of so many pixels: a board of eight by eight colours, which are others for every `seed`.
///
/// # Panics
/// When it can't be made.
#[must_use]
pub fn jpeg(width: u16, height: u16, seed: u32) -> Vec<u8> {
    let field = |at: u16, of: u16| u32::from(at) * 8 / u32::from(of);
    let color = |field: u32| (field + 64 * seed).wrapping_mul(0x9e37_79b1).rotate_left(15).wrapping_mul(0x85eb_ca77);
    let pixels: Vec<u8> = (0..height)
        .flat_map(|y| (0..width).map(move |x| field(y, height) * 8 + field(x, width)))
        .flat_map(|field| color(field).to_be_bytes().into_iter().take(3))
        .collect();
    let mut bytes = Vec::new();
    Encoder::new(&mut bytes, 90).encode(&pixels, width, height, ColorType::Rgb).expect("a JPEG");
    bytes
}

/// A SHA-256 in hexadecimal digits.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    crate::text::hex(&Sha256::digest(bytes))
}
