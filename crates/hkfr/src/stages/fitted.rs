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
        for system in config.systems() {
            let settings = match System::named(system) {
                Some(System::Llm(_)) => continue,
                Some(System::Hkfr { without, .. }) => {
                    super::hkfr::settings(config, task, without)?.as_settings()
                }
                None => {
                    let settings = config.systems.of(task, system);
                    systems::recipe(system, &settings, config.seed)?.settings()
                }
            };
            of_task.insert(system, settings);
        }
        fitted.insert(task.as_str(), of_task);
    }
    Ok(fitted)
}
