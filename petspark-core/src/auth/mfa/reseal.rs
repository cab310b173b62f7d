//! Bringing the secrets of authenticators under the newest key, so that the older ones can go.

use super::purpose;
use crate::auth::{Auth, store};
use crate::error::Fault;
use crate::id::FactorId;

/// Authenticators in one transaction.
const BATCH: i64 = 500;

/// What became of what an older key sealed.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::auth) struct Resealed {
    /// Sealed by the newest key now.
    pub(in crate::auth) anew: usize,
    /// Opened by none of our keys, and left as it is.
    pub(in crate::auth) unopened: usize,
}

impl Auth {
    /// Seals anew what an older key sealed. A dry run does the same and undoes it.
    pub(in crate::auth) async fn reseal_factors(&self, dry_run: bool) -> Result<Resealed, Fault> {
        let sealer = &self.0.sealer;
        let (mut after, mut done) = (FactorId::from_bytes([0; 16]), Resealed::default());
        loop {
            let mut tx = self.0.db.begin().await?;
            let batch = store::totp_secrets(&mut tx, after, BATCH).await?;
            let Some((last, _)) = batch.last() else { return Ok(done) };
            after = *last;
            for (id, sealed) in batch.iter().filter(|(_, sealed)| sealer.is_outdated(sealed)) {
                let Some(secret) = sealer.open(&purpose(*id), sealed) else {
                    done.unopened += 1;
                    continue;
                };
                let anew = sealer.seal(&purpose(*id), &secret)?;
                done.anew += usize::from(store::reseal_totp(&mut tx, *id, sealed, &anew).await?);
            }
            if !dry_run {
                tx.commit().await?;
            }
        }
    }
}
