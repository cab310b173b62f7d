//! Which way up: a red corner has to end at the top left, whatever EXIF says.

use petspark_images::{Format, VariantName};

use crate::files::{
    BLUE, GREEN, GREY, Pixels, RED, assert_close, color_at, exif_orientation, pixels, processed, shown, with_segment,
};

/// What it should look like: red at the top left, green at the top right, blue at the bottom left.
fn upright() -> Pixels {
    pixels(320, 200, |x, y| match (x < 160, y < 100) {
        (true, true) => RED,
        (false, true) => GREEN,
        (true, false) => BLUE,
        (false, false) => GREY,
    })
}

/// As a camera stores it that was held like this: by the definitions of EXIF 2.32, which say what
/// the first stored row and the first stored column are of the picture.
fn stored(value: u16) -> Pixels {
    let shown = upright();
    let (w, h) = (shown.width, shown.height);
    let at = |x: u32, y: u32| {
        let start = ((y * w + x) * 3) as usize;
        [shown.rgb[start], shown.rgb[start + 1], shown.rgb[start + 2]]
    };
    match value {
        1 => pixels(w, h, at),                              // top row, left column
        2 => pixels(w, h, |x, y| at(w - 1 - x, y)),         // top, right
        3 => pixels(w, h, |x, y| at(w - 1 - x, h - 1 - y)), // bottom, right
        4 => pixels(w, h, |x, y| at(x, h - 1 - y)),         // bottom, left
        5 => pixels(h, w, |x, y| at(y, x)),                 // left side, top
        6 => pixels(h, w, |x, y| at(w - 1 - y, x)),         // right side, top
        7 => pixels(h, w, |x, y| at(w - 1 - y, h - 1 - x)), // right side, bottom
        _ => pixels(h, w, |x, y| at(y, h - 1 - x)),         // left side, bottom
    }
}

type Maker = fn(&Pixels, u16) -> Vec<u8>;

fn jpeg(picture: &Pixels, value: u16) -> Vec<u8> {
    with_segment(&picture.jpeg(), 0xe1, &[b"Exif\0\0", &exif_orientation(value)[..]].concat())
}

fn png(picture: &Pixels, value: u16) -> Vec<u8> {
    picture.png_with(|info| info.exif_metadata = Some(exif_orientation(value).into()))
}

fn webp(picture: &Pixels, value: u16) -> Vec<u8> {
    picture.webp_with(|encoder| encoder.set_exif_metadata(exif_orientation(value)))
}

#[test]
fn all_eight_orientations_end_upright_from_every_format() {
    let makers: [(Format, Maker); 3] = [(Format::Jpeg, jpeg), (Format::Png, png), (Format::Webp, webp)];
    let expected = processed(&jpeg(&upright(), 1), Format::Jpeg).perceptual_hash;
    for value in 1..=8 {
        for (format, make) in makers {
            let what = format!("{format:?} {value}");
            let result = processed(&make(&stored(value), value), format);
            assert_eq!((result.width, result.height), (320, 200), "{what}");
            for variant in &result.variants {
                let seen = shown(variant);
                for (x, y, color) in [(0.1, 0.1, RED), (0.9, 0.1, GREEN), (0.1, 0.9, BLUE), (0.9, 0.9, GREY)] {
                    assert_close(color_at(&seen, x, y), color, 6, &format!("{what} {variant:?} at {x} {y}"));
                }
            }
            // Upright, it is the same photo as one that never was turned.
            assert_eq!(result.perceptual_hash, expected, "{what}");
        }
    }
}

#[test]
fn an_orientation_that_makes_no_sense_is_none() {
    let picture = upright();
    let long = crate::files::exif(&[(0x0112, 4, 1, 6)]);
    let elsewhere = [b"II*\0", &u32::MAX.to_le_bytes()[..]].concat();
    let big_endian = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x09\0\0\0\0\0\0".to_vec();
    for (what, exif) in [
        ("0", exif_orientation(0)),
        ("9", exif_orientation(9)),
        ("of another type", long),
        ("a directory beyond the end", elsewhere),
        ("9 in the other byte order", big_endian),
        ("cut", exif_orientation(6)[..18].to_vec()),
        ("empty", Vec::new()),
    ] {
        let file = with_segment(&picture.jpeg(), 0xe1, &[b"Exif\0\0", &exif[..]].concat());
        let result = processed(&file, Format::Jpeg);
        assert_eq!((result.width, result.height), (320, 200), "{what}");
        let thumb = result.variants.iter().find(|v| v.name == VariantName::Thumb).unwrap();
        assert_close(color_at(&shown(thumb), 0.1, 0.1), RED, 6, what);
    }
}

#[test]
fn both_byte_orders_are_read() {
    let big_endian = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
    let result = processed(&with_segment(&stored(6).jpeg(), 0xe1, big_endian), Format::Jpeg);
    assert_eq!((result.width, result.height), (320, 200));
}
