//! What external commands said of themselves, so that the help doesn't ask them each time: by path, time
//! of change and length. It is a convenience: whatever is wrong with the file, they are asked. `check` also
//! learns here that one had checks that can't say so any more.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use petspark_core::JobId;
use serde::{Deserialize, Serialize};

use super::Description;
use crate::os;

/// Longest file that is read.
const MAX_BYTES: u64 = 1 << 20;

/// See the [module](self).
pub(super) struct Remembered {
    file: Option<PathBuf>,
    programs: BTreeMap<String, Entry>,
    is_changed: bool,
}

#[derive(Deserialize, Serialize)]
struct Entry {
    changed_ns: u64,
    bytes: u64,
    description: Description,
}

impl Remembered {
    pub(super) fn read(tool: &str) -> Self {
        let file = folder().map(|folder| folder.join(format!("{tool}-commands.json")));
        let read = |path: &PathBuf| {
            let mut text = Vec::new();
            File::open(path).ok()?.take(MAX_BYTES).read_to_end(&mut text).ok()?;
            serde_json::from_slice(&text).ok()
        };
        let programs = file.as_ref().and_then(read).unwrap_or_default();
        Self { file, programs, is_changed: false }
    }

    pub(super) fn get(&self, path: &Path) -> Option<Description> {
        let entry = self.programs.get(path.to_str()?)?;
        let is_same = state(path)? == (entry.changed_ns, entry.bytes);
        is_same.then(|| entry.description.clone().without_controls())
    }

    /// What the program at this path said last, whether or not it is still the same.
    pub(super) fn last(&self, path: &Path) -> Option<&Description> {
        Some(&self.programs.get(path.to_str()?)?.description)
    }

    pub(super) fn set(&mut self, path: &Path, description: &Description) {
        if let (Some(name), Some((changed_ns, bytes))) = (path.to_str(), state(path)) {
            let entry = Entry { changed_ns, bytes, description: description.clone() };
            self.programs.insert(name.to_owned(), entry);
            self.is_changed = true;
        }
    }

    /// Writes it for the next time, if there is something new; programs that are gone are forgotten.
    pub(super) fn write(mut self) {
        let (Some(file), true) = (&self.file, self.is_changed) else { return };
        self.programs.retain(|path, _| Path::new(path).exists());
        let draft = file.with_extension(JobId::new().to_string());
        let written = fs::create_dir_all(file.parent().unwrap_or(Path::new("."))).and_then(|()| {
            let mut options = OpenOptions::new();
            options.create_new(true).write(true);
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
            options.open(&draft)?.write_all(&serde_json::to_vec(&self.programs)?)?;
            fs::rename(&draft, file)
        });
        if written.is_err() {
            // They are asked again the next time.
            let _ = fs::remove_file(&draft);
        }
    }
}

/// When a program was changed, and how long it is.
fn state(path: &Path) -> Option<(u64, u64)> {
    let about = path.metadata().ok()?;
    let changed = about.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    Some((u64::try_from(changed.as_nanos()).ok()?, about.len()))
}

/// Where users have what can be made again: only if that is a folder of our own, or will be when it is made.
/// With `sudo` the home may be somebody else's.
fn folder() -> Option<PathBuf> {
    let cache = match os::variable("XDG_CACHE_HOME") {
        Some(cache) => PathBuf::from(cache),
        None => PathBuf::from(os::variable("HOME")?).join(".cache"),
    };
    let owned = if cache.exists() { Some(&*cache) } else { cache.parent() };
    (cache.is_absolute() && owned.is_some_and(os::is_ours)).then(|| cache.join("petspark"))
}
