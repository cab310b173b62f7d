//! What is asked of the operating system besides settings: who runs us, and how terminals and
//! search paths are set up.

use std::ffi::OsString;

/// An environment variable that is no setting of PetSpark's but a convention of the platform.
pub(crate) fn variable(name: &str) -> Option<OsString> {
    #[allow(clippy::disallowed_methods, reason = "PATH, NO_COLOR and TERM are conventions, not settings")]
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// Whether what we run may do anything.
#[cfg(unix)]
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[cfg(not(unix))]
pub(crate) fn is_root() -> bool {
    false
}

/// Whether a folder belongs to who runs us.
#[cfg(unix)]
pub(crate) fn is_ours(folder: &std::path::Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    folder.metadata().is_ok_and(|about| about.uid() == rustix::process::geteuid().as_raw())
}

#[cfg(not(unix))]
pub(crate) fn is_ours(folder: &std::path::Path) -> bool {
    folder.exists()
}

/// Whether this is a file, and no link to one, that belongs to who runs us.
#[cfg(unix)]
pub(crate) fn is_our_file(path: &std::path::Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let us = rustix::process::geteuid().as_raw();
    path.symlink_metadata().is_ok_and(|about| about.is_file() && about.uid() == us)
}

#[cfg(not(unix))]
pub(crate) fn is_our_file(path: &std::path::Path) -> bool {
    path.is_file()
}

/// `cli:USER@HOST`, for the record. The user is the one the kernel knows, not what `USER` claims.
#[cfg(unix)]
pub(crate) fn operator() -> String {
    let uid = rustix::process::getuid().as_raw();
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let user = users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    });
    let user = user.unwrap_or_else(|| format!("uid{uid}"));
    format!("cli:{user}@{}", rustix::system::uname().nodename().to_string_lossy())
}

/// `cli:unknown` where there is nobody to ask.
#[cfg(not(unix))]
pub(crate) fn operator() -> String {
    "cli:unknown".to_owned()
}
