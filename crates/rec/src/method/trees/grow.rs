//! One tree, grown leaf by leaf: the leaf whose best split gains most is split next (Ke et al. 2017).

use std::ops::Range;

use hkfr_lm::Pool;

use super::TreesConfig;
use super::histogram::{Layout, Sums};
use super::split::{Limits, Split};
use super::tree::{Tree, TreeBuilder};

/// Rows whose gradients are copied by one thread at a time.
const CHUNK: usize = 16_384;

/// A tree and where it puts the rows it was fitted to.
pub(super) struct Grown {
    pub tree: Tree,
    splits: Vec<Split>,
    /// By leaf: its part of the rows.
    pub leaves: Vec<Range<usize>>,
}

impl Grown {
    /// The value that the tree gives to a training row, whether it was fitted to it or not.
    pub fn value_of(&self, layout: &Layout, row: usize) -> f32 {
        self.tree.follow(|node| {
            let split = &self.splits[node];
            split.goes_right(layout.features[split.slot].1.bins[row])
        })
    }
}

struct Leaf {
    rows: Range<usize>,
    sums: Sums,
    /// Empty if the leaf is too small to be split.
    histogram: Vec<Sums>,
    best: Option<Split>,
}

/// Fits a tree to `rows` (sorted into its leaves on return); `gradients` by training row.
pub(super) fn grow(
    layout: &Layout,
    gradients: &[[f32; 4]],
    rows: &mut [u32],
    config: &TreesConfig,
    pool: &mut Pool,
) -> Grown {
    let limits = Limits::new(config);
    let mut buffers = Buffers::default();
    let root = limits.may_split(rows.len()).then(|| {
        let histogram = buffers.histogram(layout, gradients, rows, pool);
        // Every feature has all rows in its bins.
        let of_first = &histogram[..layout.starts[1]];
        let sums = of_first.iter().fold(Sums::default(), |a, &b| a.plus(b));
        let best = limits.best(layout, &histogram, sums);
        (sums, histogram, best)
    });
    let (sums, histogram, best) = root.unwrap_or_default();
    let mut leaves = vec![Leaf {
        rows: 0..rows.len(),
        sums,
        histogram,
        best,
    }];
    let mut splits = Vec::new();
    let mut builder = TreeBuilder::default();
    while leaves.len() < config.leaves {
        let Some((at, split)) = take_best(&mut leaves) else {
            break;
        };
        let leaf = &mut leaves[at];
        let (all, first) = (leaf.rows.clone(), leaf.rows.start);
        let parent = std::mem::take(&mut leaf.histogram);
        let (feature, column) = layout.features[split.slot];
        let n_left = buffers.part(&mut rows[all.clone()], &column.bins, &split);
        let middle = first + n_left;
        let [mut left, mut right] = [(first..middle, split.left), (middle..all.end, split.right)]
            .map(|(rows, sums)| Leaf {
                rows,
                sums,
                histogram: Vec::new(),
                best: None,
            });
        let is_last = leaves.len() + 1 == config.leaves;
        let (small, large) = if left.rows.len() <= right.rows.len() {
            (&mut left, &mut right)
        } else {
            (&mut right, &mut left)
        };
        if !is_last && limits.may_split(large.rows.len()) {
            small.histogram = buffers.histogram(layout, gradients, &rows[small.rows.clone()], pool);
            large.histogram = parent;
            for (sums, other) in large.histogram.iter_mut().zip(&small.histogram) {
                *sums = sums.less(*other);
            }
            for leaf in [small, large] {
                if limits.may_split(leaf.rows.len()) {
                    leaf.best = limits.best(layout, &leaf.histogram, leaf.sums);
                }
            }
        }
        builder.split(at, feature, column.edge(split.bin), &split);
        leaves[at] = left;
        leaves.push(right);
        splits.push(split);
    }
    let rate = f64::from(config.learning_rate);
    // A tree that splits nothing tells nothing apart.
    let value = |leaf: &Leaf| match leaves.len() {
        1 => 0.0,
        _ => (rate * limits.value(leaf.sums)) as f32,
    };
    Grown {
        tree: builder.build(leaves.iter().map(value).collect()),
        splits,
        leaves: leaves.into_iter().map(|leaf| leaf.rows).collect(),
    }
}

/// The leaf that gains most, the first of equal ones, and its split.
fn take_best(leaves: &mut [Leaf]) -> Option<(usize, Split)> {
    let mut most: Option<(usize, f64)> = None;
    for (at, leaf) in leaves.iter().enumerate() {
        if let Some(split) = &leaf.best
            && most.is_none_or(|(_, gain)| split.gain > gain)
        {
            most = Some((at, split.gain));
        }
    }
    let (at, _) = most?;
    Some((at, leaves[at].best.take()?))
}

#[derive(Default)]
struct Buffers {
    /// Of the rows of a leaf, in their order.
    gradients: Vec<[f32; 4]>,
    right: Vec<u32>,
}

impl Buffers {
    fn histogram(
        &mut self,
        layout: &Layout,
        gradients: &[[f32; 4]],
        rows: &[u32],
        pool: &mut Pool,
    ) -> Vec<Sums> {
        self.gradients.resize(rows.len(), [0.0; 4]);
        let parts = self.gradients.chunks_mut(CHUNK).zip(rows.chunks(CHUNK));
        pool.each(parts.collect(), |(out, rows): (&mut [[f32; 4]], &[u32])| {
            for (out, &row) in out.iter_mut().zip(rows) {
                *out = gradients[row as usize];
            }
        });
        layout.add_up(rows, &self.gradients, pool)
    }

    /// Moves those that go right behind the others, both in their order; returns how many go left.
    fn part(&mut self, rows: &mut [u32], bins: &[u8], split: &Split) -> usize {
        let mut goes_right = [0; 256];
        for (bin, right) in (0..=255).zip(&mut goes_right) {
            *right = usize::from(split.goes_right(bin));
        }
        self.right.resize(self.right.len().max(rows.len()), 0);
        let (mut n_left, mut n_right) = (0, 0);
        for at in 0..rows.len() {
            let row = rows[at];
            let right = goes_right[bins[row as usize] as usize];
            rows[n_left] = row;
            self.right[n_right] = row;
            n_left += 1 - right;
            n_right += right;
        }
        rows[n_left..].copy_from_slice(&self.right[..n_right]);
        n_left
    }
}
