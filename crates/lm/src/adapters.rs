//! Adapters of one model by name, each loaded once: a request names the one it wants.
//!
//! ```no_run
//! use std::{path::Path, sync::Arc};
//! use hkfr_lm::{Adapters, Generator, Llama, Request, Vocabulary};
//!
//! # fn main() -> hkfr_lm::Result<()> {
//! let (model, tokenizer) = Llama::open(Path::new("model.gguf"))?;
//! let mut adapters = Adapters::default();
//! adapters.load("films", Path::new("adapters/films"), &model.config)?;
//! adapters.load("books", Path::new("adapters/books"), &model.config)?;
//! let mut generator = Generator::new(&model, None, Arc::new(Vocabulary::of(&tokenizer)));
//! generator.adapters = Some(&adapters);
//! let prefix = tokenizer.encode("Recommend one to a friend: ");
//! let ask = |adapter: Option<&str>| Request {
//!     adapter: adapter.map(Into::into),
//!     ..Request::default()
//! };
//! generator.generate(&prefix, vec![ask(Some("films")), ask(Some("books")), ask(None)])?;
//! # Ok(())
//! # }
//! ```

use std::collections::BTreeMap;
use std::path::Path;

use crate::adapter::load_adapter;
use crate::config::LlamaConfig;
use crate::error::{Error, Result};
use crate::lora::Lora;

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Adapters(BTreeMap<String, Lora>);

impl Adapters {
    /// Reads a PEFT directory; an adapter that has the name already is replaced.
    ///
    /// # Errors
    /// As [`load_adapter`].
    pub fn load(&mut self, name: &str, dir: &Path, model: &LlamaConfig) -> Result<()> {
        self.insert(name, load_adapter(dir, model)?);
        Ok(())
    }

    /// Takes an adapter that is in memory; one that has the name already is replaced.
    pub fn insert(&mut self, name: &str, lora: Lora) {
        self.0.insert(name.into(), lora);
    }

    /// # Errors
    /// If there is none of this name; the error lists those there are.
    pub fn get(&self, name: &str) -> Result<&Lora> {
        self.0.get(name).ok_or_else(|| unknown(name, self.names()))
    }

    /// Ascending.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

pub(crate) fn unknown<'a>(name: &str, loaded: impl Iterator<Item = &'a str>) -> Error {
    let mut loaded = loaded.collect::<Vec<_>>().join(", ");
    if loaded.is_empty() {
        loaded = "none".into();
    }
    Error::Config(format!("adapter {name:?} is not loaded; loaded: {loaded}"))
}
