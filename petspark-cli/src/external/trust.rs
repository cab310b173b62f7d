//! Who could have put a program there: it is run only if nobody but root and us can change it, or what the way to it
//! leads through, and if it is what the settings allow.

use std::path::{Path, PathBuf};

use petspark_core::audit::fingerprint;

/// What `plugins.allow` has about a program of a name.
pub(super) enum Allowed {
    /// It is empty: no program is named.
    Any,
    /// `sha256:` and the digest that it must have.
    As(String),
    /// Others are named, and nobody expects anything of this one.
    Others,
}

/// What is run in the end, where no link is on the way to it; or why nothing is.
pub(super) fn look(path: &Path, allowed: &Allowed) -> Result<PathBuf, String> {
    let real = followed(path)?;
    let digest = match allowed {
        Allowed::Any => return Ok(real),
        Allowed::As(digest) => digest,
        Allowed::Others => return Err("plugins.allow doesn't name it".to_owned()),
    };
    let bytes = std::fs::read(&real).map_err(|error| error.to_string())?;
    match *digest == format!("sha256:{}", fingerprint(&bytes)) {
        true => Ok(real),
        false => Err("it has another SHA-256 than plugins.allow says".to_owned()),
    }
}

/// As many as Linux follows.
#[cfg(unix)]
const MOST_LINKS: usize = 40;

/// Goes the way from the root step by step, and looks at each folder, at links and at where these lead.
#[cfg(unix)]
fn followed(path: &Path) -> Result<PathBuf, String> {
    use std::collections::VecDeque;
    use std::os::unix::fs::MetadataExt as _;
    let steps = |path: &Path| path.components().map(|step| step.as_os_str().to_owned()).collect::<VecDeque<_>>();
    let told = |place: &Path, error: std::io::Error| format!("{}: {error}", place.display());
    let (mut here, mut ahead, mut links) = (PathBuf::from("/"), steps(path), 0);
    while let Some(step) = ahead.pop_front() {
        if step == ".." {
            here.pop();
            continue;
        }
        // Where everybody may add something, but only its owner may take it away, others can't change what is
        // ours. The folder of a program itself is for nobody to add to.
        let is_on_the_way = !ahead.is_empty();
        require_ours(&here, is_on_the_way)?;
        // The root itself stands in place of all that was before.
        let next = here.join(&step);
        if !next.symlink_metadata().map_err(|error| told(&next, error))?.is_symlink() {
            here = next;
            continue;
        }
        require_ours(&next, false)?;
        links += 1;
        if links > MOST_LINKS {
            return Err(format!("{} leads in a circle", path.display()));
        }
        let mut to = steps(&next.read_link().map_err(|error| told(&next, error))?);
        to.append(&mut ahead);
        ahead = to;
    }
    require_ours(&here, false)?;
    let about = here.metadata().map_err(|error| told(&here, error))?;
    if about.mode() & 0o111 == 0 { Err("it isn't executable; chmod +x".to_owned()) } else { Ok(here) }
}

/// Refuses what somebody else than root or we could change.
#[cfg(unix)]
fn require_ours(place: &Path, may_be_sticky: bool) -> Result<(), String> {
    use std::os::unix::fs::MetadataExt as _;
    let about = place.symlink_metadata().map_err(|error| format!("{}: {error}", place.display()))?;
    let is_sticky = about.is_dir() && about.mode() & 0o1000 != 0;
    // A link's own mode means nothing.
    if about.mode() & 0o022 != 0 && !about.is_symlink() && !(may_be_sticky && is_sticky) {
        return Err(format!("{} can be changed by others; chmod go-w", place.display()));
    }
    if about.uid() != 0 && about.uid() != rustix::process::geteuid().as_raw() {
        return Err(format!("{} belongs to another user than root or you", place.display()));
    }
    Ok(())
}

#[cfg(not(unix))]
fn followed(path: &Path) -> Result<PathBuf, String> {
    path.canonicalize().map_err(|error| error.to_string())
}
