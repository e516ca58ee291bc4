use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;

fn zip(path: &Path, text: &str) {
    let mut encoder = GzEncoder::new(File::create(path).unwrap(), Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap();
}

fn lines_of(spans: Vec<Span>) -> Vec<String> {
    Lines::new(spans).map(|line| String::from_utf8(line.unwrap()).unwrap()).collect()
}

fn last(path: &Path, count: usize) -> Vec<String> {
    lines_of(select(path, &Stamps::new(""), Wanted { lines: Some(count), ..Wanted::default() }).unwrap())
}

fn at(hour: i64, second: i64) -> String {
    jiff::Timestamp::from_second(1_763_800_000 + hour * 3600 + second).unwrap().to_string()
}

#[test]
fn the_last_lines_reach_into_old_and_compressed_files() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("a.log");
    let name = |end: &str| folder.path().join(format!("a.log{end}"));
    fs::write(&log, "7\n8").unwrap();
    fs::write(name(".1"), "5\n6\n").unwrap();
    zip(&name(".2.gz"), "3\n\n4\n");
    fs::write(name(".2"), "left by a killed daemon\n").unwrap();
    zip(&name(".10.gz"), "1\n2\n");
    for other in [".01", ".x", ".1.bak", ".0", "x.1"] {
        fs::write(name(other), "not ours\n").unwrap();
    }
    assert_eq!(last(&log, 1), ["8"]);
    assert_eq!(last(&log, 2), ["7", "8"]);
    assert_eq!(last(&log, 3), ["6", "7", "8"]);
    assert_eq!(last(&log, 6), ["", "4", "5", "6", "7", "8"]);
    assert_eq!(last(&log, 99), ["1", "2", "3", "", "4", "5", "6", "7", "8"]);
    fs::remove_file(&log).unwrap();
    assert_eq!(last(&log, 1), ["6"], "rotated, and nothing written since");
    assert_eq!(last(&folder.path().join("none"), 5), Vec::<String>::new());
    assert_eq!(last(folder.path(), 5), Vec::<String>::new(), "a folder has no lines");
}

#[test]
fn lines_longer_than_a_block_are_whole() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("a.log");
    let endless = "x".repeat(200_000);
    fs::write(&log, format!("first\n{endless}\nlast\n")).unwrap();
    assert_eq!(last(&log, 2), [endless, "last".to_owned()]);
}

#[test]
fn the_tail_of_ten_gigabytes_is_a_block() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("a.log");
    let mut file = File::create(&log).unwrap();
    file.set_len(10 << 30).unwrap();
    std::io::Seek::seek(&mut file, std::io::SeekFrom::End(0)).unwrap();
    for number in 0..100 {
        writeln!(file, "line {number}").unwrap();
    }
    let wanted = Wanted { lines: Some(15), ..Wanted::default() };
    let spans = select(&log, &Stamps::new(""), wanted).unwrap();
    let piece = Rc::clone(&spans.first().unwrap().piece);
    assert_eq!(lines_of(spans), (85..100).map(|number| format!("line {number}")).collect::<Vec<_>>());
    assert!(piece.read.get() <= 2 * BLOCK as u64, "{} bytes read", piece.read.get());
}

#[test]
fn a_moment_is_found_by_halving() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("a.log");
    let filler = "x".repeat(1000);
    let lines: Vec<String> =
        (0..20_000).map(|second| format!("{}: {filler}\n  belongs to it\n", at(0, second))).collect();
    let text = lines.concat();
    fs::write(&log, &text).unwrap();
    zip(&folder.path().join("a.log.1.gz"), &format!("{}: old\n", at(-1, 0)));
    let stamps = Stamps::new("");
    let moment = |second: i64| (1_763_800_000 + second) * 1000;
    for (from, to) in [(0, 3), (1, 1), (9_999, 10_003), (19_998, 19_999), (12_345, 12_345)] {
        let wanted = Wanted { lines: None, since: Some(moment(from)), until: Some(moment(to)) };
        let spans = select(&log, &stamps, wanted).unwrap();
        let read = spans.last().unwrap().piece.read.get();
        assert!(read < 4 << 20, "{read} of {} bytes read", text.len());
        let expected: Vec<String> =
            (from..=to).flat_map(|s| [format!("{}: {filler}", at(0, s)), "  belongs to it".to_owned()]).collect();
        assert_eq!(lines_of(spans), expected, "{from} to {to}");
    }
    let count = |wanted| lines_of(select(&log, &stamps, wanted).unwrap()).len();
    assert_eq!(
        count(Wanted { since: Some(moment(-3600)), until: Some(moment(0)), lines: None }),
        3,
        "the old file, too"
    );
    assert_eq!(count(Wanted { since: Some(moment(30_000)), ..Wanted::default() }), 0);
    assert_eq!(count(Wanted { until: Some(moment(-7200)), ..Wanted::default() }), 0);
    assert_eq!(count(Wanted { since: Some(moment(19_000)), lines: Some(3), until: None }), 3);
    assert_eq!(count(Wanted { since: Some(moment(19_999)), lines: Some(30), until: None }), 2);
    assert!(is_stamped(&log, &stamps));
}
