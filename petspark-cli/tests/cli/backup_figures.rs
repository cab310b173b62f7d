//! Figures about backups at the terminal: they stay whole whoever writes them, and that they can't be written hides
//! nothing of what was done.

use std::fs;

use crate::support::{Place, on_both};

fn with_somebody(place: Place) -> Place {
    let place = place.with("PETSPARK__BACKUP__MIN_KEEP", "1");
    place.ok("migrate run");
    place.user("ada@example.org", "");
    place
}

/// The lines of the file that say what a check found.
fn statuses(place: &Place) -> Vec<String> {
    let text = fs::read_to_string(place.path().join("backup.prom")).unwrap();
    text.lines().filter(|line| line.starts_with("petspark_backup_check_status{")).map(str::to_owned).collect()
}

on_both! {
    fn a_backup_and_a_drill_leave_in_the_figures_what_a_check_finds(place) {
        let place = with_somebody(place);
        place.run("backup check --metrics-file backup.prom").expect(21);
        let none = fs::read_to_string(place.path().join("backup.prom")).unwrap();
        assert!(none.contains("petspark_backup_last_success_timestamp_seconds{"), "{none}");
        let fresh = |value: u8| format!("petspark_backup_check_status{{id=\"backup.fresh\",target=\"folder\"}} {value}");
        let drill = |value: u8| format!("petspark_backup_check_status{{id=\"backup.drill\",target=\"folder\"}} {value}");
        assert!(statuses(&place).contains(&fresh(0)), "{none}");
        place.ok("backup create --metrics-file backup.prom");
        let found = statuses(&place);
        assert!(found.contains(&fresh(1)) && found.contains(&drill(0)), "{found:?}");
        place.ok("backup verify --metrics-file backup.prom");
        let found = statuses(&place);
        assert!(found.contains(&fresh(1)) && found.contains(&drill(1)), "{found:?}");
    }

    fn what_was_done_is_told_although_its_figures_can_not_be_written(place) {
        let place = with_somebody(place);
        // Not even root makes files there.
        let made = place.run("backup create --metrics-file /proc/backup.prom --json").expect(7).says("/proc/backup.prom");
        let id = made.json()["id"].as_str().unwrap().to_owned();
        place.run("backup check --metrics-file folder/backup.prom").expect(21).says("folder");
        assert!(!place.path().join("folder").exists(), "nobody would look there");
        let checked = place.run("backup check --metrics-file /proc/backup.prom --json").expect(21).says("/proc/backup.prom");
        assert!(!checked.json()["findings"].as_array().unwrap().is_empty());
        let drill = place.run("backup verify --metrics-file /proc/backup.prom --json").expect(7).says("/proc/backup.prom");
        assert_eq!(drill.json()["ok"], true);
        let file = place.path().join("petspark-data/backups").join(id).join("database.zst");
        fs::write(&file, "rotten").unwrap();
        for command in ["check", "verify"] {
            let line = format!("backup {command} --metrics-file /proc/backup.prom");
            place.run(&line).expect(20).says("/proc/backup.prom");
        }
    }
}

#[test]
fn a_check_of_the_bucket_wants_one() {
    let place = with_somebody(Place::sqlite());
    place.run("backup check --target bucket").expect(2).says("backup.s3.bucket");
}
