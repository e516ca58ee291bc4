//! `getSystemData`: metrics of the host (contract/wire.md section 8).
//!
//! Owns: the last readings. Must never: work unless asked, or block the daemon (a hung network mount would).

use std::cell::{Cell, RefCell};
use std::fmt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};

use serde_json::{Map, Number, Value, json};
use sysinfo::{DiskRefreshKind, Disks, Networks, System};
use tokio::sync::oneshot;

/// A reading older than this is replaced when somebody asks.
const MAX_AGE: Duration = Duration::from_secs(30);

/// The host's metrics, read when asked for and at most every 30 s. A cheap handle.
#[derive(Clone)]
pub struct SystemData(Rc<Inner>);

struct Inner {
    module_conf: PathBuf,
    metrics: RefCell<Map<String, Value>>,
    read_at: Cell<Option<Instant>>,
    /// Between two readings; `None` before the first, and while a thread has it.
    probe: RefCell<Option<Box<Probe>>>,
    reading: Cell<bool>,
}

impl fmt::Debug for SystemData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SystemData").field("metrics", &self.0.metrics.borrow().len()).finish_non_exhaustive()
    }
}

impl SystemData {
    /// `module_conf` is the path of `module_conf.json`, whose key `pm2:sysmonit` switches the metrics off.
    pub fn new(module_conf: &Path) -> SystemData {
        SystemData(Rc::new(Inner {
            module_conf: module_conf.to_owned(),
            metrics: RefCell::default(),
            read_at: Cell::new(None),
            probe: RefCell::default(),
            reading: Cell::new(false),
        }))
    }

    /// The last readings, at once: a map of metric name to `{value, type, unit, historic}`, empty before the first
    /// reading and when switched off. Starts a new reading on another thread if the last one is too old. Must run in a
    /// `LocalSet`.
    pub fn get(&self) -> Map<String, Value> {
        let old = self.0.read_at.get().is_none_or(|at| at.elapsed() >= MAX_AGE);
        if old && !self.0.reading.get() {
            self.0.read_at.set(Some(Instant::now()));
            if switched_off(&self.0.module_conf) {
                self.0.metrics.borrow_mut().clear();
            } else {
                self.start_reading();
            }
        }
        self.0.metrics.borrow().clone()
    }

    fn start_reading(&self) {
        let (sender, receiver) = oneshot::channel();
        let mut probe = self.0.probe.take();
        // Not the runtime's own threads: their end is waited for, and a hung mount has none.
        let started = std::thread::Builder::new().name("system-data".into()).spawn(move || {
            if probe.is_none() {
                probe = Probe::new().ok().map(Box::new);
            }
            let metrics = probe.as_mut().map(|probe| probe.read()).unwrap_or_default();
            let _ = sender.send((probe, metrics));
        });
        if started.is_err() {
            return;
        }
        self.0.reading.set(true);
        let inner = Rc::clone(&self.0);
        tokio::task::spawn_local(async move {
            if let Ok((probe, metrics)) = receiver.await {
                *inner.probe.borrow_mut() = probe;
                *inner.metrics.borrow_mut() = metrics;
            }
            inner.reading.set(false);
        });
    }
}

/// Whether `pm2 set pm2:sysmonit false` was said.
fn switched_off(module_conf: &Path) -> bool {
    let Ok(text) = std::fs::read(module_conf) else { return false };
    let Ok(conf) = serde_json::from_slice::<Value>(&text) else { return false };
    matches!(conf.get("pm2:sysmonit"), Some(Value::Bool(false)))
        || conf.get("pm2:sysmonit").and_then(Value::as_str) == Some("false")
}

/// What has to be remembered from one reading to the next.
struct Probe {
    system: System,
    networks: Networks,
    disks: Disks,
    /// Packets dropped so far by each interface: received, sent.
    dropped: Vec<(String, [u64; 2])>,
    at: Option<Instant>,
}

impl Probe {
    fn new() -> Result<Probe, sysinfo::Error> {
        Ok(Probe {
            system: System::new()?,
            networks: Networks::new()?,
            disks: Disks::new()?,
            dropped: Vec::new(),
            at: None,
        })
    }

    fn read(&mut self) -> Map<String, Value> {
        let now = Instant::now();
        // Nothing is known about rates before the second reading.
        let seconds = self.at.replace(now).map_or(f64::INFINITY, |at| now.duration_since(at).as_secs_f64().max(0.001));
        self.system.refresh_memory();
        self.system.refresh_cpu_usage();
        self.networks.refresh(true);
        self.disks.refresh_specifics(true, DiskRefreshKind::everything());
        let mut metrics = Map::new();
        let mut put = |name: String, value: Value, unit: &str| {
            metrics.insert(name, json!({ "value": value, "type": "metric", "unit": unit, "historic": true }));
        };
        let cpu = if seconds.is_finite() { f64::from(self.system.global_cpu_usage()) } else { 0.0 };
        put("CPU Usage".into(), rounded(cpu, 1), "%");
        put("CPU Temperature".into(), json!(-1), "°C");
        let (total, available) = (self.system.total_memory(), self.system.available_memory());
        let active = total.saturating_sub(available);
        put("RAM Usage".into(), rounded(share(active, total), 1), "%");
        put("RAM Total".into(), json!(total), "b");
        put("RAM Available".into(), json!(available), "b");
        put("RAM Active".into(), json!(active), "b");
        let mut interfaces: Vec<_> =
            self.networks.iter().map(|(name, data)| (name.to_string_lossy().into_owned(), data)).collect();
        interfaces.sort_by(|(one, _), (other, _)| one.cmp(other));
        let mut dropped_now = Vec::new();
        for (name, data) in interfaces {
            let dropped = ["rx", "tx"].map(|way| dropped_packets(&name, way));
            let before = self.dropped.iter().find(|(other, _)| *other == name).map_or(dropped, |(_, counts)| *counts);
            for (index, (way, bytes, errors)) in [
                ("rx", data.received(), data.errors_on_received()),
                ("tx", data.transmitted(), data.errors_on_transmitted()),
            ]
            .into_iter()
            .enumerate()
            {
                let lost = dropped.get(index).zip(before.get(index)).map_or(0, |(now, then)| now.saturating_sub(*then));
                put(format!("net:{way}_5:{name}"), megabytes(bytes, seconds), "mb/s");
                put(format!("net:{way}_errors_60:{name}"), per_minute(errors, seconds), "/min");
                put(format!("net:{way}_dropped_60:{name}"), per_minute(lost, seconds), "/min");
            }
            dropped_now.push((name, dropped));
        }
        self.dropped = dropped_now;
        let (mut read, mut written) = (0, 0);
        for disk in &self.disks {
            let usage = disk.usage();
            read += usage.read_bytes;
            written += usage.written_bytes;
        }
        put("Disk Reads".into(), megabytes(read, seconds), "mb/s");
        put("Disk Writes".into(), megabytes(written, seconds), "mb/s");
        for disk in self.disks.iter().filter(|disk| disk.total_space() > 0) {
            let (total, mount) = (disk.total_space(), disk.mount_point().display());
            let used = total.saturating_sub(disk.available_space());
            put(format!("fs:use:{mount}"), rounded(share(used, total), 2), "%");
            put(format!("fs:size:{mount}"), rounded(float(total) / f64::from(1 << 30), 2), "gb");
        }
        metrics
    }
}

/// Packets this interface has dropped so far; sysinfo does not count them.
fn dropped_packets(interface: &str, way: &str) -> u64 {
    let path = format!("/sys/class/net/{interface}/statistics/{way}_dropped");
    std::fs::read_to_string(path).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn float(value: u64) -> f64 {
    value as f64
}

fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { float(part) / float(whole) * 100.0 }
}

fn megabytes(bytes: u64, seconds: f64) -> Value {
    rounded(float(bytes) / f64::from(1 << 20) / seconds, 2)
}

fn per_minute(count: u64, seconds: f64) -> Value {
    rounded(float(count) * 60.0 / seconds, 2)
}

/// A number as JavaScript writes it: whole ones without a decimal point.
fn rounded(value: f64, digits: i32) -> Value {
    let factor = 10_f64.powi(digits);
    let value = (value * factor).round() / factor;
    if value.fract() == 0.0 && value.abs() < 1e15 {
        #[expect(clippy::cast_possible_truncation, reason = "whole, and in range")]
        return json!(value as i64);
    }
    Number::from_f64(value).map_or(Value::Null, Value::Number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::test_runtime::run;

    #[test]
    fn the_first_question_starts_a_reading_and_the_next_ones_get_it() {
        run(async {
            let folder = tempfile::tempdir().unwrap();
            let data = SystemData::new(&folder.path().join("module_conf.json"));
            assert!(data.get().is_empty(), "nobody waits for a reading");
            let metrics = loop {
                let metrics = data.get();
                if !metrics.is_empty() {
                    break metrics;
                }
                tokio::task::yield_now().await;
            };
            assert!(metrics["RAM Total"]["value"].as_u64().unwrap() > 1 << 20);
            assert_eq!(
                metrics["CPU Temperature"],
                json!({ "value": -1, "type": "metric", "unit": "°C", "historic": true })
            );
            assert!(metrics.keys().any(|name| name.starts_with("net:rx_dropped_60:")), "{metrics:?}");
            let names: Vec<_> = metrics.keys().take(6).collect();
            assert_eq!(names[..3], ["CPU Usage", "CPU Temperature", "RAM Usage"]);
        });
    }

    #[test]
    fn it_can_be_switched_off() {
        run(async {
            let folder = tempfile::tempdir().unwrap();
            let conf = folder.path().join("module_conf.json");
            std::fs::write(&conf, r#"{"pm2:sysmonit":"false"}"#).unwrap();
            let data = SystemData::new(&conf);
            assert!(data.get().is_empty());
            assert!(!data.0.reading.get());
            for text in ["", "{", "{}", r#"{"pm2:sysmonit":"true"}"#] {
                std::fs::write(&conf, text).unwrap();
                assert!(!switched_off(&conf), "{text}");
            }
        });
    }

    #[test]
    fn numbers_are_written_as_in_javascript() {
        assert_eq!((rounded(4.12, 1), rounded(0.001, 2), rounded(-1.0, 2)), (json!(4.1), json!(0), json!(-1)));
        assert_eq!(megabytes(1 << 20, f64::INFINITY), json!(0), "no rate before the second reading");
    }
}
