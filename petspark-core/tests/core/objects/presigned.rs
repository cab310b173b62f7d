//! Signed addresses: good for the one upload that they were made for, and for nothing else.

use std::time::Duration;

use petspark_core::Clock;
use petspark_core::media::objects::{Encryption, Expected, ObjectError, ObjectStore, Presigned};

use super::http::put;
use super::{Store, key, pattern, sha256};

const TEN_MINUTES: Duration = Duration::from_secs(600);

async fn presigned(store: &Store, name: &str, bytes: &[u8]) -> Presigned {
    let expected = Expected { size: bytes.len() as u64, sha256: Some(sha256(bytes)) };
    store.objects.presign_put(&key(name), &expected, TEN_MINUTES).await.unwrap().unwrap()
}

#[tokio::test]
async fn an_upload_as_announced_is_taken_once() {
    let (store, bytes) = (Store::in_s3().await, pattern(70_000));
    let Presigned { url, headers } = presigned(&store, "in/a.jpg", &bytes).await;
    assert_eq!(put(url.expose(), &headers, &bytes).await, 200);
    let head = store.objects.head(&key("in/a.jpg")).await.unwrap();
    assert_eq!((head.size, head.sha256), (70_000, Some(sha256(&bytes))));
    assert_eq!(put(url.expose(), &headers, &bytes).await, 412);
    let again = presigned(&store, "in/a.jpg", &pattern(10)).await;
    assert_eq!(put(again.url.expose(), &again.headers, &pattern(10)).await, 412);
    assert_eq!(store.objects.digest(&key("in/a.jpg")).await.unwrap(), sha256(&bytes));
}

#[tokio::test]
async fn an_upload_that_is_anything_else_is_refused() {
    let (store, bytes) = (Store::in_s3().await, pattern(1000));
    let Presigned { url, headers } = presigned(&store, "in/b.jpg", &bytes).await;
    let url = url.expose();
    let without = |left_out: &str| headers.iter().filter(|(name, _)| name != left_out).cloned().collect::<Vec<_>>();
    let with = |name: &str, value: &str| {
        let mut changed = without(name);
        changed.push((name.to_owned(), value.to_owned()));
        changed
    };
    let other_key = url.replacen("/in/b.jpg", "/in/c.jpg", 1);
    let longer_life = url.replacen("X-Amz-Expires=600", "X-Amz-Expires=6000", 1);
    assert!(other_key != url && longer_life != url, "{url}");
    for (what, status, url, headers, body) in [
        ("longer", 403, url, headers.clone(), &pattern(1001)[..]),
        ("shorter", 403, url, headers.clone(), &bytes[..999]),
        ("empty", 403, url, headers.clone(), b""),
        ("another type", 403, url, with("content-type", "text/html"), &bytes),
        ("another checksum", 403, url, with("x-amz-checksum-sha256", "AAAA"), &bytes),
        ("no type", 403, url, without("content-type"), &bytes),
        ("no checksum", 403, url, without("x-amz-checksum-sha256"), &bytes),
        ("no condition", 403, url, without("if-none-match"), &bytes),
        ("another key", 403, &other_key, headers.clone(), &bytes),
        ("a longer life", 403, &longer_life, headers.clone(), &bytes),
    ] {
        assert_eq!(put(url, &headers, body).await, status, "{what}");
        for name in ["in/b.jpg", "in/c.jpg"] {
            assert!(matches!(store.objects.head(&key(name)).await, Err(ObjectError::NotFound)), "{what}: {name}");
        }
    }
    assert_eq!(put(url, &headers, &[0; 1000]).await, 400, "the same length, other bytes");
}

#[tokio::test]
async fn an_address_ends_after_its_time() {
    let (store, now) = (Store::in_s3().await, Clock::system().now());
    let (expected, name, minute) = (Expected { size: 3, sha256: None }, key("in/late.jpg"), Duration::from_secs(60));
    for (signed_at, status) in [(now.before(TEN_MINUTES + minute), 403), (now.before(TEN_MINUTES - minute), 200)] {
        let objects = store.signing_at(Clock::manual(signed_at));
        let Presigned { url, headers } = objects.presign_put(&name, &expected, TEN_MINUTES).await.unwrap().unwrap();
        assert!(url.expose().contains("X-Amz-Expires=600&"), "{}", url.expose());
        assert_eq!(put(url.expose(), &headers, b"abc").await, status, "signed at {signed_at}");
    }
    let too_long = store.objects.presign_put(&name, &expected, Duration::from_secs(8 * 86_400)).await;
    assert!(too_long.is_err(), "S3 allows a week");
}

#[tokio::test]
async fn what_is_signed_is_what_is_known() {
    let mut store = Store::in_s3().await;
    let expected = Expected { size: 3, sha256: None };
    let names = |presigned: &Presigned| presigned.headers.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    let name = key("in/d.pdf");
    let presigned = store.objects.presign_put(&name, &expected, TEN_MINUTES).await.unwrap().unwrap();
    let url = presigned.url.expose();
    assert!(url.contains("X-Amz-SignedHeaders=content-length%3Bcontent-type%3Bhost%3Bif-none-match&"), "{url}");
    assert_eq!(names(&presigned), ["content-type", "if-none-match"]);
    assert!(presigned.headers.contains(&("content-type".to_owned(), "application/pdf".to_owned())));
    let debug = format!("{presigned:?}");
    assert!(!debug.contains("X-Amz"), "{debug}");
    assert_eq!(put(url, &presigned.headers, b"abc").await, 200);

    store.settings.s3.as_mut().unwrap().encryption = Encryption::Kms(Some("key-1".to_owned()));
    let encrypting = ObjectStore::open(&store.settings).unwrap();
    let presigned = encrypting.presign_put(&name, &expected, TEN_MINUTES).await.unwrap().unwrap();
    for header in
        [("x-amz-server-side-encryption", "aws:kms"), ("x-amz-server-side-encryption-aws-kms-key-id", "key-1")]
    {
        assert!(presigned.headers.iter().any(|(name, value)| (name.as_str(), value.as_str()) == header), "{header:?}");
    }
}

#[tokio::test]
async fn a_folder_has_no_addresses() {
    let expected = Expected { size: 3, sha256: None };
    let none = Store::in_folder().await.objects.presign_put(&key("a.jpg"), &expected, TEN_MINUTES).await;
    assert!(none.unwrap().is_none());
}
