//! `media` at the terminal. What it counts, reads and removes is tested in the library.

use futures_util::stream;
use petspark_core::auth::{Client, NewAccount, Password, Registered};
use petspark_core::media::{NewUpload, Photo};
use petspark_core::testing::jpeg;
use petspark_core::{Migrate, PetSpark};

use crate::support::{Place, block_on, on_both};

/// A picture of a person who just registered.
fn uploaded(place: &Place) -> Photo {
    block_on(async {
        let petspark =
            PetSpark::open_with(place.settings(), Migrate::Never, petspark_core::Clock::system()).await.unwrap();
        let account = NewAccount {
            email: "ada@example.org".to_owned(),
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
        let missing = place.run("media gc --dry-run").expect(1);
        missing.says(&format!("Something is missing of upload {}", photo.id));
        place.run("media verify --all").expect(1).says("missing or changed");
    }

    fn a_store_that_is_not_set_up_is_named(place) {
        place.ok("migrate run");
        place.run("media migrate --from folder --to folder").expect(2).says("the same store");
        place.run("media migrate --from folder --to s3").expect(2).says("AWS_S3_BUCKET");
    }
}
