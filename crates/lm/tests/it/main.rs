//! Laws of the engine: each test compares it with a slower or independent way to the same numbers.

mod adapter;
mod candidates;
mod chat;
mod constrain;
mod files;
mod forward;
mod generate;
mod gguf_writer;
mod golden;
mod gradient;
mod lora;
mod models;
mod sampler;
mod score;
mod tiny;
mod tokenizer;
mod tree;
