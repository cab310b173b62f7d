//! The PetSpark library: accounts, pets, photos and payments for pet platforms. It
//! knows nothing of HTTP (`petspark-http`) or of a terminal (`petspark-cli`).
//!
//! ```
//! use petspark_core::auth::{Client, NewAccount, Password, Registered};
//! use petspark_core::config::Settings;
//! use petspark_core::pets::{PetFields, Species};
//! use petspark_core::PetSpark;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = std::env::temp_dir().join(format!("petspark-doc-{}", std::process::id()));
//! let petspark = PetSpark::open(Settings::in_folder(&folder)).await?;
//! let account = NewAccount {
//!     email: "ada@example.org".into(),
//!     password: Password::new("correct horse battery"),
//!     display_name: "Ada".into(),
//! };
//! let Registered::SignedIn(ada) = petspark.auth().register(account, Client::default()).await? else {
//!     unreachable!("unless the settings ask for a verified address first")
//! };
//! let caller = petspark.auth().authenticate(ada.tokens.access.expose()).await?;
//! let rex = petspark.pets().create(&caller, PetFields::new("Rex", Species::Dog)).await?;
//! assert_eq!(petspark.pets().get(&caller, rex.id).await?.owner_display_name, "Ada");
//! # petspark.close().await;
//! # std::fs::remove_dir_all(&folder)?;
//! # Ok(())
//! # }
//! ```
//!
//! Every rule of the product lives in one service method: [`auth::Auth`], [`pets::Pets`]. Each
//! takes the [`Caller`] who is asking and decides. Errors are enums that implement [`Failure`]:
//! a [`Kind`], a stable code, and a message that is safe to show.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod audit;
pub mod auth;
pub mod backup;
pub mod billing;
mod caller;
pub mod clock;
pub mod config;
pub mod dashboard;
pub mod database;
mod error;
mod expected;
mod id;
mod idempotency;
pub mod jobs;
mod lines;
pub mod mail;
pub mod media;
pub mod moderation;
#[cfg(any(feature = "hook", feature = "stripe"))]
mod outgoing;
mod page;
pub mod people;
pub mod pets;
mod petspark;
mod private;
mod program;
mod secret;
pub mod seed;
#[cfg(feature = "testing")]
pub mod testing;
mod text;

pub use caller::{Caller, Origin};
pub use clock::{Clock, Timestamp};
pub use error::{Failure, Fault, FieldErrors, Kind, chain};
pub use expected::Expected;
pub use id::{
    ApiKeyId, AuditId, BackupId, FactorId, GrantId, InvalidId, JobId, OneTimeTokenId, OperationId, PetId, RunId,
    SessionId, SubjectId, TaskId, UploadId, UserId,
};
pub use idempotency::{IdempotencyError, IdempotencyKey, InvalidKey, Once};
pub use lines::LineProblem;
pub use page::{InvalidPage, Page, PageRequest};
pub use petspark::{Migrate, PetSpark, StartError};
pub use secret::{Secret, Weakness};
