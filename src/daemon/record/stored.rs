//! A record as the journal keeps it.
//!
//! Fields are only added, with a default: the next daemon may be an older or a newer one.

use std::collections::HashMap;
use std::rc::Rc;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::{Record, Said, Tree};
use crate::daemon::env_block::EnvBlock;
use crate::model::PmId;

/// A record as the journal keeps it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Stored {
    pub(crate) config: Map<String, Value>,
    /// The object as text: it is only passed on, and instances of one start have the same.
    pub(crate) env: Box<RawValue>,
    pub(crate) unique_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) own_env: Option<Map<String, Value>>,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) offset: i64,
    #[serde(default)]
    pub(crate) version: Option<String>,
    #[serde(default)]
    pub(crate) monitored: Option<bool>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_zero(offset: &i64) -> bool {
    *offset == 0
}

/// What the app said and the tree that was signalled, as the journal keeps them: without the metrics, which are said
/// again every second.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct StoredSaid {
    #[serde(default)]
    pub(crate) actions: Vec<(Box<str>, Box<RawValue>)>,
    #[serde(default)]
    pub(crate) options: Vec<(Box<str>, Box<RawValue>)>,
    #[serde(default)]
    pub(crate) node_version: Option<Box<str>>,
    #[serde(default)]
    pub(crate) tree: Option<Tree>,
}

impl Record {
    pub(crate) fn to_stored(&self) -> Stored {
        Stored {
            config: self.config.clone(),
            env: self.env.to_raw(),
            unique_id: self.unique_id.to_string(),
            own_env: self.own_env_map(),
            offset: self.offset,
            version: self.version.as_deref().map(str::to_owned),
            monitored: self.monitored,
        }
    }

    /// What changes while the process runs.
    pub(crate) fn to_stored_said(&self) -> StoredSaid {
        StoredSaid {
            actions: self.said.actions.clone(),
            options: self.said.options.clone(),
            node_version: self.said.node_version.clone(),
            tree: self.tree.clone(),
        }
    }

    /// `blocks` are the environments that others have already: the same one is not made again.
    pub(crate) fn from_stored(
        id: PmId,
        stored: Stored,
        said: Option<StoredSaid>,
        blocks: &mut HashMap<Box<str>, Rc<EnvBlock>>,
    ) -> Record {
        let known = blocks.get(stored.env.get()).map(Rc::clone);
        let env = known.unwrap_or_else(|| {
            let block = EnvBlock::from_json(stored.env.get());
            blocks.insert(stored.env.get().into(), Rc::clone(&block));
            block
        });
        let mut record = Record::new(id, stored.config, env, &stored.unique_id);
        record.set_own_env(stored.own_env.as_ref().map(super::own_text));
        record.offset = stored.offset;
        record.version = stored.version.map(Rc::from);
        record.monitored = stored.monitored;
        if let Some(said) = said {
            record.tree = said.tree;
            record.said = Said {
                actions: said.actions,
                monitor: Vec::new(),
                options: said.options,
                node_version: said.node_version,
            };
        }
        record
    }
}
