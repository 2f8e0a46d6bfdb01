//! Candidates of one score, and the targets among them.

/// Equal scores that hold targets, in random order. A score of its own is a group of one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TieGroup {
    /// Items before the group.
    pub before: u32,
    pub size: u32,
    pub n_targets: u32,
    /// Sum of the gains of those targets.
    pub gain: f64,
}

impl TieGroup {
    /// The group's places within the first k, from 1.
    pub(crate) fn places(&self, k: u32) -> impl Iterator<Item = u32> + use<> {
        let before = self.before;
        let within = self.size.min(k.saturating_sub(before));
        (1..=within).map(move |p| before + p)
    }

    /// Place and chance of the group's first target, within the first k.
    pub(crate) fn first(&self, k: u32) -> impl Iterator<Item = (u32, f64)> + use<> {
        let (mut none_yet, mut left) = (1.0, f64::from(self.size));
        let targets = f64::from(self.n_targets);
        self.places(k).map(move |place| {
            let here = none_yet * (targets / left).min(1.0);
            none_yet -= here;
            left -= 1.0;
            (place, here)
        })
    }

    /// Chance that a place holds a target.
    pub(crate) fn density(&self) -> f64 {
        f64::from(self.n_targets) / f64::from(self.size)
    }
}
