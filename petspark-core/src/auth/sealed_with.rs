//! Which secrets what is stored was sealed with: those that have to be kept as long as it is. Sealing it anew is
//! left to `signing_keys/change.rs` and `mfa/reseal.rs`.

use sqlx::query_scalar;

use super::keys::{sealing_key_name, sealing_key_names};
use crate::config::Settings;
use crate::database::{Direct, on_direct};
use crate::error::Fault;

/// Names of the keys that sealed what is in a database.
pub(crate) async fn sealed_with(from: &mut Direct) -> Result<Vec<String>, Fault> {
    // After the version comes the key's name; see `sealed.rs`.
    let sql = "SELECT substr(sealed_secret, 2, 4) FROM totp_factors \
         UNION SELECT substr(private_key, 2, 4) FROM signing_keys WHERE private_key IS NOT NULL ORDER BY 1";
    let ids: Vec<Vec<u8>> = on_direct!(from, conn => query_scalar(sql).fetch_all(conn).await)?;
    Ok(ids.iter().map(|id| sealing_key_name(id)).collect())
}

/// Names of the keys that sealed second factors or signing keys of this database and aren't derived from any secret
/// that is set: what they sealed can't be read, so that nobody signs in by it.
///
/// # Errors
/// [`Fault`] when the database, or the file of the secret, can't be read.
pub async fn lacking_secrets(settings: &Settings) -> Result<Vec<String>, Fault> {
    let ours = sealing_key_names(&settings.auth, &settings.data_dir)?;
    let mut direct = Direct::open(&settings.database.url).await?;
    let needed = sealed_with(&mut direct).await;
    direct.close().await;
    Ok(needed?.into_iter().filter(|name| !ours.contains(name)).collect())
}
