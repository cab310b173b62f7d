//! Whatever colours a file has, what is shown is sRGB.

use jpeg_encoder::{ColorType as JpegColor, SamplingFactor};
use moxcms::ColorProfile;
use petspark_images::Format;
use png::{BitDepth, ColorType};

use crate::files::{
    BLUE, GREEN, RED, assert_close, color_at, jpeg_of, pixels, plain, png_of, processed, scene, shown, with_segment,
};

/// The colour in the middle of every variant is about this one.
fn assert_color(file: &[u8], format: Format, expected: [u8; 3], tolerance: u8, what: &str) {
    let result = processed(file, format);
    for variant in &result.variants {
        assert_close(color_at(&shown(variant), 0.5, 0.5), expected, tolerance, &format!("{what} {variant:?}"));
    }
    assert_close(result.dominant_color, expected, tolerance, what);
}

/// Inks (255 is full), and what they should look like without a profile.
const INKS: [(&str, [u8; 4], [u8; 3]); 5] = [
    ("paper", [0, 0, 0, 0], [255, 255, 255]),
    ("cyan", [255, 0, 0, 0], [0, 255, 255]),
    ("magenta and yellow", [0, 255, 255, 0], [255, 0, 0]),
    ("black", [0, 0, 0, 255], [0, 0, 0]),
    ("half of all", [128, 64, 32, 128], [63, 95, 111]),
];

#[test]
fn inks_become_light_as_adobe_writes_them() {
    for (what, inks, expected) in INKS {
        let samples = inks.repeat(64 * 64);
        for (kind, color) in [("CMYK", JpegColor::Cmyk), ("YCCK", JpegColor::CmykAsYcck)] {
            for progressive in [false, true] {
                let file = jpeg_of(&samples, 64, 64, color, |encoder| {
                    encoder.set_sampling_factor(SamplingFactor::F_1_1);
                    encoder.set_progressive(progressive);
                });
                assert_color(&file, Format::Jpeg, expected, 5, &format!("{kind} {what} {progressive}"));
            }
        }
    }
}

#[test]
fn inks_that_adobe_did_not_write_are_not_inverted() {
    for (what, inks, expected) in INKS {
        let file = jpeg_of(&inks.map(|ink| 255 - ink).repeat(64 * 64), 64, 64, JpegColor::Cmyk, |_| ());
        let marker = file.windows(2).position(|two| two == [0xff, 0xee]).unwrap();
        let file = [&file[..marker], &file[marker + 16..]].concat();
        assert_color(&file, Format::Jpeg, expected, 5, what);
    }
}

#[test]
fn plain_red_green_and_blue_in_a_jpeg_are_not_taken_for_differences() {
    // Written as differences, so that the encoder takes the samples as they are.
    let file = jpeg_of(&RED.repeat(64 * 64), 64, 64, JpegColor::Ycbcr, |_| ());
    let by_adobe = with_segment(&file, 0xee, b"Adobe\0\x64\0\0\0\0\0");
    assert_color(&by_adobe, Format::Jpeg, RED, 4, "by Adobe's marker");
    assert_color(&plain(64, 64, RED).jpeg(), Format::Jpeg, RED, 4, "differences");
}

#[test]
fn grey_and_deep_and_indexed_and_transparent_files_are_shown_right() {
    let deep: Vec<u8> = RED.iter().flat_map(|s| [*s, 0xff]).collect::<Vec<u8>>().repeat(16 * 16);
    let half: Vec<u8> = [0, 0, 0, 128].repeat(16 * 16);
    let grey_half: Vec<u8> = [0, 128].repeat(16 * 16);
    let palette = [BLUE, GREEN].concat();
    let indexed = |trns: Option<Vec<u8>>| {
        png_of(&[0x55; 2 * 16], 16, 16, ColorType::Indexed, BitDepth::One, |info| {
            info.palette = Some(palette.clone().into());
            info.trns = trns.map(Into::into);
        })
    };
    let table: [(&str, Vec<u8>, Format, [u8; 3]); 10] = [
        ("grey JPEG", jpeg_of(&[90; 256], 16, 16, JpegColor::Luma, |_| ()), Format::Jpeg, [90; 3]),
        ("grey PNG", png_of(&[90; 256], 16, 16, ColorType::Grayscale, BitDepth::Eight, |_| ()), Format::Png, [90; 3]),
        ("16 bits", png_of(&deep, 16, 16, ColorType::Rgb, BitDepth::Sixteen, |_| ()), Format::Png, RED),
        (
            "16 bits grey",
            png_of(&[0x80; 512], 16, 16, ColorType::Grayscale, BitDepth::Sixteen, |_| ()),
            Format::Png,
            [128; 3],
        ),
        ("half black", png_of(&half, 16, 16, ColorType::Rgba, BitDepth::Eight, |_| ()), Format::Png, [127; 3]),
        (
            "half black in grey",
            png_of(&grey_half, 16, 16, ColorType::GrayscaleAlpha, BitDepth::Eight, |_| ()),
            Format::Png,
            [127; 3],
        ),
        // Every second pixel is the palette's first.
        ("a palette", indexed(None), Format::Png, [30, 120, 125]),
        ("a palette with nothing in it", indexed(Some(vec![0, 0])), Format::Png, [255; 3]),
        (
            "one bit",
            png_of(&[0xff; 2 * 16], 16, 16, ColorType::Grayscale, BitDepth::One, |_| ()),
            Format::Png,
            [255; 3],
        ),
        ("a large grey one", jpeg_of(&[90; 600 * 400], 600, 400, JpegColor::Luma, |_| ()), Format::Jpeg, [90; 3]),
    ];
    for (what, file, format, expected) in table {
        let result = processed(&file, format);
        let seen = shown(&result.variants[0]);
        assert_close(color_at(&seen, 0.5, 0.5), expected, 8, what);
    }
}

#[test]
fn transparency_is_white_in_webp_too() {
    for (what, alpha, expected) in [("nothing", 0, [255; 3]), ("half", 128, [127; 3]), ("all", 255, [0; 3])] {
        let samples = [0, 0, 0, alpha].repeat(32 * 32);
        let mut lossless = Vec::new();
        let encoder = image_webp::WebPEncoder::new(&mut lossless);
        encoder.encode(&samples, 32, 32, image_webp::ColorType::Rgba8).unwrap();
        let lossy = webp::Encoder::from_rgba(&samples, 32, 32).encode(90.0).to_vec();
        for file in [lossless, lossy] {
            assert_color(&file, Format::Webp, expected, 4, what);
        }
    }
}

#[test]
fn interlaced_files_are_like_others() {
    // Its seven passes have 15 rows of 8 pixels in all, but for those that are shorter.
    let rows = [(1, 1), (1, 1), (1, 2), (2, 2), (2, 4), (4, 4), (4, 8)];
    let raw: Vec<u8> =
        rows.iter().flat_map(|(rows, width)| [&[0][..], &GREEN.repeat(*width)].concat().repeat(*rows)).collect();
    let mut header = png::Info::with_size(8, 8);
    (header.color_type, header.interlaced) = (ColorType::Rgb, true);
    let file = crate::files::png_of_chunks(&header, &[(*b"IDAT", &fdeflate::compress_to_vec(&raw))]);
    assert_color(&file, Format::Png, GREEN, 4, "interlaced");
}

/// Red and blue have changed places: whoever ignores it shows the wrong colours.
fn swapped() -> Vec<u8> {
    let mut profile = ColorProfile::new_srgb();
    profile.cicp = None;
    std::mem::swap(&mut profile.red_colorant, &mut profile.blue_colorant);
    profile.encode().unwrap()
}

#[test]
fn embedded_profiles_are_applied_in_every_format_that_has_them() {
    let picture = plain(200, 150, RED);
    let expected = [RED[2], RED[1], RED[0]];
    let jpeg = picture.jpeg_with(|encoder| encoder.add_icc_profile(&swapped()).unwrap());
    assert_color(&jpeg, Format::Jpeg, expected, 6, "JPEG");
    let png = picture.png_with(|info| info.icc_profile = Some(swapped().into()));
    assert_color(&png, Format::Png, expected, 6, "PNG");
    let webp = picture.webp_with(|encoder| encoder.set_icc_profile(swapped()));
    assert_color(&webp, Format::Webp, expected, 6, "WebP");
}

/// By IEC 61966-2-1 and the primaries of SMPTE EG 432-1 (P3) to those of sRGB, both with D65.
fn srgb_of_p3(color: [u8; 3]) -> [u8; 3] {
    let linear = color.map(|s| {
        let s = f64::from(s) / 255.0;
        if s <= 0.04045 { s / 12.92 } else { ((s + 0.055) / 1.055).powf(2.4) }
    });
    let rows = [[1.2249, -0.2247, 0.0], [-0.0420, 1.0419, 0.0], [-0.0197, -0.0786, 1.0979]];
    rows.map(|row| {
        let light: f64 = row.iter().zip(linear).map(|(a, b)| a * b).sum();
        let s = if light <= 0.003_130_8 { light * 12.92 } else { 1.055 * light.powf(1.0 / 2.4) - 0.055 };
        (s * 255.0).round().clamp(0.0, 255.0) as u8
    })
}

#[test]
fn the_wide_colors_of_phones_keep_their_look() {
    let profile = ColorProfile::new_display_p3().encode().unwrap();
    for color in [[200, 100, 100], [90, 180, 60], [60, 80, 190], [128, 128, 128], [255, 0, 0]] {
        let file = plain(64, 64, color).png_with(|info| info.icc_profile = Some(profile.clone().into()));
        assert_color(&file, Format::Png, srgb_of_p3(color), 5, &format!("{color:?}"));
    }
}

#[test]
fn grey_profiles_are_applied_and_a_cameras_profile_may_stay_with_grey() {
    let linear = ColorProfile::new_gray_with_gamma(1.0).encode().unwrap();
    let grey = |profile: &[u8]| {
        jpeg_of(&[55; 64 * 64], 64, 64, JpegColor::Luma, |encoder| encoder.add_icc_profile(profile).unwrap())
    };
    // 55 of 255 of the light is 128 of 255 in sRGB.
    assert_color(&grey(&linear), Format::Jpeg, [128; 3], 3, "linear grey");
    assert_color(&grey(&swapped()), Format::Jpeg, [55; 3], 3, "a camera's");
}

#[test]
fn a_profile_that_makes_no_sense_is_passed_over() {
    let picture = plain(64, 64, RED);
    let mut lying = swapped();
    let middle = lying.len() / 2;
    lying[128..middle].fill(0xff);
    let cmyk_for_rgb = ColorProfile::new_gray_with_gamma(1.0).encode().unwrap();
    for (what, profile) in [
        ("text", b"not a profile".to_vec()),
        ("cut", swapped()[..200].to_vec()),
        ("lies", lying),
        ("grey for colour", cmyk_for_rgb),
    ] {
        let file = picture.jpeg_with(|encoder| encoder.add_icc_profile(&profile).unwrap());
        assert_color(&file, Format::Jpeg, RED, 4, what);
    }
}

#[test]
fn the_dominant_color_is_one_that_is_there() {
    let mostly_blue = pixels(100, 100, |x, _| if x < 60 { BLUE } else { RED });
    assert_close(processed(&mostly_blue.png(), Format::Png).dominant_color, BLUE, 4, "mostly blue");
    // Not the mean of black and white.
    let stripes = pixels(100, 100, |x, _| if x < 55 { [0; 3] } else { [255; 3] });
    assert_close(processed(&stripes.png(), Format::Png).dominant_color, [0; 3], 4, "mostly black");
    assert_ne!(processed(&scene(300, 200).png(), Format::Png).dominant_color, [0; 3]);
}
