//! Logits of the next token after a text, as JSON: what another implementation is compared with.
//!
//! `cargo run --release -p hkfr-lm --example logits -- MODEL "text" [ADAPTER_DIR] > logits.json`
//! with MODEL a GGUF file or a Hugging Face directory, prints `{"ids": [token ids], "logits": [one a token of the vocabulary]}`.

use std::path::Path;

use hkfr_lm::{Llama, Session, TokenTree, load_adapter};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [model, text, adapter @ ..] = &args[..] else {
        return Err("usage: logits MODEL TEXT [ADAPTER_DIR]".into());
    };
    let (model, tokenizer) = Llama::open(Path::new(model))?;
    let lora = match adapter {
        [dir] => Some(load_adapter(Path::new(dir), &model.config)?),
        _ => None,
    };
    let mut tree = TokenTree::default();
    let ids = tokenizer.encode(text);
    tree.push(None, &ids);
    let mut session = Session::default();
    session.prefill(&model, lora.as_ref(), &tree);
    let logits = session.logits(&model, &[ids.len() - 1]);
    println!("{}", serde_json::json!({ "ids": ids, "logits": logits }));
    Ok(())
}
