//! Byte-level BPE of a GGUF model, through the `tokenizers` crate, and the ChatML layout of a row.
//!
//! User text never becomes a special token: only [`ChatTokens`] puts `<|im_start|>` and
//! `<|im_end|>` into a sequence, and [`Tokenizer::encode`] reads such a string as plain bytes.

use tokenizers::models::bpe::{BPE, Vocab};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::sequence::Sequence;

use crate::error::{Error, Result};
use crate::gguf::{Gguf, Value};

/// Memory of a token or a merge while a tokenizer is built: 90 to 160 bytes measured, by how full the
/// tables of the crate `tokenizers` are.
const ENTRY_BYTES: u64 = 200;
/// What a tokenizer may take whatever the size of its file; its cache alone takes a quarter of it.
const FREE_BYTES: u64 = 2 << 20;

pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    vocab_size: usize,
    pub chat: ChatTokens,
}

/// The ids that delimit a chat: `<|im_start|>`, `<|im_end|>`, and the newline between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChatTokens {
    pub start: u32,
    pub end: u32,
    pub newline: u32,
}

impl Tokenizer {
    /// From vocabulary (id = position) and merges ("a b"), as GGUF stores them. Digits are split
    /// one by one and no leading space is added (the `smollm` pre-tokenizer).
    pub fn new(tokens: Vec<String>, merges: Vec<(String, String)>) -> Result<Self> {
        let error = |e: tokenizers::Error| Error::Tokenizer(e.to_string());
        let vocab_size = tokens.len();
        let vocab = tokens
            .into_iter()
            .enumerate()
            .map(|(i, t)| (t, i as u32))
            .collect::<Vocab>();
        let id = |t: &str| {
            vocab
                .get(t)
                .copied()
                .ok_or_else(|| Error::Tokenizer(format!("the vocabulary lacks {t:?}")))
        };
        let chat = ChatTokens {
            start: id("<|im_start|>")?,
            end: id("<|im_end|>")?,
            newline: id("Ċ")?,
        };
        let bpe = BPE::builder()
            .vocab_and_merges(vocab, merges)
            .build()
            .map_err(error)?;
        let mut inner = tokenizers::Tokenizer::new(bpe);
        inner.with_pre_tokenizer(Some(Sequence::new(vec![
            Digits::new(true).into(),
            ByteLevel::new(false, true, true).into(),
        ])));
        inner.with_decoder(Some(ByteLevel::new(false, true, true)));
        Ok(Self {
            inner,
            vocab_size,
            chat,
        })
    }

    pub fn from_gguf(gguf: &Gguf) -> Result<Self> {
        let texts = |key: &str| -> Result<Vec<String>> {
            let list = gguf.metadata(key)?.as_list();
            let texts = list.map(|l| l.iter().map(|v| v.as_text().map(str::to_owned)));
            texts
                .and_then(Iterator::collect)
                .ok_or_else(|| Error::Tokenizer(format!("{key:?} is not a list of texts")))
        };
        let count = |key: &str| gguf.metadata(key).ok()?.as_list().map(<[Value]>::len);
        let n_tokens = count("tokenizer.ggml.tokens").unwrap_or(0) as u64;
        let n_merges = count("tokenizer.ggml.merges").unwrap_or(0) as u64;
        let needed = (n_tokens + n_merges) * ENTRY_BYTES;
        if !gguf.affords(needed.saturating_sub(FREE_BYTES)) {
            return Err(Error::Tokenizer(format!(
                "{n_tokens} tokens and {n_merges} merges would take more than ten times the size of \
                 the file; it is damaged: fetch it again"
            )));
        }
        let pre = gguf
            .metadata("tokenizer.ggml.pre")?
            .as_text()
            .unwrap_or_default();
        if pre != "smollm" {
            return Err(Error::Tokenizer(format!(
                "pre-tokenizer {pre:?} is not known; only \"smollm\" is"
            )));
        }
        let merges = texts("tokenizer.ggml.merges")?;
        let merges = merges
            .iter()
            .filter_map(|m| m.split_once(' '))
            .map(|(a, b)| (a.into(), b.into()))
            .collect();
        Self::new(texts("tokenizer.ggml.tokens")?, merges)
    }

    pub fn vocab_size(&self) -> usize {
        self.vocab_size
    }

    /// Token ids of plain text; markers such as `<|im_end|>` inside it stay plain text.
    ///
    /// # Panics
    /// Never for valid UTF-8: byte-level BPE covers all bytes.
    pub fn encode(&self, text: &str) -> Vec<u32> {
        self.inner
            .encode_fast(text, false)
            .expect("byte-level BPE covers all bytes")
            .get_ids()
            .to_vec()
    }

    pub fn count(&self, text: &str) -> usize {
        self.encode(text).len()
    }

    pub fn decode(&self, ids: &[u32]) -> Result<String> {
        self.inner
            .decode(ids, false)
            .map_err(|e| Error::Tokenizer(e.to_string()))
    }

    /// `<|im_start|>role\ncontent<|im_end|>\n`
    pub fn message(&self, role: &str, content: &str) -> Vec<u32> {
        let mut ids = vec![self.chat.start];
        ids.extend(self.encode(role));
        ids.push(self.chat.newline);
        ids.extend(self.encode(content));
        ids.extend([self.chat.end, self.chat.newline]);
        ids
    }

    /// `<|im_start|>assistant\n`: what an answer follows. The answer ends with [`ChatTokens::end`].
    pub fn answer_opening(&self) -> Vec<u32> {
        let mut ids = vec![self.chat.start];
        ids.extend(self.encode("assistant"));
        ids.push(self.chat.newline);
        ids
    }
}
