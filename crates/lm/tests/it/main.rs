//! Laws of the engine: each test compares it with a slower or independent way to the same numbers.

mod adapter;
mod candidates;
mod files;
mod forward;
mod golden_gguf;
mod gradient;
mod hostile;
mod log;
mod sample;
mod tiny;
mod tokenizer;
