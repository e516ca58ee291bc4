//! Where the output of one app goes, and in what form.

use std::path::PathBuf;

use serde::Serialize;
use serde_json::{Map, Value};

use super::date::DateFormat;
use super::format::Format;
use super::rotation::RotationSpec;
use crate::model::PmId;

/// Where the output of one app goes, and in what form.
#[derive(Debug, Clone)]
pub struct LogSpec {
    /// `None`: nothing is written (`/dev/null`, `NULL`).
    pub out: Option<PathBuf>,
    pub err: Option<PathBuf>,
    /// Gets both streams (`log_file`).
    pub combined: Option<PathBuf>,
    pub format: Format,
    /// `disable_logs`: neither file content nor bus; the files are created all the same.
    pub disabled: bool,
    pub rotation: RotationSpec,
    pub tag: Tag,
}

/// Who wrote it: the `process` of `log:out` and `log:err` events, in pm2's order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Tag {
    pub pm_id: PmId,
    pub name: String,
    /// The git revision, or null.
    pub rev: Option<String>,
    pub namespace: String,
}

impl LogSpec {
    /// Reads `pm_out_log_path`, `pm_err_log_path`, `pm_log_path`, `log_date_format`, `log_type`, `disable_logs`, `log_max_size`,
    /// `log_max_age`, `log_keep`, `log_compress`, `name`, `namespace`, `pm_id` and `versioning.revision` out of a `pm2_env` record. What is absent or unreadable is absent.
    pub fn from_record(record: &Map<String, Value>) -> LogSpec {
        let text = |key: &str| record.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
        let path = |key: &str| text(key).filter(|path| !matches!(*path, "/dev/null" | "NULL")).map(PathBuf::from);
        LogSpec {
            out: path("pm_out_log_path"),
            err: path("pm_err_log_path"),
            combined: path("pm_log_path"),
            format: Format {
                date: text("log_date_format").map(DateFormat::new),
                json: text("log_type") == Some("json"),
            },
            disabled: match record.get("disable_logs") {
                Some(Value::Bool(disabled)) => *disabled,
                Some(Value::String(text)) => text == "true",
                _ => false,
            },
            rotation: RotationSpec::from_record(record),
            tag: Tag::from_record(record),
        }
    }
}

impl Tag {
    /// Reads `pm_id`, `name`, `namespace` and `versioning.revision` out of a `pm2_env` record.
    pub fn from_record(record: &Map<String, Value>) -> Tag {
        let text = |key: &str| record.get(key).and_then(Value::as_str).map(str::to_owned);
        let id = match record.get("pm_id") {
            Some(Value::Number(id)) => id.as_u64().and_then(|id| u32::try_from(id).ok()),
            Some(Value::String(id)) => id.parse().ok(),
            _ => None,
        };
        let revision = record.get("versioning").and_then(|versioning| versioning.get("revision"));
        Tag {
            pm_id: PmId(id.unwrap_or(0)),
            name: text("name").unwrap_or_default(),
            rev: revision.and_then(Value::as_str).map(str::to_owned),
            namespace: text("namespace").unwrap_or_else(|| "default".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn spec(record: Value) -> LogSpec {
        let Value::Object(record) = record else { panic!("an object") };
        LogSpec::from_record(&record)
    }

    #[test]
    fn a_record_says_where_and_how() {
        let spec = spec(json!({
            "pm_id": 3, "name": "web", "namespace": "shop", "versioning": { "revision": "abc" },
            "pm_out_log_path": "/l/web-out.log", "pm_err_log_path": "/dev/null",
            "log_date_format": "YYYY", "log_type": "json",
        }));
        assert_eq!(spec.out, Some(PathBuf::from("/l/web-out.log")));
        assert_eq!((spec.err, spec.combined), (None, None));
        assert!(spec.format.json && spec.format.date.is_some() && !spec.disabled);
        let process = serde_json::to_string(&spec.tag).unwrap();
        assert_eq!(process, r#"{"pm_id":3,"name":"web","rev":"abc","namespace":"shop"}"#);
    }

    #[test]
    fn a_poor_record_is_no_error() {
        let spec =
            spec(json!({ "pm_out_log_path": "NULL", "log_date_format": "", "pm_id": "x", "disable_logs": true }));
        assert!(spec.out.is_none() && spec.format.date.is_none() && spec.disabled);
        assert_eq!((spec.tag.pm_id, spec.tag.namespace.as_str()), (PmId(0), "default"));
    }
}
