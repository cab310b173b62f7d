//! The sizes that a photo is shown in, each made from the next larger one.

use std::fmt;

use crate::encode;
use crate::format::Format;
use crate::limits::Deadline;
use crate::picture::Picture;
use crate::refused::Refused;

/// The sizes that every photo has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum VariantName {
    /// For lists of many.
    Thumb,
    /// A card on a phone.
    Small,
    /// A phone's whole screen.
    Medium,
    /// A desktop's.
    Large,
}

impl VariantName {
    /// All, from the smallest to the largest.
    pub const ALL: [Self; 4] = [Self::Thumb, Self::Small, Self::Medium, Self::Large];

    /// At most so many pixels; a photo that has fewer keeps its size.
    #[must_use]
    pub const fn long_side(self) -> u32 {
        match self {
            Self::Thumb => 160,
            Self::Small => 480,
            Self::Medium => 960,
            Self::Large => 1920,
        }
    }

    /// As in URLs and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Thumb => "thumb",
            Self::Small => "small",
            Self::Medium => "medium",
            Self::Large => "large",
        }
    }
}

impl fmt::Display for VariantName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One size of a photo, ready to be sent: pixels in sRGB and nothing else.
#[derive(Clone, PartialEq, Eq)]
pub struct Variant {
    /// Which size.
    pub name: VariantName,
    /// JPEG or WebP.
    pub format: Format,
    /// Pixels from left to right.
    pub width: u32,
    /// Pixels from top to bottom.
    pub height: u32,
    /// The file.
    pub bytes: Vec<u8>,
}

impl fmt::Debug for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, format, width, height, bytes } = self;
        write!(f, "{name} {width} x {height} ({}, {} bytes)", format.content_type(), bytes.len())
    }
}

/// The pixels of all sizes.
pub(crate) struct Ladder {
    pub(crate) thumb: Picture,
    small: Picture,
    medium: Picture,
    large: Picture,
}

pub(crate) fn ladder(large: Picture, deadline: &Deadline) -> Result<Ladder, Refused> {
    let medium = large.fit(VariantName::Medium.long_side())?;
    let small = medium.fit(VariantName::Small.long_side())?;
    let thumb = small.fit(VariantName::Thumb.long_side())?;
    deadline.check()?;
    Ok(Ladder { thumb, small, medium, large })
}

impl Ladder {
    fn get(&self, name: VariantName) -> &Picture {
        match name {
            VariantName::Thumb => &self.thumb,
            VariantName::Small => &self.small,
            VariantName::Medium => &self.medium,
            VariantName::Large => &self.large,
        }
    }
}

pub(crate) fn encode_all(ladder: &Ladder, deadline: &Deadline) -> Result<Vec<Variant>, Refused> {
    let mut variants: Vec<Variant> = Vec::with_capacity(encode::FORMATS.len() * VariantName::ALL.len());
    for format in encode::FORMATS {
        for name in VariantName::ALL {
            deadline.check()?;
            let picture = ladder.get(name);
            let (width, height) = (picture.width, picture.height);
            // Of a small photo several are the same.
            let same =
                variants.last().filter(|last| (last.format, last.width, last.height) == (*format, width, height));
            let bytes = match same {
                Some(same) => same.bytes.clone(),
                None => encode::encode(picture, *format)?,
            };
            variants.push(Variant { name, format: *format, width, height, bytes });
        }
    }
    Ok(variants)
}
