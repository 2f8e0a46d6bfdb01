//! `[data]`: what is read. The adapters' own keys stand in `[data.options]` and are those of
//! [`hkfr_events::adapters`]; `[split]` is [`hkfr_events::split::SplitConfig`] itself.

use std::path::{Path, PathBuf};

use hkfr_events::adapters::IngestConfig;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Adapter {
    CompleteJourney,
    Recbole,
    Sequences,
    Entree,
    Mapping,
}

impl Adapter {
    /// The asset that is fetched where `data.path` is absent; `None`: a path is required.
    pub fn asset(self) -> Option<&'static str> {
        match self {
            Self::CompleteJourney => Some("complete-journey"),
            Self::Recbole => Some("ml-100k"),
            Self::Sequences | Self::Entree | Self::Mapping => None,
        }
    }

    /// As it is written in a config.
    pub fn name(self) -> &'static str {
        match self {
            Self::CompleteJourney => "complete-journey",
            Self::Recbole => "recbole",
            Self::Sequences => "sequences",
            Self::Entree => "entree",
            Self::Mapping => "mapping",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DataConfig {
    pub adapter: Adapter,
    pub path: Option<PathBuf>,
    pub strict: bool,
    /// It decides no byte of what is written, so that no result depends on it.
    #[serde(skip_serializing)]
    pub memory_mb: u32,
    pub options: toml::Table,
}

impl Default for DataConfig {
    fn default() -> Self {
        Self {
            adapter: Adapter::CompleteJourney,
            path: None,
            strict: false,
            memory_mb: 1024,
            options: toml::Table::new(),
        }
    }
}

impl DataConfig {
    /// The adapter with its options, reading from `dir`; an option it does not have is an error.
    pub fn adapter_config(&self, dir: &Path) -> Result<IngestConfig, toml::de::Error> {
        let mut table = self.options.clone();
        table.insert("format".into(), self.adapter.name().into());
        table.insert("dir".into(), dir.to_string_lossy().into_owned().into());
        table.try_into()
    }
}
