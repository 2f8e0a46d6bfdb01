//! The rules that lists are scored by: [`Repeats`] and [`Ties`].

use crate::repeats::Repeats;
use crate::ties::Ties;

/// One for all systems of a table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    pub repeats: Repeats,
    pub ties: Ties,
}

/// With ties against the targets.
impl From<Repeats> for Policy {
    fn from(repeats: Repeats) -> Self {
        Self {
            repeats,
            ties: Ties::Against,
        }
    }
}
