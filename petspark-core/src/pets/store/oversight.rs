//! The SQL of what somebody else than the owner does to a pet. Decides nothing.

use sqlx::{query, query_as};

use crate::clock::Timestamp;
use crate::database::{Tx, on};
use crate::error::Fault;
use crate::id::{PetId, UserId};
use crate::pets::pet::PetStatus;

/// A pet as it is until the transaction ends.
#[derive(sqlx::FromRow)]
pub(in crate::pets) struct HeldPet {
    pub(in crate::pets) owner_id: UserId,
    pub(in crate::pets) name: String,
    pub(in crate::pets) status: PetStatus,
    pub(in crate::pets) deleted_at: Option<Timestamp>,
}

/// Takes hold of a pet, deleted or not: until the transaction ends nobody else changes it.
pub(in crate::pets) async fn hold_pet(tx: &mut Tx, id: PetId) -> Result<Option<HeldPet>, Fault> {
    Ok(on!(tx, conn => query_as(
        "UPDATE pets SET updated_at = updated_at WHERE id = $1 RETURNING owner_id, name, status, deleted_at"
    ).bind(id).fetch_all(conn).await)?
    .pop())
}

pub(in crate::pets) async fn set_status(
    tx: &mut Tx,
    id: PetId,
    status: PetStatus,
    now: Timestamp,
) -> Result<(), Fault> {
    on!(tx, conn => query("UPDATE pets SET status = $1, updated_at = $2, version = version + 1 WHERE id = $3")
        .bind(status).bind(now).bind(id).execute(conn).await.map(drop))?;
    Ok(())
}

pub(in crate::pets) async fn mark_deleted(tx: &mut Tx, id: PetId, now: Timestamp) -> Result<(), Fault> {
    on!(tx, conn => query(
        "UPDATE pets SET deleted_at = $1, updated_at = $1, version = version + 1 WHERE id = $2 AND deleted_at IS NULL"
    ).bind(now).bind(id).execute(conn).await.map(drop))?;
    Ok(())
}

/// Removes a pet; what refers to it goes too.
pub(in crate::pets) async fn remove_pet(tx: &mut Tx, id: PetId) -> Result<(), Fault> {
    on!(tx, conn => query("DELETE FROM pets WHERE id = $1").bind(id).execute(conn).await.map(drop))?;
    Ok(())
}
