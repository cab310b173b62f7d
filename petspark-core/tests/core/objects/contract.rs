//! What every store does, whichever it is.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use futures_util::future::join_all;
use futures_util::{FutureExt as _, StreamExt as _, stream};
use petspark_core::media::objects::{Difference, Expected, ObjectError};
use petspark_core::{Clock, Failure as _, Kind};

use super::{Store, collected, key, on_both_stores, pattern, sent, sha256};

const MIB: u64 = 1 << 20;

on_both_stores! {
    async fn what_was_received_comes_back(store: Store) {
        let objects = &store.objects;
        for size in [0, 1, 4096, 262_144, 262_145, 1_500_000] {
            let (name, bytes) = (key(&format!("in/{size}.jpg")), pattern(size));
            let expected = Expected { size: size as u64, sha256: Some(sha256(&bytes)) };
            let received = objects.receive(&name, 2 * MIB, Some(&expected), sent(&bytes)).await.unwrap();
            assert_eq!((received.size, received.sha256), (size as u64, Some(sha256(&bytes))));
            let (info, body) = objects.get(&name, None).await.unwrap();
            assert_eq!((&info.key, info.size), (&name, size as u64));
            assert!(collected(body).await == bytes, "{size} bytes differ");
            assert!(objects.read(&name, size as u64).await.unwrap() == bytes, "{size} bytes differ");
            assert_eq!(objects.digest(&name).await.unwrap(), sha256(&bytes));
            let head = objects.head(&name).await.unwrap();
            assert_eq!(head.size, size as u64);
            let (now, hour) = (Clock::system().now(), std::time::Duration::from_secs(3600));
            assert!(head.modified_at > now.before(hour) && head.modified_at < now.after(hour), "{head:?}");
            assert!(head.sha256.is_none_or(|known| known == sha256(&bytes)));
        }
        assert_eq!(store.files().len(), 6, "{:?}", store.files());
    }

    async fn a_put_is_the_same_done_twice(store: Store) {
        let name = key("m/ab.webp");
        for _ in 0..2 {
            store.objects.put(&name, Bytes::from_static(b"a variant")).await.unwrap();
        }
        store.objects.put(&name, Bytes::from_static(b"another")).await.unwrap();
        assert_eq!(store.objects.read(&name, 100).await.unwrap(), "another");
        assert_eq!(store.files().len(), 1);
    }

    async fn a_key_is_used_once(store: Store) {
        let name = key("in/once.jpg");
        store.objects.receive(&name, MIB, None, sent(b"first")).await.unwrap();
        for second in ["first", "second"] {
            let refused = store.objects.receive(&name, MIB, None, sent(second.as_bytes())).await.unwrap_err();
            assert!(matches!(refused, ObjectError::AlreadyThere), "{refused:?}");
            assert_eq!(refused.kind(), Kind::Conflict);
        }
        assert_eq!(store.objects.read(&name, 100).await.unwrap(), "first");
        assert_eq!(store.files().len(), 1);
    }

    async fn of_many_who_create_at_once_one_succeeds(store: Store) {
        let name = key("in/race.jpg");
        let attempts = (0..8_u8).map(|n| {
            let (objects, name) = (store.objects.clone(), name.clone());
            tokio::spawn(async move { (n, objects.receive(&name, MIB, None, sent(&[n; 70_000])).await) })
        });
        let mut winners = Vec::new();
        for attempt in join_all(attempts).await {
            match attempt.unwrap() {
                (n, Ok(_)) => winners.push(n),
                (_, Err(error)) => assert!(matches!(error, ObjectError::AlreadyThere), "{error:?}"),
            }
        }
        assert_eq!(winners.len(), 1, "{winners:?}");
        assert!(store.objects.read(&name, MIB).await.unwrap() == vec![winners[0]; 70_000]);
        assert_eq!(store.files().len(), 1);
    }

    async fn what_is_not_as_announced_leaves_nothing(store: Store) {
        let bytes = pattern(100_000);
        let right = Expected { size: 100_000, sha256: Some(sha256(&bytes)) };
        let broken = || {
            let cut = Err(io::Error::from(io::ErrorKind::ConnectionReset));
            stream::iter([Ok(Bytes::from_static(b"begin")), cut]).boxed()
        };
        let name = key("in/wrong.jpg");
        for (what, most, expected, body) in [
            ("checksum", MIB, Some(Expected { sha256: Some([7; 32]), ..right }), sent(&bytes)),
            ("size", MIB, Some(right), sent(&bytes[..99_999])),
            ("size", MIB, Some(right), sent(&pattern(100_001))),
            ("size", MIB, Some(right), sent(b"")),
            ("larger", 99_999, Some(right), sent(&bytes)),
            ("larger", 99_999, None, sent(&bytes)),
            ("broke off", MIB, None, broken()),
            ("broke off", MIB, Some(right), broken()),
        ] {
            let refused = store.objects.receive(&name, most, expected.as_ref(), body).await.unwrap_err();
            assert!(refused.to_string().contains(what), "{what}: {refused:?}");
            assert_eq!(refused.kind(), Kind::Invalid);
            assert!(matches!(store.objects.head(&name).await, Err(ObjectError::NotFound)), "{what}");
            assert_eq!(store.files(), Vec::<std::path::PathBuf>::new(), "{what}");
        }
        store.objects.receive(&name, 100_000, Some(&right), sent(&bytes)).await.unwrap();
    }

    async fn what_is_too_long_is_not_read_on(store: Store) {
        let expected = Expected { size: 5_000, sha256: None };
        for (most, expected) in [(5_000, None), (MIB, Some(&expected))] {
            let asked = Arc::new(AtomicUsize::new(0));
            let counted = Arc::clone(&asked);
            let endless = stream::repeat_with(move || {
                counted.fetch_add(1, Ordering::SeqCst);
                Ok(Bytes::from(vec![0; 1000]))
            });
            let refused = store.objects.receive(&key("in/endless.jpg"), most, expected, endless).await.unwrap_err();
            let difference = matches!(refused, ObjectError::Mismatch(Difference::Size));
            assert!(if expected.is_some() { difference } else { matches!(refused, ObjectError::TooLarge) });
            assert_eq!(asked.load(Ordering::SeqCst), 6);
        }
    }

    async fn an_upload_that_is_given_up_leaves_nothing(store: Store) {
        let name = key("in/given-up.jpg");
        let begun = stream::iter([Ok(Bytes::from(pattern(300_000)))]).chain(stream::pending());
        let mut receiving = Box::pin(store.objects.receive(&name, MIB, None, begun));
        while store.files().is_empty() {
            assert!((&mut receiving).now_or_never().is_none());
            tokio::task::yield_now().await;
        }
        drop(receiving);
        // What it wrote on another thread goes with that.
        while !store.files().is_empty() {
            tokio::task::yield_now().await;
        }
        assert!(matches!(store.objects.head(&name).await, Err(ObjectError::NotFound)));
    }

    async fn ranges_are_parts_of_the_object(store: Store) {
        let (name, bytes) = (key("m/range.jpg"), pattern(600_000));
        store.objects.put(&name, Bytes::from(bytes.clone())).await.unwrap();
        store.objects.put(&key("m/empty.jpg"), Bytes::new()).await.unwrap();
        for (range, part) in [
            (0..1, 0..1),
            (0..600_000, 0..600_000),
            (599_999..600_000, 599_999..600_000),
            (599_999..u64::MAX, 599_999..600_000),
            (100..300_000, 100..300_000),
            (262_144..524_288, 262_144..524_288),
        ] {
            let (info, body) = store.objects.get(&name, Some(range.clone())).await.unwrap();
            assert_eq!(info.size, 600_000);
            assert!(collected(body).await == bytes[part], "{range:?}");
        }
        #[allow(clippy::reversed_empty_ranges, reason = "what nobody should ask for")]
        for range in [600_000..600_001, 700_000..u64::MAX, 5..5, 7..5] {
            let refused = store.objects.get(&name, Some(range.clone())).await.map(drop);
            assert!(matches!(refused, Err(ObjectError::OutOfRange)), "{range:?}: {refused:?}");
        }
        let empty = store.objects.get(&key("m/empty.jpg"), Some(0..1)).await.map(drop);
        assert!(matches!(empty, Err(ObjectError::OutOfRange)), "{empty:?}");
        let too_large = store.objects.read(&name, 599_999).await;
        assert!(matches!(too_large, Err(ObjectError::TooLarge)), "{too_large:?}");
    }

    async fn what_is_not_there_is_not_found_and_can_be_deleted(store: Store) {
        let name = key("in/nobody.jpg");
        for written in [false, true] {
            if written {
                store.objects.put(&name, Bytes::from_static(b"x")).await.unwrap();
                store.objects.delete(&name).await.unwrap();
            }
            for answer in [
                store.objects.head(&name).await.map(drop),
                store.objects.get(&name, None).await.map(drop),
                store.objects.get(&name, Some(0..1)).await.map(drop),
                store.objects.get(&name, Some(1..1)).await.map(drop),
                store.objects.read(&name, 1).await.map(drop),
                store.objects.digest(&name).await.map(drop),
            ] {
                assert!(matches!(answer, Err(ObjectError::NotFound)), "{answer:?}");
            }
            store.objects.delete(&name).await.unwrap();
        }
        store.objects.receive(&name, MIB, None, sent(b"again")).await.unwrap();
    }

    async fn a_list_goes_by_name_page_by_page(store: Store) {
        let mut names: Vec<_> = ["a/1.jpg", "a/b/1.jpg", "a-b.jpg", "a.jpg", "a/0.png", "b.gif", "a_.pdf"].map(key).into();
        names.extend((0..30).map(|n| key(&format!("m/{n:02}.jpg"))));
        for (n, name) in names.iter().enumerate() {
            store.objects.put(name, Bytes::from(vec![0; n])).await.unwrap();
        }
        let sizes: Vec<_> = names.iter().cloned().zip(0_u64..).collect();
        names.sort();
        for most in [1, 7, 1000] {
            let (mut seen, mut after) = (Vec::new(), None);
            loop {
                let page = store.objects.list("", after.as_ref(), most).await.unwrap();
                let Some(last) = page.last() else { break };
                assert!(page.len() <= most);
                after = Some(last.key.clone());
                seen.extend(page);
            }
            assert_eq!(seen.iter().map(|object| object.key.clone()).collect::<Vec<_>>(), names);
            for object in seen {
                assert!(sizes.contains(&(object.key, object.size)));
            }
        }
        let beginning_with = async |prefix: &str, after: Option<&str>| {
            let page = store.objects.list(prefix, after.map(key).as_ref(), 5).await.unwrap();
            page.into_iter().map(|object| object.key.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(beginning_with("a/", None).await, ["a/0.png", "a/1.jpg", "a/b/1.jpg"]);
        assert_eq!(beginning_with("a/", Some("a/0.png")).await, ["a/1.jpg", "a/b/1.jpg"]);
        assert_eq!(beginning_with("m/2", Some("m/27.jpg")).await, ["m/28.jpg", "m/29.jpg"]);
        assert_eq!(beginning_with("m/", Some("a.jpg")).await.len(), 5);
        assert_eq!(beginning_with("nothing", None).await, [""; 0]);
        assert_eq!(beginning_with("../", None).await, [""; 0]);
    }

    async fn an_empty_store_is_ready_and_lists_nothing(store: Store) {
        store.objects.check().await.unwrap();
        assert_eq!(store.objects.list("", None, 10).await.unwrap(), []);
        assert_eq!(store.objects.remove_drafts(Clock::system().now()).await.unwrap(), 0);
    }
}
