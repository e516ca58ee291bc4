//! Part one of `logs`: what the files hold already (contract/cli.md section 8.1).
//!
//! Owns: which files, and in which order. Files whose lines carry times are merged by them; the others come one after the
//! other as in pm2, the one that was written longest ago first. Must never: hold a history in memory.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::super::super::Ui;
use super::super::super::ui::Colour;
use super::super::{Call, Process};
use super::View;
use super::chain::{Lines, Wanted, is_stamped, select};
use super::stamp::Stamps;
use super::view::Origin;

/// Letters of a name.
const WIDTH: usize = 10;

/// One log file and its old ones.
struct Source {
    path: PathBuf,
    origin: Origin,
    stamps: Stamps,
    stamped: bool,
    modified: SystemTime,
}

pub(super) fn show(call: &Call<'_>, ui: &mut Ui, view: &View, processes: &[Process]) {
    if view.is_for_people() {
        let all = view.targets.join(" ");
        let (what, noun) = if view.wants_everything() { ("all", "processes") } else { (all.as_str(), "process") };
        let lines = match view.wanted.lines {
            Some(lines) => format!("last {lines} lines"),
            None => "lines".to_owned(),
        };
        let text = format!("[TAILING] Tailing {lines} for [{what}] {noun} (change the value with --lines option)");
        let text = ui.paint(Colour::BoldGrey, &text);
        ui.data(&format!("{text}\n"));
    }
    let mut sources = sources(view, processes);
    sources.sort_by_key(|source| source.modified);
    let (stamped, plain): (Vec<Source>, Vec<Source>) = sources.into_iter().partition(|source| source.stamped);
    if (view.wants_everything() || view.targets.iter().any(|target| target == "PM2")) && view.wants("PM2") {
        let path = call.session.home().log_file.clone();
        let stamps = Stamps::new("");
        let stamped = is_stamped(&path, &stamps);
        let origin = Origin { id: "PM2".into(), name: "PM2".into(), kind: "PM2" };
        one_after_the_other(ui, view, &[Source { path, origin, stamps, stamped, modified: SystemTime::UNIX_EPOCH }]);
    }
    one_after_the_other(ui, view, &plain);
    if let [_] = stamped.as_slice() { one_after_the_other(ui, view, &stamped) } else { merged(ui, view, &stamped) }
}

fn sources(view: &View, processes: &[Process]) -> Vec<Source> {
    let mut sources: Vec<Source> = Vec::new();
    let meant = |process: &&Process| view.wants_everything() || view.targets.iter().any(|t| process.is_meant_by(t));
    for process in processes.iter().filter(meant) {
        for (key, kind) in [("pm_out_log_path", "out"), ("pm_err_log_path", "err")] {
            let path = PathBuf::from(process.text(key));
            let known = sources.iter().any(|source| source.path == path);
            if !view.wants(kind) || known || path.as_os_str().is_empty() || path == Path::new("/dev/null") {
                continue;
            }
            let metadata = path.metadata().ok();
            if metadata.as_ref().is_some_and(|found| !found.is_file()) {
                continue;
            }
            let stamps = Stamps::new(&process.text("log_date_format"));
            let mut first = path.as_os_str().to_owned();
            first.push(".1");
            let stamped = is_stamped(&path, &stamps) || is_stamped(Path::new(&first), &stamps);
            let modified = metadata.and_then(|found| found.modified().ok()).unwrap_or(SystemTime::UNIX_EPOCH);
            let origin = Origin { id: process.id(), name: process.name.clone(), kind };
            sources.push(Source { path, origin, stamps, stamped, modified });
        }
    }
    sources
}

impl Source {
    /// The lines that are asked for; failures are told.
    fn lines(&self, ui: &mut Ui, view: &View) -> Lines {
        let mut wanted = view.wanted;
        if !self.stamped && (wanted.since.is_some() || wanted.until.is_some()) {
            let since = wanted.since.and_then(|since| u64::try_from(since).ok()).unwrap_or(0);
            if self.modified < SystemTime::UNIX_EPOCH + Duration::from_millis(since) {
                return Lines::new(Vec::new());
            }
            let path = self.path.display();
            ui.warn(&format!("lines of {path} carry no time (see the option `time`): these are its last ones"));
            wanted = Wanted { lines: wanted.lines.or(Some(super::LINES)), ..Wanted::default() };
        }
        let spans = select(&self.path, &self.stamps, wanted).unwrap_or_else(|error| {
            ui.warn(&format!("cannot read {}: {error}", self.path.display()));
            Vec::new()
        });
        Lines::new(spans)
    }

    fn head(&self, ui: &mut Ui, view: &View) {
        if view.is_for_people() && (self.path.is_file() || self.stamped) {
            let what = match view.wanted.lines {
                Some(lines) => format!("last {lines} lines:"),
                None => "lines:".to_owned(),
            };
            let head = ui.paint(Colour::Grey, &format!("{} {what}", self.path.display()));
            ui.data(&format!("{head}\n"));
        }
    }
}

/// Lines on their way to stdout and stderr, in the order in which they come.
struct Out<'a> {
    ui: &'a mut Ui,
    view: &'a View,
    any: bool,
    bytes: Vec<u8>,
    is_err: bool,
}

impl<'a> Out<'a> {
    fn new(ui: &'a mut Ui, view: &'a View) -> Out<'a> {
        Out { ui, view, any: false, bytes: Vec::new(), is_err: false }
    }

    /// One line; answers whether somebody still reads.
    fn line(&mut self, source: &Source, at: Option<i64>, line: &[u8]) -> bool {
        self.any = true;
        let is_err = self.view.goes_to_stderr(source.origin.kind);
        if is_err != self.is_err || self.bytes.len() > 64 * 1024 {
            self.flush();
            self.is_err = is_err;
        }
        if self.view.passes(line) {
            self.view.dress(self.ui, &source.origin, WIDTH, line, at, false, &mut self.bytes);
        }
        !self.ui.is_closed()
    }

    fn flush(&mut self) {
        if !self.bytes.is_empty() {
            if self.is_err {
                self.ui.error_bytes(&self.bytes);
            } else {
                self.ui.bytes(&self.bytes);
            }
            self.bytes.clear();
        }
    }

    /// An empty line, if there were any.
    fn end(mut self) {
        self.flush();
        if self.any && self.view.is_for_people() {
            self.ui.data("\n");
        }
    }
}

fn one_after_the_other(ui: &mut Ui, view: &View, sources: &[Source]) {
    for source in sources {
        let lines = source.lines(ui, view);
        source.head(ui, view);
        let mut out = Out::new(ui, view);
        let mut time = None;
        for line in lines.map_while(Result::ok) {
            time = source.stamps.of(&line).or(time);
            if !out.line(source, time, &line) {
                return;
            }
        }
        out.end();
    }
}

/// A line without a time belongs to the line before it.
fn merged(ui: &mut Ui, view: &View, sources: &[Source]) {
    let mut files: Vec<Lines> = sources.iter().map(|source| source.lines(ui, view)).collect();
    for source in sources {
        source.head(ui, view);
    }
    // The next line of each file. What has no time and nothing before it comes first.
    let mut heap = BinaryHeap::new();
    for (index, (source, lines)) in sources.iter().zip(&mut files).enumerate() {
        if let Some(Ok(line)) = lines.next() {
            heap.push(Reverse((source.stamps.of(&line).unwrap_or(i64::MIN), index, line)));
        }
    }
    let mut out = Out::new(ui, view);
    while let Some(Reverse((time, index, line))) = heap.pop() {
        let (Some(source), Some(lines)) = (sources.get(index), files.get_mut(index)) else { break };
        if !out.line(source, Some(time).filter(|time| *time > i64::MIN), &line) {
            return;
        }
        if let Some(Ok(line)) = lines.next() {
            heap.push(Reverse((source.stamps.of(&line).unwrap_or(time).max(time), index, line)));
        }
    }
    out.end();
}
