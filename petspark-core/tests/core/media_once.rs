//! Uploads that a phone sends twice: the same key makes one, however often and however many at a time.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use futures_util::{Stream, stream};
use petspark_core::media::{Media, MediaError, NewUpload, Photo, PhotoFilter};
use petspark_core::testing::{TestUser, jpeg, on_both, sha256};
use petspark_core::{IdempotencyError, IdempotencyKey, Once, PageRequest};

use crate::media::{announced, files, pet, send};

fn key(text: &str) -> IdempotencyKey {
    IdempotencyKey::parse(text).unwrap()
}

fn body(bytes: &[u8]) -> impl Stream<Item = io::Result<Bytes>> + Send {
    stream::iter(bytes.chunks(1000).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect::<Vec<_>>())
}

async fn upload(
    media: &Media,
    by: &TestUser,
    new: &NewUpload,
    bytes: &[u8],
    key: &IdempotencyKey,
) -> Result<Once<Photo>, MediaError> {
    media.upload_once(&by.caller, new, body(bytes), Some(key)).await
}

fn is_reused<T>(result: &Result<T, MediaError>) -> bool {
    matches!(result, Err(MediaError::Idempotency(IdempotencyError::Reused)))
}

on_both! {
    async fn a_place_is_reserved_once_under_a_key(app: TestApp) {
        let ada = app.register("ada").await;
        let (media, rex, bytes) = (app.petspark.media(), pet(&app, &ada).await, jpeg(64, 64, 1));
        let (new, key) = (announced(&bytes, rex), key("a"));
        let at_once = join_all((0..10).map(|_| media.reserve_once(&ada.caller, &new, Some(&key)))).await;
        let places: Vec<_> = at_once.into_iter().map(Result::unwrap).collect();
        assert_eq!(places.iter().filter(|place| !place.replayed).count(), 1);
        let first = &places[0].result;
        let same = |place: &petspark_core::media::Reserved| (place.key.clone(), place.expires_at) == (first.key.clone(), first.expires_at);
        assert!(places.iter().all(|place| same(&place.result)));
        app.clock.advance(Duration::from_secs(300));
        let again = media.reserve_once(&ada.caller, &new, Some(&key)).await.unwrap();
        assert!(again.replayed && same(&again.result));
        send(media, &again.result, &bytes).await.unwrap();
        media.complete(&ada.caller, &first.key, None, None).await.unwrap();

        let other = NewUpload { file_size: 1, ..new.clone() };
        assert!(is_reused(&media.reserve_once(&ada.caller, &other, Some(&key)).await));
        media.delete_by_key(&ada.caller, &first.key).await.unwrap();
        assert!(matches!(media.reserve_once(&ada.caller, &new, Some(&key)).await, Err(MediaError::UploadNotFound)));
        app.clock.advance(Duration::from_secs(86_400));
        assert!(!media.reserve_once(&ada.caller, &new, Some(&key)).await.unwrap().replayed, "free again after a day");
    }

    async fn a_file_is_uploaded_once_under_a_key(app: TestApp) {
        let (ada, bob) = (app.register("ada").await, app.register("bob").await);
        let rex = pet(&app, &ada).await;
        let media = app.petspark.media();
        let (bytes, other, key) = (jpeg(300, 200, 1), jpeg(300, 200, 2), key("a"));
        let new = announced(&bytes, rex);
        let at_once = join_all((0..6).map(|_| upload(media, &ada, &new, &bytes, &key))).await;
        let uploads: Vec<_> = at_once.into_iter().map(Result::unwrap).collect();
        assert_eq!(uploads.iter().filter(|upload| !upload.replayed).count(), 1);
        let id = uploads[0].result.id;
        assert!(uploads.iter().all(|upload| upload.result.id == id));
        app.run_jobs().await;
        let all = media.list(&ada.caller, PhotoFilter::default(), &PageRequest::default()).await.unwrap();
        assert_eq!(all.items.len(), 1);
        let kept = files(&app);

        let again = upload(media, &ada, &NewUpload { file_name: "copy.jpg".into(), ..new.clone() }, &bytes, &key).await;
        let again = again.unwrap();
        assert_eq!((again.replayed, &again.result), (true, &all.items[0]), "as it is now");
        assert!(is_reused(&upload(media, &ada, &announced(&other, rex), &other, &key).await), "another file");
        let broken = stream::iter([Ok(Bytes::from_static(b"half")), Err(io::Error::other("gone"))]);
        assert!(matches!(media.upload_once(&ada.caller, &new, broken, Some(&key)).await, Err(MediaError::Incomplete)));
        app.run_jobs().await;
        assert_eq!(files(&app), kept, "nothing of all that is kept");
        let tom = pet(&app, &bob).await;
        assert!(!upload(media, &bob, &announced(&bytes, tom), &bytes, &key).await.unwrap().replayed, "bob's own key");
        media.delete(&ada.caller, id).await.unwrap();
        assert!(matches!(upload(media, &ada, &new, &bytes, &key).await, Err(MediaError::PhotoNotFound)));
    }

    async fn what_is_refused_or_breaks_off_leaves_the_key_free(app: TestApp) {
        let ada = app.register("ada").await;
        let (media, rex, bytes, key) = (app.petspark.media(), pet(&app, &ada).await, jpeg(300, 200, 1), key("a"));
        let new = announced(&bytes, rex);
        let broken = stream::iter([Ok(Bytes::from_static(b"half")), Err(io::Error::other("gone"))]);
        assert!(matches!(media.upload_once(&ada.caller, &new, broken, Some(&key)).await, Err(MediaError::Incomplete)));
        assert!(matches!(upload(media, &ada, &new, b"no photo", &key).await, Err(MediaError::NotAsDeclared(_))));
        let wrong = NewUpload { checksum_sha256: Some(sha256(b"x")), ..new.clone() };
        assert!(matches!(upload(media, &ada, &wrong, &bytes, &key).await, Err(MediaError::NotAsDeclared(_))));
        assert!(!upload(media, &ada, &new, &bytes, &key).await.unwrap().replayed);
    }

    async fn the_last_place_is_no_obstacle_to_who_has_it(app: TestApp) {
        let ada = app.register("ada").await;
        let tight = app.another_with(|settings| settings.media.max_photos = 1).await;
        let (rex, bytes, key) = (pet(&app, &ada).await, jpeg(300, 200, 1), key("a"));
        let new = announced(&bytes, rex);
        let first = upload(tight.media(), &ada, &new, &bytes, &key).await.unwrap();
        let again = upload(tight.media(), &ada, &new, &bytes, &key).await.unwrap();
        assert_eq!((again.replayed, again.result.id), (true, first.result.id));
    }
}
