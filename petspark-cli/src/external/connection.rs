//! What an external command is told of the settings: a private file with where the database is, and which
//! variables of the environment are kept from it because they hold a secret.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use petspark_core::JobId;
use petspark_core::config::{DatabaseUrl, Loader, Resolved, Settings};
use serde::Serialize;

use crate::context::Context;
use crate::options::Format;
use crate::os;
use crate::plugin::Failure;
use crate::settings::{self, PluginSettings};

/// What the file holds. Adding fields is compatible.
#[derive(Serialize)]
pub(super) struct Connection {
    schema: &'static str,
    environment: &'static str,
    data_dir: PathBuf,
    engine: &'static str,
    /// Without a password unless the command is trusted.
    pub(super) database_url: String,
    pub(super) trusted: bool,
    format: &'static str,
    /// By key; secrets are redacted.
    settings: std::collections::BTreeMap<&'static str, String>,
}

/// Settings are read, but problems with them are the program's own.
pub(super) fn connection(cx: &Context, name: &str) -> Result<Connection, Failure> {
    let mut loader = Loader::new(cx.sources()?);
    let settings = Settings::read(&mut loader);
    let trusted = PluginSettings::read(&mut loader).trusted.iter().any(|trusted| trusted == name);
    let (engine, database_url) = match &settings.database.url {
        DatabaseUrl::Postgres(url) if trusted => ("postgres", url.expose().to_owned()),
        DatabaseUrl::Postgres(url) => ("postgres", without_password(url.expose())),
        // As seen from any folder.
        DatabaseUrl::Sqlite(path) => {
            let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
            ("sqlite", format!("sqlite://{}", path.display()))
        }
    };
    let shown = |setting: Resolved| Some((setting.key, setting.value?));
    let resolved = settings::load(cx.sources()?).map(|loaded| loaded.resolved).unwrap_or_default();
    Ok(Connection {
        schema: "petspark.plugin.connection/v1",
        environment: settings.environment.as_str(),
        data_dir: std::path::absolute(&settings.data_dir).unwrap_or(settings.data_dir),
        engine,
        database_url,
        trusted,
        format: match cx.format() {
            Format::Table => "table",
            other => other.as_str(),
        },
        settings: resolved.into_iter().filter_map(shown).collect(),
    })
}

/// `postgres://user:password@host/name?password=x` without what is secret in it.
fn without_password(url: &str) -> String {
    let (address, options) = url.split_once('?').unwrap_or((url, ""));
    let (scheme, rest) = address.split_once("://").unwrap_or(("postgres", address));
    let place = match rest.rsplit_once('@') {
        Some((user, place)) => format!("{}@{place}", user.split(':').next().unwrap_or_default()),
        None => rest.to_owned(),
    };
    let is_open = |option: &&str| !option.is_empty() && !option.to_ascii_lowercase().starts_with("password");
    let options: Vec<_> = options.split('&').filter(is_open).collect();
    let separator = if options.is_empty() { "" } else { "?" };
    format!("{scheme}://{place}{separator}{}", options.join("&"))
}

/// A file that nobody else can read, and that is gone when this is dropped. Who is killed leaves it to whoever writes
/// the next one, who knows by the lock on it that nobody is there any more.
pub(super) struct PrivateFile {
    pub(super) path: PathBuf,
    file: File,
}

impl PrivateFile {
    pub(super) fn write(connection: &Connection) -> std::io::Result<Self> {
        let folder = std::env::temp_dir();
        remove_left(&folder);
        let text = serde_json::to_vec(connection)?;
        let mut private = loop {
            let private = Self::create(&folder)?;
            match private.file.try_lock() {
                // Somebody took it for left behind before it was locked, and is removing it.
                Err(TryLockError::WouldBlock) => std::thread::yield_now(),
                Ok(()) if !private.path.exists() => std::thread::yield_now(),
                // Some file systems lock nothing: then nobody removes it either.
                Ok(()) | Err(TryLockError::Error(_)) => break private,
            }
        };
        private.file.write_all(&text)?;
        Ok(private)
    }

    fn create(folder: &Path) -> std::io::Result<Self> {
        // A name that nobody knows before; and if somebody did, it would not be opened.
        let path = folder.join(format!("{BEGINNING}{}{END}", JobId::new()));
        let mut options = OpenOptions::new();
        options.create_new(true).write(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        Ok(Self { file: options.open(&path)?, path })
    }
}

impl Drop for PrivateFile {
    fn drop(&mut self) {
        remove(&self.path);
    }
}

/// How the file is called, around an id.
const BEGINNING: &str = "petspark-";
const END: &str = ".json";

/// Removes files of ours that nobody has locked any more.
fn remove_left(folder: &Path) {
    let is_meant = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str());
        let id = name.and_then(|name| name.strip_prefix(BEGINNING)?.strip_suffix(END));
        id.is_some_and(|id| id.parse::<JobId>().is_ok()) && os::is_our_file(path)
    };
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|file| file.path());
    for path in files.filter(is_meant) {
        let Ok(file) = File::open(&path) else { continue };
        // Whoever has just made it and couldn't lock it first makes another one.
        if file.try_lock().is_ok() {
            remove(&path);
        }
    }
}

fn remove(path: &Path) {
    // The program may have removed it itself.
    let _ = std::fs::remove_file(path);
}

/// The names of all environment variables that hold a secret or say where one is.
pub(super) fn secrets() -> Result<Vec<String>, Failure> {
    let declared = settings::defaults()?.resolved;
    let names = declared.iter().filter(|setting| setting.secret).flat_map(|setting| {
        let long = format!("PETSPARK__{}", setting.key.replace('.', "__").to_uppercase());
        setting.env.map(str::to_owned).into_iter().chain([long])
    });
    Ok(names.flat_map(|name| [format!("{name}_FILE"), name]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_told_without_its_password() {
        for (url, told) in [
            ("postgres://me:hunter2@db:5432/petspark", "postgres://me@db:5432/petspark"),
            ("postgres://me:hun@ter2@db/petspark?sslmode=require", "postgres://me@db/petspark?sslmode=require"),
            ("postgresql://db/petspark?password=hunter2", "postgresql://db/petspark"),
            ("postgres:///petspark?host=/run&user=me&password=x", "postgres:///petspark?host=/run&user=me"),
        ] {
            assert_eq!(without_password(url), told);
        }
    }

    #[test]
    fn every_secret_is_kept_from_external_commands() {
        let names = secrets().unwrap();
        for name in [
            "DATABASE_URL",
            "JWT_SECRET",
            "JWT_SECRET_FILE",
            "AWS_ACCESS_KEY_ID",
            "AWS_SECRET_ACCESS_KEY",
            "AWS_SESSION_TOKEN",
            "STRIPE_SECRET_KEY",
            "STRIPE_WEBHOOK_SECRET",
            "SMTP_URL",
            "SMTP_URL_FILE",
            "PETSPARK__AUTH__JWT_SECRET",
        ] {
            assert!(names.iter().any(|known| known == name), "{name}");
        }
    }
}
