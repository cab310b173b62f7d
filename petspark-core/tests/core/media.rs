//! Uploads and photos: what comes in, what is shown to whom, and that nothing is left behind.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use futures_util::{TryStreamExt as _, stream};
use petspark_core::config::ByteSize;
use petspark_core::media::{
    Audience, Collect, Media, MediaError, MediaType, ModerationPolicy, NewUpload, Photo, PhotoFilter, Reserved, Size,
    Sought, UploadStatus,
};
use petspark_core::moderation::{Decision, NewDecision, TaskFilter};
use petspark_core::people::When;
use petspark_core::pets::{PetFields, Species};
use petspark_core::testing::{TestApp, TestS3, TestUser, jpeg, on_both, sha256};
use petspark_core::{Caller, Failure as _, PageRequest, PetId, PetSpark};

fn operator() -> Caller {
    Caller::operator("cli:test@here")
}

fn dry_run() -> Collect {
    Collect { dry_run: true, ..Collect::default() }
}

pub(crate) async fn pet(app: &TestApp, owner: &TestUser) -> PetId {
    app.petspark.pets().create(&owner.caller, PetFields::new("Rex", Species::Dog)).await.unwrap().id
}

pub(crate) fn announced(bytes: &[u8], pet: PetId) -> NewUpload {
    NewUpload {
        file_name: "rex.jpg".to_owned(),
        file_size: bytes.len() as u64,
        file_type: "image/jpeg".to_owned(),
        upload_type: "pet-photo".to_owned(),
        pet_id: Some(pet.to_string()),
        checksum_sha256: None,
    }
}

pub(crate) fn avatar(bytes: &[u8]) -> NewUpload {
    NewUpload { upload_type: "profile-avatar".to_owned(), pet_id: None, ..announced(bytes, PetId::new()) }
}

/// Sends bytes to where they were announced, in pieces, as the folder's URL takes them.
pub(crate) async fn send(media: &Media, reserved: &Reserved, bytes: &[u8]) -> Result<(), MediaError> {
    let (_, token) = reserved.url.expose().split_once("?token=").unwrap();
    let pieces: Vec<io::Result<Bytes>> = bytes.chunks(1000).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    let content_type =
        reserved.headers.iter().find(|(name, _)| name == "content-type").map(|(_, value)| value.as_str());
    media.receive(&reserved.key, token, content_type, Some(bytes.len() as u64), stream::iter(pieces)).await
}

/// Announces, sends and completes.
pub(crate) async fn uploaded(app: &TestApp, by: &TestUser, new: &NewUpload, bytes: &[u8]) -> Photo {
    let media = app.petspark.media();
    let reserved = media.reserve(&by.caller, new).await.unwrap();
    send(media, &reserved, bytes).await.unwrap();
    media.complete(&by.caller, &reserved.key, None, None).await.unwrap()
}

/// The same, and it is made into a photo.
pub(crate) async fn made(app: &TestApp, by: &TestUser, new: &NewUpload, bytes: &[u8]) -> Photo {
    let photo = uploaded(app, by, new, bytes).await;
    app.run_jobs().await;
    app.petspark.media().get(&by.caller, photo.id).await.unwrap()
}

fn key_of(url: &str) -> (&str, Option<&str>) {
    let path = url.strip_prefix("/media/").unwrap();
    path.split_once("?token=").map_or((path, None), |(key, token)| (key, Some(token)))
}

pub(crate) async fn fetch(petspark: &PetSpark, url: &str) -> Result<(Vec<u8>, Audience), MediaError> {
    let (key, token) = key_of(url);
    let served = petspark.media().serve(key, token).await?;
    let audience = served.audience;
    let (_, bytes) = petspark.media().bytes(&served, None).await?;
    let pieces: Vec<Bytes> = bytes.try_collect().await.unwrap();
    Ok((pieces.concat(), audience))
}

pub(crate) fn files(app: &TestApp) -> usize {
    fn below(folder: &std::path::Path) -> usize {
        let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
        entries.map(|entry| entry.unwrap().path()).map(|path| if path.is_dir() { below(&path) } else { 1 }).sum()
    }
    below(&app.petspark.settings().objects.folder)
}

async fn later(app: &TestApp, duration: Duration) {
    app.clock.advance(duration);
    app.run_jobs().await;
}

const HOUR: Duration = Duration::from_secs(3600);

on_both! {
    async fn a_photo_is_announced_sent_looked_at_made_and_shown(app: TestApp) {
        let (ada, bob) = (app.register("ada").await, app.register("bob").await);
        let (media, rex) = (app.petspark.media(), pet(&app, &ada).await);
        let bytes = jpeg(2400, 1200, 1);
        let before = app.petspark.pets().get(&ada.caller, rex).await.unwrap();
        let photo = uploaded(&app, &ada, &announced(&bytes, rex), &bytes).await;
        assert_eq!((photo.status, photo.width, photo.height), (UploadStatus::Processing, Some(2400), Some(1200)));
        assert_eq!(app.petspark.pets().get(&ada.caller, rex).await.unwrap().photos(), [], "not before it is made");
        app.run_jobs().await;

        let photo = media.get(&bob.caller, photo.id).await.unwrap();
        assert_eq!((photo.status, photo.order, photo.reason), (UploadStatus::Approved, Some(0), None));
        let sizes: Vec<_> = photo.variants.iter().filter(|variant| variant.media_type == MediaType::Jpeg)
            .map(|variant| (variant.name, variant.width, variant.height)).collect();
        assert_eq!(sizes, [(Size::Thumb, 160, 80), (Size::Small, 480, 240), (Size::Medium, 960, 480), (Size::Large, 1920, 960)]);
        assert!(photo.placeholder.is_some() && photo.dominant_color.as_deref().is_some_and(|color| color.len() == 7));
        for variant in &photo.variants {
            let (content, audience) = fetch(&app.petspark, &variant.url).await.unwrap();
            assert_eq!(audience, Audience::Everybody);
            let hash = sha256(&content);
            assert!(variant.url.contains(&hash[..32]), "what is behind a URL never changes: {}", variant.url);
        }

        let shown = app.petspark.pets().get(&bob.caller, rex).await.unwrap();
        assert_eq!(shown.photos().iter().map(|photo| photo.id).collect::<Vec<_>>(), [photo.id]);
        assert_eq!(media.links().variants(&shown, &shown.photos()[0], app.clock.now()), photo.variants);
        assert!(shown.version > before.version, "a client that has the pet hears of it");
        let listed = app.petspark.pets().list(&bob.caller, Default::default(), &PageRequest::default()).await.unwrap();
        assert_eq!(listed.items[0].photos().len(), 1);
    }

    async fn the_original_is_given_to_nobody(app: TestApp) {
        let ada = app.register("ada").await;
        let (media, rex) = (app.petspark.media(), pet(&app, &ada).await);
        let bytes = jpeg(300, 200, 1);
        let reserved = media.reserve(&ada.caller, &announced(&bytes, rex)).await.unwrap();
        send(media, &reserved, &bytes).await.unwrap();
        let (_, put_token) = reserved.url.expose().split_once("?token=").unwrap();
        for moment in ["sent", "completed", "made"] {
            assert!(matches!(media.serve(&reserved.key, None).await, Err(MediaError::PhotoNotFound)), "{moment}");
            assert!(matches!(media.serve(&reserved.key, Some(put_token)).await, Err(MediaError::BadLink)), "{moment}");
            match moment {
                "sent" => drop(media.complete(&ada.caller, &reserved.key, None, None).await.unwrap()),
                _ => app.run_jobs().await,
            }
        }
    }

    async fn what_comes_must_be_what_was_announced(app: TestApp) {
        let ada = app.register("ada").await;
        let (media, rex) = (app.petspark.media(), pet(&app, &ada).await);
        let bytes = jpeg(64, 64, 1);
        let with_checksum = |content: &[u8]| NewUpload {
            checksum_sha256: Some(sha256(content)),
            ..announced(&bytes, rex)
        };
        let reserved = media.reserve(&ada.caller, &announced(&bytes, rex)).await.unwrap();
        assert!(matches!(media.complete(&ada.caller, &reserved.key, None, None).await, Err(MediaError::NotUploaded)));
        assert!(matches!(send(media, &reserved, &bytes[1..]).await, Err(MediaError::NotAsDeclared(_))), "shorter");
        assert!(matches!(send(media, &reserved, &[&bytes[..], b"x"].concat()).await, Err(MediaError::NotAsDeclared(_))), "longer");
        let (_, token) = reserved.url.expose().split_once("?token=").unwrap();
        let body = || stream::iter([Ok(Bytes::from(bytes.clone()))]);
        assert!(matches!(media.receive(&reserved.key, token, Some("text/html"), None, body()).await, Err(MediaError::NotAsDeclared(_))));
        assert!(matches!(media.receive(&reserved.key, "x", Some("image/jpeg"), None, body()).await, Err(MediaError::BadLink)));
        let broken = stream::iter([Ok(Bytes::from_static(b"half")), Err(io::Error::other("gone"))]);
        assert!(matches!(media.receive(&reserved.key, token, Some("image/jpeg"), None, broken).await, Err(MediaError::Incomplete)));
        assert_eq!(files(&app), 0, "nothing of all that is kept");
        send(media, &reserved, &bytes).await.unwrap();
        assert!(matches!(send(media, &reserved, &bytes).await, Err(MediaError::AlreadyUploaded)), "a URL is for one upload");

        let wrong = media.reserve(&ada.caller, &with_checksum(b"something else")).await.unwrap();
        assert!(matches!(send(media, &wrong, &bytes).await, Err(MediaError::NotAsDeclared(_))));
        let right = media.reserve(&ada.caller, &with_checksum(&bytes)).await.unwrap();
        send(media, &right, &bytes).await.unwrap();
        let late = media.reserve(&ada.caller, &announced(&bytes, rex)).await.unwrap();
        app.clock.advance(Duration::from_secs(600));
        assert!(matches!(send(media, &late, &bytes).await, Err(MediaError::BadLink)), "ten minutes");

        let not_a_photo = b"\xff\xd8\xff\xe0 <script>alert(1)</script>".to_vec();
        let reserved = media.reserve(&ada.caller, &announced(&not_a_photo, rex)).await.unwrap();
        send(media, &reserved, &not_a_photo).await.unwrap();
        let refused = media.complete(&ada.caller, &reserved.key, None, None).await.unwrap_err();
        assert_eq!(refused.code(), "UPLOAD_005", "{refused}");
        assert!(matches!(media.complete(&ada.caller, &reserved.key, None, None).await, Err(MediaError::UploadNotFound)));
    }

    async fn an_upload_is_completed_once_and_by_who_announced_it(app: TestApp) {
        let (ada, bob) = (app.register("ada").await, app.register("bob").await);
        let (media, rex) = (app.petspark.media(), pet(&app, &ada).await);
        let bytes = jpeg(64, 64, 1);
        assert!(matches!(media.reserve(&bob.caller, &announced(&bytes, rex)).await, Err(MediaError::NotYourPet)));
        assert!(matches!(media.reserve(&ada.caller, &announced(&bytes, PetId::new())).await, Err(MediaError::NotYourPet)));
        let reserved = media.reserve(&ada.caller, &announced(&bytes, rex)).await.unwrap();
        send(media, &reserved, &bytes).await.unwrap();
        for caller in [&bob.caller, &operator(), &Caller::anonymous()] {
            assert!(matches!(media.complete(caller, &reserved.key, None, None).await, Err(MediaError::UploadNotFound)));
        }
        assert!(matches!(media.complete(&ada.caller, &reserved.key, Some("document"), None).await, Err(MediaError::Invalid(_))));
        let at_once = join_all((0..8).map(|_| media.complete(&ada.caller, &reserved.key, Some("pet-photo"), None))).await;
        let ids: Vec<_> = at_once.into_iter().map(|photo| photo.unwrap().id).collect();
        assert!(ids.iter().all(|id| *id == ids[0]));
        app.run_jobs().await;
        assert_eq!(media.complete(&ada.caller, &reserved.key, None, None).await.unwrap().status, UploadStatus::Approved);
        assert_eq!(app.petspark.pets().get(&ada.caller, rex).await.unwrap().photos().len(), 1);
    }

    async fn of_twenty_who_announce_at_once_as_many_get_a_place_as_there_are(app: TestApp) {
        let ada = app.register("ada").await;
        let rex = pet(&app, &ada).await;
        let tight = app.another_with(|settings| {
            settings.media.max_photos = 5;
            settings.media.max_bytes = ByteSize(200_000);
        }).await;
        let new = NewUpload { file_size: 1000, ..announced(b"", rex) };
        let at_once = join_all((0..20).map(|_| tight.media().reserve(&ada.caller, &new))).await;
        assert_eq!(at_once.iter().filter(|reserved| reserved.is_ok()).count(), 5);
        assert!(at_once.iter().all(|reserved| matches!(reserved, Ok(_) | Err(MediaError::LimitReached(_)))));
        let large = NewUpload { file_size: 40_000, ..avatar(b"") };
        let at_once = join_all((0..10).map(|_| tight.media().reserve(&ada.caller, &large))).await;
        assert_eq!(at_once.iter().filter(|reserved| reserved.is_ok()).count(), 2, "five times 16 KiB and twice 40,000 of 200,000 bytes");
    }

    async fn a_reservation_that_nobody_used_makes_room_again(app: TestApp) {
        let ada = app.register("ada").await;
        let (media, rex) = (app.petspark.media(), pet(&app, &ada).await);
        let bytes = jpeg(64, 64, 1);
        let reserved = media.reserve(&ada.caller, &announced(&bytes, rex)).await.unwrap();
        send(media, &reserved, &bytes).await.unwrap();
        assert_eq!(files(&app), 1);
        later(&app, HOUR + Duration::from_secs(1201)).await;
        later(&app, HOUR).await;
        assert_eq!(files(&app), 0);
        assert!(matches!(media.complete(&ada.caller, &reserved.key, None, None).await, Err(MediaError::UploadNotFound)));
        assert_eq!(media.stats(&operator()).await.unwrap(), []);
    }

    async fn photos_that_wait_are_seen_by_owner_and_moderators_only(app: TestApp) {
        let (ada, bob) = (app.register("ada").await, app.register("bob").await);
        let rex = pet(&app, &ada).await;
        let careful = app.another_with(|settings| settings.media.moderation = ModerationPolicy::HoldAll).await;
        let bytes = jpeg(600, 400, 1);
        let photo = uploaded(&app, &ada, &announced(&bytes, rex), &bytes).await;
        careful.jobs().run_due().await.unwrap();
        let media = careful.media();
        let own = media.get(&ada.caller, photo.id).await.unwrap();
        assert_eq!(own.status, UploadStatus::Pending);
        assert!(matches!(media.get(&bob.caller, photo.id).await, Err(MediaError::PhotoNotFound)));
        assert_eq!(media.get(&operator(), photo.id).await.unwrap().status, UploadStatus::Pending);
        assert_eq!(careful.pets().get(&ada.caller, rex).await.unwrap().photos(), []);
        let url = &own.variants[0].url;
        assert_eq!(fetch(&careful, url).await.unwrap().1, Audience::Bearer);
        let (key, _) = key_of(url);
        assert!(matches!(media.serve(key, None).await, Err(MediaError::PhotoNotFound)));
        app.clock.advance(Duration::from_secs(901));
        assert!(matches!(fetch(&careful, url).await, Err(MediaError::BadLink)), "a quarter of an hour");

        let moderation = careful.moderation();
        let task = moderation.list(&operator(), TaskFilter::default(), &PageRequest::default()).await.unwrap().items.pop().unwrap();
        for (decision, status) in [(Decision::Approved, UploadStatus::Approved)] {
            moderation.take(&operator(), task.id).await.unwrap();
            let decision = NewDecision { decision: decision.to_string(), reason: "looked at it".to_owned() };
            moderation.decide(&operator(), task.id, decision).await.unwrap();
            assert_eq!(media.get(&ada.caller, photo.id).await.unwrap().status, status);
        }
        assert_eq!(careful.pets().get(&bob.caller, rex).await.unwrap().photos().len(), 1);
        assert!(media.serve(key, None).await.is_ok());
        app.mail("ada@example.org", petspark_core::mail::Template::PhotoApproved).await;
    }

    async fn a_rejected_photo_is_shown_to_nobody_and_its_owner_hears_of_it(app: TestApp) {
        let (ada, bob) = (app.register("ada").await, app.register("bob").await);
        let rex = pet(&app, &ada).await;
        let careful = app.another_with(|settings| settings.media.moderation = ModerationPolicy::HoldNewUsers).await;
        let bytes = jpeg(600, 400, 1);
        let photo = uploaded(&app, &ada, &announced(&bytes, rex), &bytes).await;
        careful.jobs().run_due().await.unwrap();
        let moderation = careful.moderation();
        let task = moderation.list(&operator(), TaskFilter::default(), &PageRequest::default()).await.unwrap().items.pop().unwrap();
        moderation.take(&operator(), task.id).await.unwrap();
        let decision = NewDecision { decision: "rejected".to_owned(), reason: "for colleagues".to_owned() };
        moderation.decide(&operator(), task.id, decision).await.unwrap();
        let own = careful.media().get(&ada.caller, photo.id).await.unwrap();
        assert_eq!(own.status, UploadStatus::Rejected);
        assert!(own.reason.is_some_and(|reason| !reason.contains("colleagues")));
        assert!(matches!(careful.media().get(&bob.caller, photo.id).await, Err(MediaError::PhotoNotFound)));
        app.mail("ada@example.org", petspark_core::mail::Template::PhotoRejected).await;

        later(&app, 8 * 24 * HOUR).await;
        let second = uploaded(&app, &ada, &announced(&bytes, rex), &bytes).await;
        careful.jobs().run_due().await.unwrap();
        assert_eq!(careful.media().get(&ada.caller, second.id).await.unwrap().status, UploadStatus::Approved, "a week is enough");
    }

    async fn what_isnt_shown_of_a_pet_isnt_shown_of_its_photos(app: TestApp) {
        let (ada, bob) = (app.register("ada").await, app.register("bob").await);
        let (media, pets, rex) = (app.petspark.media(), app.petspark.pets(), pet(&app, &ada).await);
        let bytes = jpeg(600, 400, 1);
        let photo = made(&app, &ada, &announced(&bytes, rex), &bytes).await;
        let url = &photo.variants[0].url;
        let hidden = PetFields { status: petspark_core::pets::Patch::Set("hidden".to_owned()), ..PetFields::default() };
        pets.update(&ada.caller, rex, hidden).await.unwrap();
        assert!(matches!(fetch(&app.petspark, url).await, Err(MediaError::PhotoNotFound)));
        assert!(matches!(media.get(&bob.caller, photo.id).await, Err(MediaError::PhotoNotFound)));
        for caller in [&ada.caller, &operator()] {
            let (photo, shown) = (media.get(caller, photo.id).await.unwrap(), pets.get(caller, rex).await.unwrap());
            assert_eq!(media.links().variants(&shown, &shown.photos()[0], app.clock.now()), photo.variants);
            for variant in &photo.variants {
                assert_eq!(fetch(&app.petspark, &variant.url).await.unwrap().1, Audience::Bearer, "and they may");
            }
        }
        let active = PetFields { status: petspark_core::pets::Patch::Set("active".to_owned()), ..PetFields::default() };
        pets.update(&ada.caller, rex, active).await.unwrap();
        assert!(fetch(&app.petspark, url).await.is_ok());
        app.petspark.people().block(&ada.caller, bob.caller.user_id().unwrap()).await.unwrap();
        assert!(matches!(media.get(&bob.caller, photo.id).await, Err(MediaError::PhotoNotFound)));
        let of_ada = PhotoFilter { owner: ada.caller.user_id(), ..PhotoFilter::default() };
        assert_eq!(media.list(&bob.caller, of_ada, &PageRequest::default()).await.unwrap().items, []);
        app.petspark.people().unblock(&ada.caller, bob.caller.user_id().unwrap()).await.unwrap();
        assert_eq!(media.list(&bob.caller, of_ada, &PageRequest::default()).await.unwrap().items.len(), 1);
        pets.delete(&ada.caller, rex).await.unwrap();
        assert!(matches!(fetch(&app.petspark, url).await, Err(MediaError::PhotoNotFound)));
    }

    async fn photos_have_the_order_that_their_owner_gives_them(app: TestApp) {
        let (ada, bob) = (app.register("ada").await, app.register("bob").await);
        let (media, rex) = (app.petspark.media(), pet(&app, &ada).await);
        let mut ids = Vec::new();
        for seed in 0..3 {
            let bytes = jpeg(80, 60, seed);
            ids.push(made(&app, &ada, &announced(&bytes, rex), &bytes).await.id);
        }
        let shown = |pet: petspark_core::pets::Pet| pet.photos().iter().map(|photo| photo.id).collect::<Vec<_>>();
        assert_eq!(shown(app.petspark.pets().get(&bob.caller, rex).await.unwrap()), ids);
        ids.reverse();
        assert_eq!(shown(media.order(&ada.caller, rex, &ids).await.unwrap()), ids);
        assert!(matches!(media.order(&bob.caller, rex, &ids).await, Err(MediaError::Pet(petspark_core::pets::PetError::NotOwner))));
        for wrong in [&ids[..2], &[ids[0], ids[0], ids[1]], &[ids[0], ids[1], ids[2], ids[2]]] {
            assert!(matches!(media.order(&ada.caller, rex, wrong).await, Err(MediaError::Invalid(_))), "{wrong:?}");
        }
        media.delete(&ada.caller, ids[1]).await.unwrap();
        assert_eq!(shown(app.petspark.pets().get(&ada.caller, rex).await.unwrap()), [ids[0], ids[2]]);
        assert!(matches!(media.delete(&bob.caller, ids[0]).await, Err(MediaError::NotYourPhoto)));
    }

    async fn a_new_picture_of_a_person_replaces_the_one_before(app: TestApp) {
        let ada = app.register("ada").await;
        let media = app.petspark.media();
        let mut urls = Vec::new();
        for seed in 0..2 {
            let bytes = jpeg(500, 500, seed);
            made(&app, &ada, &avatar(&bytes), &bytes).await;
            let user = app.petspark.auth().me(&ada.caller).await.unwrap();
            urls.push(media.links().avatar(&user.avatar.unwrap()));
        }
        assert!(matches!(fetch(&app.petspark, &urls[0]).await, Err(MediaError::PhotoNotFound)));
        assert!(fetch(&app.petspark, &urls[1]).await.is_ok());
        assert_eq!(media.list(&ada.caller, PhotoFilter::default(), &PageRequest::default()).await.unwrap().items.len(), 1);
        let rex = pet(&app, &ada).await;
        let pet = app.petspark.pets().get(&ada.caller, rex).await.unwrap();
        assert_eq!(media.links().avatar(&pet.owner_avatar.unwrap()), urls[1]);
    }

    async fn a_document_is_seen_by_its_owner_only(app: TestApp) {
        let (ada, bob) = (app.register("ada").await, app.register("bob").await);
        let media = app.petspark.media();
        let bytes = b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\ntrailer\n<<>>\n%%EOF\n";
        let new = NewUpload {
            file_type: "application/pdf".to_owned(), upload_type: "document".to_owned(), pet_id: None,
            ..announced(bytes, PetId::new())
        };
        let document = uploaded(&app, &ada, &new, bytes).await;
        assert_eq!((document.status, document.variants.len()), (UploadStatus::Approved, 0));
        let url = document.document_url.unwrap();
        assert_eq!(fetch(&app.petspark, &url).await.unwrap(), (bytes.to_vec(), Audience::Bearer));
        assert!(matches!(media.serve(key_of(&url).0, None).await, Err(MediaError::PhotoNotFound)));
        for caller in [&bob.caller, &operator()] {
            assert!(matches!(media.get(caller, document.id).await, Err(MediaError::PhotoNotFound)));
        }
        let html = NewUpload { file_size: 20, ..new };
        let reserved = media.reserve(&ada.caller, &html).await.unwrap();
        send(media, &reserved, b"<html>not a PDF</h>\n").await.unwrap();
        assert!(matches!(media.complete(&ada.caller, &reserved.key, None, None).await, Err(MediaError::NotAsDeclared(_))));
    }

    async fn the_same_photo_and_those_that_look_alike_are_found(app: TestApp) {
        let (ada, bob) = (app.register("ada").await, app.register("bob").await);
        let (media, rex, tom) = (app.petspark.media(), pet(&app, &ada).await, pet(&app, &bob).await);
        let (large, small, other) = (jpeg(800, 600, 1), jpeg(400, 300, 1), jpeg(800, 600, 30));
        let first = made(&app, &ada, &announced(&large, rex), &large).await;
        let alike = made(&app, &ada, &announced(&small, rex), &small).await;
        made(&app, &ada, &announced(&other, rex), &other).await;
        let of_bob = made(&app, &bob, &announced(&large, tom), &large).await;
        let again = media.reserve(&ada.caller, &announced(&large, rex)).await.unwrap();
        send(media, &again, &large).await.unwrap();
        let again = media.complete(&ada.caller, &again.key, None, None).await.map(|photo| (photo.id, again.key)).unwrap();
        app.run_jobs().await;
        let ids = |found: Vec<petspark_core::media::Duplicate>| found.into_iter().map(|photo| photo.id).collect::<Vec<_>>();
        let found = media.duplicates(&ada.caller, &Sought::Key(again.1.clone()), false).await.unwrap();
        assert_eq!((ids(found.exact), ids(found.similar)), (vec![first.id], vec![alike.id]));
        let digest = sha256(&large);
        let everywhere = media.duplicates(&operator(), &Sought::Sha256(digest.clone()), true).await.unwrap();
        assert_eq!(ids(everywhere.exact), [first.id, of_bob.id, again.0]);
        assert!(matches!(media.duplicates(&ada.caller, &Sought::Sha256(digest), true).await, Err(MediaError::Denied(_))));
        assert!(matches!(media.duplicates(&bob.caller, &Sought::Key(again.1), false).await, Err(MediaError::UploadNotFound)));
        assert!(matches!(media.duplicates(&ada.caller, &Sought::Sha256("x".into()), false).await, Err(MediaError::Invalid(_))));
    }

    async fn nothing_is_left_of_what_was_deleted_however_it_was(app: TestApp) {
        let (ada, bob) = (app.register("ada").await, app.register("bob").await);
        let media = app.petspark.media();
        let bytes = jpeg(300, 200, 1);
        for way in ["photo", "upload", "pet", "account"] {
            let rex = pet(&app, &ada).await;
            let new = announced(&bytes, rex);
            let reserved = media.reserve(&ada.caller, &new).await.unwrap();
            send(media, &reserved, &bytes).await.unwrap();
            let photo = media.complete(&ada.caller, &reserved.key, None, None).await.unwrap();
            app.run_jobs().await;
            assert!(files(&app) > 4, "{way}: the original and its sizes");
            match way {
                "photo" => media.delete(&ada.caller, photo.id).await.unwrap(),
                "upload" => media.delete_by_key(&ada.caller, &reserved.key).await.unwrap(),
                "pet" => {
                    app.petspark.pets().delete(&ada.caller, rex).await.unwrap();
                    later(&app, 31 * 24 * HOUR).await;
                }
                _ => {
                    let id = ada.caller.user_id().unwrap();
                    app.petspark.people().delete(&operator(), id, When::Now, None, false).await.unwrap();
                }
            }
            later(&app, 2 * HOUR).await;
            assert_eq!(files(&app), 0, "{way}");
        }
        assert_eq!(media.collect(&operator(), &dry_run(), |_| true).await.unwrap(), Default::default());
        assert!(matches!(media.collect(&bob.caller, &dry_run(), |_| true).await, Err(MediaError::Denied(_))));
    }

    async fn what_belongs_to_nothing_is_found_and_what_is_missing_too(app: TestApp) {
        let ada = app.register("ada").await;
        let (media, rex) = (app.petspark.media(), pet(&app, &ada).await);
        let bytes = jpeg(300, 200, 1);
        let photo = made(&app, &ada, &announced(&bytes, rex), &bytes).await;
        let sound = media.reread(&operator(), None, None, |_| true).await.unwrap();
        assert_eq!((sound.uploads, sound.damaged.len()), (1, 0));
        let second = jpeg(300, 200, 2);
        let second = made(&app, &ada, &announced(&second, rex), &second).await;
        for _ in 0..5 {
            assert_eq!(media.reread(&operator(), Some(9), None, |_| true).await.unwrap().uploads, 2, "each once, wherever it begins");
            assert_eq!(media.reread(&operator(), Some(1), None, |_| true).await.unwrap().uploads, 1);
        }
        media.delete(&ada.caller, second.id).await.unwrap();
        app.run_jobs().await;
        assert!(sound.bytes > bytes.len() as u64);

        let folder = &app.petspark.settings().objects.folder;
        let store = petspark_core::media::objects::ObjectStore::open(&app.petspark.settings().objects).unwrap();
        let stray = format!("{}/{}/thumb-0.jpg", PetId::new(), PetId::new());
        store.put(&stray.parse().unwrap(), Bytes::from_static(b"stray")).await.unwrap();
        // Of the file system, not of the test's clock.
        app.clock.advance(Duration::from_secs(10 * 365 * 24 * 3600));
        let planned = media.collect(&operator(), &dry_run(), |_| true).await.unwrap();
        assert_eq!((planned.leftovers, planned.leftover_bytes, planned.missing.len()), (1, 5, 0));
        for n in 1..3 {
            let stray = format!("{}/{}/thumb-{n}.jpg", PetId::new(), PetId::new());
            store.put(&stray.parse().unwrap(), Bytes::from_static(b"stray")).await.unwrap();
        }
        // Ended between two of three: what was done is told, and written down.
        let stopped = media.collect(&operator(), &Collect::default(), |so_far| so_far.leftovers < 2).await.unwrap();
        assert_eq!(stopped.leftovers, 2);
        let only = petspark_core::audit::AuditFilter { action: Some(petspark_core::audit::Action::MediaCollected), ..Default::default() };
        let told = app.petspark.audit().list(&operator(), only, &petspark_core::PageRequest::default()).await.unwrap();
        assert_eq!(told.items[0].details, serde_json::json!({ "objects": 2 }));
        assert_eq!(media.collect(&operator(), &Collect::default(), |_| true).await.unwrap().leftovers, 1);
        assert_eq!(media.reprocess(&operator(), None, |so_far| so_far < 1).await.unwrap(), 1, "one of two");
        assert_eq!(media.collect(&operator(), &Collect::default(), |_| true).await.unwrap().leftovers, 0);

        let (key, _) = key_of(&photo.variants[0].url);
        store.put(&key.parse().unwrap(), Bytes::from_static(b"rotten")).await.unwrap();
        assert_eq!(media.reread(&operator(), Some(5), None, |_| true).await.unwrap().damaged, [photo.id]);
        assert_eq!(media.reprocess(&operator(), Some(photo.id), |_| true).await.unwrap(), 1);
        app.run_jobs().await;
        assert_eq!(media.reread(&operator(), None, None, |_| true).await.unwrap().damaged, []);
        store.delete(&key.parse().unwrap()).await.unwrap();
        assert_eq!(media.collect(&operator(), &dry_run(), |_| true).await.unwrap().missing, [photo.id]);
        assert!(folder.exists());
    }

    async fn a_wrong_database_removes_nothing_unless_somebody_says_how_much_may_go(app: TestApp) {
        let media = app.petspark.media();
        let store = petspark_core::media::objects::ObjectStore::open(&app.petspark.settings().objects).unwrap();
        for _ in 0..11 {
            let stray = format!("{}/{}/original.jpg", PetId::new(), PetId::new());
            store.put(&stray.parse().unwrap(), Bytes::from_static(b"of another database")).await.unwrap();
        }
        // Objects have the time of the system.
        let clock = petspark_core::Clock::manual(petspark_core::Clock::system().now());
        clock.advance(2 * HOUR);
        let settings = app.petspark.settings().clone();
        let petspark = PetSpark::open_with(settings, petspark_core::Migrate::Never, clock.clone()).await.unwrap();
        let soon = petspark.media().collect(&operator(), &dry_run(), |_| true).await.unwrap();
        assert_eq!((soon.objects, soon.leftovers), (11, 0), "not before a day has passed");
        let sooner = Collect { older_than: HOUR, ..dry_run() };
        assert_eq!(petspark.media().collect(&operator(), &sooner, |_| true).await.unwrap().leftovers, 11);
        clock.advance(24 * HOUR);
        for at_most in [None, Some(10)] {
            let how = Collect { at_most, ..Collect::default() };
            let refused = petspark.media().collect(&operator(), &how, |_| true).await.unwrap_err();
            assert!(matches!(refused, MediaError::TooManyLeftovers { leftovers: 11, objects: 11 }), "{refused}");
            assert_eq!(refused.kind(), petspark_core::Kind::Conflict);
        }
        assert_eq!(files(&app), 11, "nothing was removed");
        let how = Collect { at_most: Some(11), ..Collect::default() };
        assert_eq!(petspark.media().collect(&operator(), &how, |_| true).await.unwrap().leftovers, 11);
        petspark.close().await;
        assert_eq!(media.collect(&operator(), &dry_run(), |_| true).await.unwrap().objects, 0);
        let only = petspark_core::audit::AuditFilter { action: Some(petspark_core::audit::Action::MediaCollected), ..Default::default() };
        let told = app.petspark.audit().list(&operator(), only, &PageRequest::default()).await.unwrap();
        let told: Vec<_> = told.items.iter().map(|entry| entry.details.clone()).collect();
        assert_eq!(told, [serde_json::json!({ "objects": 11 }), serde_json::json!({ "planned": 11 })], "before and after");
    }

    async fn reading_again_ends_between_two_uploads_and_goes_on_behind_the_last(app: TestApp) {
        let ada = app.register("ada").await;
        let (media, rex) = (app.petspark.media(), pet(&app, &ada).await);
        for seed in 1..=3 {
            let bytes = jpeg(64, 64, seed);
            made(&app, &ada, &announced(&bytes, rex), &bytes).await;
        }
        let ended = media.reread(&operator(), None, None, |so_far| so_far.uploads < 1).await.unwrap();
        assert_eq!(ended.uploads, 1);
        let rest = media.reread(&operator(), None, ended.ended_after, |_| true).await.unwrap();
        assert_eq!((rest.uploads, rest.ended_after), (2, None));
        let nothing = media.reread(&operator(), None, None, |_| false).await.unwrap();
        assert_eq!(media.reread(&operator(), None, nothing.ended_after, |_| true).await.unwrap().uploads, 3);
    }

    async fn a_photo_whose_file_was_changed_behind_our_back_is_rejected_with_a_reason(app: TestApp) {
        let ada = app.register("ada").await;
        let (media, rex) = (app.petspark.media(), pet(&app, &ada).await);
        let bytes = jpeg(300, 200, 1);
        let reserved = media.reserve(&ada.caller, &announced(&bytes, rex)).await.unwrap();
        send(media, &reserved, &bytes).await.unwrap();
        let photo = media.complete(&ada.caller, &reserved.key, None, None).await.unwrap();
        let store = petspark_core::media::objects::ObjectStore::open(&app.petspark.settings().objects).unwrap();
        store.put(&reserved.key.parse().unwrap(), Bytes::from(jpeg(300, 200, 2))).await.unwrap();
        app.run_jobs().await;
        let photo = media.get(&ada.caller, photo.id).await.unwrap();
        assert_eq!(photo.status, UploadStatus::Rejected);
        assert!(photo.reason.is_some_and(|reason| reason.contains("changed")));
    }

    async fn in_s3_it_is_all_the_same(app: TestApp) {
        let (ada, s3) = (app.register("ada").await, TestS3::start().await);
        let rex = pet(&app, &ada).await;
        let objects = s3.objects(app.folder());
        let petspark = app.another_with(|settings| settings.objects = objects).await;
        let (media, bytes) = (petspark.media(), jpeg(600, 400, 1));
        media.check().await.unwrap();
        let reserved = media.reserve(&ada.caller, &announced(&bytes, rex)).await.unwrap();
        assert!(!reserved.url.expose().starts_with("/media/") && reserved.url.expose().contains("X-Amz-Signature="), "straight to S3");
        assert!(reserved.headers.iter().any(|(name, value)| (name.as_str(), value.as_str()) == ("if-none-match", "*")), "{reserved:?}");
        assert!(matches!(media.complete(&ada.caller, &reserved.key, None, None).await, Err(MediaError::NotUploaded)));
        assert_eq!(crate::objects::http::put(reserved.url.expose(), &reserved.headers, &bytes).await, 200);
        let photo = media.complete(&ada.caller, &reserved.key, None, None).await.unwrap();
        petspark.jobs().run_due().await.unwrap();
        let photo = media.get(&ada.caller, photo.id).await.unwrap();
        assert_eq!(photo.status, UploadStatus::Approved);
        let (thumb, _) = fetch(&petspark, &photo.variants[0].url).await.unwrap();
        assert!(thumb.starts_with(b"\xff\xd8\xff"));
        assert_eq!(media.reread(&operator(), None, None, |_| true).await.unwrap().damaged, []);
        media.delete(&ada.caller, photo.id).await.unwrap();
        petspark.jobs().run_due().await.unwrap();
        assert_eq!(media.collect(&operator(), &dry_run(), |_| true).await.unwrap().objects, 0);
        assert_eq!(files(&app), 0, "nothing of it in the folder");
        let foreign = s3.folder().join("uploads/test/logo.png");
        std::fs::write(&foreign, "somebody else's").unwrap();
        app.clock.advance(365 * 24 * HOUR);
        assert_eq!(media.collect(&operator(), &Collect::default(), |_| true).await.unwrap().leftovers, 0);
        assert!(foreign.exists(), "what isn't named as we name things isn't ours to remove");
    }

    async fn a_photo_waits_for_a_store_that_is_away_and_not_for_ever(app: TestApp) {
        let (ada, s3) = (app.register("ada").await, TestS3::start().await);
        let (rex, bytes) = (pet(&app, &ada).await, jpeg(600, 400, 1));
        let objects = s3.objects(app.folder());
        let petspark = app.another_with(|settings| settings.objects = objects.clone()).await;
        let mut away = objects.clone();
        // Not a server that fails: how often one is asked again, all tests of this process share.
        away.s3.as_mut().unwrap().secret_access_key = petspark_core::Secret::new("another");
        let cut_off = app.another_with(|settings| settings.objects = away).await;

        let reserved = petspark.media().reserve(&ada.caller, &announced(&bytes, rex)).await.unwrap();
        assert_eq!(crate::objects::http::put(reserved.url.expose(), &reserved.headers, &bytes).await, 200);
        let refused = cut_off.media().complete(&ada.caller, &reserved.key, None, None).await.unwrap_err();
        assert_eq!(refused.kind(), petspark_core::Kind::Unavailable, "and can be completed later");
        let photo = petspark.media().complete(&ada.caller, &reserved.key, None, None).await.unwrap();
        let status = async |id| petspark.media().get(&ada.caller, id).await.unwrap().status;
        assert_eq!(cut_off.jobs().run_due().await.unwrap().len(), 1);
        assert_eq!(status(photo.id).await, UploadStatus::Processing);
        app.clock.advance(Duration::from_secs(60));
        assert!(petspark.jobs().run_due().await.unwrap().is_empty());
        assert_eq!(status(photo.id).await, UploadStatus::Approved);

        let second = jpeg(600, 400, 2);
        let reserved = petspark.media().reserve(&ada.caller, &announced(&second, rex)).await.unwrap();
        assert_eq!(crate::objects::http::put(reserved.url.expose(), &reserved.headers, &second).await, 200);
        let photo = petspark.media().complete(&ada.caller, &reserved.key, None, None).await.unwrap();
        for attempt in 1..=6 {
            assert_eq!(status(photo.id).await, UploadStatus::Processing, "before attempt {attempt}");
            cut_off.jobs().run_due().await.unwrap();
            app.clock.advance(HOUR);
        }
        let photo = petspark.media().get(&ada.caller, photo.id).await.unwrap();
        assert_eq!(photo.status, UploadStatus::Rejected);
        assert!(photo.reason.is_some_and(|reason| reason.contains("upload it again")), "its owner can read why");
        assert_eq!(petspark.media().reprocess(&operator(), Some(photo.id), |_| true).await.unwrap(), 1);
        assert!(petspark.jobs().run_due().await.unwrap().is_empty());
        assert_eq!(status(photo.id).await, UploadStatus::Approved, "made after all, and shown");
    }

    async fn a_photo_whose_job_is_gone_is_made_all_the_same(app: TestApp) {
        let ada = app.register("ada").await;
        let (rex, bytes) = (pet(&app, &ada).await, jpeg(600, 400, 1));
        let photo = uploaded(&app, &ada, &announced(&bytes, rex), &bytes).await;
        let (jobs, first) = (app.petspark.jobs(), PageRequest::first(100).unwrap());
        let queued = jobs.list(&operator(), None, &first).await.unwrap().items;
        let job = queued.iter().find(|job| job.kind == "media.process").unwrap();
        jobs.drop(&operator(), job.id).await.unwrap();
        app.run_jobs().await;
        assert_eq!(app.petspark.media().get(&ada.caller, photo.id).await.unwrap().status, UploadStatus::Processing);
        later(&app, 4 * HOUR).await;
        assert_eq!(app.petspark.media().get(&ada.caller, photo.id).await.unwrap().status, UploadStatus::Approved);
    }

    async fn photos_that_are_approved_at_the_same_time_are_all_shown(app: TestApp) {
        let ada = app.register("ada").await;
        let rex = pet(&app, &ada).await;
        for seed in 1..=8 {
            let bytes = jpeg(300, 200, seed);
            uploaded(&app, &ada, &announced(&bytes, rex), &bytes).await;
        }
        let servers = join_all((0..4).map(|_| app.another())).await;
        let faults = join_all(servers.iter().map(|server| server.jobs().run_due())).await;
        assert!(faults.into_iter().all(|faults| faults.unwrap().is_empty()));
        assert_eq!(app.petspark.pets().get(&ada.caller, rex).await.unwrap().photos().len(), 8);
    }
}
