//! Laws of the engine: each test compares it with a slower or independent way to the same numbers.

mod adapter;
mod candidates;
mod files;
mod forward;
mod gguf_writer;
mod golden;
mod gradient;
mod lora;
mod models;
mod tiny;
mod tokenizer;
