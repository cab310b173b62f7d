//! What only files can do: have modes, lead elsewhere, and be left behind.

use std::fs;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use petspark_core::media::objects::{ObjectError, ObjectSettings, ObjectStore};
use petspark_core::{Clock, Failure as _, Kind, Timestamp, chain};

use super::{Store, key, sent};

/// The file of the only object.
fn only_file(store: &Store) -> PathBuf {
    let files = store.files();
    assert_eq!(files.len(), 1, "{files:?}");
    files[0].clone()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn only_the_owner_can_read_any_of_it() {
    let store = Store::in_folder().await;
    store.objects.receive(&key("in/a.jpg"), 100, None, sent(b"a")).await.unwrap();
    store.objects.check().await.unwrap();
    let file = only_file(&store);
    assert_eq!(mode(&file), 0o600);
    for folder in [&store.settings.folder, &store.settings.folder.join("incoming"), file.parent().unwrap()] {
        assert_eq!(mode(folder), 0o700, "{}", folder.display());
    }
}

#[tokio::test]
async fn what_leads_out_of_the_folder_is_not_followed() {
    let (store, outside) = (Store::in_folder().await, tempfile::tempdir().unwrap());
    let secret = outside.path().join("in+a.jpg");
    fs::write(&secret, "secret").unwrap();
    let name = key("in/a.jpg");
    store.objects.put(&name, Bytes::from_static(b"a")).await.unwrap();
    let file = only_file(&store);

    fs::remove_file(&file).unwrap();
    symlink(&secret, &file).unwrap();
    assert!(matches!(store.objects.read(&name, 100).await, Err(ObjectError::NotFound)));
    assert_eq!(store.objects.list("", None, 10).await.unwrap(), []);
    let refused = store.objects.receive(&name, 100, None, sent(b"b")).await;
    assert!(matches!(refused, Err(ObjectError::AlreadyThere)));
    store.objects.put(&name, Bytes::from_static(b"b")).await.unwrap();
    assert_eq!(store.objects.read(&name, 100).await.unwrap(), "b");

    let shelf = file.parent().unwrap();
    fs::remove_dir_all(shelf).unwrap();
    symlink(outside.path(), shelf).unwrap();
    for answer in [
        store.objects.read(&name, 100).await.map(drop),
        store.objects.put(&name, Bytes::from_static(b"c")).await,
        store.objects.delete(&name).await,
        store.objects.list("", None, 10).await.map(drop),
    ] {
        assert_eq!(answer.unwrap_err().kind(), Kind::Unavailable);
    }
    assert_eq!(fs::read_to_string(&secret).unwrap(), "secret");
}

#[tokio::test]
async fn a_pipe_is_no_object_and_keeps_nobody_waiting() {
    let store = Store::in_folder().await;
    let name = key("in/a.jpg");
    store.objects.put(&name, Bytes::from_static(b"a")).await.unwrap();
    let file = only_file(&store);
    fs::remove_file(&file).unwrap();
    let made = std::process::Command::new("mkfifo").arg(&file).status().unwrap();
    assert!(made.success() && fs::metadata(&file).unwrap().file_type().is_fifo());
    assert!(matches!(store.objects.read(&name, 100).await, Err(ObjectError::NotFound)));
}

#[tokio::test]
async fn foreign_files_are_not_listed() {
    let store = Store::in_folder().await;
    store.objects.put(&key("in/a.jpg"), Bytes::from_static(b"a")).await.unwrap();
    let shelf = only_file(&store).parent().unwrap().to_owned();
    for name in ["notes.txt", ".hidden", "A.jpg", "..+..+etc.jpg"] {
        fs::write(shelf.join(name), "x").unwrap();
    }
    fs::create_dir(shelf.join("folder.jpg")).unwrap();
    fs::write(store.settings.folder.join("README"), "x").unwrap();
    let listed = store.objects.list("", None, 10).await.unwrap();
    assert_eq!(listed.iter().map(|object| object.key.as_str()).collect::<Vec<_>>(), ["in/a.jpg"]);
}

#[tokio::test]
async fn what_a_killed_process_left_goes_after_a_while() {
    let store = Store::in_folder().await;
    store.objects.put(&key("in/a.jpg"), Bytes::from_static(b"a")).await.unwrap();
    let incoming = store.settings.folder.join("incoming");
    let hours_ago = |hours: u64| SystemTime::from(Clock::system().now().before(Duration::from_secs(hours * 3600)));
    for (name, written) in [("old.draft", hours_ago(2)), ("young.draft", hours_ago(0)), ("notes.txt", hours_ago(2))] {
        fs::File::create(incoming.join(name)).unwrap().set_modified(written).unwrap();
    }
    assert_eq!(store.objects.remove_drafts(Timestamp::from(hours_ago(1))).await.unwrap(), 1);
    assert!(!incoming.join("old.draft").exists() && incoming.join("young.draft").exists());
    assert_eq!(store.objects.read(&key("in/a.jpg"), 1).await.unwrap(), "a");
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_is_unavailable() {
    let folder = tempfile::tempdir().unwrap();
    // A file where the folder should be: not even root can write there.
    let settings = ObjectSettings::in_folder(folder.path());
    fs::write(&settings.folder, "").unwrap();
    let objects = ObjectStore::open(&settings).unwrap();
    let name = key("in/a.jpg");
    for answer in [
        objects.check().await,
        objects.put(&name, Bytes::new()).await,
        objects.receive(&name, 1, None, sent(b"")).await.map(drop),
        objects.head(&name).await.map(drop),
        objects.list("", None, 1).await.map(drop),
    ] {
        let error = answer.unwrap_err();
        assert_eq!(error.kind(), Kind::Unavailable);
        assert!(chain(&error).contains("media"), "{}", chain(&error));
        assert!(!error.to_string().contains("media"), "{error}");
    }
}

#[tokio::test]
async fn an_object_that_becomes_shorter_while_it_is_read_is_an_error_not_an_end() {
    use futures_util::TryStreamExt as _;
    let store = Store::in_folder().await;
    let name = key("m/a.jpg");
    store.objects.put(&name, Bytes::from(vec![1; 2 << 20])).await.unwrap();
    let (_, body) = store.objects.get(&name, None).await.unwrap();
    fs::OpenOptions::new().write(true).open(only_file(&store)).unwrap().set_len(300_000).unwrap();
    let read: Result<Vec<_>, _> = body.try_collect().await;
    assert_eq!(read.unwrap_err().kind(), std::io::ErrorKind::UnexpectedEof);
}

const LITTLE_SPACE: &str = "PETSPARK_TEST_LITTLE_SPACE";

#[test]
fn a_disk_that_is_full_is_unavailable_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    // Files end at 64 blocks here: a write beyond that fails half-way, as on a full disk.
    let status = std::process::Command::new("sh")
        .args(["-c", r#"trap '' XFSZ; ulimit -f 64; exec "$@""#, "sh"])
        .arg(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "objects::folder::a_process_with_little_space"])
        .env(LITTLE_SPACE, folder.path())
        .status()
        .unwrap();
    assert!(status.success());
    assert!(folder.path().join("media").exists(), "it did nothing");
}

/// Not a test: what [`a_disk_that_is_full_is_unavailable_and_leaves_nothing`] starts.
#[tokio::test]
#[ignore = "started by another test, as a process of its own"]
#[allow(clippy::disallowed_methods, reason = "how that test tells where the folder is")]
async fn a_process_with_little_space() {
    let Some(folder) = std::env::var_os(LITTLE_SPACE) else { return };
    let settings = ObjectSettings::in_folder(Path::new(&folder));
    let objects = ObjectStore::open(&settings).unwrap();
    let (small, large) = (key("m/small.jpg"), key("m/large.jpg"));
    objects.put(&small, Bytes::from_static(b"small")).await.unwrap();
    let bytes = vec![1; 300_000];
    for answer in [
        objects.put(&large, Bytes::from(bytes.clone())).await,
        objects.put(&small, Bytes::from(bytes.clone())).await,
        objects.receive(&large, 1 << 20, None, sent(&bytes)).await.map(drop),
    ] {
        assert_eq!(answer.unwrap_err().kind(), Kind::Unavailable);
    }
    assert!(matches!(objects.head(&large).await, Err(ObjectError::NotFound)));
    assert_eq!(objects.read(&small, 100).await.unwrap(), "small");
    assert_eq!(fs::read_dir(settings.folder.join("incoming")).unwrap().count(), 0);
}
