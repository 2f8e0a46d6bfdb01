//! Named vectors in safetensors files: checkpoints, adapters and what other stages keep.
//!
//! A file is written beside its place and renamed, so that a stop never leaves half of one.

use std::collections::HashMap;
use std::path::Path;

use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use crate::error::{Error, Result};

/// Named vectors and metadata as one safetensors file, written atomically.
pub fn save_tensors(
    path: &Path,
    tensors: &[(String, Vec<usize>, &[f32])],
    metadata: HashMap<String, String>,
) -> Result<()> {
    let views: Vec<(&str, TensorView)> = tensors
        .iter()
        .map(|(name, shape, data)| {
            let view = TensorView::new(Dtype::F32, shape.clone(), bytemuck::cast_slice(data));
            Ok((
                name.as_str(),
                view.map_err(|e| Error::BadFile {
                    path: path.into(),
                    reason: e.to_string(),
                })?,
            ))
        })
        .collect::<Result<_>>()?;
    let bytes = safetensors::serialize(views, Some(metadata)).map_err(|e| Error::BadFile {
        path: path.into(),
        reason: e.to_string(),
    })?;
    write_atomically(path, &bytes)
}

pub(crate) fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    let temp = path.with_extension("partial");
    fs_err::write(&temp, bytes)?;
    fs_err::rename(&temp, path)?;
    Ok(())
}

/// Little-endian bytes of a dtype that is read; `None` for the others.
pub(crate) fn to_f32(dtype: Dtype, bytes: &[u8]) -> Option<Vec<f32>> {
    Some(match dtype {
        Dtype::F32 => bytes
            .chunks_exact(4)
            .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
            .collect(),
        Dtype::F16 => bytes
            .chunks_exact(2)
            .map(|b| half::f16::from_le_bytes([b[0], b[1]]).to_f32())
            .collect(),
        Dtype::BF16 => bytes
            .chunks_exact(2)
            .map(|b| half::bf16::from_le_bytes([b[0], b[1]]).to_f32())
            .collect(),
        _ => return None,
    })
}

/// The tensors of a safetensors file with their shapes, and its metadata.
pub type Tensors = (
    HashMap<String, (Vec<usize>, Vec<f32>)>,
    HashMap<String, String>,
);

/// All F32, F16 and BF16 tensors of a safetensors file; those of other dtypes are left out.
pub fn load_tensors(path: &Path) -> Result<Tensors> {
    let bad = |reason: String| Error::BadFile {
        path: path.into(),
        reason: format!("{reason}; the file is damaged: fetch or make it again"),
    };
    let bytes = fs_err::read(path)?;
    let (_, header) = SafeTensors::read_metadata(&bytes).map_err(|e| bad(e.to_string()))?;
    let file = SafeTensors::deserialize(&bytes).map_err(|e| bad(e.to_string()))?;
    let mut tensors = HashMap::new();
    for (name, view) in file.tensors() {
        if let Some(data) = to_f32(view.dtype(), view.data()) {
            tensors.insert(name, (view.shape().to_vec(), data));
        }
    }
    Ok((tensors, header.metadata().clone().unwrap_or_default()))
}
