//! Runs the real binary as an operator does: in a folder of its own, with no environment but
//! what the test gives it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that can't go on must fail")]

mod admin;
mod apikey;
mod app;
mod audit;
mod auth;
mod backup;
mod backup_figures;
mod billing;
mod check;
mod completions;
mod config;
mod copying;
#[cfg(feature = "serve")]
mod crashes;
#[cfg(feature = "serve")]
mod docs;
#[cfg(feature = "serve")]
mod durability;
mod exit_codes;
mod external;
#[cfg(feature = "serve")]
mod frontend;
mod golden;
mod job;
mod key;
mod leaving;
#[cfg(feature = "serve")]
mod logs;
mod media;
mod mfa;
mod migrate;
mod migrate_lock;
mod moderation;
mod output;
mod pet;
mod seed;
#[cfg(feature = "serve")]
mod serve;
mod session;
mod support;
mod terminal;
mod throttle;
#[cfg(feature = "serve")]
mod token;
mod user;
