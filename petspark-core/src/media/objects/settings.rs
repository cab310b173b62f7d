//! Which store, and where its files are. Whether it answers is not asked here.

use std::path::{Path, PathBuf};

use super::s3_settings::{Bucket, S3Settings};
use crate::config::{Loader, Setting};
use crate::database::text_enum;

text_enum! {
    /// Where objects are kept.
    pub enum StoreKind {
        /// In files of a folder.
        Folder = "folder",
        /// In a bucket of S3, or of what speaks like it.
        S3 = "s3",
    }
}

/// Where objects are kept.
#[derive(Clone, Debug)]
pub struct ObjectSettings {
    /// `media.store`: which of the two holds them.
    pub store: StoreKind,
    /// `media.folder`: objects, if they are kept in a folder; in any case uploads that are still
    /// arriving.
    pub folder: PathBuf,
    /// The bucket, if one is named: also when the other store is chosen, to copy from or to.
    pub s3: Option<S3Settings>,
}

/// Why S3 can't be chosen in some builds.
#[cfg(not(feature = "s3"))]
pub(super) const NOT_BUILT_IN: &str = "this build can't: it was made without the feature s3";

impl ObjectSettings {
    /// What an embedder gets who says nothing else.
    #[must_use]
    pub fn in_folder(data_dir: &Path) -> Self {
        Self { store: StoreKind::Folder, folder: data_dir.join("media"), s3: None }
    }

    pub(crate) fn read(from: &mut Loader, data_dir: &Path) -> Self {
        let bucket = Bucket::read(from);
        let default = if bucket.name.is_some() { StoreKind::S3 } else { StoreKind::Folder };
        let store = from.get(Setting {
            key: "media.store",
            env: None,
            default,
            about: "Where uploads are kept: folder, or s3. Default: s3 if AWS_S3_BUCKET is set, else folder.",
        });
        #[cfg(not(feature = "s3"))]
        if store == StoreKind::S3 {
            from.problem("media.store", format!("is s3, and {NOT_BUILT_IN}"));
        }
        let default = Self::in_folder(data_dir).folder;
        let folder = from.get(Setting {
            key: "media.folder",
            env: None,
            default,
            about: "Folder of uploads, and of those that are still arriving on their way to S3. Default: media in the data folder.",
        });
        Self { store, folder, s3: bucket.complete(from, store == StoreKind::S3) }
    }
}
