//! A tree in flat arrays, and how rows go through it.

use serde::{Deserialize, Serialize};

use super::split::Split;

/// Rows that go through a tree side by side, so that one's loads hide behind another's.
const LANES: usize = 8;

/// Splits are numbered from 0, the root; leaves go on after them. Both children of a split have larger numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Tree {
    /// By split.
    features: Vec<u16>,
    /// By split: a value at most so large goes left.
    thresholds: Vec<f32>,
    /// By split: where a missing value goes.
    missing_right: Vec<bool>,
    /// By split: the numbers of the left child and the right one.
    children: Vec<[u16; 2]>,
    /// By split.
    gains: Vec<f32>,
    /// By leaf.
    values: Vec<f32>,
    /// The same once more, as scoring reads it.
    #[serde(skip)]
    nodes: Vec<Node>,
    /// Splits between the root and the farthest leaf.
    #[serde(skip)]
    depth: usize,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Node {
    threshold: f32,
    feature: u16,
    missing_right: bool,
    /// A leaf's are the leaf itself: rows that have arrived wait there for the others.
    children: [u16; 2],
}

impl Tree {
    /// Fills what scoring reads. Returns what is wrong with the arrays, if they are no tree over `n_features`.
    pub fn pack(&mut self, n_features: usize) -> Result<(), &'static str> {
        let n = self.features.len();
        let lengths = [
            self.thresholds.len(),
            self.missing_right.len(),
            self.children.len(),
            self.gains.len(),
        ];
        if lengths != [n; 4] || self.values.len() != n + 1 || 2 * n >= usize::from(u16::MAX) {
            return Err("the arrays of a tree differ in length");
        }
        if self.features.iter().any(|&f| usize::from(f) >= n_features) {
            return Err("a split by a feature that there is not");
        }
        let numbers = self.thresholds.iter().chain(&self.values);
        if !numbers.chain(&self.gains).all(|x| x.is_finite()) {
            return Err("a threshold, gain or value is not finite");
        }
        let mut depths = vec![None; 2 * n + 1];
        depths[0] = Some(0);
        for (at, children) in self.children.iter().enumerate() {
            for &child in children {
                let child = usize::from(child);
                let fresh = child > at && depths.get(child) == Some(&None);
                let Some(depth) = depths[at].filter(|_| fresh) else {
                    return Err("the children of a split are not in order");
                };
                depths[child] = Some(depth + 1);
            }
        }
        self.depth = depths.into_iter().flatten().max().unwrap_or(0);
        let splits = (0..n).map(|i| Node {
            threshold: self.thresholds[i],
            feature: self.features[i],
            missing_right: self.missing_right[i],
            children: self.children[i],
        });
        let leaves = (n..=2 * n).map(|leaf| Node {
            threshold: 0.0,
            feature: 0,
            missing_right: false,
            children: [leaf as u16; 2],
        });
        self.nodes = splits.chain(leaves).collect();
        Ok(())
    }

    pub fn n_splits(&self) -> usize {
        self.features.len()
    }

    pub fn value(&self, leaf: usize) -> f32 {
        self.values[leaf]
    }

    /// (feature, gain) of every split.
    pub fn gains(&self) -> impl Iterator<Item = (usize, f64)> {
        let gains = self.gains.iter().map(|&gain| f64::from(gain));
        self.features.iter().map(|&f| usize::from(f)).zip(gains)
    }

    /// The value of the leaf where a row arrives of which `goes_right` says at each split where it goes.
    pub fn follow(&self, goes_right: impl Fn(usize) -> bool) -> f32 {
        let mut at = 0;
        while at < self.n_splits() {
            at = usize::from(self.children[at][usize::from(goes_right(at))]);
        }
        self.values[at - self.n_splits()]
    }

    /// Adds to `out` the value of each of `rows` (out.len(), n_features).
    pub fn add(&self, n_features: usize, rows: &[f32], out: &mut [f32]) {
        let nodes = self.nodes.as_slice();
        let step = |row: &[f32], at: usize| {
            let node = &nodes[at];
            let x = row[node.feature as usize];
            let right = (x > node.threshold) | (x.is_nan() & node.missing_right);
            node.children[usize::from(right)] as usize
        };
        let whole = out.len() - out.len() % LANES;
        let (out, out_rest) = out.split_at_mut(whole);
        let (rows, rows_rest) = rows.split_at(whole * n_features);
        let groups = rows.chunks_exact(n_features * LANES);
        for (rows, out) in groups.zip(out.chunks_exact_mut(LANES)) {
            let mut at = [0; LANES];
            for _ in 0..self.depth {
                for (at, row) in at.iter_mut().zip(rows.chunks_exact(n_features)) {
                    *at = step(row, *at);
                }
            }
            for (out, at) in out.iter_mut().zip(at) {
                *out += self.values[at - self.n_splits()];
            }
        }
        for (row, out) in rows_rest.chunks_exact(n_features).zip(out_rest) {
            let at = (0..self.depth).fold(0, |at, _| step(row, at));
            *out += self.values[at - self.n_splits()];
        }
    }
}

/// A tree that is being grown: leaves are numbered apart from splits, from 0, and the left part of a split leaf keeps
/// its number.
#[derive(Default)]
pub(super) struct TreeBuilder {
    features: Vec<u16>,
    thresholds: Vec<f32>,
    missing_right: Vec<bool>,
    gains: Vec<f32>,
    children: Vec<[Child; 2]>,
    /// By leaf: the split above it and the side.
    above: Vec<Option<(usize, usize)>>,
}

#[derive(Clone, Copy)]
enum Child {
    Split(usize),
    Leaf(usize),
}

impl TreeBuilder {
    pub fn split(&mut self, leaf: usize, feature: usize, threshold: f32, split: &Split) {
        let (at, fresh) = (self.features.len(), self.features.len() + 1);
        if self.above.is_empty() {
            self.above.push(None);
        }
        if let Some((parent, side)) = self.above[leaf] {
            self.children[parent][side] = Child::Split(at);
        }
        self.above[leaf] = Some((at, 0));
        self.above.push(Some((at, 1)));
        self.children.push([Child::Leaf(leaf), Child::Leaf(fresh)]);
        self.features.push(feature as u16);
        self.thresholds.push(threshold);
        self.missing_right.push(split.missing_right);
        self.gains.push(split.gain as f32);
    }

    /// `values` by leaf. Not yet packed.
    pub fn build(self, values: Vec<f32>) -> Tree {
        let n = self.features.len();
        let number = |child| match child {
            Child::Split(at) => at as u16,
            Child::Leaf(at) => (n + at) as u16,
        };
        Tree {
            features: self.features,
            thresholds: self.thresholds,
            missing_right: self.missing_right,
            children: self.children.iter().map(|c| c.map(number)).collect(),
            gains: self.gains,
            values,
            nodes: Vec::new(),
            depth: 0,
        }
    }
}
