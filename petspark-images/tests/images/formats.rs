//! What a file is taken for by its first bytes and by its declared type.

use petspark_images::{Format, Limits, Refused, Sniffed, sniff, verify};

use crate::files::{scene, with_segment};

#[test]
fn files_are_known_by_their_first_bytes() {
    let small = scene(8, 8);
    let heic = [b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", &[0; 40][..]].concat();
    let table: [(&str, Vec<u8>, Sniffed); 16] = [
        ("JPEG", small.jpeg(), Sniffed::Image(Format::Jpeg)),
        ("PNG", small.png(), Sniffed::Image(Format::Png)),
        ("WebP", small.webp(), Sniffed::Image(Format::Webp)),
        ("GIF", small.gif(), Sniffed::Image(Format::Gif)),
        ("HEIC by major brand", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic".to_vec(), Sniffed::Heic),
        ("HEIC by another brand", heic, Sniffed::Heic),
        ("AVIF", b"\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf".to_vec(), Sniffed::Avif),
        ("a film", b"\0\0\0\x18ftypisom\0\0\0\0isommp42".to_vec(), Sniffed::Other),
        ("SVG", b"<svg xmlns='http://www.w3.org/2000/svg'/>".to_vec(), Sniffed::Svg),
        ("SVG behind a declaration", b"\xef\xbb\xbf <?xml version='1.0'?>\n<!-- x --><SVG>".to_vec(), Sniffed::Svg),
        ("PDF", b"%PDF-1.7\n".to_vec(), Sniffed::Pdf),
        ("HTML", b"<!doctype html><html><body>".to_vec(), Sniffed::Other),
        ("RIFF of sound", b"RIFF\x24\0\0\0WAVEfmt ".to_vec(), Sniffed::Other),
        ("the beginning of a beginning", b"\xff\xd8".to_vec(), Sniffed::Other),
        ("a box that is longer than the file", b"\xff\xff\xff\xffftyp".to_vec(), Sniffed::Other),
        ("nothing", Vec::new(), Sniffed::Other),
    ];
    for (what, bytes, expected) in table {
        assert_eq!(sniff(&bytes), expected, "{what}");
    }
}

#[test]
fn content_types_and_extensions_name_the_same_formats() {
    for format in Format::ALL {
        assert_eq!(Format::from_content_type(format.content_type()), Some(format));
        assert_eq!(Format::from_content_type(&format.content_type().to_uppercase()), Some(format));
        assert!(format.content_type().ends_with(&format.extension().replace("jpg", "jpeg")));
    }
    assert_eq!(Format::from_content_type("image/png; charset=binary"), Some(Format::Png));
    for unknown in ["", "image/svg+xml", "image/heic", "image/*", "text/html", "image/pngx"] {
        assert_eq!(Format::from_content_type(unknown), None, "{unknown}");
    }
}

#[test]
fn a_file_is_taken_only_as_what_it_was_declared() {
    let picture = scene(40, 30);
    for declared in Format::ALL {
        for found in Format::ALL {
            let answer = verify(&picture.file(found), declared, &Limits::default());
            if declared == found {
                let verified = answer.unwrap();
                assert_eq!((verified.width, verified.height), (40, 30));
            } else {
                assert_eq!(answer, Err(Refused::NotThis { declared, found: Sniffed::Image(found) }));
            }
        }
    }
}

#[test]
fn a_refusal_tells_the_owner_what_to_do() {
    let limits = Limits::default();
    let heic = verify(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", Format::Jpeg, &limits).unwrap_err();
    assert_eq!(heic, Refused::Heic);
    assert!(heic.to_string().contains("Most Compatible"));
    let other = verify(&scene(8, 8).gif(), Format::Jpeg, &limits).unwrap_err();
    assert_eq!(other.to_string(), "The file was announced as a JPEG picture, but it is a GIF picture.");
    let barely = Refused::TooManyPixels { pixels: 50_000_001, most: 50_000_000 };
    assert_eq!(barely.to_string(), "The photo has 51 megapixels, at most 50 are possible. Please send a smaller one.");
    assert_eq!(verify(b"", Format::Png, &limits), Err(Refused::Empty));
}

#[test]
fn what_follows_a_jpeg_and_what_precedes_its_pixels_does_not_matter() {
    let plain = scene(40, 30).jpeg();
    let thumbnail = scene(16, 12).jpeg();
    for (what, bytes) in [
        ("a second picture behind, as phones do", [&plain[..], &thumbnail].concat()),
        ("a picture within a segment", with_segment(&plain, 0xe1, &[b"Exif\0\0", &thumbnail[..]].concat())),
        ("a comment with markers in it", with_segment(&plain, 0xfe, b"\xff\xd9 \xff\xda \xff\xc0")),
    ] {
        let verified = verify(&bytes, Format::Jpeg, &Limits::default());
        assert_eq!(verified.map(|v| (v.width, v.height)), Ok((40, 30)), "{what}");
    }
}
