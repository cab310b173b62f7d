//! Which kinds of files there are, and what a file is by its first bytes. A sniffed file is not a
//! checked one: only decoding tells whether the rest is what the beginning says.

use std::fmt;

/// What photos may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// Baseline or progressive, grey, colour or CMYK.
    Jpeg,
    /// Of an animated one (APNG), the picture that programs without animation show.
    Png,
    /// With or without loss; of an animated one the first frame.
    Webp,
    /// The first frame.
    Gif,
}

impl Format {
    /// All that are accepted.
    pub const ALL: [Self; 4] = [Self::Jpeg, Self::Png, Self::Webp, Self::Gif];

    /// As in a `Content-Type` header.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
            Self::Webp => "image/webp",
            Self::Gif => "image/gif",
        }
    }

    /// Without a dot.
    #[must_use]
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Jpeg => "jpg",
            Self::Png => "png",
            Self::Webp => "webp",
            Self::Gif => "gif",
        }
    }

    /// `None` for what isn't accepted. Case doesn't matter, parameters (`; ...`) are no part of it.
    #[must_use]
    pub fn from_content_type(text: &str) -> Option<Self> {
        let essence = text.split(';').next().unwrap_or_default().trim();
        Self::ALL.into_iter().find(|format| format.content_type().eq_ignore_ascii_case(essence))
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Jpeg => "a JPEG picture",
            Self::Png => "a PNG picture",
            Self::Webp => "a WebP picture",
            Self::Gif => "a GIF picture",
        })
    }
}

/// What a file says that it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sniffed {
    /// A picture of a kind that is accepted.
    Image(Format),
    /// What iPhones save (ISO/IEC 23008-12).
    Heic,
    /// The same container with AV1 inside.
    Avif,
    /// A drawing, which may hold scripts.
    Svg,
    /// A document.
    Pdf,
    /// Anything else.
    Other,
}

impl fmt::Display for Sniffed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Image(format) => format.fmt(f),
            Self::Heic => f.write_str("a HEIC picture"),
            Self::Avif => f.write_str("an AVIF picture"),
            Self::Svg => f.write_str("an SVG drawing"),
            Self::Pdf => f.write_str("a PDF document"),
            Self::Other => f.write_str("not a picture"),
        }
    }
}

/// Says what a file claims to be by its first bytes.
#[must_use]
pub fn sniff(bytes: &[u8]) -> Sniffed {
    let at = |offset: usize, magic: &[u8]| bytes.get(offset..).is_some_and(|rest| rest.starts_with(magic));
    if at(0, b"\xff\xd8\xff") {
        Sniffed::Image(Format::Jpeg)
    } else if at(0, b"\x89PNG\r\n\x1a\n") {
        Sniffed::Image(Format::Png)
    } else if at(0, b"RIFF") && at(8, b"WEBP") {
        Sniffed::Image(Format::Webp)
    } else if at(0, b"GIF87a") || at(0, b"GIF89a") {
        Sniffed::Image(Format::Gif)
    } else if at(4, b"ftyp") {
        iso_media(bytes)
    } else if at(0, b"%PDF-") {
        Sniffed::Pdf
    } else if is_svg(bytes) {
        Sniffed::Svg
    } else {
        Sniffed::Other
    }
}

/// By the brands of the first box (ISO/IEC 14496-12, 4.3): the major one, a version, the others.
fn iso_media(bytes: &[u8]) -> Sniffed {
    const HEIC: [&[u8]; 10] =
        [b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"];
    let length = bytes.iter().take(4).fold(0_usize, |sum, byte| sum << 8 | usize::from(*byte));
    let brands = bytes.get(8..length.clamp(8, bytes.len().min(256))).unwrap_or_default();
    let has = |wanted: &[&[u8]]| brands.chunks_exact(4).any(|brand| wanted.contains(&brand));
    if has(&[b"avif", b"avis"]) {
        Sniffed::Avif
    } else if has(&HEIC) {
        Sniffed::Heic
    } else {
        Sniffed::Other
    }
}

fn is_svg(bytes: &[u8]) -> bool {
    let head = String::from_utf8_lossy(&bytes[..bytes.len().min(1024)]).to_ascii_lowercase();
    head.trim_start_matches('\u{feff}').trim_start().starts_with('<') && head.contains("<svg")
}
