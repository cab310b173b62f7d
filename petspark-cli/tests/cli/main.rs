//! Runs the real binary as an operator does: in a folder of its own, with no environment but
//! what the test gives it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that can't go on must fail")]

mod config;
mod exit_codes;
mod external;
mod golden;
mod migrate;
mod output;
mod seed;
#[cfg(feature = "serve")]
mod serve;
mod support;
mod user;
