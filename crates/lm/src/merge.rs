//! An adapter folded into the weights: `W ← W + (α/r) B A`, so that inference pays nothing for it.

use crate::error::Result;
use crate::kernels::{View, ViewMut, matmul};
use crate::lora::Lora;
use crate::model::Llama;
use crate::targets::Target;

impl Llama {
    /// Adds the adapter's update to the weights. It cannot be taken out again: a copy of the model
    /// comes from its file.
    ///
    /// # Errors
    /// If the adapter is of another geometry; nothing is changed then.
    pub fn merge(&mut self, lora: &Lora) -> Result<()> {
        lora.check_fits(&self.config)?;
        let r = lora.config.rank;
        for (i, layer) in self.layers.iter_mut().enumerate() {
            for target in lora.config.targets.iter() {
                let w = match target {
                    Target::Q => &mut layer.q_proj,
                    Target::K => &mut layer.k_proj,
                    Target::V => &mut layer.v_proj,
                    Target::O => &mut layer.o_proj,
                    Target::Gate => &mut layer.gate_proj,
                    Target::Up => &mut layer.up_proj,
                    Target::Down => &mut layer.down_proj,
                };
                let (d_in, d_out) = lora.shape(target);
                let (a, b) = lora.ranges(i, target);
                matmul(
                    ViewMut::new(w, d_out, d_in, d_in),
                    1.0,
                    lora.scale(),
                    View::new(&lora.params[b], d_out, r, r),
                    View::new(&lora.params[a], r, d_in, d_in),
                );
            }
        }
        Ok(())
    }
}
