//! Everything that must be found out, each by its own check.

use std::fs;
use std::path::Path;
use std::time::Duration;

use petspark_core::auth::KeyStep;
use petspark_core::backup::{IdentityKey, Manifest, NewBackup, Status};
use petspark_core::config::Environment;
use petspark_core::testing::{TestApp, on_both};
use petspark_core::{Failure as _, Kind, Secret};
use serde_json::json;

use super::lab::{Lab, bad, copy_folder, operator, reseal, sha256, tamper};

const MANIFEST: &str = "manifest.json";

/// What is done to the newest backup, knowing the one before.
type Tamper = fn(&Lab, &Manifest, &Manifest);

/// Whether it makes the backup no good (exit code 20) or shows that there should be more (21).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Invalid,
    Stale,
}
use Verdict::{Invalid, Stale};

fn cut(lab: &Lab, of: &Manifest, thousandths: usize) {
    tamper(&lab.database_file(of), |bytes| bytes.truncate(bytes.len() * thousandths / 1000));
}

fn flip(lab: &Lab, of: &Manifest, place: impl FnOnce(usize) -> usize) {
    tamper(&lab.database_file(of), |bytes| {
        let at = place(bytes.len());
        bytes[at] ^= 4;
    });
}

fn replace(by: &Path, what: &Path) {
    fs::copy(by, what).unwrap();
}

/// What a check must find.
const CHECKED: &[(&str, Tamper, &str, Verdict)] = &[
    ("cut off at nothing", |lab, new, _| cut(lab, new, 0), "backup.valid", Invalid),
    ("cut off at a quarter", |lab, new, _| cut(lab, new, 250), "backup.valid", Invalid),
    ("cut off just before the end", |lab, new, _| cut(lab, new, 999), "backup.valid", Invalid),
    ("a byte too many", |lab, new, _| tamper(&lab.database_file(new), |bytes| bytes.push(0)), "backup.valid", Invalid),
    ("a bit in the data", |lab, new, _| flip(lab, new, |len| len / 2), "backup.valid", Invalid),
    ("a bit in the head", |lab, new, _| flip(lab, new, |_| 20), "backup.valid", Invalid),
    ("a bit in the last byte", |lab, new, _| flip(lab, new, |len| len - 1), "backup.valid", Invalid),
    (
        "a bit in the manifest",
        |lab, new, _| tamper(&lab.file(new, MANIFEST), |bytes| bytes[200] ^= 1),
        "backup.valid",
        Invalid,
    ),
    (
        "a manifest cut off",
        |lab, new, _| tamper(&lab.file(new, MANIFEST), |bytes| bytes.truncate(500)),
        "backup.valid",
        Invalid,
    ),
    ("an empty manifest", |lab, new, _| tamper(&lab.file(new, MANIFEST), Vec::clear), "backup.valid", Invalid),
    ("no manifest", |lab, new, _| fs::remove_file(lab.file(new, MANIFEST)).unwrap(), "backup.valid", Invalid),
    (
        "the manifest of another",
        |lab, new, old| replace(&lab.file(old, MANIFEST), &lab.file(new, MANIFEST)),
        "backup.valid",
        Invalid,
    ),
    (
        "a manifest of another form",
        |lab, new, _| reseal(&lab.file(new, MANIFEST), |manifest| manifest["schema"] = json!("petspark.backup/v9")),
        "backup.valid",
        Invalid,
    ),
    ("no database", |lab, new, _| fs::remove_file(lab.database_file(new)).unwrap(), "backup.valid", Invalid),
    (
        "the database of another",
        |lab, new, old| replace(&lab.database_file(old), &lab.database_file(new)),
        "backup.valid",
        Invalid,
    ),
    (
        "a file that doesn't belong to it",
        |lab, new, _| fs::write(lab.file(new, "notes.txt"), "hello").unwrap(),
        "backup.valid",
        Invalid,
    ),
    (
        "a bit in the list of uploads",
        |lab, new, _| tamper(&lab.file(new, "media.zst"), |bytes| bytes[12] ^= 1),
        "backup.valid",
        Invalid,
    ),
    ("no list of uploads", |lab, new, _| fs::remove_file(lab.file(new, "media.zst")).unwrap(), "backup.valid", Invalid),
    (
        "a table is missing",
        |lab, new, _| {
            reseal(&lab.file(new, MANIFEST), |manifest| {
                manifest["tables"].as_array_mut().unwrap().retain(|table| table["name"] != "users");
            });
        },
        "backup.valid",
        Invalid,
    ),
    (
        "of a newer release",
        |lab, new, _| reseal(&lab.file(new, MANIFEST), |manifest| manifest["migrations"]["version"] = json!(9999)),
        "backup.schema",
        Invalid,
    ),
    (
        "of other migrations",
        |lab, new, _| reseal(&lab.file(new, MANIFEST), |manifest| manifest["migrations"]["sha256"] = json!("00")),
        "backup.schema",
        Invalid,
    ),
    (
        "of another environment",
        |lab, new, _| reseal(&lab.file(new, MANIFEST), |manifest| manifest["environment"] = json!("production")),
        "backup.schema",
        Invalid,
    ),
    (
        "of another installation in the same folder",
        |lab, new, _| {
            reseal(&lab.file(new, MANIFEST), |manifest| {
                manifest["database"]["born_at"] = json!("2020-01-01T00:00:00Z");
            });
        },
        "backup.schema",
        Invalid,
    ),
    (
        "of secrets that we don't have",
        |lab, new, _| {
            reseal(&lab.file(new, MANIFEST), |manifest| manifest["keys_required"] = json!(["sealing:00000000"]));
        },
        "backup.keys",
        Invalid,
    ),
    (
        "from the future",
        |lab, new, _| {
            reseal(&lab.file(new, MANIFEST), |manifest| manifest["finished_at"] = json!("2100-01-01T00:00:00Z"));
        },
        "backup.fresh",
        Stale,
    ),
    ("too old", |lab, _, _| lab.clock.advance(Duration::from_secs(27 * 3600)), "backup.fresh", Stale),
    (
        "one too few",
        |lab, _, old| fs::remove_dir_all(lab.folder().join(old.id.to_string())).unwrap(),
        "backup.count",
        Stale,
    ),
    ("none at all", |lab, _, _| fs::remove_dir_all(lab.folder()).unwrap(), "backup.fresh", Stale),
    ("never proven", |lab, _, _| fs::remove_dir_all(lab.folder().join("notes/drills")).unwrap(), "backup.drill", Stale),
    (
        "proven long ago",
        |lab, new, _| {
            tamper(&lab.folder().join(format!("notes/drills/{}.json", new.id)), |text| {
                let mut drill: serde_json::Value = serde_json::from_slice(text).unwrap();
                drill["finished_at"] = json!("2020-01-01T00:00:00Z");
                *text = serde_json::to_vec(&drill).unwrap();
            });
        },
        "backup.drill",
        Stale,
    ),
    (
        "the drill failed",
        |lab, new, _| {
            tamper(&lab.folder().join(format!("notes/drills/{}.json", new.id)), |text| {
                let mut drill: serde_json::Value = serde_json::from_slice(text).unwrap();
                drill["ok"] = json!(false);
                *text = serde_json::to_vec(&drill).unwrap();
            });
        },
        "backup.valid",
        Invalid,
    ),
];

/// What only a drill can find: somebody made the files and the manifest fit each other.
const DRILLED: &[(&str, Tamper, &str)] = &[
    (
        "a row more than there was",
        |lab, new, _| change_table(lab, new, |table| table["rows"] = json!(table["rows"].as_u64().unwrap() + 1)),
        "contents",
    ),
    (
        "a row that was another",
        |lab, new, _| change_table(lab, new, |table| table["digest"] = json!("sha256:00")),
        "contents",
    ),
    (
        "a table that isn't there",
        |lab, new, _| change_table(lab, new, |table| table["name"] = json!("cats")),
        "contents",
    ),
    (
        "a table more than it says",
        |lab, new, _| {
            reseal(&lab.file(new, MANIFEST), |manifest| {
                manifest["tables"].as_array_mut().unwrap().retain(|table| table["name"] != "favorites");
            });
        },
        "contents",
    ),
    (
        "another schema",
        |lab, new, _| {
            reseal(&lab.file(new, MANIFEST), |manifest| manifest["migrations"]["schema_sha256"] = json!("00"));
        },
        "contents",
    ),
    (
        "a cut that the manifest knows of",
        |lab, new, _| {
            cut(lab, new, 990);
            accept(lab, new);
        },
        "restore",
    ),
    (
        "bytes that the manifest knows of",
        |lab, new, _| {
            // Not a bit alone: of compressed data there are some that mean the same either way.
            tamper(&lab.database_file(new), |bytes| {
                let middle = bytes.len() / 2;
                bytes[middle..middle + 16].iter_mut().for_each(|byte| *byte ^= 0xa5);
            });
            accept(lab, new);
        },
        "restore",
    ),
    (
        "a database that the manifest doesn't know inside",
        |lab, new, _| reseal(&lab.file(new, MANIFEST), |manifest| manifest["files"][0]["plain_sha256"] = json!("00")),
        "restore",
    ),
    (
        "the list of uploads of another",
        |lab, new, _| {
            // One upload less.
            let other = lab.file(new, "media.zst");
            fs::write(&other, zstd_of(b"{\"key\":\"a/b/original.pdf\",\"size\":1,\"sha256\":\"00\"}\n")).unwrap();
            reseal(&lab.file(new, MANIFEST), |manifest| {
                let bytes = fs::read(&other).unwrap();
                manifest["files"][1]["bytes"] = json!(bytes.len());
                manifest["files"][1]["sha256"] = json!(sha256(&bytes));
            });
        },
        "media",
    ),
    ("a file that was changed", |lab, new, _| flip(lab, new, |len| len / 3), "files"),
];

fn zstd_of(text: &[u8]) -> Vec<u8> {
    zstd::encode_all(text, 1).unwrap()
}

fn change_table(lab: &Lab, of: &Manifest, change: fn(&mut serde_json::Value)) {
    reseal(&lab.file(of, MANIFEST), |manifest| {
        let tables = manifest["tables"].as_array_mut().unwrap();
        change(tables.iter_mut().find(|table| table["name"] == "favorites").unwrap());
    });
}

/// Makes the manifest fit the file.
fn accept(lab: &Lab, of: &Manifest) {
    let bytes = fs::read(lab.database_file(of)).unwrap();
    reseal(&lab.file(of, MANIFEST), |manifest| {
        manifest["files"][0]["bytes"] = json!(bytes.len());
        manifest["files"][0]["sha256"] = json!(sha256(&bytes));
    });
}

/// Two backups, of which the newer was proven; and all as it should be.
async fn lab_with_two(app: TestApp) -> (Lab, Manifest, Manifest) {
    let mut settings = app.petspark.settings().clone();
    settings.backup.min_keep = 2;
    let lab = Lab::with(app, settings).await;
    let old = lab.create().await;
    lab.app.register("dee").await;
    let new = lab.create().await;
    let drill = lab.backups.verify(&operator(), None, false, &[], false).await.unwrap();
    assert!(drill.ok, "{drill:?}");
    let checked = lab.backups.check(&operator(), None, true, &[], false).await.unwrap();
    assert_eq!(bad(&checked), Vec::<&petspark_core::backup::Finding>::new());
    assert!(!checked.is_invalid() && !checked.is_stale());
    (lab, old, new)
}

on_both! {
    async fn a_check_finds_everything_that_it_must(app: TestApp) {
        let (mut lab, old, new) = lab_with_two(app).await;
        let pristine = lab.app.folder().join("pristine");
        copy_folder(lab.folder(), &pristine);
        for (what, tamper, id, verdict) in CHECKED {
            let now = lab.clock.now();
            tamper(&lab, &new, &old);
            let checked = lab.backups.check(&operator(), None, false, &[], false).await.unwrap();
            let found: Vec<_> = bad(&checked).into_iter().map(|finding| finding.id).collect();
            assert!(found.contains(id), "{what}: {:#?}", checked.findings);
            match verdict {
                Invalid => assert!(checked.is_invalid(), "{what}"),
                Stale => assert!(checked.is_stale() && !checked.is_invalid(), "{what}: {:#?}", checked.findings),
            }
            // As it was before.
            let _ = fs::remove_dir_all(lab.folder());
            copy_folder(&pristine, lab.folder());
            if lab.clock.now() != now {
                lab.clock = petspark_core::Clock::manual(now);
                lab.backups = lab.another(|_| {});
            }
        }
        let checked = lab.backups.check(&operator(), None, true, &[], false).await.unwrap();
        assert!(bad(&checked).is_empty(), "{checked:#?}");
    }

    async fn a_drill_finds_what_fits_and_is_no_good(app: TestApp) {
        let (lab, old, new) = lab_with_two(app).await;
        let pristine = lab.app.folder().join("pristine");
        copy_folder(lab.folder(), &pristine);
        for (what, tamper, phase) in DRILLED {
            tamper(&lab, &new, &old);
            let drill = lab.backups.verify(&operator(), None, false, &[], false).await.unwrap();
            assert!(!drill.ok && drill.phase.as_deref() == Some(phase), "{what}: {drill:?}");
            let checked = lab.backups.check(&operator(), None, false, &[], false).await.unwrap();
            assert!(bad(&checked).iter().any(|finding| finding.id == "backup.drill"), "{what}");
            fs::remove_dir_all(lab.folder()).unwrap();
            copy_folder(&pristine, lab.folder());
        }
        assert!(lab.backups.verify(&operator(), None, false, &[], false).await.unwrap().ok);
        // Nothing is left of the scratch databases.
        assert_eq!(fs::read_dir(&lab.settings.backup.work_folder).unwrap().count(), 0);
    }

    async fn what_became_of_uploads_is_found(app: TestApp) {
        let (lab, ..) = lab_with_two(app).await;
        let (store, key) = (lab.store(), lab.object(0).parse().unwrap());
        let media = |checked: &petspark_core::backup::Checked| {
            checked.findings.iter().find(|finding| finding.id == "backup.media").unwrap().status
        };
        for (bytes, what) in [(Some(vec![9; 1000]), "changed"), (Some(vec![0; 999]), "shorter"), (None, "missing")] {
            match bytes {
                Some(bytes) => store.put(&key, bytes.into()).await.unwrap(),
                None => store.delete(&key).await.unwrap(),
            }
            let checked = lab.backups.check(&operator(), None, false, &[], false).await.unwrap();
            assert_eq!(media(&checked), Status::Fail, "{what}: {checked:#?}");
            assert!(checked.is_invalid(), "{what}");
        }
        let drill = lab.backups.verify(&operator(), None, false, &[], false).await.unwrap();
        assert_eq!(drill.phase.as_deref(), Some("media"), "{drill:?}");
        store.put(&key, vec![0; 1000].into()).await.unwrap();
        let stray = lab.object(7).parse().unwrap();
        store.put(&stray, vec![7; 7].into()).await.unwrap();
        let checked = lab.backups.check(&operator(), None, false, &[], false).await.unwrap();
        assert_eq!(media(&checked), Status::Warn, "an object that belongs to nothing: {checked:#?}");
        assert!(!checked.is_invalid());
    }

    async fn production_wants_backups_encrypted_and_for_whom_it_says(app: TestApp) {
        let (lab, ..) = lab_with_two(app).await;
        let production = lab.another(|settings| settings.environment = Environment::Production);
        let checked = production.check(&operator(), None, false, &[], false).await.unwrap();
        let found: Vec<_> = bad(&checked).into_iter().map(|finding| finding.id).collect();
        assert!(found.contains(&"backup.encrypted") && found.contains(&"backup.schema"), "{checked:#?}");
        let changed = lab.another(|settings| settings.backup.recipients = vec![IdentityKey::generate().public()]);
        let checked = changed.check(&operator(), None, false, &[], false).await.unwrap();
        assert!(bad(&checked).iter().any(|finding| finding.id == "backup.encrypted"));
    }

    async fn a_backup_needs_the_secrets_that_its_data_is_sealed_with_and_no_others(app: TestApp) {
        let lab = Lab::new(app).await;
        let other = lab.another(|settings| {
            settings.auth.jwt_secret = Some(Secret::new("9c1f7b0e7d2a86354e1f9b0c7d2a8635ff10acde4471c2b9f0e8d7a6b5c4d3e2"));
        });
        assert_eq!(lab.create().await.keys_required, Vec::<String>::new(), "nothing is sealed");
        assert!(other.verify(&operator(), None, false, &[], false).await.unwrap().ok);
        lab.app.petspark.auth().change_keys(&operator(), &KeyStep::Generate).await.unwrap();
        // Whatever the secret is of whoever makes it.
        lab.clock.advance(Duration::from_secs(60));
        let made = other.create(&operator(), &NewBackup::default()).await.unwrap();
        assert_eq!(made.keys_required.len(), 1);
        let checked = other.check(&operator(), None, false, &[], false).await.unwrap();
        assert!(bad(&checked).iter().any(|finding| finding.id == "backup.keys"), "{checked:#?}");
        let drill = other.verify(&operator(), None, false, &[], false).await.unwrap();
        assert_eq!((drill.ok, drill.phase.as_deref()), (false, Some("secrets")), "{drill:?}");
        let checked = lab.backups.check(&operator(), None, false, &[], false).await.unwrap();
        assert!(!bad(&checked).iter().any(|finding| finding.id == "backup.keys"), "{checked:#?}");
        assert!(lab.backups.verify(&operator(), None, false, &[], false).await.unwrap().ok);
    }
}

#[tokio::test]
async fn a_drill_that_can_not_be_tried_is_no_verdict_on_the_backup() {
    let app = TestApp::open(petspark_core::testing::Engine::Postgres).await;
    let lab = Lab::new(app).await;
    lab.create().await;
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let away = lab.another(|settings| {
        let url = format!("postgres://ada@{nobody}/drills");
        settings.backup.drill_database = Some(petspark_core::config::DatabaseUrl::Postgres(Secret::new(url)));
    });
    let error = away.verify(&operator(), None, false, &[], false).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable, "{error:?}");
    assert!(lab.backups.list(&operator(), false).await.unwrap()[0].proven_at.is_none());
}

#[tokio::test]
async fn orphans_in_the_database_itself_are_found() {
    let orphan = |id: &str| {
        format!("INSERT INTO favorites (user_id, pet_id, created_at) SELECT id, {id}, created_at FROM users")
    };
    let sqlite = Lab::new(TestApp::open(petspark_core::testing::Engine::Sqlite).await).await;
    let sql = format!("PRAGMA foreign_keys = OFF; {}", orphan("x'01980000000070008000000000000099'"));
    crate::sql::execute(&sqlite.settings, &sql).await;
    let refused = sqlite.backups.create(&operator(), &petspark_core::backup::NewBackup::default()).await.unwrap_err();
    assert!(
        refused.code() == "BACKUP_DAMAGED" && refused.to_string().contains("favorites refers to pets"),
        "{refused}"
    );
    assert_eq!(sqlite.ids().await, 0);

    // PostgreSQL isn't asked again what it has checked; restoring asks.
    let postgres = Lab::new(TestApp::open(petspark_core::testing::Engine::Postgres).await).await;
    let sql =
        format!("SET session_replication_role = replica; {}", orphan("'01980000-0000-7000-8000-000000000099'::uuid"));
    crate::sql::execute(&postgres.settings, &sql).await;
    postgres.create().await;
    let drill = postgres.backups.verify(&operator(), None, false, &[], false).await.unwrap();
    assert!(drill.phase.as_deref() == Some("restore") && drill.problem.unwrap().contains("favorites"));
}
