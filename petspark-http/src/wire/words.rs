//! The words that a field may hold, as schemas: taken from core's enums, so that the document
//! can't name others than the server takes.

use std::borrow::Cow;

use petspark_core::{audit, auth, billing, jobs, media, moderation, pets};
use utoipa::openapi::schema::{ObjectBuilder, SchemaType, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// Declares for each core enum a type that is only its schema.
macro_rules! words {
    ($($name:ident of $core:ty, $description:literal;)+) => {$(
        #[doc = $description]
        pub(crate) enum $name {}

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                ObjectBuilder::new()
                    .schema_type(SchemaType::Type(Type::String))
                    .description(Some($description))
                    .enum_values(Some(<$core>::ALL.iter().map(|word| word.as_str())))
                    .into()
            }
        }

        impl ToSchema for $name {
            fn name() -> Cow<'static, str> {
                Cow::Borrowed(stringify!($name))
            }
        }
    )+};
}

words! {
    Species of pets::Species, "What kind of animal.";
    Gender of pets::Gender, "A pet's sex, as far as it is known.";
    Size of pets::Size, "How big, compared with others of its species.";
    PetStatus of pets::PetStatus, "Who can see a pet. Only moderators set `banned`.";
    PetSort of pets::Sort, "By time of adding; `-` is the last first.";
    Role of auth::Role, "What a user may do. Each includes those before it.";
    JobState of jobs::JobState, "Where a job is on its way.";
    AuditAction of audit::Action, "What was done, or tried.";
    ReportReason of moderation::ReportReason, "Why somebody reports something.";
    SubjectKind of moderation::SubjectKind, "What a moderation task is about.";
    TaskStatus of moderation::TaskStatus, "Where a moderation task is on its way.";
    Decision of moderation::Decision, "What becomes of something that was reported: approved, it stays; rejected, it is banned.";
    ClientKind of auth::ClientKind, "What kind of program signed in.";
    UploadType of media::Purpose, "What an upload is for.";
    MediaType of media::MediaType, "What can be uploaded: images, and PDF for documents.";
    PhotoStatus of media::UploadStatus, "Where an upload is on its way. Reserved ones are in no list.";
    PhotoSize of media::Size, "At most 160, 480, 960 or 1920 pixels on the long side.";
    Period of billing::Period, "How often something is paid for.";
    PlanAccess of billing::Access, "What a subscription allows now: everything of its plan, the same for a while though a payment is owed, or nothing.";
    PlanSource of billing::Source, "Why somebody has a plan.";
    UserStatus of auth::UserStatus, "Whether a user may sign in.";
}
