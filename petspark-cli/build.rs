//! Tells the crate which commit and compiler it was built from.
#![allow(clippy::disallowed_methods, reason = "cargo speaks to build scripts through the environment")]

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=PETSPARK_COMMIT");
    let commit = std::env::var("PETSPARK_COMMIT").ok().filter(|commit| !commit.is_empty()).or_else(commit_of_checkout);
    println!("cargo::rustc-env=PETSPARK_BUILD_COMMIT={}", commit.as_deref().unwrap_or("unknown"));
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let version = output(Command::new(rustc).arg("--version"));
    println!("cargo::rustc-env=PETSPARK_BUILD_RUST={}", version.as_deref().unwrap_or("unknown"));
}

/// Only of our own repository: a copy of this crate within somebody else's must not name their commit.
fn commit_of_checkout() -> Option<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent()?;
    let git = root.join(".git");
    if !git.exists() {
        return None;
    }
    // A path that doesn't exist would make cargo build again every time.
    let branch = std::fs::read_to_string(git.join("HEAD")).ok();
    let branch = branch.as_deref().and_then(|head| head.trim().strip_prefix("ref: "));
    for file in ["HEAD", "packed-refs"].into_iter().chain(branch) {
        if git.join(file).exists() {
            println!("cargo::rerun-if-changed={}", git.join(file).display());
        }
    }
    output(Command::new("git").current_dir(root).args(["rev-parse", "--short=12", "HEAD"]))
}

fn output(command: &mut Command) -> Option<String> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned()).filter(|text| !text.is_empty())
}
