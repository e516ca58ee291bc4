//! The table as JSON Schema, for editors: `schema.json` at the repository root.

use serde_json::{Map, Value, json};

use super::table::{ENV_NAMED, FIELDS, Fallback, Field, Kind};
use super::value::{kind_name, number};

/// With this key a JSON file names its schema. It is no option, and means nothing to us.
pub(super) const KEY: &str = "$schema";

/// The schema of a config file (draft 7). Checked in as `schema.json`; a test keeps the two equal.
pub fn json_schema() -> Value {
    let mut properties = Map::new();
    properties.insert(KEY.to_owned(), json!({ "type": "string", "description": "what editors check this file with" }));
    for field in FIELDS {
        properties.insert(field.name.to_owned(), of_field(field));
        for alias in field.aliases {
            let mut schema = of_field(field);
            schema["description"] = Value::from(format!("same as `{}`: {}", field.name, field.text));
            if let Some(map) = schema.as_object_mut() {
                map.shift_remove("default");
            }
            properties.insert((*alias).to_owned(), schema);
        }
    }
    let variables = json!({ "type": "object", "description": ENV_NAMED.text });
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "pm2-rs config file",
        "anyOf": [
            { "$ref": "#/definitions/config" },
            { "$ref": "#/definitions/apps" },
            { "$ref": "#/definitions/app" }
        ],
        "definitions": {
            "apps": { "type": "array", "items": { "$ref": "#/definitions/app" } },
            "one_or_more": { "anyOf": [{ "$ref": "#/definitions/app" }, { "$ref": "#/definitions/apps" }] },
            "config": {
                "type": "object",
                "anyOf": [{ "required": ["apps"] }, { "required": ["pm2"] }, { "required": ["static"] }],
                "properties": {
                    "apps": { "$ref": "#/definitions/one_or_more" },
                    "pm2": {
                        "anyOf": [
                            { "$ref": "#/definitions/one_or_more" },
                            { "type": "object", "required": ["apps"],
                              "properties": { "apps": { "$ref": "#/definitions/one_or_more" } } }
                        ]
                    },
                    "deploy": { "type": "object", "additionalProperties": { "type": "object" } },
                    "static": { "type": ["array", "object"] }
                }
            },
            "app": {
                "type": "object",
                "properties": properties,
                "patternProperties": { r"^env_\S*$": variables },
                "additionalProperties": false
            }
        }
    })
}

fn of_field(field: &Field) -> Value {
    let mut kinds: Vec<Value> = field.kinds.iter().map(|kind| json!(kind_name(*kind).to_lowercase())).collect();
    // Numeric texts are numbers too, and lists of words may be one text.
    if field.kinds.contains(&Kind::Number) && !field.kinds.contains(&Kind::String) {
        kinds.push(json!("string"));
    }
    let mut schema = Map::new();
    schema.insert("description".to_owned(), Value::from(field.text));
    schema.insert("type".to_owned(), if kinds.len() == 1 { kinds.remove(0) } else { Value::Array(kinds) });
    if let Some(regex) = field.pattern.regex() {
        schema.insert("pattern".to_owned(), Value::from(regex));
    }
    if let Some(min) = field.min {
        schema.insert("minimum".to_owned(), number(min));
    }
    let default = match field.fallback {
        Fallback::Absent => None,
        Fallback::True => Some(json!(true)),
        Fallback::Number(n) => Some(number(n)),
        Fallback::Text(text) => Some(json!(text)),
        Fallback::EmptyList => Some(json!([])),
        Fallback::EmptyObject => Some(json!({})),
    };
    if let Some(default) = default {
        schema.insert("default".to_owned(), default);
    }
    Value::Object(schema)
}
