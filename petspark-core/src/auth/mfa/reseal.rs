//! Bringing the secrets of authenticators under the newest key, so that the older ones can go.

use super::purpose;
use crate::auth::{Auth, store};
use crate::error::Fault;
use crate::id::FactorId;

/// Authenticators in one transaction.
const BATCH: i64 = 500;

impl Auth {
    /// Seals anew what an older key sealed; says how many those are. What none of our keys opens stays as it is.
    /// A dry run does the same and undoes it.
    pub(in crate::auth) async fn reseal_factors(&self, dry_run: bool) -> Result<usize, Fault> {
        let sealer = &self.0.sealer;
        let (mut after, mut resealed) = (FactorId::from_bytes([0; 16]), 0);
        loop {
            let mut tx = self.0.db.begin().await?;
            let batch = store::totp_secrets(&mut tx, after, BATCH).await?;
            let Some((last, _)) = batch.last() else { return Ok(resealed) };
            after = *last;
            for (id, sealed) in batch.iter().filter(|(_, sealed)| sealer.is_outdated(sealed)) {
                let Some(secret) = sealer.open(&purpose(*id), sealed) else { continue };
                let anew = sealer.seal(&purpose(*id), &secret)?;
                resealed += usize::from(store::reseal_totp(&mut tx, *id, sealed, &anew).await?);
            }
            if !dry_run {
                tx.commit().await?;
            }
        }
    }
}
