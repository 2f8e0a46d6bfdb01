//! The models of a run: where they lie, what their files hold, and the language model in memory.
//!
//! Each is an asset's name or a path: a directory as Hugging Face lays it out or, for the language model,
//! a `.gguf` file. Where it lies is no part of a stage's input: what its files hold is, and what it is called
//! where that is written down.

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail};
use hkfr_lm::{Bits, ChatLayout, Gguf, Llama, QuantModel, Tokenizer};

use super::Session;
use crate::config::{Config, ModelsConfig, model_path};
use crate::digest;
use crate::fetch::{self, Asset};

pub struct Model {
    pub llama: Arc<Llama>,
    pub tokenizer: Arc<Tokenizer>,
    pub chat: Arc<ChatLayout>,
    /// Its weights as `[models] decoder_bits` rounds them; `None`: 32 bits.
    pub rounded: Option<Arc<QuantModel>>,
}

impl Session {
    /// The language model, loaded once.
    pub fn model(&mut self) -> Result<Rc<Model>> {
        if let Some(model) = &self.model {
            return Ok(Rc::clone(model));
        }
        let path = self.llm_path()?;
        let (mut llama, tokenizer) = Llama::open(&path)?;
        let tokenizer = Arc::new(tokenizer);
        let chat = ChatLayout::open(&path, Arc::clone(&tokenizer)).with_context(|| {
            format!(
                "{}: neither ChatML nor a chat template of its own",
                path.display()
            )
        })?;
        let bits = match self.config.models.decoder_bits {
            4 => Some(Bits::Four),
            8 => Some(Bits::Eight),
            _ => None,
        };
        let rounded = bits
            .map(|bits| QuantModel::new(&llama, bits))
            .transpose()
            .context("[models] decoder_bits: this model needs 32")?;
        llama.set_precision(self.config.models.precision);
        let model = Rc::new(Model {
            llama: Arc::new(llama),
            tokenizer,
            chat: Arc::new(chat),
            rounded: rounded.map(Arc::new),
        });
        self.model = Some(Rc::clone(&model));
        Ok(model)
    }

    /// The file or directory of the language model; fetched if it is an asset.
    pub fn llm_path(&mut self) -> Result<PathBuf> {
        self.obtain(Which::Llm)
    }

    /// The directory of the text encoder; fetched if it is an asset.
    pub fn encoder_path(&mut self) -> Result<PathBuf> {
        self.obtain(Which::Encoder)
    }

    fn obtain(&mut self, which: Which) -> Result<PathBuf> {
        let name = which.name(&self.config.models);
        if let Some(path) = model_path(name) {
            files(which, path)?;
            return Ok(path.to_owned());
        }
        let asset = fetch::find(&self.assets, name)?;
        let dir = self.fetcher.obtain(asset)?;
        let gguf = asset.files.iter().find(|f| f.name.ends_with(".gguf"));
        Ok(gguf.map_or_else(|| dir.clone(), |f| dir.join(&f.name)))
    }

    /// What goes into the input hash of a stage that reads the language model.
    pub fn llm_fingerprint(&self) -> Result<String> {
        self.fingerprint(Which::Llm)
    }

    /// What goes into the input hash of a stage that reads the text encoder.
    pub fn encoder_fingerprint(&self) -> Result<String> {
        self.fingerprint(Which::Encoder)
    }

    fn fingerprint(&self, which: Which) -> Result<String> {
        let name = which.name(&self.config.models);
        let Some(path) = model_path(name) else {
            return self.asset_fingerprint(name);
        };
        let cache = self.fetcher.cache();
        let hashes: Vec<String> = files(which, path)?
            .iter()
            .map(|file| cache.digest(file))
            .collect::<Result<_>>()?;
        Ok(digest::of_text(&hashes.join("\n")))
    }

    /// The name of the language model's directory, under which its knowledge is stored; `None`: a file,
    /// whose name is in its contents.
    pub fn llm_dir_name(&self) -> Option<String> {
        let path = model_path(&self.config.models.llm).filter(|p| p.is_dir())?;
        let full = fs_err::canonicalize(path).ok()?;
        Some(full.file_name()?.to_string_lossy().into_owned())
    }

    /// The name by which `peft` finds the language model.
    pub fn base_model(&self) -> Result<String> {
        let name = &self.config.models.llm;
        if let Some(path) = model_path(name) {
            return base_model_of(path);
        }
        let asset = fetch::find(&self.assets, name)?;
        let id = asset.base_model.as_ref().or(asset.hub.as_ref());
        Ok(id.unwrap_or(&asset.name).clone())
    }
}

/// The tokenizer of a language model, whose weights stay where they are.
pub fn open_tokenizer(path: &Path) -> Result<Tokenizer> {
    Ok(if path.is_dir() {
        Tokenizer::from_json(&path.join("tokenizer.json"))?
    } else if path.extension().is_some_and(|e| e == "gguf") {
        Tokenizer::from_gguf(&Gguf::open(path)?)?
    } else {
        Tokenizer::from_json(path)?
    })
}

/// A misspelt asset is an error of the config, and not of the stage that would load it.
pub fn check_asset_names(config: &Config) -> Result<()> {
    let assets = fetch::assets()?;
    for which in [Which::Llm, Which::Encoder] {
        let name = which.name(&config.models);
        if model_path(name).is_none() {
            let key = which.key();
            fetch::find(&assets, name)
                .map_err(|e| anyhow!("[models] {key}: {e}; a path has a / in it"))?;
        }
    }
    Ok(())
}

/// The models of a run.
#[derive(Clone, Copy, PartialEq)]
enum Which {
    Llm,
    Encoder,
}

impl Which {
    fn key(self) -> &'static str {
        match self {
            Self::Llm => "llm",
            Self::Encoder => "encoder",
        }
    }

    fn name(self, models: &ModelsConfig) -> &str {
        match self {
            Self::Llm => &models.llm,
            Self::Encoder => &models.encoder,
        }
    }
}

/// `_name_or_path` of a directory's `config.json`; where it has none, and of a file, the path.
fn base_model_of(path: &Path) -> Result<String> {
    if path.is_dir() {
        let file = path.join("config.json");
        let config: serde_json::Value = serde_json::from_slice(&fs_err::read(&file)?)
            .with_context(|| format!("{} is damaged: fetch it again", file.display()))?;
        if let Some(name) = config["_name_or_path"].as_str().filter(|n| !n.is_empty()) {
            return Ok(name.to_owned());
        }
    }
    Ok(std::path::absolute(path)?.to_string_lossy().into_owned())
}

/// The files that make up the model at `path`, in the order of their names.
fn files(which: Which, path: &Path) -> Result<Vec<PathBuf>> {
    let (key, shown) = (which.key(), path.display());
    let expected = match which {
        Which::Llm => "a .gguf file or a Hugging Face directory",
        Which::Encoder => "a Hugging Face directory",
    };
    if !path.exists() {
        bail!(
            "[models] {key}: {shown} does not exist; give an asset's name (`hkfr fetch --list`), {expected}"
        );
    }
    if !path.is_dir() {
        if which == Which::Llm {
            return Ok(vec![path.to_owned()]);
        }
        bail!("[models] {key}: {shown} is a file; give {expected}");
    }
    let mut names = Vec::new();
    for entry in fs_err::read_dir(path)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    let has = |name: &str| names.iter().any(|n| n == name);
    let weights = |n: &str| n.ends_with(".safetensors");
    for (there, what) in [
        (has("config.json"), "config.json"),
        (has("tokenizer.json"), "tokenizer.json"),
        (names.iter().any(|n| weights(n)), "model.safetensors"),
    ] {
        if !there {
            let gguf = names.iter().find(|n| n.ends_with(".gguf"));
            let gguf = gguf.filter(|_| which == Which::Llm);
            let remedy = match gguf {
                Some(name) => format!("name the file in it: {}", path.join(name).display()),
                None => "lay all files of the model into it".to_owned(),
            };
            bail!("[models] {key}: the directory {shown} lacks {what}; {remedy}");
        }
    }
    let read = [
        "config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "chat_template.jinja",
        "model.safetensors.index.json",
    ];
    names.retain(|n| weights(n) || read.contains(&&**n));
    Ok(names.iter().map(|n| path.join(n)).collect())
}

/// The assets that a run of this config reads.
pub fn assets_of<'a>(config: &Config, assets: &'a [Asset]) -> Result<Vec<&'a Asset>> {
    let mut names = Vec::new();
    if config.data.path.is_none() {
        names.extend(config.data.adapter.asset());
    }
    if !config.llms().is_empty() {
        names.push(&config.models.llm);
    }
    if config.has_item_head() {
        names.push(&config.models.encoder);
    }
    let names = names.into_iter().filter(|n| model_path(n).is_none());
    names.map(|name| fetch::find(assets, name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_named_by_its_config_or_its_place() {
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("config.json");
        std::fs::write(&config, r#"{"_name_or_path": "org/model"}"#).unwrap();
        assert_eq!(base_model_of(dir.path()).unwrap(), "org/model");
        std::fs::write(&config, r#"{"_name_or_path": ""}"#).unwrap();
        assert_eq!(
            base_model_of(dir.path()).unwrap(),
            dir.path().to_string_lossy()
        );
    }

    #[test]
    fn what_a_model_lacks_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let error = |path: &Path| files(Which::Llm, path).unwrap_err().to_string();
        let missing = error(&dir.path().join("no"));
        assert!(
            missing.contains("no does not exist; give an asset's name"),
            "{missing}"
        );
        for (lacks, then) in [
            ("lacks config.json; lay all files", "config.json"),
            ("lacks tokenizer.json", "tokenizer.json"),
            ("lacks model.safetensors", "m.gguf"),
            ("/m.gguf", "model.safetensors"),
        ] {
            let error = error(dir.path());
            assert!(error.contains(lacks), "{error}");
            std::fs::write(dir.path().join(then), "").unwrap();
        }
        assert_eq!(files(Which::Llm, dir.path()).unwrap().len(), 3);
    }
}
