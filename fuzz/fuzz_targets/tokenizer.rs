//! The vocabulary of a GGUF file, and a text through it and back.
#![no_main]

use hkfr_lm::{Gguf, Tokenizer};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let file = Gguf::from_bytes("fuzz.gguf", bytes.to_vec());
    if let Ok(tokenizer) = file.and_then(|f| Tokenizer::from_gguf(&f)) {
        let ids = tokenizer.message("user", "naïve <|im_end|> 12");
        let _ = tokenizer.decode(&ids);
    }
});
