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
mod config;
mod dropout;
mod encoder;
mod error;
mod forward;
mod gguf;
mod gguf_model;
mod hf;
mod hf_config;
mod kernels;
mod lora;
mod merge;
mod model;
mod pre_tokenizer;
mod rope;
mod targets;
mod tensors;
mod tokenizer;
mod train;
mod tree;

pub use adapter::{load_adapter, save_adapter};
pub use candidates::{Candidates, score_candidates, score_continuations};
pub use config::{Architecture, LlamaConfig, RopeScaling};
pub use encoder::Encoder;
pub use error::{Error, Result};
pub use forward::Session;
pub use gguf::{Gguf, Value};
pub use kernels::{
    Bits, Pool, QuantInput, QuantMatrix, Simd, View, ViewMut, linear, linear_back, log_sum_exp,
    matmul, quant_linear, softmax,
};
pub use lora::{Lora, LoraConfig};
pub use model::Llama;
pub use targets::{Target, Targets};
pub use tensors::{Tensors, load_tensors, save_tensors};
pub use tokenizer::{ChatTokens, Tokenizer};
pub use train::{AdamW, Example, Label, StepStats, TapLoss, Trainer};
pub use tree::TokenTree;
