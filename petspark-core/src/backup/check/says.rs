//! What the answers of other backup programs mean.

use serde_json::Value;

use crate::clock::Timestamp;

/// What is known of an archive.
pub(super) struct Archive {
    /// When the newest backup that is all right was complete.
    pub(super) newest: Option<Timestamp>,
    /// What was seen, for a person.
    pub(super) observed: String,
    pub(super) problems: Vec<String>,
    /// What may only be late.
    pub(super) warnings: Vec<String>,
}

pub(super) fn pgbackrest_says(told: &Value, stanza: &str) -> Archive {
    let none = |problem: String| Archive {
        newest: None,
        observed: String::new(),
        problems: vec![problem],
        warnings: Vec::new(),
    };
    let stanzas = told.as_array().map(Vec::as_slice).unwrap_or_default();
    let Some(found) = stanzas.iter().find(|found| found["name"] == stanza) else {
        return none(format!("there is no stanza {stanza}"));
    };
    let mut problems = Vec::new();
    if found["status"]["code"] != 0 {
        problems.push(found["status"]["message"].as_str().unwrap_or("its status is not ok").to_owned());
    }
    let backups = found["backup"].as_array().map(Vec::as_slice).unwrap_or_default();
    let Some(last) = backups.last() else {
        problems.push("it has no backup".to_owned());
        return Archive { newest: None, observed: String::new(), problems, warnings: Vec::new() };
    };
    let label = last["label"].as_str().unwrap_or("the newest");
    if last["error"] == true {
        problems.push(format!("{label} has pages whose checksums are wrong"));
    }
    // Each database that the stanza had has an archive of its own: after pg_upgrade WAL begins anew, at lower numbers.
    let archives = found["archive"].as_array().map(Vec::as_slice).unwrap_or_default();
    let own = archives.iter().filter(|archive| archive["database"] == last["database"]);
    if let Some(needed) = last["archive"]["stop"].as_str()
        && !own.filter_map(|archive| archive["max"].as_str()).any(|last| last >= needed)
    {
        problems.push(format!("{label} needs the WAL up to {needed}, which isn't archived"));
    }
    let good = backups.iter().filter(|backup| backup["error"] != true);
    let newest = good.filter_map(|backup| backup["timestamp"]["stop"].as_i64()).max().map(at_second);
    let observed = format!("{} backups, the newest {label}", backups.len());
    Archive { newest, observed, problems, warnings: Vec::new() }
}

pub(super) fn barman_says(told: &Value, server: &str) -> Archive {
    let backups = told[server].as_array().map(Vec::as_slice).unwrap_or_default();
    let is_done = |backup: &&Value| backup["status"] == "DONE";
    let second = |backup: &Value| match &backup["end_time_timestamp"] {
        Value::String(text) => text.parse().ok(),
        number => number.as_i64(),
    };
    let done: Vec<_> = backups.iter().filter(is_done).collect();
    let mut problems = Vec::new();
    if done.is_empty() {
        problems.push(format!("it has no complete backup of {server}"));
    }
    problems.extend(
        backups
            .iter()
            .filter(|backup| backup["status"] == "FAILED")
            .map(|backup| format!("{} failed", backup["backup_id"].as_str().unwrap_or("a backup"))),
    );
    let newest = done.iter().filter_map(|backup| second(backup)).max().map(at_second);
    Archive { newest, observed: format!("{} complete backups", done.len()), problems, warnings: Vec::new() }
}

/// A table of files, each with the time of its making.
pub(super) fn litestream_says(table: &str) -> Archive {
    let time = |word: &str| serde_json::from_value::<Timestamp>(Value::from(word)).ok();
    let times: Vec<_> = table.split_whitespace().filter_map(time).collect();
    let problems = if times.is_empty() { vec!["it has no files of this database".to_owned()] } else { Vec::new() };
    let observed = format!("{} files", times.len());
    Archive { newest: times.iter().max().copied(), observed, problems, warnings: Vec::new() }
}

/// A list of backups, and what became of looking for gaps in the WAL and at the timeline.
pub(super) fn wal_g_says(listed: &Value, verified: &Value) -> Archive {
    let (mut problems, mut warnings) = (Vec::new(), Vec::new());
    for part in ["integrity", "timeline"] {
        match verified[part]["status"].as_str() {
            Some("OK") => {}
            // WAL that is only being sent.
            Some("WARNING") => warnings.push(format!("wal-verify {part}: WARNING")),
            other => problems.push(format!("wal-verify {part}: {}", other.unwrap_or("says nothing"))),
        }
    }
    let backups = listed.as_array().map(Vec::as_slice).unwrap_or_default();
    let ended = |backup: &Value| {
        let at = [&backup["finish_time"], &backup["time"]].into_iter().find(|at| at.is_string())?;
        serde_json::from_value::<Timestamp>(at.clone()).ok()
    };
    if backups.is_empty() {
        problems.push("it has no backup".to_owned());
    }
    let newest = backups.iter().filter_map(ended).max();
    Archive { newest, observed: format!("{} backups, and no gap in the WAL", backups.len()), problems, warnings }
}

fn at_second(second: i64) -> Timestamp {
    Timestamp::from_micros(second.saturating_mul(1_000_000))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn stanza(change: impl FnOnce(&mut Value)) -> Archive {
        let mut stanza = json!({
            "name": "main",
            "status": { "code": 0, "message": "ok" },
            "archive": [
                { "database": { "id": 1, "repo-key": 1 }, "id": "15-1", "min": "000000010000000000000001", "max": "000000010000000000000009" },
                { "database": { "id": 2, "repo-key": 1 }, "id": "16-1", "min": "000000010000000000000001", "max": "000000010000000000000002" },
            ],
            "backup": [
                { "label": "20261126-010000F", "database": { "id": 1, "repo-key": 1 }, "error": false, "timestamp": { "start": 100, "stop": 200 },
                  "archive": { "start": "000000010000000000000002", "stop": "000000010000000000000003" } },
                { "label": "20261127-010000F", "database": { "id": 1, "repo-key": 1 }, "error": false, "timestamp": { "start": 300, "stop": 400 },
                  "archive": { "start": "000000010000000000000007", "stop": "000000010000000000000008" } },
            ],
        });
        change(&mut stanza);
        pgbackrest_says(&json!([{ "name": "other" }, stanza]), "main")
    }

    #[test]
    fn pgbackrest_is_believed_when_all_it_says_is_well() {
        let archive = stanza(|_| {});
        assert_eq!((archive.newest, archive.problems), (Some(at_second(400)), vec![]));
        for (problem, change) in [
            ("stanza", (|it: &mut Value| it["name"] = json!("another")) as fn(&mut Value)),
            ("missing stanza path", |it| it["status"] = json!({ "code": 1, "message": "missing stanza path" })),
            ("no backup", |it| it["backup"] = json!([])),
            ("checksums", |it| it["backup"][1]["error"] = json!(true)),
            ("isn't archived", |it| it["archive"][0]["max"] = json!("000000010000000000000005")),
            ("isn't archived", |it| it["archive"] = json!([])),
            // After pg_upgrade the old database's archive is still there, and ends later.
            ("isn't archived", |it| it["backup"][1]["database"]["id"] = json!(2)),
        ] {
            let archive = stanza(change);
            assert!(archive.problems.join("; ").contains(problem), "{problem}: {:?}", archive.problems);
        }
        let damaged = stanza(|it| it["backup"][1]["error"] = json!(true));
        assert_eq!(damaged.newest, Some(at_second(200)), "the one before is the newest that is good");
    }

    #[test]
    fn of_barman_complete_backups_count() {
        let told = json!({ "main": [
            { "backup_id": "20261127T020000", "status": "FAILED" },
            { "backup_id": "20261127T010000", "status": "WAITING_FOR_WALS", "end_time_timestamp": "900" },
            { "backup_id": "20261126T010000", "status": "DONE", "end_time_timestamp": "400" },
        ] });
        let archive = barman_says(&told, "main");
        assert_eq!(
            (archive.newest, archive.problems),
            (Some(at_second(400)), vec!["20261127T020000 failed".to_owned()])
        );
        assert_eq!(barman_says(&told, "other").newest, None);
    }

    #[test]
    fn of_wal_g_a_gap_counts_and_what_is_late_warns() {
        let listed = json!([
            { "backup_name": "base_1", "time": "2026-11-26T01:05:00Z", "finish_time": "2026-11-26T01:00:00Z" },
            { "backup_name": "base_2", "time": "2026-11-27T01:05:00Z", "finish_time": "2026-11-27T01:00:00.123456Z" },
        ]);
        let verified = |integrity: &str, timeline: &str| {
            let verified = json!({ "integrity": { "status": integrity }, "timeline": { "status": timeline } });
            wal_g_says(&listed, &verified)
        };
        let good = verified("OK", "OK");
        assert_eq!(good.newest.unwrap().to_string(), "2026-11-27T01:00:00.123456Z");
        assert!(good.problems.is_empty() && good.warnings.is_empty());
        let late = verified("WARNING", "OK");
        assert_eq!((late.problems.len(), late.warnings.len()), (0, 1));
        assert_eq!(verified("FAILURE", "OK").problems, ["wal-verify integrity: FAILURE"]);
        assert_eq!(wal_g_says(&listed, &json!({})).problems.len(), 2);
        let none = wal_g_says(&json!([]), &json!({ "integrity": { "status": "OK" }, "timeline": { "status": "OK" } }));
        assert_eq!((none.newest, &*none.problems.concat()), (None, "it has no backup"));
    }

    #[test]
    fn of_litestream_the_newest_file_counts() {
        let table =
            "min_txid  max_txid  size  created\n1  1  4096  2026-11-27T01:00:00Z\n2  9  512  2026-11-27T02:00:00Z\n";
        let archive = litestream_says(table);
        assert_eq!(archive.newest.unwrap().to_string(), "2026-11-27T02:00:00Z");
        assert!(archive.problems.is_empty() && archive.observed == "2 files");
        assert_eq!(litestream_says("min_txid  max_txid  size  created\n").problems.len(), 1);
    }
}
