use serde_json::json;

use super::*;

fn stored(name: &str) -> Stored {
    serde_json::from_value(json!({ "config": { "name": name }, "env": { "A": "1" }, "unique_id": "u" })).unwrap()
}

fn open(path: &Path) -> Journal {
    let mut journal = Journal::new(path);
    journal.begin_rewrite();
    journal.end_rewrite().unwrap();
    journal
}

fn names(path: &Path) -> Vec<(u32, String)> {
    let (_, restored) = Journal::resume(path).unwrap();
    let name = |stored: &Stored| stored.config["name"].as_str().unwrap_or_default().to_owned();
    restored.instances.iter().map(|(id, (stored, ..))| (id.0, name(stored))).collect()
}

#[test]
fn what_was_put_is_read_back_and_what_was_deleted_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal");
    let mut journal = open(&path);
    journal.put(PmId(0), &stored("a"));
    journal.put(PmId(1), &stored("b"));
    journal.flush().unwrap();
    journal.put(PmId(0), &stored("c"));
    journal.del(PmId(1));
    journal.flush().unwrap();
    assert_eq!(names(&path), [(0, "c".to_owned())]);
}

#[test]
fn a_cut_tail_and_foreign_lines_are_passed_over() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal");
    let mut journal = open(&path);
    journal.put(PmId(0), &stored("a"));
    journal.flush().unwrap();
    let whole = std::fs::read(&path).unwrap();
    let mut cut = whole.clone();
    cut.extend_from_slice(b"{\"later\":[1]}\n\xff\xfe\n{\"put\":[1,{\"con");
    std::fs::write(&path, cut).unwrap();
    assert_eq!(names(&path), [(0, "a".to_owned())]);
    for length in 0..whole.len() {
        std::fs::write(&path, &whole[..length]).unwrap();
        let _ = Journal::resume(&path);
    }
}

#[test]
fn the_same_again_is_not_written_and_growth_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal");
    let mut journal = open(&path);
    journal.put(PmId(0), &stored("a"));
    journal.flush().unwrap();
    let before = std::fs::metadata(&path).unwrap().len();
    journal.put(PmId(0), &stored("a"));
    journal.flush().unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().len(), before);
    for round in 0..10_000 {
        journal.put(PmId(0), &stored(&format!("n{round}")));
    }
    assert!(journal.is_bloated());
    journal.begin_rewrite();
    journal.put(PmId(0), &stored("last"));
    journal.end_rewrite().unwrap();
    assert!(!journal.is_bloated());
    assert_eq!(names(&path), [(0, "last".to_owned())]);
}

#[test]
fn the_journal_of_another_boot_means_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal");
    std::fs::write(&path, "{\"pm2rs_journal\":1,\"boot\":\"other\"}\n").unwrap();
    for path in [path, dir.path().join("none")] {
        let (journal, restored) = Journal::resume(&path).unwrap();
        assert!(journal.is_broken() && restored.instances.is_empty());
    }
}

#[test]
fn a_newer_journal_is_refused_and_one_without_the_later_fields_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal");
    let boot = boot_id();
    std::fs::write(&path, format!("{{\"pm2rs_journal\":{},\"boot\":\"{boot}\"}}\n", VERSION + 1)).unwrap();
    let refused = Journal::resume(&path).unwrap_err().to_string();
    assert!(refused.contains("newer pm2-rs"), "{refused}");
    // As the first version wrote it.
    let recorded = include_str!("../../../tests/fixtures/journal-v1.jsonl").replace("BOOT", &boot);
    std::fs::write(&path, recorded).unwrap();
    let (_, restored) = Journal::resume(&path).unwrap();
    assert_eq!(restored.instances.len(), 1);
    assert!(restored.instances[&PmId(0)].2.is_some(), "its state is read");
    assert_eq!((restored.next_run, restored.alive.len()), (2, 0));
}

#[test]
fn what_lives_is_known_until_its_instance_is_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal");
    let mut journal = open(&path);
    journal.put(PmId(0), &stored("a"));
    journal.alive(PmId(0), vec![(RunId(1), 77, 1234)]);
    journal.flush().unwrap();
    assert_eq!(Journal::resume(&path).unwrap().1.alive[&PmId(0)], [(RunId(1), 77, 1234)]);
    journal.alive(PmId(0), Vec::new());
    journal.flush().unwrap();
    assert!(Journal::resume(&path).unwrap().1.alive[&PmId(0)].is_empty());
    journal.del(PmId(0));
    journal.flush().unwrap();
    assert!(Journal::resume(&path).unwrap().1.alive.is_empty());
}

#[test]
fn a_next_daemon_writes_on_where_the_last_one_was() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal");
    let mut journal = open(&path);
    journal.put(PmId(0), &stored("a"));
    journal.flush().unwrap();
    let before = std::fs::read(&path).unwrap();
    let (mut next, _) = Journal::resume(&path).unwrap();
    assert!(!next.is_broken());
    next.put(PmId(0), &stored("a"));
    next.flush().unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), before, "what is there already is not written again");
    next.put(PmId(1), &stored("b"));
    next.flush().unwrap();
    assert!(std::fs::read(&path).unwrap().starts_with(&before));
    assert_eq!(names(&path), [(0, "a".to_owned()), (1, "b".to_owned())]);
    // A cut last line must not have another one behind it.
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() - 3]).unwrap();
    let (next, _) = Journal::resume(&path).unwrap();
    assert!(next.is_broken(), "it is written anew");
}

#[test]
fn only_the_last_line_of_each_kind_counts_also_for_the_size() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal");
    let mut journal = open(&path);
    for round in 0..10_000 {
        journal.put(PmId(0), &stored(&format!("n{round}")));
    }
    journal.flush().unwrap();
    let (next, restored) = Journal::resume(&path).unwrap();
    assert_eq!(restored.instances[&PmId(0)].0.config["name"], "n9999");
    assert!(next.is_bloated());
    assert_eq!(next.live, journal.live);
}
