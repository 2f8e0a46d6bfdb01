//! With which settings the systems of a run are fitted.

use std::collections::BTreeMap;

use anyhow::Result;
use hkfr_rec::method::System;
use hkfr_rec::systems;

use crate::config::Config;

/// By task and system: all settings, the defaults too, of what is fitted without a language model.
pub(super) fn fitted(config: &Config) -> Result<BTreeMap<&str, BTreeMap<&str, systems::Settings>>> {
    let mut fitted = BTreeMap::new();
    for task in &config.recommend.tasks {
        let mut of_task = BTreeMap::new();
        for system in config.systems().filter(|s| systems::SYSTEMS.contains(s)) {
            let settings = config.systems.of(task, system);
            let recipe = systems::recipe(system, &settings, config.seed)?;
            of_task.insert(system, recipe.settings());
        }
        for system in config.systems() {
            if let Some(System::Hkfr { without, .. }) = System::named(system) {
                let hkfr = super::hkfr::settings(config, task, without)?;
                of_task.insert(system, hkfr.as_settings());
            }
        }
        fitted.insert(task.as_str(), of_task);
    }
    Ok(fitted)
}
