//! Files in, pictures out: what is taken, what is refused, and what is left of it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod colors;
mod files;
mod formats;
mod hostile;
mod likeness;
mod orientation;
mod privacy;
mod variants;
