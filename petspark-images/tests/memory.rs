//! How much memory the worst photos take that are accepted at all. Each is looked at by a process of
//! its own, because the highest mark is the whole process's, and making such a file takes more.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};
use std::{env, fs, io};

use jpeg_encoder::{ColorType, Encoder, SamplingFactor};
use petspark_images::{Format, Limits, Refused, Sniffed, process, sniff, verify};

const MIB: u64 = 1 << 20;
/// The file itself, at most 10 MB, and the program are within it too.
const MOST: u64 = 300 * MIB;

#[test]
#[ignore = "the other test runs it in a process of its own, with a photo on standard input"]
fn one_photo() {
    let mut file = Vec::new();
    io::stdin().read_to_end(&mut file).unwrap();
    let Sniffed::Image(format) = sniff(&file) else { panic!("no photo on standard input") };
    process(&file, format, &Limits::default()).unwrap();
    let status = fs::read_to_string("/proc/self/status").unwrap();
    println!("{}", status.lines().find(|line| line.starts_with("VmHWM:")).unwrap());
}

/// Bytes of memory that a process has at most while it looks at this file.
fn highest(file: &[u8]) -> u64 {
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--ignored", "--exact", "one_photo", "--nocapture"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(file).unwrap();
    let output = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
    let line = output.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.unwrap_or_else(|| panic!("{output}")).split_whitespace().next().unwrap().parse::<u64>().unwrap() * 1024
}

/// Few bytes for many pixels.
fn jpeg(width: u16, height: u16, color: ColorType, sampling: SamplingFactor, progressive: bool) -> Vec<u8> {
    let samples = if matches!(color, ColorType::Cmyk) { 4 } else { 3 };
    let row: Vec<u8> = (0..usize::from(width) * samples).map(|n| (n / 97 * 31) as u8).collect();
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes, 70);
    encoder.set_sampling_factor(sampling);
    encoder.set_progressive(progressive);
    encoder.encode(&row.repeat(height.into()), width, height, color).unwrap();
    bytes
}

fn png(side: u32, color: png::ColorType, interlaced: bool) -> Vec<u8> {
    let mut info = png::Info::with_size(side, side);
    (info.color_type, info.bit_depth, info.interlaced) = (color, png::BitDepth::Sixteen, interlaced);
    let raw_row = 1 + side as usize * color.samples() * 2;
    // The passes of an interlaced one have the same pixels, and a few more rows.
    let raw = vec![0; raw_row * side as usize + if interlaced { 2 * side as usize } else { 0 }];
    let mut bytes = Vec::new();
    let mut writer = png::Encoder::with_info(&mut bytes, info).unwrap().write_header().unwrap();
    writer.write_chunk(png::chunk::IDAT, &fdeflate::compress_to_vec(&raw)).unwrap();
    writer.finish().ok();
    bytes
}

fn webp(width: u32, height: u32, alpha: bool) -> Vec<u8> {
    let row: Vec<u8> = (0..width * 4).map(|n| (n / 97 * 31) as u8).collect();
    let rows = row.repeat(height as usize);
    let encoder = if alpha {
        webp::Encoder::from_rgba(&rows, width, height)
    } else {
        webp::Encoder::from_rgb(&rows, width, height)
    };
    let mut config = webp::WebPConfig::new().unwrap();
    (config.method, config.quality) = (0, 10.0);
    encoder.encode_advanced(&config).unwrap().to_vec()
}

fn lossless_webp(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    let encoder = image_webp::WebPEncoder::new(&mut bytes);
    let pixels = vec![77; (width * height * 3) as usize];
    encoder.encode(&pixels, width, height, image_webp::ColorType::Rgb8).unwrap();
    bytes
}

fn gif(width: u16, height: u16) -> Vec<u8> {
    let mut encoder = gif::Encoder::new(Vec::new(), width, height, &[9, 9, 9, 200, 200, 200]).unwrap();
    let pixels = vec![1; usize::from(width) * usize::from(height)];
    encoder.write_frame(&gif::Frame::from_indexed_pixels(width, height, pixels, None)).unwrap();
    encoder.into_inner().unwrap()
}

type Maker = fn() -> Vec<u8>;

#[test]
fn what_is_taken_stays_under_300_mib_and_the_rest_is_refused() {
    the_worst_that_is_taken();
    what_would_take_more();
}

fn the_worst_that_is_taken() {
    use SamplingFactor::{F_1_1, F_2_2};
    let table: [(&str, Maker); 9] = [
        ("50 MP baseline", || jpeg(8160, 6120, ColorType::Rgb, F_1_1, false)),
        ("50 MP of ink", || jpeg(8160, 6120, ColorType::Cmyk, F_1_1, false)),
        ("41 MP progressive 4:2:0", || jpeg(7392, 5544, ColorType::Rgb, F_2_2, true)),
        ("27 MP progressive 4:4:4", || jpeg(6000, 4500, ColorType::Rgb, F_1_1, true)),
        ("50 MP with 16 bits and transparency", || png(7070, png::ColorType::Rgba, false)),
        ("the same, interlaced", || png(7070, png::ColorType::Rgba, true)),
        ("50 MP lossy", || webp(8160, 6120, false)),
        ("35 MP lossless", || lossless_webp(6830, 5120)),
        ("50 MP of few colours", || gif(8160, 6120)),
    ];
    for (what, make) in table {
        let file = make();
        assert!(file.len() < 10_000_000, "{what}: {} bytes", file.len());
        let highest = highest(&file);
        assert!(highest < MOST, "{what}: {} MiB", highest / MIB);
    }
}

fn what_would_take_more() {
    let table: [(&str, Format, Maker); 3] = [
        ("50 MP progressive 4:4:4", Format::Jpeg, || jpeg(8160, 6120, ColorType::Rgb, SamplingFactor::F_1_1, true)),
        ("37 MP lossless", Format::Webp, || lossless_webp(7030, 5270)),
        ("30 MP lossy with transparency", Format::Webp, || webp(6400, 4800, true)),
    ];
    for (what, format, make) in table {
        assert_eq!(verify(&make(), format, &Limits::default()), Err(Refused::TooMuchMemory), "{what}");
    }
}
