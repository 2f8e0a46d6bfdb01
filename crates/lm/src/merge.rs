//! An adapter folded into the weights: `W ← W + (α/r) B A`, so that inference pays nothing for it.

use std::sync::OnceLock;

use crate::error::Result;
use crate::kernels::{Matrix, View, ViewMut, matmul};
use crate::lora::Lora;
use crate::model::Llama;

impl Llama {
    /// Adds the adapter's update to the weights. It cannot be taken out again: a copy of the model
    /// comes from its file.
    ///
    /// # Errors
    /// If the adapter is of another geometry; nothing is changed then.
    pub fn merge(&mut self, lora: &Lora) -> Result<()> {
        lora.check_fits(&self.config)?;
        self.transposed = OnceLock::new();
        let r = lora.config.rank;
        for (i, layer) in self.layers.iter_mut().enumerate() {
            for target in lora.config.targets.iter() {
                let (d_in, d_out) = lora.shape(target);
                let (a, b) = lora.ranges(i, target);
                let projection = &mut layer.projections[target as usize];
                let mut w = projection.to_rows();
                matmul(
                    ViewMut::new(&mut w, d_out, d_in, d_in),
                    1.0,
                    lora.scale(),
                    View::new(&lora.params[b], d_out, r, r),
                    View::new(&lora.params[a], r, d_in, d_in),
                );
                *projection = Matrix::new(&w, d_in, projection.precision());
            }
        }
        Ok(())
    }
}
