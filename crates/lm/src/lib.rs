//! What would a language model say, and how is it taught? A CPU engine for small decoders.
//!
//! It knows tokens and vectors, and no users, items or recommendations.

#![deny(unsafe_code)]
// A kernel takes its operands and their sizes one by one; a struct around them would hide which are written.
#![allow(clippy::too_many_arguments)]

mod adapter;
mod adapters;
mod attention;
mod backward;
mod beam;
mod candidates;
mod chat;
mod chat_layout;
mod chat_tokens;
mod config;
mod constrain;
mod continuations;
mod decoder;
mod dropout;
mod encoder;
mod error;
mod forward;
mod generate;
mod generated;
mod gguf;
mod gguf_model;
mod hf;
mod hf_config;
mod json_automaton;
mod json_ending;
mod json_scalar;
mod json_schema;
mod kernels;
mod live;
pub mod log;
mod lora;
mod merge;
mod model;
mod pre_tokenizer;
mod prefix;
mod python_methods;
mod rope;
mod sampler;
mod score;
mod strings;
mod targets;
mod tensors;
mod text;
mod tokenizer;
mod train;
mod tree;
mod untrusted;
mod vocabulary;
mod weights;

pub use adapter::{ADAPTER_CONFIG, adapter_from_bytes, load_adapter, save_adapter};
pub use adapters::Adapters;
pub use beam::BeamConfig;
pub use candidates::{Candidates, score_candidates};
pub use chat::{ChatOptions, ChatTemplate, Message, SpecialToken};
pub use chat_layout::{ChatLayout, Questions};
pub use config::{Architecture, LlamaConfig, RopeScaling};
pub use constrain::{Automaton, ByteConstraint, Constraint, TokenMask};
pub use continuations::score_continuations;
pub use decoder::{Decoder, QuantModel};
pub use encoder::Encoder;
pub use error::{Error, Result};
pub use forward::Session;
pub use generate::{GenerateConfig, Generator, Request};
pub use generated::{Finish, Generated, Step};
pub use gguf::{Gguf, Value};
pub use json_automaton::{JsonAutomaton, JsonState};
pub use json_schema::JsonSchema;
pub use kernels::{
    AdamStep, Bits, Pool, Precision, Simd, View, ViewMut, adam, add_rows, add_weighted_rows, dot,
    dropout, gelu, gelu_back, gru, gru_back, layer_norm, layer_norm_back, linear, linear_back,
    log_sum_exp, matmul, relu, relu_back, sigmoid_gate, sigmoid_gate_back, softmax, softmax_back,
    swiglu, swiglu_back,
};
pub use lora::{Lora, LoraConfig};
pub use model::Llama;
pub use prefix::SharedPrefix;
pub use sampler::{Sampler, Sampling};
pub use score::{Pooling, tokens_saying};
pub use strings::{Span, StringSet};
pub use targets::{Target, Targets};
pub use tensors::{Tensors, load_tensors, save_tensors, tensors_from_bytes};
pub use tokenizer::{ChatTokens, Tokenizer};
pub use train::{AdamW, Example, Label, StepStats, TapLoss, Trainer};
pub use tree::TokenTree;
pub use vocabulary::Vocabulary;
