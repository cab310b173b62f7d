//! Backups and drills as jobs of the server, and what is known of them afterwards.

use std::time::Duration;

use petspark_core::backup::LastOperations;
use petspark_core::testing::on_both;

use super::lab::operator;

on_both! {
    async fn a_server_makes_and_proves_backups_by_itself_when_told_so(app: TestApp) {
        assert_eq!(app.petspark.backups().last_operations().await.unwrap(), LastOperations::default());
        app.register("ada").await;
        let metrics = app.folder().join("petspark.prom");
        let server = app
            .another_with(|settings| {
                settings.backup.every = Some(Duration::from_secs(3600));
                settings.backup.drill_every = Some(Duration::from_secs(3600));
                settings.backup.metrics_file = Some(metrics.clone());
            })
            .await;
        // Whichever comes first: the second time there is something to prove.
        for _ in 0..2 {
            let faults = server.jobs().run_due().await.unwrap();
            assert!(faults.is_empty(), "{faults:?}");
            app.clock.advance(Duration::from_secs(3601));
        }
        let last = server.backups().last_operations().await.unwrap();
        let (backup, drill) = (last.backup.unwrap(), last.drill.unwrap());
        assert!(backup.succeeded && drill.succeeded && drill.backup_id.is_some());
        assert!(server.backups().list(&operator(), false).await.unwrap().len() >= 2);
        let text = std::fs::read_to_string(&metrics).unwrap();
        for name in ["last_success_timestamp_seconds", "drill_last_success_timestamp_seconds", "check_status"] {
            assert!(text.contains(&format!("\npetspark_backup_{name}{{")), "{name}: {text}");
        }
        server.close().await;
    }
}
