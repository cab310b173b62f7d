//! `media` at the terminal. What it counts, reads and removes is tested in the library.

use futures_util::stream;
use petspark_core::auth::{Client, NewAccount, Password, Registered};
use petspark_core::media::{NewUpload, Photo};
use petspark_core::testing::jpeg;
use petspark_core::{Migrate, PetSpark};

use crate::support::{Place, block_on, on_both};

/// A picture of a person who just registered.
pub(crate) fn uploaded(place: &Place) -> Photo {
    block_on(async {
        let petspark =
            PetSpark::open_with(place.settings(), Migrate::Never, petspark_core::Clock::system()).await.unwrap();
        let account = NewAccount {
            email: "pia@example.org".to_owned(),
            password: Password::new("correct horse battery"),
            display_name: "Ada".to_owned(),
        };
        let Registered::SignedIn(ada) = petspark.auth().register(account, Client::default()).await.unwrap() else {
            panic!("a mail first")
        };
        let ada = petspark.auth().authenticate(ada.tokens.access.expose()).await.unwrap();
        let bytes = jpeg(300, 200, 1);
        let new = NewUpload {
            file_name: "ada.jpg".to_owned(),
            file_size: bytes.len() as u64,
            file_type: "image/jpeg".to_owned(),
            upload_type: "profile-avatar".to_owned(),
            ..NewUpload::default()
        };
        let photo = petspark.media().upload(&ada, &new, stream::iter([Ok(bytes.into())])).await.unwrap();
        petspark.jobs().run_due().await.unwrap();
        petspark.close().await;
        photo
    })
}

on_both! {
    fn what_was_uploaded_is_counted_read_again_and_made_anew(place) {
        place.ok("migrate run");
        assert_eq!(place.ok("media verify --all --json").json()["uploads"], 0);
        let photo = uploaded(&place);
        let stats = place.ok("media stats --json").json();
        assert_eq!((&stats["uploads"][0]["purpose"], &stats["uploads"][0]["uploads"]), (&"profile-avatar".into(), &1.into()), "{stats}");
        let gc = place.ok("media gc --json").json();
        assert_eq!((&gc["changed"], &gc["leftovers"], &gc["missing"]), (&false.into(), &0.into(), &serde_json::json!([])));
        assert_eq!(place.ok("media verify --json").json()["uploads"], 1);
        let again = place.ok(&format!("media reprocess {} --json", photo.id)).json();
        assert_eq!((&again["changed"], &again["photos"]), (&true.into(), &1.into()));
        place.run("media reprocess").expect(2).says("--all");
        place.run("media reprocess 01980000-0000-7000-8000-000000000000").expect(4).says("no such photo");

        std::fs::remove_dir_all(place.settings().objects.folder).unwrap();
        let missing = place.run("media gc --dry-run").expect(10);
        missing.says(&format!("Something is missing of upload {}", photo.id));
        place.run("media verify --all").expect(10).says("missing or changed");
        place.ok(&format!("media verify --all --after {}", photo.id));
        place.run(&format!("media verify --after {}", photo.id)).expect(2).says("--all");
    }

    fn a_store_that_is_not_set_up_is_named(place) {
        place.ok("migrate run");
        place.run("media migrate --from folder --to folder").expect(2).says("the same store");
        place.run("media migrate --from folder --to s3").expect(2).says("AWS_S3_BUCKET");
    }
}

/// Objects of uploads that nobody knows, made long ago.
fn leftovers(place: &Place, count: usize) {
    let objects = place.settings().objects;
    let store = petspark_core::media::objects::ObjectStore::open(&objects).unwrap();
    block_on(async {
        for _ in 0..count {
            let key = format!("{}/{}/original.pdf", petspark_core::UserId::new(), petspark_core::UploadId::new());
            store.put(&key.parse().unwrap(), "stray".into()).await.unwrap();
        }
    });
    let old = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000);
    let mut folders = vec![objects.folder];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                std::fs::File::open(path).unwrap().set_modified(old).unwrap();
            }
        }
    }
}

#[test]
fn the_first_signal_ends_clearing_away_between_two_objects() {
    use rustix::process::Signal;
    use std::io::Read as _;
    let place = Place::sqlite();
    place.ok("migrate run");
    let count = 6000;
    leftovers(&place, count);
    place.run("media gc --yes").expect(5).says("6000 of 6000 objects").says("--at-most 6000");
    place.ok("media gc --dry-run").says("--at-most 6000");
    let mut removed = 0;
    for (kind, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let mut child = place.start("media gc --yes --at-most 6000 --json", std::process::Stdio::null());
        let mut lines = std::io::BufReader::new(child.stderr.take().unwrap());
        crate::support::wait_for(&mut lines, "removing objects: 10 %");
        crate::support::signal(&child, kind);
        let mut told = String::new();
        child.stdout.take().unwrap().read_to_string(&mut told).unwrap();
        assert_eq!(crate::support::exit_code(child.wait().unwrap()), code, "{told}");
        let told: serde_json::Value = serde_json::from_str(&told).unwrap();
        assert_eq!(told["changed"], true);
        removed += told["leftovers"].as_u64().unwrap();
    }
    let rest = place.ok("media gc --yes --at-most 6000 --json").json()["leftovers"].as_u64().unwrap();
    assert!(rest > 0, "the signals came too late to prove anything");
    assert_eq!(removed + rest, count as u64);
    let audit = place.ok("audit list --action sys_media_collected --json").json();
    let entries = audit["entries"].as_array().unwrap();
    let told = |what: &str| entries.iter().filter(|entry| entry["details"][what].is_u64()).count();
    assert_eq!((told("planned"), told("objects")), (3, 3), "before, and after what was done");
}
