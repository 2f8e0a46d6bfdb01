//! Laws of the engine: each test compares it with a slower or independent way to the same numbers.

mod adapter;
mod adapters;
mod candidates;
mod chat;
mod constrain;
mod decoder;
mod files;
mod forward;
mod generate;
mod gguf_writer;
mod golden;
mod golden_gguf;
mod gradient;
mod hostile;
mod log;
mod lora;
mod models;
mod sample;
mod sampler;
mod score;
mod smollm2;
mod tiny;
mod tokenizer;
mod tree;
