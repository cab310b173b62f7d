//! Lays flags, environment, `.env` and TOML file over each other, remembers where each value
//! came from, and collects every problem instead of stopping at the first.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;

use config::{Config, File, FileFormat};

use super::Environment;
use super::problem::{Problem, Problems};
use super::sources::{Origin, Sources, read_text};
use super::value::Value;
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
    unreadable: BTreeSet<String>,
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
            unreadable: sources.unreadable,
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
        match sources.dotenv {
            // A convenience of development: production reads the real environment only.
            Some(_) if loader.is_production() => {}
            Some(Ok(text)) => loader.read_dotenv(&text),
            Some(Err(error)) => {
                loader.note(".env", Origin::DotEnv(".env".to_owned()), format!("can't be read: {error}"));
            }
            None => {}
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
            Err(error) => self.note(
                "PETSPARK_CONFIG",
                Origin::File(self.file_path.clone()),
                format!("is not valid TOML: {}", first_line(&error.to_string())),
            ),
        }
    }

    /// What flags, environment and file say about it, before anything else is read.
    fn is_production(&self) -> bool {
        let flag = self.flags.get("environment");
        let variable = ["PETSPARK_ENV", "PETSPARK__ENVIRONMENT"]
            .iter()
            .find_map(|name| self.environment.get(*name).filter(|text| !text.trim().is_empty()));
        let said = flag.or(variable).or_else(|| self.file.get("environment"));
        said.is_some_and(|text| text.trim() == Environment::Production.as_str())
    }

    fn read_dotenv(&mut self, text: &str) {
        for entry in dotenvy::from_read_iter(text.as_bytes()) {
            match entry {
                Ok((name, value)) => drop(self.dotenv.insert(name, value)),
                // The error quotes the line, and with it perhaps a secret.
                Err(_) => {
                    self.note(".env", Origin::DotEnv(String::new()), "has a line that isn't NAME=value".to_owned());
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

    /// The same with a default.
    pub fn get_secret<T: Value>(&mut self, setting: Setting<T>) -> T {
        let declared = Declaration { key: setting.key, env: setting.env, about: setting.about, secret: true };
        let default = setting.default.render();
        self.resolve(declared, default).unwrap_or(setting.default)
    }

    /// Notes those durations that are zero, and would stop everything.
    pub fn require_positive(&mut self, durations: &[(&str, std::time::Duration)]) {
        for (key, _) in durations.iter().filter(|(_, duration)| duration.is_zero()) {
            self.problem(key, "must be longer than 0");
        }
    }

    /// Notes a problem with a setting that was read before.
    pub fn problem(&mut self, key: &str, message: impl Into<String>) {
        let origin =
            self.resolved.iter().find(|setting| setting.key == key).map_or(Origin::Default, |s| s.origin.clone());
        self.note(key, origin, message);
    }

    fn note(&mut self, key: &str, origin: Origin, message: impl Into<String>) {
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
                    self.note(declared.key, origin.clone(), format!("must be {expected}"));
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
        let in_environment: Vec<_> =
            names.iter().filter_map(|name| self.variable(name, declared.secret, Layer::Environment)).collect();
        if let [first, second] = &in_environment[..]
            && first.0 != second.0
        {
            self.note(declared.key, first.1.clone(), format!("is set differently by {}; keep one", second.1));
        }
        if let Some(found) = in_environment.into_iter().next() {
            return Some(found);
        }
        if let Some(found) = names.iter().find_map(|name| self.variable(name, declared.secret, Layer::DotEnv)) {
            return Some(found);
        }
        let text = self.file.get(declared.key).filter(|text| !text.is_empty())?.clone();
        if declared.secret && declared.key != "database.url" {
            let name = declared.env.unwrap_or(&long_name);
            self.note(
                declared.key,
                Origin::File(self.file_path.clone()),
                format!("is a secret and must not stand in this file; use {name} or {name}_FILE"),
            );
        }
        Some((text, Origin::File(self.file_path.clone())))
    }

    /// `NAME` of the environment or the `.env`; for secrets also what stands in the file that
    /// `NAME_FILE` names there.
    fn variable(&mut self, name: &str, secret: bool, layer: Layer) -> Option<(String, Origin)> {
        let file_name = format!("{name}_FILE");
        for name in [name, &file_name].into_iter().take(if secret { 2 } else { 1 }) {
            if layer == Layer::Environment && self.unreadable.contains(name) {
                self.note(name, Origin::Environment(name.to_owned()), "is not valid UTF-8");
            }
        }
        let variables = match layer {
            Layer::Environment => &self.environment,
            Layer::DotEnv => &self.dotenv,
        };
        let direct = variables.get(name).filter(|text| !text.is_empty()).cloned();
        let path = variables.get(&file_name).filter(|path| secret && !path.is_empty()).map(PathBuf::from);
        let Some(path) = path else {
            let origin = match layer {
                Layer::Environment => Origin::Environment(name.to_owned()),
                Layer::DotEnv => Origin::DotEnv(name.to_owned()),
            };
            return direct.map(|text| (text, origin));
        };
        let origin = Origin::SecretFile(file_name.clone(), path.clone());
        if direct.is_some() {
            self.note(name, origin.clone(), format!("{name} and {file_name} are both set; keep one"));
        }
        match read_text(&path) {
            Ok(text) if !text.trim().is_empty() => Some((text.trim_end_matches(['\r', '\n']).to_owned(), origin)),
            Ok(_) => {
                self.note(name, origin, "the file is empty".to_owned());
                None
            }
            Err(error) => {
                self.note(name, origin, format!("the file can't be read: {error}"));
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

/// Which variables.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Layer {
    Environment,
    DotEnv,
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
