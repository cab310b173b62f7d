//! Lays flags, environment, `.env` and TOML file over each other, remembers where each value
//! came from, and collects every problem instead of stopping at the first.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::path::PathBuf;

use config::{Config, File, FileFormat};

use super::Environment;
use super::value::Value;
use crate::error::{Failure, Kind};
use crate::secret::Secret;

/// A setting with a default.
#[derive(Clone, Debug)]
pub struct Setting<T> {
    /// Where it stands in the TOML file, `section.key`. As `PETSPARK__SECTION__KEY` it can be
    /// given in the environment too.
    pub key: &'static str,
    /// The name that operators know it by, if it has one.
    pub env: Option<&'static str>,
    /// What holds when nobody says anything.
    pub default: T,
    /// One line for the operator.
    pub about: &'static str,
}

/// What settings are read from. Tests and embedders fill it by hand.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// Command-line flags by key: these win.
    pub flags: BTreeMap<String, String>,
    /// Environment variables.
    pub environment: HashMap<String, String>,
    /// The text of a `.env` file; ignored in production.
    pub dotenv: Option<String>,
    /// A TOML file: its path and text.
    pub file: Option<(PathBuf, String)>,
}

impl Sources {
    /// This process's environment, the `.env` in the working folder, and the file that `config`
    /// or else `PETSPARK_CONFIG` names.
    ///
    /// # Errors
    /// [`Problems`] when a file is named and can't be read.
    pub fn of_process(config: Option<PathBuf>) -> Result<Self, Problems> {
        #[allow(clippy::disallowed_methods, reason = "the one place that reads the environment")]
        let environment: HashMap<String, String> = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        let dotenv = std::fs::read_to_string(".env").ok();
        let named =
            config.or_else(|| environment.get("PETSPARK_CONFIG").filter(|path| !path.is_empty()).map(PathBuf::from));
        let file = match named {
            None => None,
            Some(path) => match std::fs::read_to_string(&path) {
                Ok(text) => Some((path, text)),
                Err(error) => {
                    return Err(Problems(vec![Problem {
                        key: "PETSPARK_CONFIG".to_owned(),
                        origin: Origin::File(path.clone()),
                        message: format!("{} can't be read: {error}", path.display()),
                    }]));
                }
            },
        };
        Ok(Self { flags: BTreeMap::new(), environment, dotenv, file })
    }
}

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// Nobody said anything.
    Default,
    /// The TOML file.
    File(PathBuf),
    /// The `.env` file, by this name.
    DotEnv(String),
    /// The environment, by this name.
    Environment(String),
    /// A file that `NAME_FILE` in the environment points to.
    SecretFile(String, PathBuf),
    /// A command-line flag.
    Flag,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::DotEnv(name) => write!(f, ".env {name}"),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::SecretFile(name, path) => write!(f, "{name} {}", path.display()),
            Self::Flag => f.write_str("flag"),
        }
    }
}

/// One thing that is wrong with the settings.
#[derive(Clone, Debug)]
pub struct Problem {
    /// The setting's key.
    pub key: String,
    /// Where the value came from.
    pub origin: Origin,
    /// What is wrong and how to mend it.
    pub message: String,
}

/// Everything that is wrong with the settings.
#[derive(Clone, Debug)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} problem{} in the settings", self.0.len(), if self.0.len() == 1 { "" } else { "s" })?;
        for Problem { key, origin, message } in &self.0 {
            write!(f, "\n  {key} ({origin}): {message}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

impl Failure for Problems {
    fn kind(&self) -> Kind {
        Kind::Invalid
    }

    fn code(&self) -> &'static str {
        "CONFIG_INVALID"
    }
}

/// A declared setting and what became of it.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// Its key.
    pub key: &'static str,
    /// Its own environment name.
    pub env: Option<&'static str>,
    /// What it does.
    pub about: &'static str,
    /// Its default as text; empty for none.
    pub default: String,
    /// Its value as text, with secrets redacted; `None` when it isn't set.
    pub value: Option<String>,
    /// Where the value came from.
    pub origin: Origin,
    /// Whether it must not be shown.
    pub secret: bool,
}

/// Reads settings one by one; see the [module](super).
#[derive(Debug)]
pub struct Loader {
    flags: BTreeMap<String, String>,
    environment: HashMap<String, String>,
    dotenv: HashMap<String, String>,
    file: BTreeMap<String, String>,
    file_path: PathBuf,
    resolved: Vec<Resolved>,
    problems: Vec<Problem>,
    declared_environment: Option<Environment>,
}

impl Loader {
    /// A loader that gives nothing but defaults.
    #[must_use]
    pub fn empty() -> Self {
        Self::new(Sources::default())
    }

    /// A loader over `sources`.
    #[must_use]
    pub fn new(sources: Sources) -> Self {
        let mut loader = Self {
            flags: sources.flags,
            environment: sources.environment,
            dotenv: HashMap::new(),
            file: BTreeMap::new(),
            file_path: PathBuf::new(),
            resolved: Vec::new(),
            problems: Vec::new(),
            declared_environment: None,
        };
        if let Some((path, text)) = sources.file {
            loader.file_path = path;
            loader.read_file(&text);
        }
        if let Some(text) = sources.dotenv {
            loader.read_dotenv(&text);
        }
        loader
    }

    fn read_file(&mut self, text: &str) {
        let parsed = Config::builder()
            .add_source(File::from_str(text, FileFormat::Toml))
            .build()
            .and_then(Config::try_deserialize::<config::Map<String, config::Value>>);
        match parsed {
            Ok(table) => {
                let mut flat = BTreeMap::new();
                flatten("", table, &mut flat);
                self.file = flat;
            }
            Err(error) => self.problems.push(Problem {
                key: "PETSPARK_CONFIG".to_owned(),
                origin: Origin::File(self.file_path.clone()),
                message: format!("is not valid TOML: {}", first_line(&error.to_string())),
            }),
        }
    }

    /// A `.env` is a convenience of development: production reads the real environment only.
    fn read_dotenv(&mut self, text: &str) {
        if self.environment.get("PETSPARK_ENV").is_some_and(|env| env == "production") {
            return;
        }
        for entry in dotenvy::from_read_iter(text.as_bytes()) {
            match entry {
                Ok((name, value)) => drop(self.dotenv.insert(name, value)),
                // The error quotes the line, and with it perhaps a secret.
                Err(_) => {
                    self.problems.push(Problem {
                        key: ".env".to_owned(),
                        origin: Origin::DotEnv(String::new()),
                        message: "has a line that isn't NAME=value".to_owned(),
                    });
                    return;
                }
            }
        }
    }

    /// `PETSPARK_ENV`, which decides how strict to be about the rest.
    pub fn environment(&mut self) -> Environment {
        match self.declared_environment {
            Some(environment) => environment,
            None => self.declare_environment(),
        }
    }

    fn declare_environment(&mut self) -> Environment {
        let environment = self.get(Setting {
            key: "environment",
            env: Some("PETSPARK_ENV"),
            default: Environment::Development,
            about: "development, or production: nothing is assumed, and what is missing or weak refuses to start.",
        });
        if environment == Environment::Production && self.dotenv.contains_key("PETSPARK_ENV") {
            self.problem("environment", "production can't be set in .env, which is read in development only; set PETSPARK_ENV in the environment");
        }
        self.declared_environment = Some(environment);
        environment
    }

    /// A setting with a default.
    pub fn get<T: Value>(&mut self, setting: Setting<T>) -> T {
        let declared = Declaration { key: setting.key, env: setting.env, about: setting.about, secret: false };
        let default = setting.default.render();
        self.resolve(declared, default).unwrap_or(setting.default)
    }

    /// A setting that may be absent.
    pub fn find<T: Value>(&mut self, key: &'static str, env: Option<&'static str>, about: &'static str) -> Option<T> {
        self.resolve(Declaration { key, env, about, secret: false }, String::new())
    }

    /// A secret that may be absent; it can also be in a file that `NAME_FILE` names.
    pub fn secret(&mut self, key: &'static str, env: Option<&'static str>, about: &'static str) -> Option<Secret> {
        self.find_secret(key, env, about)
    }

    /// A setting with a secret in it, such as an address with a password.
    pub fn find_secret<T: Value>(
        &mut self,
        key: &'static str,
        env: Option<&'static str>,
        about: &'static str,
    ) -> Option<T> {
        self.resolve(Declaration { key, env, about, secret: true }, String::new())
    }

    /// Notes a problem with a setting that was read before.
    pub fn problem(&mut self, key: &str, message: impl Into<String>) {
        let origin =
            self.resolved.iter().find(|setting| setting.key == key).map_or(Origin::Default, |s| s.origin.clone());
        self.problems.push(Problem { key: key.to_owned(), origin, message: message.into() });
    }

    fn resolve<T: Value>(&mut self, declared: Declaration, default: String) -> Option<T> {
        let found = self.look_up(&declared);
        let origin = found.as_ref().map_or(Origin::Default, |(_, origin)| origin.clone());
        let value = match &found {
            None => None,
            Some((text, origin)) => match T::parse(text.trim()) {
                Ok(value) => Some(value),
                Err(expected) => {
                    self.problems.push(Problem {
                        key: declared.key.to_owned(),
                        origin: origin.clone(),
                        message: format!("must be {expected}"),
                    });
                    None
                }
            },
        };
        let shown = value.as_ref().map(T::render).or_else(|| Some(default.clone()).filter(|text| !text.is_empty()));
        self.resolved.push(Resolved {
            key: declared.key,
            env: declared.env,
            about: declared.about,
            default,
            value: shown,
            origin,
            secret: declared.secret,
        });
        value
    }

    /// The text of a setting from the strongest source that has one. Empty counts as not set,
    /// so that a template's `NAME=` changes nothing.
    fn look_up(&mut self, declared: &Declaration) -> Option<(String, Origin)> {
        if let Some(text) = self.flags.get(declared.key) {
            return Some((text.clone(), Origin::Flag));
        }
        let long_name = format!("PETSPARK__{}", declared.key.replace('.', "__").to_uppercase());
        let names: Vec<&str> = declared.env.into_iter().chain([long_name.as_str()]).collect();
        let in_environment: Vec<_> = names.iter().filter_map(|name| self.variable(name, declared.secret)).collect();
        if let [first, second] = &in_environment[..]
            && first.0 != second.0
        {
            self.problems.push(Problem {
                key: declared.key.to_owned(),
                origin: first.1.clone(),
                message: format!("is set differently by {}; keep one", second.1),
            });
        }
        if let Some(found) = in_environment.into_iter().next() {
            return Some(found);
        }
        let dotenv = names.iter().find_map(|name| Some((*name, self.dotenv.get(*name)?)));
        if let Some((name, text)) = dotenv.filter(|(_, text)| !text.is_empty()) {
            return Some((text.clone(), Origin::DotEnv(name.to_owned())));
        }
        let text = self.file.get(declared.key).filter(|text| !text.is_empty())?.clone();
        if declared.secret && declared.key != "database.url" {
            let name = declared.env.unwrap_or(&long_name);
            self.problems.push(Problem {
                key: declared.key.to_owned(),
                origin: Origin::File(self.file_path.clone()),
                message: format!("is a secret and must not stand in this file; use {name} or {name}_FILE"),
            });
        }
        Some((text, Origin::File(self.file_path.clone())))
    }

    /// `NAME` from the environment or, for secrets, what stands in the file that `NAME_FILE` names.
    fn variable(&mut self, name: &str, secret: bool) -> Option<(String, Origin)> {
        let direct = self.environment.get(name).filter(|text| !text.is_empty()).cloned();
        let file_name = format!("{name}_FILE");
        let path = self.environment.get(&file_name).filter(|path| secret && !path.is_empty()).map(PathBuf::from);
        let Some(path) = path else {
            return direct.map(|text| (text, Origin::Environment(name.to_owned())));
        };
        let origin = Origin::SecretFile(file_name.clone(), path.clone());
        if direct.is_some() {
            self.problems.push(Problem {
                key: name.to_owned(),
                origin: origin.clone(),
                message: format!("{name} and {file_name} are both set; keep one"),
            });
        }
        match std::fs::read_to_string(&path) {
            Ok(text) if !text.trim().is_empty() => Some((text.trim_end_matches(['\r', '\n']).to_owned(), origin)),
            Ok(_) => {
                self.problems.push(Problem { key: name.to_owned(), origin, message: "the file is empty".to_owned() });
                None
            }
            Err(error) => {
                self.problems.push(Problem {
                    key: name.to_owned(),
                    origin,
                    message: format!("the file can't be read: {error}"),
                });
                None
            }
        }
    }

    /// Ends loading: everything that was declared and what became of it.
    ///
    /// # Errors
    /// [`Problems`], if there was any, unknown keys among them.
    pub fn finish(mut self) -> Result<Vec<Resolved>, Problems> {
        self.note_unknown_keys();
        if self.problems.is_empty() { Ok(self.resolved) } else { Err(Problems(self.problems)) }
    }

    fn note_unknown_keys(&mut self) {
        let known: BTreeSet<&str> = self.resolved.iter().map(|setting| setting.key).collect();
        let mut unknown = Vec::new();
        for key in self.file.keys().filter(|key| !known.contains(key.as_str())) {
            unknown.push((key.clone(), Origin::File(self.file_path.clone())));
        }
        let mut names: Vec<_> = self.environment.keys().map(|name| (name, false)).collect();
        names.extend(self.dotenv.keys().map(|name| (name, true)));
        for (name, dotenv) in names {
            let Some(path) = name.strip_prefix("PETSPARK__") else { continue };
            let key = path.to_lowercase().replace("__", ".");
            let secret_file = key.strip_suffix("_file");
            if known.contains(key.as_str()) || secret_file.is_some_and(|key| known.contains(key)) {
                continue;
            }
            let origin = if dotenv { Origin::DotEnv(name.clone()) } else { Origin::Environment(name.clone()) };
            unknown.push((key, origin));
        }
        unknown.sort_by(|a, b| a.0.cmp(&b.0));
        for (key, origin) in unknown {
            let message = match closest(&key, &known) {
                Some(similar) => format!("is not a setting; did you mean {similar}?"),
                None => "is not a setting; `petspark-cli config template` lists them all".to_owned(),
            };
            self.problems.push(Problem { key, origin, message });
        }
    }
}

struct Declaration {
    key: &'static str,
    env: Option<&'static str>,
    about: &'static str,
    secret: bool,
}

fn flatten(prefix: &str, table: config::Map<String, config::Value>, into: &mut BTreeMap<String, String>) {
    for (name, value) in table {
        let key = if prefix.is_empty() { name } else { format!("{prefix}.{name}") };
        match value.kind {
            config::ValueKind::Table(table) => flatten(&key, table, into),
            config::ValueKind::Array(items) => {
                let items: Vec<_> = items.into_iter().map(|item| item.into_string().unwrap_or_default()).collect();
                into.insert(key, items.join(","));
            }
            _ => drop(into.insert(key, value.into_string().unwrap_or_default())),
        }
    }
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

/// The known key that differs from `key` by two letters at most.
fn closest<'a>(key: &str, known: &BTreeSet<&'a str>) -> Option<&'a str> {
    known
        .iter()
        .copied()
        .map(|candidate| (distance(key, candidate), candidate))
        .filter(|(d, _)| *d <= 2)
        .min()
        .map(|(_, key)| key)
}

/// Levenshtein distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let next = (diagonal + usize::from(ca != *cb)).min(row[j] + 1).min(row[j + 1] + 1);
            diagonal = std::mem::replace(&mut row[j + 1], next);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Settings;

    fn load(sources: Sources) -> Result<Settings, Problems> {
        let mut loader = Loader::new(sources);
        let settings = Settings::read(&mut loader);
        loader.finish().map(|_| settings)
    }

    fn environment(pairs: &[(&str, &str)]) -> Sources {
        let environment = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Sources { environment, ..Sources::default() }
    }

    #[test]
    fn all_problems_are_reported_at_once_each_with_its_source() {
        let mut sources = environment(&[
            ("PETSPARK_ENV", "staging"),
            ("DATABASE_URL", "mysql://user:hunter2@host/db"),
            ("PETSPARK__AUTH__ACCESS_TOKEN_TTL", "15"),
            ("PETSPARK__AUTH__REFRESH_GRAZE", "10s"),
        ]);
        sources.file = Some((
            PathBuf::from("petspark.toml"),
            "[database]\nmax_connections = 'many'\n[nonsense]\nx = 1".to_owned(),
        ));
        let problems = load(sources).unwrap_err();
        let text = problems.to_string();
        assert_eq!(problems.0.len(), 6, "{text}");
        for part in [
            "environment (environment PETSPARK_ENV): must be development or production",
            "database.url (environment DATABASE_URL): must be sqlite://",
            "auth.access_token_ttl (environment PETSPARK__AUTH__ACCESS_TOKEN_TTL): must be a duration",
            "database.max_connections (file petspark.toml): must be a whole number",
            "auth.refresh_graze (environment PETSPARK__AUTH__REFRESH_GRAZE): is not a setting; did you mean auth.refresh_grace?",
            "nonsense.x (file petspark.toml): is not a setting",
        ] {
            assert!(text.contains(part), "{part}\n--- is not in\n{text}");
        }
        assert!(!text.contains("hunter2"));
    }

    #[test]
    fn flags_win_over_environment_over_dotenv_over_file_over_defaults() {
        let mut sources = Sources {
            file: Some((PathBuf::from("p.toml"), "[database]\nmax_connections = 1\nacquire_timeout = '1s'\nbusy_timeout = '1s'\nlock_timeout = '1s'".to_owned())),
            dotenv: Some("PETSPARK__DATABASE__ACQUIRE_TIMEOUT=2s\nPETSPARK__DATABASE__BUSY_TIMEOUT=2s\nPETSPARK__DATABASE__LOCK_TIMEOUT=2s\n".to_owned()),
            ..environment(&[("PETSPARK__DATABASE__BUSY_TIMEOUT", "3s"), ("PETSPARK__DATABASE__LOCK_TIMEOUT", "3s")])
        };
        sources.flags.insert("database.lock_timeout".to_owned(), "4s".to_owned());
        let database = load(sources).unwrap().database;
        assert_eq!(database.max_connections, 1);
        assert_eq!(database.acquire_timeout.as_secs(), 2);
        assert_eq!(database.busy_timeout.as_secs(), 3);
        assert_eq!(database.lock_timeout.as_secs(), 4);
        assert_eq!(database.idle_timeout.as_secs(), 600);
    }

    #[test]
    fn production_refuses_a_missing_or_weak_signing_secret_and_ignores_dotenv() {
        let missing = load(environment(&[("PETSPARK_ENV", "production")])).unwrap_err().to_string();
        assert!(missing.contains("auth.jwt_secret (default): is missing"), "{missing}");
        let weak = "your-super-secret-jwt-key-change-in-production";
        let problem =
            load(environment(&[("PETSPARK_ENV", "production"), ("JWT_SECRET", weak)])).unwrap_err().to_string();
        assert!(problem.contains("contains \"secret\"") && !problem.contains(weak), "{problem}");
        let strong = "4e1f9b0c7d2a86354e1f9b0c7d2a8635ff10acde4471c2b9f0e8d7a6b5c4d3e2";
        let mut sources = environment(&[("PETSPARK_ENV", "production"), ("JWT_SECRET", strong)]);
        sources.dotenv = Some("PETSPARK__DATABASE__MAX_CONNECTIONS=77".to_owned());
        assert_ne!(load(sources).unwrap().database.max_connections, 77);
    }

    #[test]
    fn a_secret_may_be_in_a_file_but_not_in_two_places() {
        let folder = std::env::temp_dir().join(format!("petspark-loader-{}", std::process::id()));
        std::fs::write(&folder, "from-a-file\n").unwrap();
        let path = folder.to_str().unwrap();
        let settings = load(environment(&[("JWT_SECRET_FILE", path)])).unwrap();
        assert_eq!(settings.auth.jwt_secret.unwrap().expose(), "from-a-file");
        let both = load(environment(&[("JWT_SECRET_FILE", path), ("JWT_SECRET", "x")])).unwrap_err().to_string();
        assert!(both.contains("JWT_SECRET and JWT_SECRET_FILE are both set"), "{both}");
        std::fs::remove_file(&folder).unwrap();
        let gone = load(environment(&[("JWT_SECRET_FILE", path)])).unwrap_err().to_string();
        assert!(gone.contains("the file can't be read"), "{gone}");
    }

    #[test]
    fn a_secret_in_the_file_is_refused() {
        let file = Some((PathBuf::from("p.toml"), "[auth]\njwt_secret = 'abc'".to_owned()));
        let problems = load(Sources { file, ..Sources::default() }).unwrap_err().to_string();
        assert!(problems.contains("must not stand in this file; use JWT_SECRET or JWT_SECRET_FILE"), "{problems}");
    }

    #[test]
    fn two_names_of_one_setting_must_agree() {
        let problems =
            load(environment(&[("PETSPARK_DATA_DIR", "/a"), ("PETSPARK__DATA_DIR", "/b")])).unwrap_err().to_string();
        assert!(
            problems.contains(
                "data_dir (environment PETSPARK_DATA_DIR): is set differently by environment PETSPARK__DATA_DIR"
            ),
            "{problems}"
        );
    }
}
