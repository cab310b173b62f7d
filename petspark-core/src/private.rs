//! Files and folders that only their owner may read: the database, its locks, keys.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::path::Path;
use std::time::SystemTime;

/// The folder that a file is in.
pub(crate) fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Makes a folder, and those above it, that only the owner may enter; one that exists is left as it is.
pub(crate) fn create_folder(path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).map_err(|error| told(path, &error))
}

/// Opens a file as `options` say; one that has to be made can be read by its owner only.
pub(crate) fn open(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options.open(path).map_err(|error| told(path, &error))
}

/// How much room there is on the disk of a file or a folder.
pub(crate) fn free_bytes(path: &Path) -> io::Result<u64> {
    let disk = rustix::fs::statvfs(path).map_err(|error| told(path, &error.into()))?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// The same error, with the path that it is about.
pub(crate) fn told(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// Deletes files of a folder that were last changed before then and whose name is one of those
/// meant; says how many. A folder that isn't there has none, and one that went meanwhile is gone.
pub(crate) fn remove_older(folder: &Path, before: SystemTime, meant: impl Fn(&str) -> bool) -> io::Result<u64> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        entries => entries.map_err(|error| told(folder, &error))?,
    };
    let mut removed = 0;
    for entry in entries {
        let path = entry?.path();
        if !path.file_name().and_then(|name| name.to_str()).is_some_and(&meant) {
            continue;
        }
        let changed = std::fs::symlink_metadata(&path).and_then(|file| file.modified());
        match changed.and_then(|at| if at < before { std::fs::remove_file(&path).map(|()| 1) } else { Ok(0) }) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            result => removed += result.map_err(|error| told(&path, &error))?,
        }
    }
    Ok(removed)
}
