//! Encrypted backups: nothing of anybody in them, and nobody but the holder of the key reads them.

use petspark_core::Failure as _;
use petspark_core::backup::{IdentityKey, Status};
use petspark_core::testing::on_both;

use super::lab::{Lab, bad, operator};

on_both! {
    async fn only_the_key_proves_or_restores_an_encrypted_backup(app: TestApp) {
        let (ours, other) = (IdentityKey::generate(), IdentityKey::generate());
        let mut settings = app.petspark.settings().clone();
        settings.backup.recipients = vec![ours.public()];
        settings.backup.min_keep = 1;
        let lab = Lab::with(app, settings).await;
        let manifest = lab.create().await;
        assert_eq!(manifest.encryption.as_ref().unwrap().recipients, [ours.public().to_string()]);
        let bytes = std::fs::read(lab.database_file(&manifest)).unwrap();
        assert!(bytes.starts_with(b"age-encryption.org/v1\n"));
        for (keys, code) in [(vec![], "BACKUP_NO_KEY"), (vec![other.clone()], "BACKUP_KEY")] {
            let refused = lab.backups.verify(&operator(), None, false, &keys, false).await.unwrap_err();
            assert_eq!(refused.code(), code, "{refused}");
        }
        let wrong = lab.backups.check(&operator(), None, false, &[other], false).await.unwrap();
        assert!(wrong.is_invalid() && bad(&wrong).iter().any(|finding| {
            finding.id == "backup.keys" && finding.observed.starts_with("E_KEY")
        }), "{wrong:#?}");
        let without = lab.backups.check(&operator(), None, false, &[], false).await.unwrap();
        let keys = without.findings.iter().find(|finding| finding.id == "backup.keys").unwrap();
        assert_eq!((keys.status, &*keys.expected), (Status::Skip, "no_identity"));
        let drill = lab.backups.verify(&operator(), None, false, std::slice::from_ref(&ours), false).await.unwrap();
        assert!(drill.ok, "{drill:?}");
        let checked = lab.backups.check(&operator(), None, false, &[ours], false).await.unwrap();
        assert!(bad(&checked).is_empty(), "{checked:#?}");
    }
}
