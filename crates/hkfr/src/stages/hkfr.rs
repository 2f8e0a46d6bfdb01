//! The ranker of a config: its settings, with those of its sources.

use anyhow::Result;
use hkfr_rec::method::{Group, HkfrConfig, System};
use hkfr_rec::systems::Settings;

use crate::config::Config;

/// Whether a system is the ranker or an ablation of it.
pub fn is_ranker(system: &str) -> bool {
    matches!(System::named(system), Some(System::Hkfr { .. }))
}

/// The settings of the ranker for a task: its own, and for each source those of the system that it is, where its own
/// say nothing else.
///
/// # Errors
/// An unknown key; a value of the wrong type or out of its range.
pub fn settings(config: &Config, task: &str, without: Option<Group>) -> Result<HkfrConfig> {
    let own = config.systems.of(task, "hkfr");
    let mut hkfr = HkfrConfig::read(&own, config.seed)?;
    for source in &mut hkfr.sources {
        let mut of_system: Settings = config.systems.of(task, &source.system);
        of_system.extend(std::mem::take(&mut source.settings));
        source.settings = of_system;
    }
    hkfr.without.extend(without);
    Ok(hkfr)
}
