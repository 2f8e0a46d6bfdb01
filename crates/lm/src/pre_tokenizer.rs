//! How byte-level BPE cuts a text before it merges: `tokenizer.ggml.pre` of a GGUF file.
//!
//! The expressions are those of the models' own `tokenizer.json`, and for "default", which has
//! none, of llama.cpp's `llama-vocab.cpp`.

use tokenizers::normalizers::unicode::NFC;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{PreTokenizerWrapper, SplitDelimiterBehavior};

use crate::error::{Error, Result};

const QWEN2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const PUNCTUATION: &str = r"[\p{P}\$\+<=>\^~\|]+";
const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";

/// What comes before the merges of a vocabulary.
pub(crate) struct PreTokenizer {
    pub splits: Sequence,
    pub normalizer: Option<NFC>,
    /// A piece that is a token as a whole is taken as it is, even if no merges lead to it.
    pub whole_words: bool,
}

impl PreTokenizer {
    pub fn named(name: &str) -> Result<Self> {
        let split = |regex: &str| -> Result<PreTokenizerWrapper> {
            let pattern = SplitPattern::Regex(regex.into());
            Split::new(pattern, SplitDelimiterBehavior::Isolated, false)
                .map(Into::into)
                .map_err(|e| Error::Tokenizer(e.to_string()))
        };
        // The second half of each list maps bytes to symbols; with `true` it also cuts as GPT-2 does.
        let bytes = |gpt2: bool| ByteLevel::new(false, true, gpt2).into();
        let splits = match name {
            "smollm" => vec![Digits::new(true).into(), bytes(true)],
            "gpt-2" => vec![bytes(true)],
            "qwen2" => vec![split(QWEN2)?, bytes(false)],
            "llama-bpe" | "glm4" | "chatglm-bpe" => vec![split(LLAMA3)?, bytes(false)],
            "default" => vec![
                split(PUNCTUATION)?,
                split(GPT2)?,
                split(r"\p{N}+")?,
                split("[0-9][0-9][0-9]")?,
                bytes(false),
            ],
            other => {
                return Err(Error::Tokenizer(format!(
                    "pre-tokenizer {other:?} (tokenizer.ggml.pre) is not supported; smollm, qwen2, llama-bpe, glm4, chatglm-bpe, gpt-2 and default are"
                )));
            }
        };
        Ok(Self {
            splits: Sequence::new(splits),
            normalizer: (name == "qwen2").then_some(NFC),
            whole_words: name == "llama-bpe",
        })
    }
}
