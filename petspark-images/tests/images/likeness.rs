//! How far photos are from each other, measured on real ones; and placeholders.

use std::fs;

use petspark_images::{Format, VariantName, distance};

use crate::files::{Pixels, assert_close, color_at, photos, pixels, plain, processed, scene, shown};

/// As sRGB, at most 480 pixels long.
fn real_photos() -> Vec<(String, Pixels)> {
    let names = [
        "chelsea.png",
        "coffee.png",
        "astronaut.png",
        "rocket.jpg",
        "camera.png",
        "motorcycle_left.png",
        "grass.png",
        "retina.jpg",
    ];
    let folder = photos();
    let read = |name: &str| {
        let format = if name.ends_with("png") { Format::Png } else { Format::Jpeg };
        let result = processed(&fs::read(folder.join(name)).unwrap(), format);
        let small = result.variants.iter().find(|variant| variant.name == VariantName::Small).unwrap();
        (name.to_owned(), shown(small))
    };
    names.map(read).into()
}

fn hash(picture: &Pixels) -> u64 {
    processed(&picture.png(), Format::Png).perceptual_hash
}

fn changed(picture: &Pixels, change: impl Fn(f64) -> f64) -> Pixels {
    let rgb = picture.rgb.iter().map(|s| change(f64::from(*s)).clamp(0.0, 255.0) as u8).collect();
    Pixels { rgb, ..*picture }
}

fn mirrored(picture: &Pixels) -> Pixels {
    pixels(picture.width, picture.height, |x, y| {
        let at = ((y * picture.width + picture.width - 1 - x) * 3) as usize;
        [picture.rgb[at], picture.rgb[at + 1], picture.rgb[at + 2]]
    })
}

#[test]
fn the_same_photo_stays_near_and_another_is_far() {
    let photos = real_photos();
    let originals: Vec<_> = photos.iter().map(|(_, picture)| processed(&picture.png(), Format::Png)).collect();
    for (n, (name, picture)) in photos.iter().enumerate() {
        let original = originals[n].perceptual_hash;
        let table = [
            ("brighter", hash(&changed(picture, |s| s + 30.0))),
            ("darker", hash(&changed(picture, |s| s * 0.7))),
            ("more contrast", hash(&changed(picture, |s| (s - 128.0) * 1.3 + 128.0))),
            ("compressed hard", processed(&picture.jpeg_with(|e| e.set_quality(25)), Format::Jpeg).perceptual_hash),
            ("as WebP", processed(&picture.webp(), Format::Webp).perceptual_hash),
            ("a third of the size", hash(&shown(&originals[n].variants[0]))),
        ];
        for (what, hash) in table {
            let far = distance(original, hash);
            assert!(far <= 6, "{name} {what}: {far}");
        }
        assert!(distance(original, hash(&mirrored(picture))) >= 24, "{name} mirrored");
        for (another, (other, _)) in originals.iter().zip(&photos).skip(n + 1) {
            let far = distance(original, another.perceptual_hash);
            assert!(far >= 24, "{name} and {other}: {far}");
        }
    }
}

#[test]
fn plain_surfaces_have_the_same_hash_whatever_their_color() {
    let hashes = [[0; 3], [255; 3], [200, 30, 90]].map(|color| hash(&plain(300, 200, color)));
    assert!(hashes.iter().all(|one| distance(*one, hashes[0]) <= 1), "{hashes:?}");
}

#[test]
fn distance_counts_bits() {
    assert_eq!((distance(5, 5), distance(0, u64::MAX), distance(0b1010, 0b0110)), (0, 64, 2));
}

#[test]
fn a_placeholder_is_small_and_has_the_colors_of_the_photo() {
    let picture = scene(1200, 800);
    let result = processed(&picture.jpeg(), Format::Jpeg);
    assert!(result.thumb_hash.len() <= 25, "{}", result.thumb_hash.len());
    let (width, height, rgba) = thumbhash::thumb_hash_to_rgba(&result.thumb_hash).unwrap();
    let ratio = width as f64 / height as f64;
    assert!((1.35..1.65).contains(&ratio), "{ratio}");
    let blurred = Pixels {
        width: width as u32,
        height: height as u32,
        rgb: rgba.chunks_exact(4).flat_map(|p| [p[0], p[1], p[2]]).collect(),
    };
    for (x, y) in [(0.1, 0.1), (0.3, 0.95), (0.9, 0.95)] {
        assert_close(color_at(&blurred, x, y), color_at(&picture, x, y), 40, &format!("{x} {y}"));
    }
}
