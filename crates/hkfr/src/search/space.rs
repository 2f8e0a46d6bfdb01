//! The space of settings: for each system its keys, for each key the values to try.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use hkfr_rec::systems::{SYSTEMS, Settings, recipe};
use rand::SeedableRng;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

/// What the search draws from; commented.
const BUILT_IN: &str = include_str!("space.toml");

/// Draws that a trial may take to differ from those before it.
const TRIES: usize = 200;

#[derive(Debug, Clone, PartialEq)]
pub struct Space(BTreeMap<String, BTreeMap<String, Vec<Value>>>);

impl Space {
    pub fn built_in() -> Self {
        Self::parse(BUILT_IN).expect("a test reads the built-in space")
    }

    /// The built-in space with the values of a file in place of its own, key by key.
    ///
    /// # Errors
    /// A file that cannot be read; a system, key or value that does not exist.
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs_err::read_to_string(path)?;
        let own = Self::parse(&text).with_context(|| path.display().to_string())?;
        let mut space = Self::built_in();
        for (system, keys) in own.0 {
            space.0.entry(system).or_default().extend(keys);
        }
        Ok(space)
    }

    /// # Errors
    /// No TOML of `[system]` tables with `key = [values]`; a value that its system refuses.
    pub fn parse(text: &str) -> Result<Self> {
        let space: BTreeMap<String, BTreeMap<String, Vec<Value>>> = toml::from_str(text)?;
        for (system, keys) in &space {
            ensure!(
                SYSTEMS.contains(&system.as_str()),
                "[{system}]: there is no such system"
            );
            for (key, values) in keys {
                ensure!(!values.is_empty(), "[{system}] {key}: no value to try");
                for value in values {
                    let one = Settings::from_iter([(key.clone(), value.clone())]);
                    recipe(system, &one, 0)
                        .with_context(|| format!("[{system}] {key} = {value}"))?;
                }
            }
        }
        Ok(Self(space))
    }

    /// As [`Space::parse`] reads it.
    ///
    /// # Errors
    /// None that a parsed space can have.
    pub fn toml(&self) -> Result<String> {
        Ok(toml::to_string(&self.0)?)
    }

    /// At most `n` distinct settings, fewer if the space has no more. The first takes the first
    /// value of every key, the others take values at random.
    ///
    /// # Errors
    /// Values that a system refuses together.
    pub fn draw(&self, system: &str, n: usize, seed: u64) -> Result<Vec<Settings>> {
        let none = BTreeMap::new();
        let keys = self.0.get(system).unwrap_or(&none);
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut seen = BTreeSet::new();
        let mut all = Vec::new();
        for attempt in 0..n * TRIES {
            let pick = |values: &Vec<Value>, rng: &mut ChaCha8Rng| match attempt {
                0 => values[0].clone(),
                _ => values.choose(rng).expect("not empty").clone(),
            };
            let settings: Settings = keys
                .iter()
                .map(|(key, values)| (key.clone(), pick(values, &mut rng)))
                .collect();
            if seen.insert(Value::Object(settings.clone()).to_string()) {
                recipe(system, &settings, 0)
                    .with_context(|| format!("[{system}] of the search space"))?;
                all.push(settings);
            }
            if all.len() == n {
                break;
            }
        }
        Ok(all)
    }
}
