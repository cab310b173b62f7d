//! The server as its clients see it: through the router, and over real sockets where the socket
//! matters.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod accounts;
mod admin_users;
mod audit;
mod billing;
mod breeds;
mod browsers;
mod conditional;
mod contract;
mod envelope;
mod favorites_and_blocks;
mod idempotency;
mod jobs;
mod keys;
mod listening;
mod media;
mod moderation;
mod operations;
mod people;
mod pets;
mod rate_limits;
mod recovery;
mod second_factor;
mod sessions;
mod support;
mod throttling;
