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

/// What exiftool finds in this file, or in each of this folder.
fn tags(place: &Path) -> Vec<Map<String, Value>> {
    let found = exiftool(&["-quiet", "-json", "-a", "-U", "-ee"], place);
    serde_json::from_str(&found).unwrap()
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

/// A camera's own notes, in the directory within the directory where they belong; exiftool itself
/// only copies such.
fn with_notes(jpeg: &[u8]) -> Vec<u8> {
    let notes = b"Nikon\0\x02\x10\0\0Secret notes of the camera at 52.5163";
    let (first, second) = (exif(&[(0x8769, 4, 1, 26)]), exif(&[(0x927c, 7, notes.len() as u32, 44)]));
    with_segment(jpeg, 0xe1, &[b"Exif\0\0", &first[..], &second[8..], notes].concat())
}

fn has(bytes: &[u8], word: &[u8]) -> bool {
    bytes.windows(word.len()).any(|window| window == word)
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
        let annotated = fs::read(&original).unwrap();
        let found = format!("{:?}", tags(&original));
        assert!(found.contains("Secret Sam") && found.contains("GPSLatitude"), "{name} has nothing to lose: {found}");
        assert_eq!(has(&annotated, b"Secret notes"), name == "notes.jpg");

        let variants = folder.path().join(format!("variants of {name}"));
        fs::create_dir(&variants).unwrap();
        for variant in processed(&annotated, format).variants {
            let file = variants.join(format!("{}.{}", variant.name, variant.format.extension()));
            fs::write(&file, &variant.bytes).unwrap();
            for word in [&b"Secret"[..], b"Exif", b"http", b"ICC_PROFILE", b"Photoshop", b"exiftool"] {
                assert!(!has(&variant.bytes, word), "{variant:?} of {name}: {}", String::from_utf8_lossy(word));
            }
        }
        let found = tags(&variants);
        assert_eq!(found.len(), 8, "{name}");
        for tags in found {
            let more: Vec<_> = tags.iter().filter(|(tag, _)| !STRUCTURE.contains(&tag.as_str())).collect();
            assert!(more.is_empty(), "{:?}: {more:?}", tags["SourceFile"]);
        }
    }
}
