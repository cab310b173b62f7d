//! Writes every variant of a photo into a folder and says what they are: `variants PHOTO FOLDER`.
//! What `benches/photos` measures.
#![allow(clippy::print_stdout, reason = "this is what it is for")]

use std::error::Error;
use std::path::PathBuf;
use std::{env, fs};

use petspark_images::{Limits, Sniffed, process, sniff};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args_os().skip(1).map(PathBuf::from);
    let (Some(photo), Some(folder)) = (arguments.next(), arguments.next()) else {
        return Err("usage: variants PHOTO FOLDER".into());
    };
    let bytes = fs::read(photo)?;
    let Sniffed::Image(format) = sniff(&bytes) else {
        return Err(format!("this is {}", sniff(&bytes)).into());
    };
    let processed = process(&bytes, format, &Limits::default())?;
    println!("{} x {}, look {:016x}", processed.width, processed.height, processed.perceptual_hash);
    for variant in processed.variants {
        println!("{variant:?}");
        fs::write(folder.join(format!("{}.{}", variant.name, variant.format.extension())), variant.bytes)?;
    }
    Ok(())
}
