//! Files that mean harm or came to harm: each has its stated answer, and none brings anything down.

use jpeg_encoder::SamplingFactor;
use petspark_images::{Format, Limits, Refused, Sniffed, process, verify};
use png::{BitDepth, ColorType};

use crate::files::{Pixels, exif, png_of_chunks, processed, scene, webp_chunk, webp_of_chunks, with_segment};

const HTML: &[u8] = b"<html><script>alert(document.cookie)</script></html>";

fn png_header(width: u32, height: u32) -> png::Info<'static> {
    let mut info = png::Info::with_size(width, height);
    (info.color_type, info.bit_depth) = (ColorType::Rgb, BitDepth::Eight);
    info
}

/// The size in the header is a lie.
fn jpeg_of_size(file: &[u8], width: u16, height: u16) -> Vec<u8> {
    let mut file = file.to_vec();
    let frame = file.windows(2).position(|two| two == [0xff, 0xc0]).unwrap();
    file[frame + 5..frame + 9].copy_from_slice(&[height.to_be_bytes(), width.to_be_bytes()].concat());
    file
}

/// Compressed by four powers of ten.
fn zeros(length: usize) -> Vec<u8> {
    fdeflate::compress_to_vec(&vec![0; length])
}

fn lossy_chunk(picture: &Pixels) -> Vec<u8> {
    picture.webp()[20..].to_vec()
}

fn extended_webp(flags: u8, width: u32, height: u32, chunks: &[(&[u8; 4], &[u8])]) -> Vec<u8> {
    let sides = [(width - 1).to_le_bytes(), (height - 1).to_le_bytes()];
    let header = [&[flags, 0, 0, 0], &sides[0][..3], &sides[1][..3]].concat();
    webp_of_chunks(&[&[(b"VP8X", &header[..])], chunks].concat())
}

fn frame(width: u32, height: u32, picture: &[u8]) -> Vec<u8> {
    let sides = [(width - 1).to_le_bytes(), (height - 1).to_le_bytes()];
    [&[0; 6], &sides[0][..3], &sides[1][..3], &[100, 0, 0, 0], &webp_chunk(b"VP8 ", picture)[..]].concat()
}

type Answer = Result<(u32, u32), Refused>;

fn jpegs() -> Vec<(&'static str, Vec<u8>, Answer)> {
    let plain = scene(64, 48).jpeg();
    let every_tag: Vec<_> = (0x0100..0x1500).map(|tag| (tag, 3, 1, if tag == 0x0112 { 6 } else { 0xffff })).collect();
    let long_exif = [b"Exif\0\0", &exif(&every_tag)[..]].concat();
    let frame = plain.windows(2).position(|two| two == [0xff, 0xc0]).unwrap();
    let second_frame = [&plain[..frame + 19], &jpeg_of_size(&plain, 9000, 5000)[frame..]].concat();
    let scan = plain.windows(2).position(|two| two == [0xff, 0xda]).unwrap();
    let many_scans = [&plain[..plain.len() - 2], &plain[scan..plain.len() - 2].repeat(500), b"\xff\xd9"].concat();
    let progressive = scene(64, 48).jpeg_with(|encoder| encoder.set_progressive_scans(64));
    // Each is compared with all before it by who puts extended XMP together.
    let note = [b"\xff\xe1\x00\x4d".as_slice(), b"http://ns.adobe.com/xmp/extension/\0", &[b'a'; 40]].concat();
    let many_notes = [&plain[..2], &note.repeat(100_000), &plain[2..]].concat();
    vec![
        ("a JPEG with a page behind it", [&plain[..], HTML].concat(), Ok((64, 48))),
        ("a JPEG with an archive behind it", [&plain[..], b"PK\x03\x04", &[7; 500]].concat(), Ok((64, 48))),
        ("a JPEG with a page in a comment", with_segment(&plain, 0xfe, HTML), Ok((64, 48))),
        ("a JPEG's first bytes and a page", [b"\xff\xd8\xff\xe0", HTML].concat(), Err(Refused::Damaged)),
        ("EXIF with every tag", with_segment(&plain, 0xe1, &long_exif), Ok((48, 64))),
        ("65,535 x 65,535", jpeg_of_size(&plain, 65_535, 65_535), Err(Refused::TooLong { side: 65_535, most: 16_384 })),
        (
            "too many pixels",
            jpeg_of_size(&plain, 10_000, 8_000),
            Err(Refused::TooManyPixels { pixels: 80_000_000, most: 50_000_000 }),
        ),
        ("more pixels than there are", jpeg_of_size(&plain, 640, 480), Ok((640, 480))),
        ("no height", jpeg_of_size(&plain, 64, 0), Err(Refused::Damaged)),
        ("a second size", second_frame, Err(Refused::Damaged)),
        ("500 scans of one picture", many_scans, Err(Refused::Damaged)),
        ("192 scans of a progressive one", progressive, Err(Refused::Damaged)),
        ("100,000 notes", many_notes, Err(Refused::Damaged)),
        ("only a beginning and an end", b"\xff\xd8\xff\xd9".to_vec(), Err(Refused::Damaged)),
        ("fill bytes for ever", [b"\xff\xd8".to_vec(), vec![0xff; 100_000]].concat(), Err(Refused::Damaged)),
    ]
}

fn pngs() -> Vec<(&'static str, Vec<u8>, Answer)> {
    let bomb = zeros(64 << 20);
    let named = |rest: &[u8]| [b"name\0\0", rest].concat();
    let pixels = fdeflate::compress_to_vec(&[0; 64 * 3 + 1].repeat(48));
    let small = png_header(64, 48);
    let deep = |side| {
        let mut info = png_header(side, side);
        info.bit_depth = BitDepth::Sixteen;
        png_of_chunks(&info, &[(*b"IDAT", &zeros(1000))])
    };
    vec![
        (
            "60,000 x 60,000 in 66 bytes",
            png_of_chunks(&png_header(60_000, 60_000), &[]),
            Err(Refused::TooLong { side: 60_000, most: 16_384 }),
        ),
        (
            "within the sides, not within the pixels",
            png_of_chunks(&png_header(16_384, 16_384), &[]),
            Err(Refused::TooManyPixels { pixels: 268_435_456, most: 50_000_000 }),
        ),
        (
            "49 megapixels without pixels",
            png_of_chunks(&png_header(7000, 7000), &[(*b"IDAT", &zeros(1000))]),
            Err(Refused::Damaged),
        ),
        ("the same with 16 bits", deep(7000), Err(Refused::Damaged)),
        (
            "a profile that inflates to 64 MB",
            png_of_chunks(&small, &[(*b"iCCP", &named(&bomb)), (*b"IDAT", &pixels)]),
            Ok((64, 48)),
        ),
        (
            "a text that inflates to 64 MB",
            png_of_chunks(&small, &[(*b"zTXt", &named(&bomb)), (*b"IDAT", &pixels)]),
            Ok((64, 48)),
        ),
        ("64 MB of pixels for a few", png_of_chunks(&small, &[(*b"IDAT", &bomb)]), Ok((64, 48))),
        (
            "20 MB of EXIF",
            png_of_chunks(&small, &[(*b"eXIf", &vec![1; 20 << 20]), (*b"IDAT", &pixels)]),
            Err(Refused::TooMuchMemory),
        ),
        (
            "a wrong check sum",
            {
                let mut file = scene(64, 48).png();
                let at = file.len() - 20;
                file[at] ^= 1;
                file
            },
            Err(Refused::Damaged),
        ),
        ("a page behind it", [&scene(64, 48).png()[..], HTML].concat(), Ok((64, 48))),
        ("an animation of 5,000 frames", animated_png(5000), Ok((64, 48))),
        ("its first bytes and a page", [b"\x89PNG\r\n\x1a\n", HTML].concat(), Err(Refused::Damaged)),
    ]
}

fn animated_png(frames: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, 64, 48);
    encoder.set_animated(frames, 0).unwrap();
    let mut writer = encoder.write_header().unwrap();
    (0..frames).for_each(|_| writer.write_image_data(&[0; 64 * 48]).unwrap());
    writer.finish().unwrap();
    bytes
}

fn others() -> Vec<(&'static str, Format, Vec<u8>, Answer)> {
    let picture = scene(64, 48);
    let lossy = lossy_chunk(&picture);
    let large = lossy_chunk(&scene(2000, 1500));
    let animation = |width, height| {
        let one = frame(64, 48, &lossy);
        let frames = vec![(b"ANMF", &one[..]); 500];
        extended_webp(0b10, width, height, &[&[(b"ANIM", &[0; 6][..])], &frames[..]].concat())
    };
    let mut wide = picture.gif();
    wide[6..10].copy_from_slice(&[0xff; 4]);
    let mut outside = picture.gif();
    outside[6..8].copy_from_slice(&[10, 0]);
    vec![
        ("an animated WebP", Format::Webp, animation(64, 48), Ok((64, 48))),
        (
            "an animated giant",
            Format::Webp,
            animation(16_384, 16_384),
            Err(Refused::TooManyPixels { pixels: 268_435_456, most: 50_000_000 }),
        ),
        ("an animated one that needs much at once", Format::Webp, animation(6000, 6000), Err(Refused::TooMuchMemory)),
        (
            "a WebP that is larger inside than outside",
            Format::Webp,
            extended_webp(0, 64, 48, &[(b"VP8 ", &large)]),
            Err(Refused::Damaged),
        ),
        (
            "the same in an animation",
            Format::Webp,
            extended_webp(0b10, 64, 48, &[(b"ANIM", &[0; 6]), (b"ANMF", &frame(64, 48, &large))]),
            Err(Refused::Damaged),
        ),
        (
            "frames without an animation",
            Format::Webp,
            extended_webp(0, 64, 48, &[(b"ANMF", &frame(64, 48, &lossy))]),
            Err(Refused::Damaged),
        ),
        (
            "a WebP of 8 x 8 pixels with room for a gigabyte of tables",
            Format::Webp,
            webp_of_chunks(&[(b"VP8L", &[&[0x2f, 7, 0xc0, 1, 0], &[0xa5; 1 << 20][..]].concat())]),
            Err(Refused::TooMuchMemory),
        ),
        ("a WebP of nothing", Format::Webp, webp_of_chunks(&[]), Err(Refused::Damaged)),
        (
            "a WebP's first bytes and a page",
            Format::Webp,
            [b"RIFF\x40\0\0\0WEBP", HTML].concat(),
            Err(Refused::Damaged),
        ),
        ("an animated GIF", Format::Gif, picture.gif_with_frames(500), Ok((64, 48))),
        ("a GIF of 65,535 x 65,535", Format::Gif, wide, Err(Refused::TooLong { side: 65_535, most: 16_384 })),
        ("a frame beyond the canvas", Format::Gif, outside, Err(Refused::Damaged)),
        (
            "a GIF's first bytes and a page",
            Format::Gif,
            [b"GIF89a\x40\0\x30\0\0\0\0", HTML].concat(),
            Err(Refused::Damaged),
        ),
        (
            "a drawing with a script",
            Format::Png,
            b"<svg onload='alert(1)'/>".to_vec(),
            Err(Refused::NotThis { declared: Format::Png, found: Sniffed::Svg }),
        ),
        ("zero bytes", Format::Jpeg, Vec::new(), Err(Refused::Empty)),
        ("one byte", Format::Gif, vec![0x47], Err(Refused::NotThis { declared: Format::Gif, found: Sniffed::Other })),
    ]
}

#[test]
fn every_hostile_file_gets_its_answer() {
    let jpegs = jpegs().into_iter().map(|(what, file, answer)| (what, Format::Jpeg, file, answer));
    let pngs = pngs().into_iter().map(|(what, file, answer)| (what, Format::Png, file, answer));
    let limits = Limits::default();
    for (what, format, file, expected) in jpegs.chain(pngs).chain(others()) {
        let verified = verify(&file, format, &limits).map(|v| (v.width, v.height));
        assert_eq!(verified, expected, "{what}");
        let processed = process(&file, format, &limits);
        assert_eq!(processed.as_ref().map(|p| (p.width, p.height)).map_err(Clone::clone), expected, "{what}");
        for variant in processed.iter().flat_map(|processed| &processed.variants) {
            let has = |needle: &[u8]| variant.bytes.windows(needle.len()).any(|window| window == needle);
            assert!(!has(b"script") && !has(b"PK\x03\x04") && !has(b"Exif"), "{what}: {variant:?}");
        }
    }
}

/// Every kind of coding that a decoder has a path of its own for.
fn of_every_kind() -> Vec<(&'static str, Format, Vec<u8>)> {
    let picture = scene(72, 56);
    let subsampled = |progressive: bool, optimized: bool| {
        picture.jpeg_with(|encoder| {
            encoder.set_sampling_factor(SamplingFactor::F_2_2);
            encoder.set_progressive(progressive);
            encoder.set_optimized_huffman_tables(optimized);
            // The encoder can't have both tables of its own and restarts.
            encoder.set_restart_interval(if progressive || optimized { 0 } else { 3 });
        })
    };
    let animation =
        extended_webp(0b10, 72, 56, &[(b"ANIM", &[0; 6]), (b"ANMF", &frame(72, 56, &lossy_chunk(&picture)))]);
    vec![
        ("baseline", Format::Jpeg, picture.jpeg()),
        ("restarts", Format::Jpeg, subsampled(false, false)),
        ("a scan for each colour", Format::Jpeg, subsampled(false, true)),
        ("progressive", Format::Jpeg, subsampled(true, false)),
        ("PNG", Format::Png, picture.png()),
        ("animated PNG", Format::Png, animated_png(3)),
        ("lossy", Format::Webp, picture.webp()),
        ("lossless", Format::Webp, picture.webp_lossless()),
        ("animated WebP", Format::Webp, animation),
        ("GIF", Format::Gif, picture.gif_with_frames(2)),
    ]
}

#[test]
fn a_file_that_is_cut_anywhere_is_refused_or_shows_the_same_picture() {
    for (what, format, file) in of_every_kind() {
        let whole = processed(&file, format);
        let mut refused = 0;
        for length in (0..file.len()).step_by((file.len() / 75).max(1)).chain(file.len() - 8..file.len()) {
            match process(&file[..length], format, &Limits::default()) {
                // What was cut off wasn't part of the picture.
                Ok(cut) => assert_eq!(cut.variants, whole.variants, "{what} cut at {length} of {}", file.len()),
                Err(Refused::Empty | Refused::Damaged | Refused::NotThis { .. }) => refused += 1,
                Err(other) => panic!("{what} cut at {length}: {other:?}"),
            }
        }
        assert!(refused >= 40 || what.starts_with("animated"), "{what}: only {refused} were refused");
        if format == Format::Jpeg {
            assert_eq!(verify(&file[..file.len() - 1], format, &Limits::default()), Err(Refused::Damaged), "{what}");
        }
    }
}

#[test]
fn a_file_that_was_scribbled_on_is_decoded_or_refused() {
    // Steele and Vigna's mixer: the same scribbles every time.
    let mut state = 1_u64;
    let mut random = |below: usize| {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (mixed ^ mixed >> 27) as usize % below
    };
    let limits = Limits { max_pixels: 1_000_000, ..Limits::default() };
    for (what, format, file) in of_every_kind() {
        for _ in 0..150 {
            let mut scribbled = file.clone();
            for _ in 0..=random(8) {
                // Half of them in the headers, where it hurts most.
                let at = if random(2) == 0 { random(file.len().min(100)) } else { random(file.len()) };
                scribbled[at] = random(256) as u8;
            }
            // Whatever it says: it comes back, and a picture has a size.
            if let Ok(picture) = process(&scribbled, format, &limits) {
                assert!(picture.width > 0 && picture.height > 0, "{what}");
            }
        }
    }
}
