//! Backups: what comes back is what was there, what was tampered with is found out, and nothing
//! that goes wrong half-way looks like a backup.

mod beside;
mod drills;
mod encrypted;
mod external;
mod full;
mod keeping;
mod lab;
mod matrix;
mod places;
mod proof;
mod restoring;
mod scheduled;
mod storm;
