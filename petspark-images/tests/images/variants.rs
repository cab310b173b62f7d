//! Which sizes come out, and that they are what they say.

use petspark_images::{Format, Limits, Refused, VariantName, process, verify};

use crate::files::{assert_close, color_at, processed, scene, shown};

#[test]
fn every_size_is_there_twice_never_enlarged_and_in_shape() {
    type Size = (u32, u32);
    let table: [(Size, [Size; 4]); 7] = [
        ((2400, 1800), [(160, 120), (480, 360), (960, 720), (1920, 1440)]),
        ((1800, 2400), [(120, 160), (360, 480), (720, 960), (1440, 1920)]),
        ((1921, 1000), [(160, 83), (480, 250), (960, 500), (1920, 999)]),
        ((500, 400), [(160, 128), (480, 384), (500, 400), (500, 400)]),
        ((160, 100), [(160, 100); 4]),
        ((1, 1), [(1, 1); 4]),
        ((1, 16_384), [(1, 160), (1, 480), (1, 960), (1, 1920)]),
    ];
    for ((width, height), sizes) in table {
        let result = processed(&scene(width, height).jpeg(), Format::Jpeg);
        assert_eq!((result.width, result.height), (width, height));
        let names = VariantName::ALL.into_iter().zip(sizes);
        let expected: Vec<_> = [Format::Jpeg, Format::Webp]
            .into_iter()
            .flat_map(|format| names.clone().map(move |(name, size)| (name, format, size)))
            .collect();
        let made: Vec<_> = result.variants.iter().map(|v| (v.name, v.format, (v.width, v.height))).collect();
        assert_eq!(made, expected, "{width} x {height}");
        for variant in &result.variants {
            let verified = verify(&variant.bytes, variant.format, &Limits::default()).unwrap();
            assert_eq!((verified.width, verified.height), (variant.width, variant.height), "{variant:?}");
        }
    }
}

#[test]
fn sizes_that_are_the_same_are_the_same_bytes() {
    let variants = processed(&scene(100, 80).png(), Format::Png).variants;
    for of_one_format in variants.chunks(4) {
        assert!(of_one_format.iter().all(|variant| variant.bytes == of_one_format[0].bytes));
    }
}

#[test]
fn every_format_gives_the_same_picture() {
    let picture = scene(640, 480);
    let expected = shown(&processed(&picture.png(), Format::Png).variants[1]);
    for format in Format::ALL {
        // Of a GIF's 64 colours each may be that far off.
        let tolerance = if format == Format::Gif { 45 } else { 4 };
        let result = processed(&picture.file(format), format);
        for variant in result.variants.iter().filter(|variant| variant.name == VariantName::Small) {
            let seen = shown(variant);
            for (x, y) in [(0.7, 0.3), (0.2, 0.2), (0.1, 0.95), (0.9, 0.9)] {
                let what = format!("{format:?} at {x} {y}");
                assert_close(color_at(&seen, x, y), color_at(&expected, x, y), tolerance, &what);
            }
        }
    }
}

#[test]
fn the_same_file_gives_the_same_bytes() {
    let file = scene(700, 500).jpeg();
    let (one, two) = (processed(&file, Format::Jpeg), processed(&file, Format::Jpeg));
    assert_eq!(one.variants, two.variants);
    assert_eq!((one.thumb_hash, one.perceptual_hash), (two.thumb_hash, two.perceptual_hash));
}

#[test]
fn a_time_limit_ends_every_kind_of_file() {
    let limits = Limits { max_time: std::time::Duration::ZERO, ..Limits::default() };
    let picture = scene(64, 64);
    for format in Format::ALL {
        assert_eq!(process(&picture.file(format), format, &limits).unwrap_err(), Refused::TookTooLong);
    }
}
