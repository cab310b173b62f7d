//! Places for uploads and for photos: who keeps one for how long, and in which order they are.

use std::time::Duration;

use bytes::Bytes;
use petspark_core::media::objects::ObjectStore;
use petspark_core::media::{MediaError, NewUpload, PhotoFilter, UploadStatus};
use petspark_core::pets::{Patch, PetError, PetFields};
use petspark_core::testing::{jpeg, on_both};
use petspark_core::{Caller, PageRequest};

use crate::media::{announced, avatar, files, made, pet, send, uploaded};

const TEN_MINUTES: Duration = Duration::from_secs(600);

on_both! {
    async fn a_place_that_nobody_used_is_free_when_its_time_is_over(app: TestApp) {
        let ada = app.register("ada").await;
        let rex = pet(&app, &ada).await;
        let tight = app.another_with(|settings| settings.media.max_photos = 1).await;
        let (media, bytes) = (tight.media(), jpeg(64, 64, 1));
        let late = media.reserve(&ada.caller, &announced(&bytes, rex)).await.unwrap();
        send(media, &late, &bytes).await.unwrap();
        assert!(matches!(media.reserve(&ada.caller, &announced(&bytes, rex)).await, Err(MediaError::LimitReached(_))));
        app.clock.advance(TEN_MINUTES);
        let second = media.reserve(&ada.caller, &announced(&bytes, rex)).await.unwrap();
        assert!(matches!(media.complete(&ada.caller, &late.key, None, None).await, Err(MediaError::LimitReached(_))));
        media.delete_by_key(&ada.caller, &second.key).await.unwrap();
        media.complete(&ada.caller, &late.key, None, None).await.unwrap();
        assert!(matches!(media.reserve(&ada.caller, &announced(&bytes, rex)).await, Err(MediaError::LimitReached(_))));
    }

    async fn small_uploads_are_limited_in_number(app: TestApp) {
        let ada = app.register("ada").await;
        let tight = app.another_with(|settings| settings.media.max_bytes.0 = 48 << 10).await;
        let tiny = NewUpload { file_size: 1, ..avatar(b"") };
        for _ in 0..3 {
            tight.media().reserve(&ada.caller, &tiny).await.unwrap();
        }
        assert!(matches!(tight.media().reserve(&ada.caller, &tiny).await, Err(MediaError::LimitReached(_))));
    }

    async fn an_order_has_all_photos_that_are_shown_and_may_have_the_others(app: TestApp) {
        let (ada, bob) = (app.register("ada").await, app.register("bob").await);
        let (media, rex, tom) = (app.petspark.media(), pet(&app, &ada).await, pet(&app, &bob).await);
        let mut ids = Vec::new();
        for seed in 1..=3 {
            let bytes = jpeg(300, 200, seed);
            ids.push(made(&app, &ada, &announced(&bytes, rex), &bytes).await.id);
        }
        let others = jpeg(300, 200, 5);
        let others = made(&app, &bob, &announced(&others, tom), &others).await.id;
        let waiting = jpeg(300, 200, 4);
        let waiting = uploaded(&app, &ada, &announced(&waiting, rex), &waiting).await.id;
        let [a, b, c] = ids[..] else { panic!("{ids:?}") };
        let shown = async |order: &[_]| {
            let pet = media.order(&ada.caller, rex, order).await?;
            Ok::<_, MediaError>(pet.photos().iter().map(|photo| photo.id).collect::<Vec<_>>())
        };
        assert_eq!(shown(&[c, a, b]).await.unwrap(), [c, a, b]);
        assert_eq!(media.get(&ada.caller, waiting).await.unwrap().order, Some(3), "behind");
        assert_eq!(shown(&[waiting, b, c, a]).await.unwrap(), [b, c, a]);
        assert_eq!(media.get(&ada.caller, waiting).await.unwrap().order, Some(0), "and is first when it is made");
        for wrong in [vec![a, b], vec![a, b, c, c], vec![a, b, c, others], vec![]] {
            assert!(matches!(shown(&wrong).await, Err(MediaError::Invalid(_))), "{wrong:?}");
        }
        assert_eq!(media.get(&ada.caller, b).await.unwrap().order, Some(1), "nothing of what was refused is kept");
        let denied = media.order(&bob.caller, rex, &[a, b, c, waiting]).await;
        assert!(matches!(denied, Err(MediaError::Pet(PetError::NotOwner))));
        let hidden = PetFields { status: Patch::Set("hidden".to_owned()), ..PetFields::default() };
        app.petspark.pets().update(&ada.caller, rex, hidden).await.unwrap();
        assert!(matches!(media.order(&bob.caller, rex, &[a]).await, Err(MediaError::Pet(PetError::NotFound))));
    }

    async fn photos_can_be_listed_by_offset_with_their_total(app: TestApp) {
        let (ada, bob) = (app.register("ada").await, app.register("bob").await);
        let (media, rex) = (app.petspark.media(), pet(&app, &ada).await);
        let mut ids = Vec::new();
        for seed in 1..=3 {
            let bytes = jpeg(300, 200, seed);
            ids.insert(0, made(&app, &ada, &announced(&bytes, rex), &bytes).await.id);
        }
        let of_rex = PhotoFilter { pet: Some(rex), ..PhotoFilter::default() };
        for caller in [&ada.caller, &bob.caller, &Caller::operator("cli:test@here")] {
            let page = media.list(caller, of_rex, &PageRequest::first(1).unwrap().skip(1).unwrap()).await.unwrap();
            assert_eq!((page.items[0].id, page.total), (ids[1], Some(3)));
        }
        app.petspark.people().block(&ada.caller, bob.id).await.unwrap();
        let of_ada = PhotoFilter { owner: Some(ada.id), ..PhotoFilter::default() };
        let page = media.list(&bob.caller, of_ada, &PageRequest::default().skip(0).unwrap()).await.unwrap();
        assert_eq!((page.items.len(), page.total), (0, Some(0)));
    }

    async fn what_attempts_at_a_rejected_photo_made_is_removed(app: TestApp) {
        let ada = app.register("ada").await;
        let (media, rex, bytes) = (app.petspark.media(), pet(&app, &ada).await, jpeg(300, 200, 1));
        let reserved = media.reserve(&ada.caller, &announced(&bytes, rex)).await.unwrap();
        send(media, &reserved, &bytes).await.unwrap();
        let photo = media.complete(&ada.caller, &reserved.key, None, None).await.unwrap();
        let store = ObjectStore::open(&app.petspark.settings().objects).unwrap();
        let made = reserved.key.replace("original.jpg", "thumb-00.jpg");
        store.put(&made.parse().unwrap(), Bytes::from_static(b"of an attempt that died")).await.unwrap();
        store.put(&reserved.key.parse().unwrap(), Bytes::from_static(b"changed")).await.unwrap();
        app.run_jobs().await;
        assert_eq!(media.get(&ada.caller, photo.id).await.unwrap().status, UploadStatus::Rejected);
        assert_eq!(files(&app), 1, "its file alone");
    }
}
