//! Byte-level BPE of a GGUF model, through the `tokenizers` crate, and the ChatML layout of a row.
//!
//! User text never becomes a special token: only [`ChatTokens`] puts `<|im_start|>` and
//! `<|im_end|>` into a sequence, and [`Tokenizer::encode`] reads such a string as plain bytes.

use tokenizers::Model;
use tokenizers::models::bpe::{BPE, Vocab};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::sequence::Sequence;

use crate::error::{Error, Result};
use crate::gguf::{Gguf, Value};

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
            let list = gguf.metadata(key)?.as_list().unwrap_or_default();
            Ok(list
                .iter()
                .filter_map(Value::as_text)
                .map(str::to_owned)
                .collect())
        };
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

    /// The bytes a token stands for, by the byte-to-unicode table of byte-level BPE (GPT-2). `None`
    /// for a special token: one that no plain text is encoded to.
    pub fn token_bytes(&self, id: u32) -> Option<Vec<u8>> {
        let symbols = self.inner.id_to_token(id)?;
        let own = self.inner.get_model().tokenize(&symbols).ok()?;
        if !matches!(&own[..], [token] if token.id == id) {
            return None;
        }
        symbols.chars().map(byte_of_symbol).collect()
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

/// GPT-2's `bytes_to_unicode` backwards: printable Latin-1 stands for itself, the other 68 bytes,
/// ascending, for U+0100 and on.
fn byte_of_symbol(symbol: char) -> Option<u8> {
    let itself = |c: u32| matches!(c, 33..=126 | 161..=172 | 174..=255);
    match symbol as u32 {
        c if itself(c) => Some(c as u8),
        c => {
            let nth = c.checked_sub(256)? as usize;
            (0..=255u8).filter(|&b| !itself(b.into())).nth(nth)
        }
    }
}
