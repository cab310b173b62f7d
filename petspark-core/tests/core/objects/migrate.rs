//! From one store to the other.

use bytes::Bytes;
use petspark_core::media::objects::{Copied, ObjectKey, ObjectStore};

use super::{Store, key, pattern};

async fn fill(store: &ObjectStore) -> Vec<ObjectKey> {
    let names: Vec<_> = (0..25).map(|n| key(&format!("m/{n:02}.jpg"))).collect();
    for (n, name) in names.iter().enumerate() {
        store.put(name, Bytes::from(pattern(n * 20_000))).await.unwrap();
    }
    names
}

/// All bytes that [`fill`] writes.
const BYTES: u64 = 20_000 * 25 * 24 / 2;

#[tokio::test]
async fn everything_is_copied_both_ways_and_once() {
    for (from, to) in
        [(Store::in_folder().await, Store::in_s3().await), (Store::in_s3().await, Store::in_folder().await)]
    {
        let names = fill(&from.objects).await;
        let copied = Copied { copied: 25, bytes: BYTES, ..Copied::default() };
        assert_eq!(from.objects.copy_all(&to.objects, true, |_| true).await.unwrap(), copied);
        assert_eq!(to.objects.list("", None, 1).await.unwrap(), []);
        let mut steps = 0;
        assert_eq!(
            from.objects
                .copy_all(&to.objects, false, |_| {
                    steps += 1;
                    true
                })
                .await
                .unwrap(),
            copied
        );
        assert_eq!(steps, 25);
        for (n, name) in names.iter().enumerate() {
            assert!(to.objects.read(name, 1 << 20).await.unwrap() == pattern(n * 20_000), "{name}");
        }
        let again = from.objects.copy_all(&to.objects, false, |_| true).await.unwrap();
        assert_eq!(again, Copied { already_there: 25, ..Copied::default() });
    }
}

#[tokio::test]
async fn what_was_ended_between_two_objects_goes_on_with_the_next() {
    let (from, to) = (Store::in_folder().await, Store::in_folder().await);
    fill(&from.objects).await;
    let ended = from.objects.copy_all(&to.objects, false, |so_far| so_far.copied < 10).await.unwrap();
    assert_eq!((ended.copied, to.objects.list("", None, 100).await.unwrap().len()), (10, 10));
    let rest = from.objects.copy_all(&to.objects, false, |_| true).await.unwrap();
    assert_eq!((rest.copied, rest.already_there), (15, 10));
}

#[tokio::test]
async fn what_was_begun_goes_on_and_what_differs_is_told_and_left_alone() {
    let (from, to) = (Store::in_folder().await, Store::in_s3().await);
    let names = fill(&from.objects).await;
    to.objects.put(&names[3], Bytes::from(pattern(60_000))).await.unwrap();
    to.objects.put(&names[4], Bytes::from(vec![0; 80_000])).await.unwrap();
    to.objects.put(&names[5], Bytes::from_static(b"short")).await.unwrap();
    to.objects.put(&key("other.jpg"), Bytes::from_static(b"of theirs")).await.unwrap();
    let differing = vec![names[4].clone(), names[5].clone()];
    let expected = Copied { copied: 22, bytes: BYTES - 240_000, already_there: 1, differing: differing.clone() };
    assert_eq!(from.objects.copy_all(&to.objects, false, |_| true).await.unwrap(), expected);
    assert_eq!(to.objects.read(&names[5], 100).await.unwrap(), "short");
    let back = to.objects.copy_all(&from.objects, false, |_| true).await.unwrap();
    assert_eq!(back, Copied { copied: 1, bytes: 9, already_there: 23, differing });
}
