//! What is wrong with a user's own text.

/// What is wrong with a user's file, where, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {reason}")]
pub struct Mistake {
    pub file: String,
    /// From 1.
    pub line: usize,
    pub reason: String,
}

impl Mistake {
    /// Of a template, as the engine says it.
    pub fn of(origin: &str, e: &minijinja::Error) -> Self {
        let detail = e.detail().map(|d| format!(": {d}")).unwrap_or_default();
        Self {
            file: origin.into(),
            line: e.line().unwrap_or(1),
            reason: format!("{}{detail}", e.kind()),
        }
    }
}
