//! A writer of small GGUF files.

pub enum Meta<'a> {
    Int(u32),
    Float(f32),
    Text(&'a str),
    Texts(Vec<String>),
    Ints(Vec<i32>),
}

fn text(out: &mut Vec<u8>, s: &str) {
    out.extend((s.len() as u64).to_le_bytes());
    out.extend(s.as_bytes());
}

/// A file with F32 tensors.
pub fn gguf(metadata: &[(String, Meta)], tensors: &[(String, Vec<usize>, Vec<f32>)]) -> Vec<u8> {
    let mut out = b"GGUF".to_vec();
    out.extend(3u32.to_le_bytes());
    out.extend((tensors.len() as u64).to_le_bytes());
    out.extend((metadata.len() as u64).to_le_bytes());
    for (key, value) in metadata {
        text(&mut out, key);
        match value {
            Meta::Int(v) => {
                out.extend(4u32.to_le_bytes());
                out.extend(v.to_le_bytes());
            }
            Meta::Float(v) => {
                out.extend(6u32.to_le_bytes());
                out.extend(v.to_le_bytes());
            }
            Meta::Text(v) => {
                out.extend(8u32.to_le_bytes());
                text(&mut out, v);
            }
            Meta::Texts(v) => {
                out.extend([9u32, 8].map(u32::to_le_bytes).concat());
                out.extend((v.len() as u64).to_le_bytes());
                v.iter().for_each(|v| text(&mut out, v));
            }
            Meta::Ints(v) => {
                out.extend([9u32, 5].map(u32::to_le_bytes).concat());
                out.extend((v.len() as u64).to_le_bytes());
                v.iter().for_each(|v| out.extend(v.to_le_bytes()));
            }
        }
    }
    let mut offset = 0u64;
    for (name, shape, data) in tensors {
        text(&mut out, name);
        out.extend((shape.len() as u32).to_le_bytes());
        for &size in shape.iter().rev() {
            out.extend((size as u64).to_le_bytes());
        }
        out.extend(0u32.to_le_bytes());
        out.extend(offset.to_le_bytes());
        offset += (data.len() as u64 * 4).div_ceil(32) * 32;
    }
    for (_, _, data) in tensors {
        out.resize(out.len().div_ceil(32) * 32, 0);
        data.iter().for_each(|v| out.extend(v.to_le_bytes()));
    }
    out
}
