//! What this program was built from; `build.rs` finds it out.

/// The release.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The commit: `PETSPARK_COMMIT` at build time, else that of the checkout, else `unknown`.
pub const COMMIT: &str = env!("PETSPARK_BUILD_COMMIT");
/// The compiler, as `rustc --version` says it.
pub const RUST_VERSION: &str = env!("PETSPARK_BUILD_RUST");
