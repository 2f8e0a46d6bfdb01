//! A whole model: header, geometry, tokenizer, tensors.
#![no_main]

use hkfr_lm::{Gguf, Llama};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(file) = Gguf::from_bytes("fuzz.gguf", bytes.to_vec()) {
        for name in ["token_embd.weight", "Q4_K", "Q5_K", "Q6_K", "Q5_0"] {
            let shape = file.shape(name).map(<[usize]>::to_vec);
            if let Some(shape) = shape {
                let _ = file.tensor(name, &shape);
            }
        }
        let _ = Llama::from_gguf(&file);
    }
});
