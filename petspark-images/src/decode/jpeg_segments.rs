//! Walks over a JPEG file without decoding it (ITU-T T.81, annex B): how large it is, what decoding
//! takes, and whether it has an end. A decoder that shows what there is can't tell a cut file.

/// What has to be known before decoding.
pub(super) struct Head {
    pub(super) width: u16,
    pub(super) height: u16,
    pub(super) components: Vec<Component>,
    /// All coefficients have to be kept until the last scan is read.
    pub(super) buffered: bool,
    pub(super) adobe: Option<Adobe>,
}

/// One colour of the picture: how many blocks of it a unit has.
pub(super) struct Component {
    pub(super) across: u8,
    pub(super) down: u8,
}

/// What Adobe's programs say about colours, and where in the file.
#[derive(Clone, Copy)]
pub(super) struct Adobe {
    pub(super) transform: u8,
    pub(super) transform_at: usize,
}

/// libjpeg's own script has 10 for progressive colour. Each is a walk over all coefficients: as many
/// as this of the largest photo that is taken are three seconds.
pub(super) const MAX_SCANS: usize = 50;

/// Segments for Exif and XMP. The decoder compares all that belong together again whenever one more comes; an
/// honest file has a few, or some dozens if it carries another picture along.
pub(super) const MAX_APPLICATION_SEGMENTS: usize = 1000;

const START: u8 = 0xd8;
const END: u8 = 0xd9;
const SCAN: u8 = 0xda;
const PROGRESSIVE: u8 = 0xc2;

/// `None` if the file isn't whole, or has more scans or notes than anything honest.
pub(super) fn read(bytes: &[u8]) -> Option<Head> {
    let mut head: Option<Head> = None;
    let (mut adobe, mut scans, mut at, mut most_scans) = (None, 0, 2, MAX_SCANS);
    let mut notes = 0;
    loop {
        at += bytes.get(at..)?.iter().position(|byte| *byte == 0xff)?;
        at += bytes.get(at..)?.iter().position(|byte| *byte != 0xff)?;
        let marker = bytes[at];
        at += 1;
        match marker {
            END if scans > 0 => return head.map(|head| Head { adobe, ..head }),
            START | END => return None,
            0x00 | 0x01 | 0xd0..=0xd7 => continue,
            _ => {}
        }
        let length = usize::from(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?));
        let segment = bytes.get(at + 2..at + length)?;
        match marker {
            0xc0..=0xcf if !matches!(marker, 0xc4 | 0xc8 | 0xcc) => {
                // A second one could be larger than what was looked at.
                if head.is_some() {
                    return None;
                }
                let frame = frame(segment, marker == PROGRESSIVE)?;
                if !frame.buffered {
                    most_scans = frame.components.len();
                }
                head = Some(frame);
            }
            0xe1 => {
                notes += 1;
                if notes > MAX_APPLICATION_SEGMENTS {
                    return None;
                }
            }
            0xee if segment.len() >= 12 && segment.starts_with(b"Adobe") => {
                adobe = Some(Adobe { transform: segment[11], transform_at: at + 2 + 11 });
            }
            SCAN => {
                scans += 1;
                let head = head.as_mut()?;
                head.buffered |= usize::from(*segment.first()?) < head.components.len();
                if scans > most_scans {
                    return None;
                }
            }
            _ => {}
        }
        at += length;
    }
}

fn frame(segment: &[u8], progressive: bool) -> Option<Head> {
    let u16_at = |at: usize| Some(u16::from_be_bytes(segment.get(at..at + 2)?.try_into().ok()?));
    let components = segment.get(6..)?.chunks_exact(3);
    let components = components.map(|c| Component { across: c[1] >> 4, down: c[1] & 0x0f }).collect();
    Some(Head { height: u16_at(1)?, width: u16_at(3)?, components, buffered: progressive, adobe: None })
}

impl Head {
    /// Bytes that the decoder keeps beside the pixels: two for each coefficient, whole units.
    pub(super) fn coefficients(&self) -> u64 {
        if !self.buffered {
            return 0;
        }
        let most = |side: fn(&Component) -> u8| self.components.iter().map(side).max().map_or(1, u64::from).max(1);
        let (across, down) = (most(|c| c.across), most(|c| c.down));
        let units = u64::from(self.width).div_ceil(8 * across) * u64::from(self.height).div_ceil(8 * down);
        let blocks: u64 = self.components.iter().map(|c| u64::from(c.across) * u64::from(c.down)).sum();
        units * blocks * 64 * 2
    }
}
