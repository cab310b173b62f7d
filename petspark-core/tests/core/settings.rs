//! Settings from everywhere at once: who wins, and what is refused.

use std::path::PathBuf;

use petspark_core::config::{Loader, Problems, Settings, Sources};
use petspark_core::media::objects::StoreKind;

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
    sources.file =
        Some((PathBuf::from("petspark.toml"), "[database]\nmax_connections = 'many'\n[nonsense]\nx = 1".to_owned()));
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
        dotenv: Some(Ok("PETSPARK__DATABASE__ACQUIRE_TIMEOUT=2s\nPETSPARK__DATABASE__BUSY_TIMEOUT=2s\nPETSPARK__DATABASE__LOCK_TIMEOUT=2s\n".to_owned())),
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
    let problem = load(environment(&[("PETSPARK_ENV", "production"), ("JWT_SECRET", weak)])).unwrap_err().to_string();
    assert!(problem.contains("contains \"secret\"") && !problem.contains(weak), "{problem}");
    let strong = "4e1f9b0c7d2a86354e1f9b0c7d2a8635ff10acde4471c2b9f0e8d7a6b5c4d3e2";
    let mut sources = environment(&[("PETSPARK_ENV", "production"), ("JWT_SECRET", strong)]);
    sources.dotenv = Some(Ok("PETSPARK__DATABASE__MAX_CONNECTIONS=77".to_owned()));
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
        problems
            .contains("data_dir (environment PETSPARK_DATA_DIR): is set differently by environment PETSPARK__DATA_DIR"),
        "{problems}"
    );
}

#[test]
fn production_ignores_dotenv_whoever_says_that_it_is_production() {
    let strong = "4e1f9b0c7d2a86354e1f9b0c7d2a8635ff10acde4471c2b9f0e8d7a6b5c4d3e2";
    let dotenv = || Some(Ok("PETSPARK__DATABASE__MAX_CONNECTIONS=77\nJWT_SECRET=from-dotenv".to_owned()));
    let by_flag = || {
        let mut sources = environment(&[]);
        sources.flags.insert("environment".to_owned(), "production".to_owned());
        sources
    };
    let by_file = || Sources {
        file: Some((PathBuf::from("p.toml"), "environment = 'production'".to_owned())),
        ..Sources::default()
    };
    for mut sources in [by_flag(), by_file(), environment(&[("PETSPARK_ENV", " production ")])] {
        sources.dotenv = dotenv();
        let missing = load(sources.clone()).unwrap_err().to_string();
        assert!(missing.contains("auth.jwt_secret (default): is missing"), "{missing}");
        sources.environment.insert("JWT_SECRET".to_owned(), strong.to_owned());
        sources.dotenv = Some(Err("a reason".to_owned()));
        load(sources).unwrap();
    }
    let unreadable = Sources { dotenv: Some(Err("a reason".to_owned())), ..Sources::default() };
    assert!(load(unreadable).unwrap_err().to_string().contains("can't be read: a reason"));
}

#[test]
fn a_secret_of_dotenv_may_be_in_a_file_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("url");
    std::fs::write(&path, "sqlite://from-a-file.db\n").unwrap();
    let dotenv = Some(Ok(format!("DATABASE_URL_FILE={}", path.display())));
    let settings = load(Sources { dotenv, ..Sources::default() }).unwrap();
    assert!(format!("{:?}", settings.database.url).contains("from-a-file.db"));
}

#[test]
fn a_duration_of_nothing_or_of_ages_is_refused() {
    for (name, value) in [
        ("PETSPARK__DATABASE__ACQUIRE_TIMEOUT", "0s"),
        ("PETSPARK__AUTH__SESSION_IDLE_TTL", "0s"),
        ("PETSPARK__AUTH__SESSION_CACHE_TTL", "2m"),
        ("PETSPARK__AUTH__SESSION_CACHE_TTL", "1001years"),
        ("PETSPARK__DATABASE__BUSY_TIMEOUT", "500000000000years"),
    ] {
        assert!(load(environment(&[(name, value)])).is_err(), "{name}={value}");
    }
}

#[test]
fn uploads_go_to_a_bucket_if_one_is_named_unless_told_otherwise() {
    const LOGIN: [(&str, &str); 2] = [("AWS_ACCESS_KEY_ID", "id"), ("AWS_SECRET_ACCESS_KEY", "hunter2")];
    let objects = |pairs: &[(&str, &str)]| load(environment(&[pairs, &LOGIN].concat())).map(|all| all.objects);

    let folder = objects(&[("PETSPARK_DATA_DIR", "/data")]).unwrap();
    assert_eq!((folder.store, folder.folder), (StoreKind::Folder, PathBuf::from("/data/media")));
    assert!(folder.s3.is_none());

    let amazon = objects(&[("AWS_S3_BUCKET", "pets"), ("AWS_REGION", "eu-central-1")]).unwrap();
    let bucket = amazon.s3.unwrap();
    assert_eq!((amazon.store, bucket.region.as_str(), bucket.path_style), (StoreKind::S3, "eu-central-1", false));

    let other = [("AWS_S3_BUCKET", "pets"), ("AWS_ENDPOINT_URL", "http://127.0.0.1:9000")];
    let bucket = objects(&other).unwrap().s3.unwrap();
    assert_eq!((bucket.region.as_str(), bucket.path_style), ("us-east-1", true));
    let copied_from = objects(&[&other[..], &[("PETSPARK__MEDIA__STORE", "folder")]].concat()).unwrap();
    assert!(copied_from.store == StoreKind::Folder && copied_from.s3.is_some());

    let bare = load(environment(&[("AWS_S3_BUCKET", "pets")])).unwrap_err().to_string();
    for name in ["AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"] {
        assert!(bare.contains(&format!("set {name}")), "{name}: {bare}");
    }
    let unused = load(environment(&[("AWS_S3_BUCKET", "pets"), ("PETSPARK__MEDIA__STORE", "folder")])).unwrap();
    assert!(unused.objects.s3.is_none());

    for (name, value, problem) in [
        ("PETSPARK__MEDIA__STORE", "s3", "media.s3.bucket (default): is missing"),
        ("PETSPARK__MEDIA__STORE", "disk", "must be folder or s3"),
        ("PETSPARK__MEDIA__S3__PREFIX", "../elsewhere", "media.s3.prefix"),
        ("PETSPARK__MEDIA__S3__ENCRYPTION", "rot13", "must be none, AES256"),
        ("PETSPARK__MEDIA__S3__TIMEOUT", "0s", "must be longer than 0"),
    ] {
        let told = objects(&[(name, value)]).unwrap_err().to_string();
        assert!(told.contains(problem) && !told.contains("hunter2"), "{name}={value}: {told}");
    }
}
