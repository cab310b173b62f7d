//! Nothing but pixels leaves: what exiftool, which knows every hiding place, finds in variants of
//! photos that are full of words and coordinates.

use std::fs;
use std::path::Path;
use std::process::Command;

use petspark_images::Format;
use serde_json::{Map, Value};

use crate::files::{exif, photos, processed, scene, with_segment};

/// What describes the pixels themselves. Everything else is one word too many.
const STRUCTURE: [&str; 27] = [
    "SourceFile",
    "ExifToolVersion",
    "FileName",
    "Directory",
    "FileSize",
    "FileModifyDate",
    "FileAccessDate",
    "FileInodeChangeDate",
    "FilePermissions",
    "FileType",
    "FileTypeExtension",
    "MIMEType",
    "ImageWidth",
    "ImageHeight",
    "ImageSize",
    "Megapixels",
    "EncodingProcess",
    "BitsPerSample",
    "ColorComponents",
    "YCbCrSubSampling",
    "JFIFVersion",
    "ResolutionUnit",
    "XResolution",
    "YResolution",
    "VP8Version",
    "HorizontalScale",
    "VerticalScale",
];

fn exiftool(arguments: &[&str], file: &Path) -> String {
    let output = Command::new("exiftool").args(arguments).arg(file).output().expect("exiftool is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn tags(file: &Path) -> Map<String, Value> {
    let found: Value = serde_json::from_str(&exiftool(&["-json", "-a", "-U", "-ee"], file)).unwrap();
    found[0].as_object().unwrap().clone()
}

/// Words in every place that exiftool can write to in this format.
fn annotate(file: &Path) {
    let place = ["-GPSLatitude=52.5163", "-GPSLatitudeRef=N", "-GPSLongitude=13.3777", "-GPSLongitudeRef=E"];
    let words = [
        "-EXIF:Artist=Secret Sam",
        "-EXIF:ImageDescription=Secret home",
        "-EXIF:SerialNumber=Secret 4711",
        "-XMP:Creator=Secret Sam",
        "-XMP:GPSLatitude=52.5163",
        "-XMP:Location=Secret street",
        "-IPTC:City=Secret city",
        "-IPTC:By-line=Secret Sam",
        "-Comment=Secret comment",
        "-PNG:Author=Secret Sam",
        "-PNG:Comment=Secret text",
    ];
    let quietly = ["-quiet", "-m", "-overwrite_original"];
    exiftool(&[&quietly[..], &place, &words].concat(), file);
}

/// A camera's own notes and a second picture with coordinates of its own, which exiftool only copies.
fn with_notes(jpeg: &[u8]) -> Vec<u8> {
    let notes = b"Nikon\0\x02\x10\0\0Secret Sam's camera at 52.5163";
    let mut tiff = exif(&[(0x0112, 3, 1, 1), (0x927c, 7, notes.len() as u32, 38)]);
    tiff.extend(notes);
    let body = [b"Exif\0\0", &tiff[..]].concat();
    with_segment(&with_segment(jpeg, 0xe1, &body), 0xfe, b"Secret comment")
}

fn assert_clean(file: &Path, what: &str) {
    let found = tags(file);
    let more: Vec<_> = found.iter().filter(|(tag, _)| !STRUCTURE.contains(&tag.as_str())).collect();
    assert!(more.is_empty(), "{what}: {more:?}");
    let bytes = fs::read(file).unwrap();
    for word in [&b"Secret"[..], b"Exif", b"http", b"ICC_PROFILE", b"Photoshop", b"exiftool"] {
        assert!(!bytes.windows(word.len()).any(|window| window == word), "{what}: {}", String::from_utf8_lossy(word));
    }
}

#[test]
fn no_variant_has_a_word_of_what_the_photo_said() {
    let folder = tempfile::tempdir().unwrap();
    let real = photos();
    let picture = scene(300, 200);
    let originals = [
        ("cat.png", Format::Png, fs::read(real.join("chelsea.png")).unwrap()),
        ("rocket.jpg", Format::Jpeg, fs::read(real.join("rocket.jpg")).unwrap()),
        ("notes.jpg", Format::Jpeg, with_notes(&picture.jpeg())),
        ("lossless.webp", Format::Webp, picture.webp_lossless()),
        ("lossy.webp", Format::Webp, picture.webp()),
        ("small.gif", Format::Gif, picture.gif()),
    ];
    for (name, format, bytes) in originals {
        let original = folder.path().join(name);
        fs::write(&original, bytes).unwrap();
        annotate(&original);
        let found = Value::Object(tags(&original)).to_string();
        assert!(found.contains("Secret"), "{name} has nothing to lose: {found}");
        // GIF knows no EXIF, but XMP.
        assert!(found.contains("GPSLatitude"), "{name} has no place: {found}");

        for variant in processed(&fs::read(&original).unwrap(), format).variants {
            let file = folder.path().join(format!("{}.{}", variant.name, variant.format.extension()));
            fs::write(&file, &variant.bytes).unwrap();
            assert_clean(&file, &format!("{variant:?} of {name}"));
        }
    }
}
