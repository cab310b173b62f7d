//! The SQL of what is shown with a pet or a person: photos that are approved, kept in their rows.
//! Called in the transaction of whatever changes a photo.

use sqlx::types::Json;
use sqlx::{query, query_as};

use super::{is_public, select_upload};
use crate::clock::Timestamp;
use crate::database::{Tx, on};
use crate::error::Fault;
use crate::id::{PetId, UploadId, UserId};
use crate::media::photo::{ShownPhoto, Upload};

/// Writes into the row of a pet which photos it has, as a change of it.
pub(in crate::media) async fn refresh_pet(tx: &mut Tx, pet: PetId, now: Timestamp) -> Result<(), Fault> {
    // Who waits here sees then what the others did.
    tx.take_turns(&format!("what is shown of {pet}")).await?;
    let photos: Vec<Upload> = on!(tx, conn => query_as(
        select_upload!("WHERE u.pet_id = $1 AND u.status = 'approved' ORDER BY u.position, u.id")
    ).bind(pet).fetch_all(conn).await)?;
    let shown: Vec<ShownPhoto> = photos.into_iter().map(Upload::shown).collect();
    on!(tx, conn => query("UPDATE pets SET photos = $2, updated_at = $3, version = version + 1 WHERE id = $1")
        .bind(pet).bind(Json(shown)).bind(now).execute(conn).await.map(drop))?;
    Ok(())
}

/// Writes into the row of a person where their picture is: the newest that was approved. Says which
/// older ones that replaces.
pub(in crate::media) async fn refresh_avatar(
    tx: &mut Tx,
    user: UserId,
    now: Timestamp,
) -> Result<Vec<UploadId>, Fault> {
    tx.take_turns(&format!("what is shown of {user}")).await?;
    let avatars: Vec<Upload> = on!(tx, conn => query_as(select_upload!(
        "WHERE u.owner_id = $1 AND u.purpose = 'profile-avatar' AND u.status = 'approved' \
         ORDER BY u.created_at DESC, u.id DESC"
    )).bind(user).fetch_all(conn).await)?;
    let mut avatars = avatars.into_iter();
    let shown = avatars.next().and_then(|upload| upload.avatar());
    on!(tx, conn => query("UPDATE users SET avatar = $2, updated_at = $3 WHERE id = $1")
        .bind(user).bind(shown).bind(now).execute(conn).await.map(drop))?;
    Ok(avatars.map(|upload| upload.id).collect())
}
