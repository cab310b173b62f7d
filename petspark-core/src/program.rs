//! Other programs that we run, with nothing of our environment but what they need. Ours has the secrets of
//! a whole server, and what another program has, its children, its crash dumps and its logs may have.

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What any program may need: to find others, its own files and settings, and its way to the network.
const PLAIN: [&str; 24] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "LANG",
    "LC_*",
    "TZ",
    "TMPDIR",
    "XDG_*",
    "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH",
    "SSH_AUTH_SOCK",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
    "KRB5*",
    "PG*",
];

/// A program that is given what any needs, and the variables of those names; one that ends with a star means
/// all that begin so.
pub(crate) fn command(program: impl AsRef<OsStr>, needs: &[&str]) -> Command {
    #[expect(clippy::disallowed_methods, reason = "what isn't a setting of ours is passed on, not read")]
    let all = std::env::vars_os();
    let environment: Vec<_> = all.filter(|(name, _)| is_needed(name, needs)).collect();
    let path = environment.iter().find(|(name, _)| name == "PATH").map(|(_, path)| path.as_os_str());
    let mut command = Command::new(found(program.as_ref(), path));
    command.env_clear().envs(environment);
    command
}

/// Where a program is that goes by its name alone. With an environment of its own such a one would be started
/// by copying this process, and until the copy has become the program it holds our locks as well.
fn found(program: &OsStr, search_path: Option<&OsStr>) -> PathBuf {
    let program = Path::new(program);
    if program.components().count() > 1 || program.is_absolute() {
        return program.to_owned();
    }
    let is_program =
        |path: &PathBuf| path.metadata().is_ok_and(|about| about.is_file() && about.permissions().mode() & 0o111 != 0);
    let places = search_path.map(std::env::split_paths).into_iter().flatten();
    // One that isn't there is told of when it is started.
    places.map(|place| place.join(program)).find(is_program).unwrap_or_else(|| program.to_owned())
}

fn is_needed(name: &OsStr, needs: &[&str]) -> bool {
    let Some(name) = name.to_str() else { return false };
    PLAIN.iter().chain(needs).any(|needed| match needed.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning),
        None => name == *needed,
    })
}

/// Whether a name that goes to a program as an argument, for everybody on the machine to read, has a secret:
/// `scheme://user:password@place`, or an option such as `?secret-access-key=`.
pub(crate) fn has_secret(argument: &str) -> bool {
    let Some((_, rest)) = argument.split_once("://") else { return false };
    let (place, options) = rest.split_once('?').unwrap_or((rest, ""));
    let authority = place.split('/').next().unwrap_or_default();
    let has_password = authority.rsplit_once('@').is_some_and(|(user, _)| user.contains(':'));
    let is_secret = |option: &str| {
        let name = option.split('=').next().unwrap_or_default().to_ascii_lowercase();
        ["pass", "secret", "token", "key", "credential", "sig"].iter().any(|word| name.contains(word))
    };
    has_password || options.split('&').any(is_secret)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_gets_what_it_needs_and_none_of_our_secrets() {
        let gets = |name: &str, needs: &[&str]| is_needed(OsStr::new(name), needs);
        for name in ["PATH", "HOME", "LC_ALL", "PGPASSFILE", "PGPASSWORD", "HTTPS_PROXY"] {
            assert!(gets(name, &[]), "{name}");
        }
        for name in [
            "DATABASE_URL",
            "JWT_SECRET",
            "STRIPE_SECRET_KEY",
            "SMTP_URL",
            "AWS_SECRET_ACCESS_KEY",
            "PETSPARK__AUTH__ENCRYPTION_KEY",
            "JWT_SECRET_FILE",
            "PATHS",
        ] {
            assert!(!gets(name, &[]) && !gets(name, &["LITESTREAM_*"]), "{name}");
        }
        assert!(gets("AWS_SECRET_ACCESS_KEY", &["AWS_*"]) && !gets("JWT_SECRET", &["AWS_*"]));
    }

    #[test]
    fn a_program_is_found_where_the_search_path_says_and_one_with_a_path_is_left_alone() {
        let path = Some(OsStr::new("/nowhere:/bin:/usr/bin"));
        assert!(found(OsStr::new("sh"), path).is_absolute());
        for program in ["./sh", "/opt/tool", "no-such-program"] {
            assert_eq!(found(OsStr::new(program), path), Path::new(program));
        }
    }

    #[test]
    fn a_secret_is_seen_in_an_address_wherever_it_stands() {
        for secret in [
            "sftp://me:hunter2@host/path",
            "s3://bucket/path?secret-access-key=hunter2",
            "abs://account:key@container/path",
            "s3://key:p@ss@bucket",
        ] {
            assert!(has_secret(secret), "{secret}");
        }
        for open in
            ["main", "/var/lib/petspark.db", "s3://bucket/db", "sftp://me@host/path", "s3://b?region=eu&endpoint=x:9"]
        {
            assert!(!has_secret(open), "{open}");
        }
    }
}
