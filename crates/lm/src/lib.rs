//! What would a language model say, and how is it taught? A CPU engine for small decoders.
//!
//! It knows tokens and vectors, and no users, items or recommendations.

#![deny(unsafe_code)]
// A kernel takes its operands and their sizes one by one; a struct around them would hide which are written.
#![allow(clippy::too_many_arguments)]

mod adapter;
mod attention;
mod backward;
mod candidates;
mod encoder;
mod error;
mod forward;
mod gguf;
mod kernels;
pub mod log;
mod lora;
mod model;
mod tokenizer;
mod train;
mod tree;
mod untrusted;

pub use adapter::{
    adapter_from_bytes, load_adapter, load_tensors, save_adapter, save_tensors, tensors_from_bytes,
};
pub use candidates::{Candidates, score_candidates, score_continuations};
pub use encoder::Encoder;
pub use error::{Error, Result};
pub use forward::Session;
pub use gguf::{Gguf, Value};
pub use kernels::{Simd, View, ViewMut, linear, linear_back, log_sum_exp, matmul, softmax};
pub use lora::{Lora, LoraConfig, Target};
pub use model::{Llama, LlamaConfig};
pub use tokenizer::{ChatTokens, Tokenizer};
pub use train::{AdamW, Example, Label, StepStats, TapLoss, Trainer};
pub use tree::TokenTree;
