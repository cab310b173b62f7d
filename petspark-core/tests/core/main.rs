//! What must hold in the library, on both engines: under races, after crashes, for strangers.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod accounts;
mod api_keys;
mod audit;
mod blocks;
mod dashboard;
mod email_change;
mod favorites;
mod finding_pets;
mod hot_queries;
mod idempotency;
mod import;
mod jobs;
mod keys;
mod leftovers;
mod mail;
mod migrations;
mod moderation;
mod objects;
mod outages;
mod password_change;
mod people;
mod pet_lifecycle;
mod pet_transfer;
mod pets;
mod recovery;
mod rescue;
mod schema;
mod second_factor;
mod seeding;
mod sessions;
mod settings;
mod smtp_sink;
mod sql;
mod standing;
mod throttling;
