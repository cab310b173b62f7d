//! From a file to pixels, under limits. Each kind of file has a module, which asks the limits
//! before anything large is allocated.

mod flatten;
mod gif;
mod jpeg;
mod jpeg_segments;
mod png;
mod webp;
mod webp_chunks;

use crate::format::{Format, Sniffed, sniff};
use crate::limits::{Deadline, Limits, Timed};
use crate::picture::Photo;
use crate::refused::Refused;

pub(crate) fn decode(bytes: &[u8], declared: Format, limits: &Limits, deadline: &Deadline) -> Result<Photo, Refused> {
    match sniff(bytes) {
        _ if bytes.is_empty() => return Err(Refused::Empty),
        Sniffed::Heic => return Err(Refused::Heic),
        Sniffed::Image(found) if found == declared => {}
        found => return Err(Refused::NotThis { declared, found }),
    }
    deadline.check()?;
    let photo = match declared {
        Format::Jpeg => jpeg::decode(bytes, limits),
        Format::Png => png::decode(Timed::new(bytes, deadline), limits, deadline),
        Format::Webp => webp::decode(bytes, limits, deadline),
        Format::Gif => gif::decode(Timed::new(bytes, deadline), limits, deadline),
    }?;
    deadline.check()?;
    Ok(photo)
}

fn pixels(width: u32, height: u32) -> u64 {
    u64::from(width) * u64::from(height)
}
