//! A service of the operator's that is asked about photos: obeyed when it has a verdict, and never the
//! reason why a photo is shown that nobody looked at.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use petspark_core::audit::AuditFilter;
use petspark_core::config::{Value as _, WebUrl};
use petspark_core::mail::Template;
use petspark_core::media::{ModerationPolicy, Photo, UploadStatus};
use petspark_core::moderation::TaskFilter;
use petspark_core::testing::{TestApp, TestUser, jpeg, on_both};
use petspark_core::{Caller, PageRequest, PetSpark, Secret};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::media::{announced, pet, uploaded};
use crate::objects::stand_in::request;

/// Answers every question with the same, and remembers what it was asked.
struct Service {
    url: WebUrl,
    /// Heads and bodies.
    asked: Arc<Mutex<Vec<(String, String)>>>,
}

impl Service {
    /// `None` never answers.
    async fn start(answer: Option<(u16, &'static str)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = WebUrl::parse(&format!("http://{}/verdict", listener.local_addr().unwrap())).unwrap();
        let asked = Arc::<Mutex<Vec<_>>>::default();
        let remembered = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let request = String::from_utf8(request(&mut client).await.unwrap()).unwrap();
                let (head, body) = request.split_once("\r\n\r\n").unwrap();
                remembered.lock().unwrap().push((head.to_owned(), body.to_owned()));
                let Some((status, body)) = answer else {
                    // Until the other end gives up.
                    let _ = client.read(&mut [0]).await;
                    continue;
                };
                let length = body.len();
                let text =
                    format!("HTTP/1.1 {status} x\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}");
                client.write_all(text.as_bytes()).await.unwrap();
            }
        });
        Self { url, asked }
    }

    fn asked(&self) -> Vec<(String, String)> {
        self.asked.lock().unwrap().clone()
    }

    /// Another server of the installation, which asks this service.
    async fn asked_by(&self, app: &TestApp) -> PetSpark {
        app.another_with(|settings| {
            settings.media.moderation = ModerationPolicy::Hook;
            settings.media.public_url = Some(WebUrl::parse("https://api.example.org").unwrap());
            settings.media.hook.url = Some(self.url.clone());
            settings.media.hook.secret = Some(Secret::new("a secret of the two"));
            settings.media.hook.timeout = Duration::from_millis(300);
        })
        .await
    }
}

async fn photo_of(app: &TestApp, ada: &TestUser) -> Photo {
    let (rex, bytes) = (pet(app, ada).await, jpeg(600, 400, 1));
    uploaded(app, ada, &announced(&bytes, rex), &bytes).await
}

async fn status(petspark: &PetSpark, ada: &TestUser, photo: &Photo) -> UploadStatus {
    petspark.media().get(&ada.caller, photo.id).await.unwrap().status
}

async fn waiting(petspark: &PetSpark) -> usize {
    let operator = Caller::operator("cli:test@here");
    petspark.moderation().list(&operator, TaskFilter::default(), &PageRequest::default()).await.unwrap().items.len()
}

on_both! {
    async fn what_the_service_approves_is_shown_and_it_knows_who_asks_about_what(app: TestApp) {
        let service = Service::start(Some((200, r#"{"verdict": "approve"}"#))).await;
        let (petspark, ada) = (service.asked_by(&app).await, app.register("ada").await);
        let photo = photo_of(&app, &ada).await;
        assert!(petspark.jobs().run_due().await.unwrap().is_empty());
        assert_eq!((status(&petspark, &ada, &photo).await, waiting(&petspark).await), (UploadStatus::Approved, 0));
        assert_eq!(petspark.pets().get(&ada.caller, photo.pet_id.unwrap()).await.unwrap().photos().len(), 1);

        let asked = service.asked();
        let [(head, body)] = &asked[..] else { panic!("asked {} times", asked.len()) };
        let question: Value = serde_json::from_str(body).unwrap();
        assert_eq!(question["photoId"], photo.id.to_string());
        assert_eq!((&question["uploadType"], &question["width"]), (&"pet-photo".into(), &600.into()));
        let url = question["url"].as_str().unwrap();
        let (key, token) = url.strip_prefix("https://api.example.org/media/").unwrap().split_once("?token=").unwrap();
        assert!(petspark.media().serve(key, Some(token)).await.is_ok(), "{url}");
        let signature = head.lines().find_map(|line| line.strip_prefix("petspark-signature: ")).unwrap();
        let (time, mac) = signature.strip_prefix("t=").unwrap().split_once(",v1=").unwrap();
        assert_eq!(mac, hmac_sha256(b"a secret of the two", format!("{time}.{body}").as_bytes()));
    }

    async fn what_it_rejects_is_not_shown_and_its_owner_is_told(app: TestApp) {
        let service = Service::start(Some((200, r#"{"verdict": "reject", "reason": "no animal in it"}"#))).await;
        let (petspark, ada) = (service.asked_by(&app).await, app.register("ada").await);
        let photo = photo_of(&app, &ada).await;
        assert!(petspark.jobs().run_due().await.unwrap().is_empty());
        let own = petspark.media().get(&ada.caller, photo.id).await.unwrap();
        assert_eq!((own.status, waiting(&petspark).await), (UploadStatus::Rejected, 0));
        assert!(own.reason.is_some_and(|reason| !reason.contains("animal")), "that is for moderators");
        app.mail("ada@example.org", Template::PhotoRejected).await;
        let operator = Caller::operator("cli:test@here");
        let log = petspark.audit().list(&operator, AuditFilter::default(), &PageRequest::default()).await.unwrap();
        let decided = log.items.iter().find(|entry| entry.action == "moderation_task_decided").unwrap();
        assert_eq!((decided.actor.as_str(), decided.reason.as_deref()), ("system", Some("no animal in it")));
    }

    async fn whatever_else_it_does_the_photo_waits_for_a_moderator(app: TestApp) {
        let answers = [
            Some((200, r#"{"verdict": "hold"}"#)), Some((200, r#"{"verdict": "yes"}"#)), Some((200, "<html>")),
            Some((500, "")), Some((302, r#"{"verdict": "approve"}"#)), Some((204, "")), None,
        ];
        let ada = app.register("ada").await;
        for (n, answer) in answers.into_iter().enumerate() {
            let service = Service::start(answer).await;
            let petspark = service.asked_by(&app).await;
            let photo = photo_of(&app, &ada).await;
            let faults = petspark.jobs().run_due().await.unwrap();
            assert_eq!(faults.is_empty(), n == 0, "{answer:?}: asked again, unless that was its verdict");
            assert_eq!((status(&petspark, &ada, &photo).await, waiting(&petspark).await), (UploadStatus::Pending, n + 1));
            for _ in 0..8 {
                app.clock.advance(Duration::from_secs(3600));
                petspark.jobs().run_due().await.unwrap();
            }
            assert_eq!(service.asked().len(), if n == 0 { 1 } else { 6 }, "{answer:?}");
            assert_eq!((status(&petspark, &ada, &photo).await, waiting(&petspark).await), (UploadStatus::Pending, n + 1));
        }
    }

    async fn what_a_moderator_has_taken_is_left_to_them(app: TestApp) {
        let service = Service::start(Some((500, ""))).await;
        let (petspark, ada) = (service.asked_by(&app).await, app.register("ada").await);
        let photo = photo_of(&app, &ada).await;
        petspark.jobs().run_due().await.unwrap();
        let operator = Caller::operator("cli:test@here");
        let tasks = petspark.moderation().list(&operator, TaskFilter::default(), &PageRequest::default()).await.unwrap();
        petspark.moderation().take(&operator, tasks.items[0].id).await.unwrap();
        let service = Service::start(Some((200, r#"{"verdict": "approve"}"#))).await;
        let petspark = service.asked_by(&app).await;
        app.clock.advance(Duration::from_secs(60));
        assert!(petspark.jobs().run_due().await.unwrap().is_empty());
        assert_eq!((service.asked().len(), status(&petspark, &ada, &photo).await), (1, UploadStatus::Pending));
    }
}

/// HMAC (RFC 2104), written out: what a service in another language would do.
fn hmac_sha256(key: &[u8], message: &[u8]) -> String {
    let pad = |with: u8| {
        let mut block = [with; 64];
        block.iter_mut().zip(key).for_each(|(byte, key)| *byte ^= key);
        block
    };
    let inner = Sha256::digest([&pad(0x36)[..], message].concat());
    let outer = Sha256::digest([&pad(0x5c)[..], &inner[..]].concat());
    outer.iter().map(|byte| format!("{byte:02x}")).collect()
}
