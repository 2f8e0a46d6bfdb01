//! Item vectors → learnt positions → blocks → hidden states: what SASRec, eSASRec and BERT4Rec share.
//!
//! Positions count from the end, the last item being 0, as in the references that pad on the left.

use std::ops::Range;

use super::block::{Block, TransformerConfig};
use super::layers::{Dropout, Norm, Pass, add, copy, zeros};
use super::layout::{Init, Layout, check_sizes};
use super::ligr::LigrBlock;
use super::network::Network;
use super::packed::Packed;
use super::sasrec::SasRecBlock;
use crate::error::{Error, Result};

/// SASRec (Kang & McAuley, arXiv 1808.09781).
pub type SasRec = Transformer<SasRecBlock>;
/// eSASRec (arXiv 2508.06450).
pub type ESasRec = Transformer<LigrBlock>;

pub struct Transformer<B> {
    pub config: TransformerConfig,
    pub(super) layout: Layout,
    positions: Range<usize>,
    first_norm: Option<Norm>,
    blocks: Vec<B>,
    norm: Option<Norm>,
}

impl<B: Block> Transformer<B> {
    /// # Errors
    /// A size of 0 or above 65,536, or heads that do not divide the width.
    pub fn new(config: TransformerConfig) -> Result<Self> {
        let c = &config;
        let sizes = [
            ("dim", c.dim),
            ("n_layers", c.n_layers),
            ("n_heads", c.n_heads),
            ("max_len", c.max_len),
            ("feed_forward", c.feed_forward),
        ];
        check_sizes(B::NAME, &sizes)?;
        if !c.dim.is_multiple_of(c.n_heads) {
            let (dim, heads) = (c.dim, c.n_heads);
            return Err(Error::Config(format!(
                "{} dim = {dim} is not a multiple of n_heads = {heads}",
                B::NAME
            )));
        }
        let mut layout = Layout::default();
        let init = Init::xavier(c.max_len, c.dim);
        let positions = layout.push("positions.weight".into(), &[c.max_len, c.dim], init);
        let first_norm = B::FIRST_NORM.then(|| Norm::new(&mut layout, "first_norm", c.dim));
        let blocks = (0..c.n_layers)
            .map(|i| B::new(&mut layout, &format!("blocks.{i}"), c))
            .collect();
        let norm = B::FINAL_NORM.then(|| Norm::new(&mut layout, "norm", c.dim));
        Ok(Self {
            config,
            layout,
            positions,
            first_norm,
            blocks,
            norm,
        })
    }

    /// Calls `f(row, where its position's vector lies)`.
    fn each_position(&self, batch: &Packed, mut f: impl FnMut(usize, Range<usize>)) {
        let d = self.config.dim;
        for rows in batch.sequences() {
            for (from_end, row) in rows.rev().enumerate() {
                let at = self.positions.start + from_end * d;
                f(row, at..at + d);
            }
        }
    }
}

pub struct Activations<A> {
    /// What goes into the first norm, and the gradient of what comes out.
    x_first: Vec<f32>,
    dfirst: Vec<f32>,
    blocks: Vec<A>,
    /// What goes into the last norm.
    x: Vec<f32>,
    dhidden: Vec<f32>,
}

impl<A> Default for Activations<A> {
    fn default() -> Self {
        Self {
            x_first: Vec::new(),
            dfirst: Vec::new(),
            blocks: Vec::new(),
            x: Vec::new(),
            dhidden: Vec::new(),
        }
    }
}

impl<B: Block> Network for Transformer<B> {
    type Activations = Activations<B::Activations>;

    fn name(&self) -> &str {
        B::NAME
    }

    fn dim(&self) -> usize {
        self.config.dim
    }

    fn max_len(&self) -> usize {
        self.config.max_len
    }

    fn layout(&self) -> &Layout {
        &self.layout
    }

    fn forward(
        &self,
        params: &[f32],
        batch: &Packed,
        dropout: Dropout,
        x: &mut Vec<f32>,
        a: &mut Self::Activations,
    ) {
        let d = self.config.dim;
        self.each_position(batch, |row, at| {
            add(&mut x[row * d..(row + 1) * d], &params[at]);
        });
        if let Some(norm) = &self.first_norm {
            copy(&mut a.x_first, x);
            norm.forward(params, x, &a.x_first);
        }
        dropout.apply(x, self.blocks.len(), 0);
        a.blocks.resize_with(self.blocks.len(), Default::default);
        for (layer, (block, a)) in self.blocks.iter().zip(&mut a.blocks).enumerate() {
            let pass = Pass {
                params,
                batch,
                dropout,
                layer,
            };
            block.forward(pass, x, a);
        }
        if let Some(norm) = &self.norm {
            copy(&mut a.x, x);
            norm.forward(params, x, &a.x);
        }
    }

    fn backward(
        &self,
        params: &[f32],
        grads: &mut [f32],
        batch: &Packed,
        dropout: Dropout,
        dx: &mut Vec<f32>,
        a: &mut Self::Activations,
    ) {
        let d = self.config.dim;
        if let Some(norm) = &self.norm {
            copy(&mut a.dhidden, dx);
            zeros(dx, a.dhidden.len());
            norm.backward(params, grads, dx, &a.dhidden, &a.x);
        }
        let blocks = self.blocks.iter().zip(&mut a.blocks).enumerate();
        for (layer, (block, a)) in blocks.rev() {
            let pass = Pass {
                params,
                batch,
                dropout,
                layer,
            };
            block.backward(pass, grads, dx, a);
        }
        dropout.apply(dx, self.blocks.len(), 0);
        if let Some(norm) = &self.first_norm {
            copy(&mut a.dfirst, dx);
            dx.fill(0.0);
            norm.backward(params, grads, dx, &a.dfirst, &a.x_first);
        }
        self.each_position(batch, |row, at| {
            add(&mut grads[at], &dx[row * d..(row + 1) * d]);
        });
    }
}
