//! A model whose matrices are in the precision that an argument names.

use std::path::Path;

use hkfr_lm::Llama;

/// `precision`: f32 or bf16.
pub fn open(path: &str, precision: &str) -> Result<Llama, Box<dyn std::error::Error>> {
    let (mut model, _) = Llama::open(Path::new(path))?;
    model.set_precision(precision.parse()?);
    Ok(model)
}
