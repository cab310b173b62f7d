//! Which backups stay: those that have a place by one of the rules, and the newest, the newest that was proven, the
//! newest with the files of uploads and those that were pinned, whatever the rules say.

use std::collections::HashSet;

use super::Kept;
use crate::backup::Listed;
use crate::backup::settings::Retention;
use crate::clock::Timestamp;

/// What becomes of each of these, which come the newest first. Where backups are to have the files of uploads, those
/// that do have places of their own besides: others come in between, and must not take what only these have along.
pub(super) fn decide(listed: &[Listed], rules: &Retention, with_files: bool, target: &'static str) -> Vec<Kept> {
    let newest_proven = listed.iter().filter(|backup| backup.proven_at.is_some()).map(|backup| backup.id).max();
    let has_files = |backup: &&Listed| backup.sound().is_some_and(|manifest| manifest.media.has_files());
    let newest_with_files = listed.iter().find(has_files).map(|backup| backup.id);
    let (mut places, mut own_places) = (Places::of(rules), Places::of(rules));
    let mut kept = Vec::new();
    for (n, backup) in listed.iter().enumerate() {
        let (id, created_at) = (backup.id, backup.manifest.as_ref().map(|manifest| manifest.created_at));
        let mut reasons = Vec::new();
        if n == 0 {
            reasons.push("the newest".to_owned());
        }
        if backup.pinned {
            reasons.push("pinned".to_owned());
        }
        if newest_proven == Some(id) {
            reasons.push("the newest that was proven".to_owned());
        }
        if newest_with_files == Some(id) {
            reasons.push("the newest with the files of uploads".to_owned());
        }
        match backup.sound().map(|manifest| manifest.created_at) {
            None => reasons.push("damaged: look at it, and remove it by hand".to_owned()),
            Some(at) => {
                let given = places.take(at);
                if with_files && has_files(&backup) {
                    let own = own_places.take(at).into_iter().filter(|reason| !given.contains(reason));
                    reasons.extend(own.map(|reason| format!("{reason} with the files of uploads")));
                }
                reasons.extend(given);
            }
        }
        let keep = !reasons.is_empty();
        let reason = if keep { reasons.join(", ") } else { "no rule keeps it".to_owned() };
        kept.push(Kept { id, target, created_at, keep, reason });
    }
    kept
}

/// The places that the rules have, for who comes first.
struct Places<'a> {
    rules: &'a Retention,
    last: u32,
    days: HashSet<time::Date>,
    weeks: HashSet<(i32, u8)>,
    months: HashSet<(i32, u8)>,
}

impl<'a> Places<'a> {
    fn of(rules: &'a Retention) -> Self {
        Self { rules, last: 0, days: HashSet::new(), weeks: HashSet::new(), months: HashSet::new() }
    }

    /// Gives those that one of this time gets.
    fn take(&mut self, at: Timestamp) -> Vec<String> {
        let (rules, date, mut given) = (self.rules, at.date(), Vec::new());
        let (year, week, _) = date.to_iso_week_date();
        let month = (date.year(), u8::from(date.month()));
        if self.last < rules.last {
            self.last += 1;
            given.push(format!("one of the last {}", rules.last));
        }
        if (self.days.len() as u64) < u64::from(rules.daily) && self.days.insert(date) {
            given.push(format!("the last of {date}"));
        }
        if (self.weeks.len() as u64) < u64::from(rules.weekly) && self.weeks.insert((year, week)) {
            given.push(format!("the last of week {week} of {year}"));
        }
        if (self.months.len() as u64) < u64::from(rules.monthly) && self.months.insert(month) {
            given.push(format!("the last of {}-{:02}", month.0, month.1));
        }
        given
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::backup::manifest::tests::manifest_made_at;
    use crate::backup::settings::BackupMedia;

    const RULES: Retention = Retention { last: 2, daily: 3, weekly: 2, monthly: 2 };

    fn made(at: Timestamp) -> Listed {
        let manifest = manifest_made_at(at);
        Listed { id: manifest.id, manifest: Some(manifest), problem: None, pinned: false, proven_at: None }
    }

    /// Twice a day for forty days, the newest first; the last at 18:00 on Friday 2026-11-27.
    fn history() -> Vec<Listed> {
        let last = Timestamp::from_micros(1_795_802_400_000_000);
        (0..80).map(|n| made(last.before(Duration::from_secs(n * 12 * 3600)))).collect()
    }

    fn keeping(listed: &[Listed]) -> Vec<usize> {
        keeping_by(listed, false)
    }

    fn keeping_by(listed: &[Listed], with_files: bool) -> Vec<usize> {
        let kept = decide(listed, &RULES, with_files, "folder");
        kept.iter().enumerate().filter(|(_, kept)| kept.keep).map(|(n, _)| n).collect()
    }

    /// The same history, in which only these have the files of uploads.
    fn with_files_in(full: impl Fn(usize) -> bool) -> Vec<Listed> {
        let mut listed = history();
        for (_, backup) in listed.iter_mut().enumerate().filter(|(n, _)| full(*n)) {
            backup.manifest.as_mut().unwrap().media.mode = BackupMedia::Full;
        }
        listed
    }

    #[test]
    fn each_rule_keeps_the_newest_of_its_time() {
        // 0 and 1 are the last two, 0, 2 and 4 the days; Sunday the 22nd at 18:00 the week before, and
        // Saturday the 31st of October at 18:00 the month before.
        assert_eq!(keeping(&history()), [0, 1, 2, 4, 10, 54]);
    }

    #[test]
    fn what_was_pinned_or_proven_last_stays_whatever_the_rules_say() {
        let mut listed = history();
        listed[70].pinned = true;
        for n in [33, 41] {
            listed[n].proven_at = Some(Timestamp::from_micros(0));
        }
        // Ids of a test are made in any order: those of these two as they are in earnest.
        let (older, newer) = (listed[41].id.min(listed[33].id), listed[41].id.max(listed[33].id));
        (listed[41].id, listed[33].id) = (older, newer);
        assert_eq!(keeping(&listed), [0, 1, 2, 4, 10, 33, 54, 70]);
    }

    #[test]
    fn a_damaged_one_is_left_for_a_person_and_counts_for_nothing() {
        let mut listed = history();
        listed[1] =
            Listed { manifest: None, problem: Some("no manifest".to_owned()), ..made(Timestamp::from_micros(0)) };
        assert_eq!(keeping(&listed), [0, 1, 2, 4, 10, 54]);
        assert!(decide(&listed, &RULES, false, "folder")[1].reason.starts_with("damaged"));
    }

    #[test]
    fn what_has_a_list_only_takes_no_place_of_what_has_the_files_of_uploads() {
        // Lists only for two weeks: the others go by their own count, the newest of them being 28.
        let listed = with_files_in(|n| n >= 28);
        assert_eq!(keeping_by(&listed, true), [0, 1, 2, 4, 10, 28, 29, 30, 32, 38, 54]);
        let reason = &decide(&listed, &RULES, true, "folder")[29].reason;
        assert_eq!(reason, "one of the last 2 with the files of uploads");
        // All have them: nothing stays that the rules don't keep.
        assert_eq!(keeping_by(&with_files_in(|_| true), true), keeping(&history()));
    }

    #[test]
    fn where_files_are_not_wanted_any_more_only_the_newest_that_has_them_stays_longer() {
        let listed = with_files_in(|n| n >= 28);
        assert_eq!(keeping_by(&listed, false), [0, 1, 2, 4, 10, 28, 54]);
        assert_eq!(decide(&listed, &RULES, false, "folder")[28].reason, "the newest with the files of uploads");
    }

    #[test]
    fn a_damaged_one_is_not_the_newest_with_the_files_of_uploads() {
        let mut listed = with_files_in(|n| n >= 28);
        listed[28].problem = Some("database.zst is missing, or has another length".to_owned());
        assert!(keeping_by(&listed, false).contains(&29));
    }
}
