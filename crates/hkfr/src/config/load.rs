//! TOML text → [`Config`], with errors that name file, line and the nearest key.
//!
//! `configs/x.toml:12: unknown key "horizn_days" in [split]; did you mean "horizon_days"?`

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use super::hint::nearest;
use super::{Config, SystemsConfig, check};

#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("{path}: {source}; `hkfr config --defaults > {path}` writes a file to start from", path = path.display())]
    Read {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{path}:{line}: {reason}", path = path.display())]
    Bad {
        path: PathBuf,
        /// From 1.
        line: usize,
        reason: String,
    },
}

/// Reads, checks and resolves the config at `path`.
pub fn load(path: &Path) -> Result<Config, ConfigError> {
    let mut config = parse(&read(path)?, path)?;
    config.resolve_paths(path.parent().unwrap_or(Path::new("")));
    if let Some(path) = &config.recommend.settings {
        let text = read(path)?;
        let settings: SystemsConfig = typed(&text, path)?;
        sound(check::systems(&settings, ""), &text, path)?;
        config.systems.fill_from(settings);
    }
    Ok(config)
}

fn read(path: &Path) -> Result<String, ConfigError> {
    let bytes = std::fs::read(path).map_err(|source| ConfigError::Read {
        path: path.into(),
        source,
    })?;
    String::from_utf8(bytes).map_err(|e| {
        let good = &e.as_bytes()[..e.utf8_error().valid_up_to()];
        ConfigError::Bad {
            path: path.into(),
            line: 1 + good.iter().filter(|&&b| b == b'\n').count(),
            reason: "is not UTF-8; save the file as UTF-8 text".into(),
        }
    })
}

/// `path` is only named in errors.
pub fn parse(text: &str, path: &Path) -> Result<Config, ConfigError> {
    let config = typed(text, path)?;
    sound(check::check(&config), text, path)?;
    Ok(config)
}

fn typed<T: DeserializeOwned>(text: &str, path: &Path) -> Result<T, ConfigError> {
    toml::from_str(text).map_err(|e| {
        let at = e.span().map_or(0, |s| s.start).min(text.len());
        ConfigError::Bad {
            path: path.into(),
            line: line_at(text, at),
            reason: explain(text, at, e.message()),
        }
    })
}

/// A finding with the line that it is about.
fn sound(checked: Result<(), check::Finding>, text: &str, path: &Path) -> Result<(), ConfigError> {
    checked.map_err(|f| {
        let place = match (f.section.as_str(), f.key.as_str()) {
            ("", key) => key.to_owned(),
            (section, "") => format!("[{section}]"),
            (section, key) => format!("[{section}] {key}"),
        };
        ConfigError::Bad {
            path: path.into(),
            line: line_of(text, &f.section, &f.key),
            reason: format!("{place}: {}", f.reason),
        }
    })
}

fn line_at(text: &str, at: usize) -> usize {
    1 + text.as_bytes()[..at]
        .iter()
        .filter(|&&b| b == b'\n')
        .count()
}

/// Says it in the words of a config: section and key, and the nearest known one.
fn explain(text: &str, at: usize, message: &str) -> String {
    // serde: "unknown field `x`, expected one of `a`, `b`". The first quoted word is what was
    // typed, the others are what is known.
    let mut quoted = message.split('`').skip(1).step_by(2);
    let line = text.lines().nth(line_at(text, at) - 1).unwrap_or("").trim();
    let (typed, known) = (quoted.next().unwrap_or(""), quoted);
    if message.starts_with("unknown field") {
        let hint = nearest(typed, known);
        if line.starts_with('[') {
            return format!("unknown section [{typed}]{hint}");
        }
        let place = section_at(text, at).map_or("at the top level".into(), |s| format!("in [{s}]"));
        return format!("unknown key \"{typed}\" {place}{hint}");
    }
    let key = line.split('=').next().unwrap_or("").trim();
    let place = match section_at(text, at) {
        Some(s) if line.contains('=') => format!("[{s}] {key}: "),
        None if line.contains('=') => format!("{key}: "),
        _ => String::new(),
    };
    if message.starts_with("unknown variant") {
        let known: Vec<&str> = known.collect();
        let hint = nearest(typed, known.iter().copied());
        return format!(
            "{place}unknown value \"{typed}\"{hint} (one of {})",
            known.join(", ")
        );
    }
    format!("{place}{}", message.trim())
}

/// The name of the section that encloses the byte `at`.
fn section_at(text: &str, at: usize) -> Option<&str> {
    text.lines()
        .take(line_at(text, at))
        .filter_map(header)
        .last()
}

fn header(line: &str) -> Option<&str> {
    let name = line.trim().strip_prefix('[')?;
    // A list of tables has its name in two pairs.
    Some(name[..name.find(']')?].trim_start_matches('[').trim())
}

/// Where a key is set; where it is not, its section's header, or line 1.
fn line_of(text: &str, section: &str, key: &str) -> usize {
    let mut current = "";
    let mut header_line = 1;
    for (i, line) in text.lines().enumerate() {
        if let Some(name) = header(line) {
            current = name;
            if current == section {
                header_line = i + 1;
            }
        } else if current == section && line.split_once('=').is_some_and(|(k, _)| k.trim() == key) {
            return i + 1;
        }
    }
    header_line
}
