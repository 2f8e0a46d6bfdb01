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

/// Bytes of a header that are parsed whatever the size of the file.
const SMALL_HEADER: u64 = 64 << 10;

/// All F32, F16 and BF16 tensors of a safetensors file; those of other dtypes are left out.
pub fn load_tensors(path: &Path) -> Result<Tensors> {
    tensors_from_bytes(path, &fs_err::read(path)?)
}

/// [`load_tensors`] of a file that is in memory already; `path` names it in errors.
pub fn tensors_from_bytes(path: &Path, bytes: &[u8]) -> Result<Tensors> {
    parse(bytes).map_err(|reason| Error::BadFile {
        path: path.into(),
        reason: format!("{reason}; the file is damaged: fetch or make it again"),
    })
}

fn parse(bytes: &[u8]) -> std::result::Result<Tensors, String> {
    // Parsed JSON takes up to a dozen times its text, which is in proportion only if it describes
    // tensors that are there.
    let header = bytes.first_chunk().map(|n| u64::from_le_bytes(*n));
    let limit = SMALL_HEADER.max(bytes.len() as u64 / 2);
    if let Some(n) = header.filter(|n| *n > limit) {
        return Err(format!(
            "its header of {n} bytes is out of proportion to its size of {}",
            bytes.len()
        ));
    }
    let (n, header) = SafeTensors::read_metadata(bytes).map_err(|e| e.to_string())?;
    let data = &bytes[8 + n..];
    let mut tensors = HashMap::new();
    for (name, info) in header.tensors() {
        let (start, end) = info.data_offsets;
        if let Some(values) = to_f32(info.dtype, &data[start..end]) {
            tensors.insert(name, (info.shape.clone(), values));
        }
    }
    Ok((tensors, header.metadata().clone().unwrap_or_default()))
}
