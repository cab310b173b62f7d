//! Settings of media. Those of the object store are `objects`' own.

use std::time::Duration;

use crate::clock::DAY;
use crate::config::{ByteSize, Loader, Setting, WebUrl};
use crate::database::text_enum;

text_enum! {
    /// Which photos wait for a moderator before they are shown.
    pub enum ModerationPolicy {
        /// None.
        ApproveAll = "approve_all",
        /// Those of people who came lately and have none that was approved.
        HoldNewUsers = "hold_new_users",
        /// All.
        HoldAll = "hold_all",
    }
}

/// What may be uploaded, and how it is shown.
#[derive(Clone, Debug)]
pub struct MediaSettings {
    /// `PUBLIC_API_URL`: where this server is reached from outside.
    pub public_url: Option<WebUrl>,
    /// `CDN_BASE_URL`: what stands before the path of public media instead.
    pub cdn_url: Option<WebUrl>,
    /// The longest file.
    pub max_upload: ByteSize,
    /// Photos of a pet, in the free plan.
    pub max_photos: u32,
    /// What somebody may have altogether, with what was made of it, in the free plan.
    pub max_bytes: ByteSize,
    /// Images looked at or made at the same time.
    pub workers: u32,
    /// Which photos wait for a moderator.
    pub moderation: ModerationPolicy,
    /// How long somebody is new.
    pub new_for: Duration,
}

impl MediaSettings {
    /// How long a URL for an upload is valid.
    pub(super) const UPLOAD_TTL: Duration = Duration::from_secs(600);

    pub(crate) fn read(from: &mut Loader) -> Self {
        let settings = Self {
            public_url: from.find(
                "media.public_url",
                Some("PUBLIC_API_URL"),
                "Where this server is reached from outside, for example https://api.example.org: what URLs of photos \
                 and for uploads begin with. Without it they begin with a slash, for frontends on the same host.",
            ),
            cdn_url: from.find(
                "media.cdn_url",
                Some("CDN_BASE_URL"),
                "A CDN in front of this server's /media, for example https://cdn.example.org: what URLs of public \
                 photos begin with instead.",
            ),
            max_upload: from.get(Setting {
                key: "media.max_upload",
                env: None,
                default: ByteSize(10 << 20),
                about: "The longest file that can be uploaded, at most 64MiB.",
            }),
            max_photos: from.get(Setting {
                key: "media.max_photos",
                env: None,
                default: 12,
                about: "Photos that a pet can have, unless its owner's plan has more.",
            }),
            max_bytes: from.get(Setting {
                key: "media.max_bytes",
                env: None,
                default: ByteSize(1 << 30),
                about: "What a user's uploads can take altogether, with the sizes that are made of photos, unless their plan has more.",
            }),
            workers: from.get(Setting {
                key: "media.workers",
                env: None,
                default: 2,
                about: "Images that are decoded at the same time; each takes up to 300 MiB of memory.",
            }),
            moderation: from.get(Setting {
                key: "media.moderation",
                env: None,
                default: ModerationPolicy::ApproveAll,
                about: "Which photos wait for a moderator before others see them: approve_all (none), hold_new_users, \
                        hold_all.",
            }),
            new_for: from.get(Setting {
                key: "media.new_for",
                env: None,
                default: 7 * DAY,
                about: "With hold_new_users: how long somebody without an approved photo is new.",
            }),
        };
        if settings.max_upload.0 > 64 << 20 {
            from.problem("media.max_upload", "must be at most 64MiB");
        }
        if settings.workers == 0 {
            from.problem("media.workers", "must be at least 1");
        }
        settings
    }
}
