//! How many passwords this machine could hash a second if it did nothing else, with PetSpark's
//! parameters: what logins a second are compared with. `argon2_rate SECONDS`, on one thread.
#![allow(clippy::print_stdout, reason = "the rate is what this program is for")]

use std::error::Error;
use std::time::{Duration, Instant};

use argon2::{Algorithm, Argon2, Block, Params, Version};

fn main() -> Result<(), Box<dyn Error>> {
    let seconds = std::env::args().nth(1).ok_or("usage: argon2_rate SECONDS")?.parse()?;
    let params = Params::new(19_456, 2, 1, Some(32))?;
    // Kept between hashes, as PetSpark's threads do: the faster way is the one to compare with.
    let mut memory = vec![Block::default(); params.block_count()];
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let mut tag = [0; 32];
    let (started, duration) = (Instant::now(), Duration::from_secs(seconds));
    let mut hashes = 0_u32;
    while started.elapsed() < duration {
        argon2.hash_password_into_with_memory(b"correct horse battery", b"0123456789abcdef", &mut tag, &mut memory)?;
        hashes += 1;
    }
    println!("{:.2}", f64::from(hashes) / started.elapsed().as_secs_f64());
    Ok(())
}
