//! Text ↔ token ids through the `tokenizers` crate, from a GGUF file's vocabulary or a
//! `tokenizer.json`, and the ChatML layout of a row.
//!
//! User text never becomes a special token: those are taken out of what [`Tokenizer::encode`] can
//! produce, so that it reads `<|im_end|>` as plain characters. Only [`ChatTokens`] and
//! [`Tokenizer::special`] put them into a sequence.

use std::collections::HashMap;
use std::path::Path;

use serde_json::{Value as Json, json};
use tokenizers::models::bpe::{BPE, Vocab};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{Decoder, Model};

use crate::error::{Error, Result};
use crate::gguf::{Gguf, Value};
use crate::pre_tokenizer::PreTokenizer;
use crate::untrusted::tokenizer_from_file;

/// Memory of a token or a merge while a tokenizer is built: 90 to 160 bytes measured, by how full the
/// tables of the crate `tokenizers` are.
const ENTRY_BYTES: u64 = 200;
/// What a tokenizer may take whatever the size of its file; its cache alone takes a quarter of it.
const FREE_BYTES: u64 = 2 << 20;

pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    /// Ids of the special tokens, which `inner` does not know, and the way back.
    specials: HashMap<String, u32>,
    special_texts: HashMap<u32, String>,
    vocab_size: usize,
    chat: Option<ChatTokens>,
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
    /// one by one and no leading space is added (the `smollm` pre-tokenizer); tokens written
    /// `<|so|>` are special.
    pub fn new(tokens: Vec<String>, merges: Vec<(String, String)>) -> Result<Self> {
        let special = tokens.iter().map(|t| is_marker(t)).collect();
        Self::with_pre_tokenizer(tokens, merges, special, "smollm")
    }

    /// From vocabulary, merges, which tokens are special, and the name of the pre-tokenizer.
    pub fn with_pre_tokenizer(
        tokens: Vec<String>,
        merges: Vec<(String, String)>,
        special: Vec<bool>,
        pre: &str,
    ) -> Result<Self> {
        let error = |e: tokenizers::Error| Error::Tokenizer(e.to_string());
        let pre = PreTokenizer::named(pre)?;
        let vocab_size = tokens.len();
        let mut vocab = Vocab::default();
        let mut specials = HashMap::new();
        for (i, token) in tokens.into_iter().enumerate() {
            if special.get(i) == Some(&true) {
                specials.insert(token, i as u32);
            } else {
                vocab.insert(token, i as u32);
            }
        }
        let merges = merges
            .into_iter()
            .filter(|(a, b)| !specials.contains_key(&format!("{a}{b}")))
            .collect();
        let bpe = BPE::builder()
            .vocab_and_merges(vocab, merges)
            .ignore_merges(pre.whole_words)
            .build()
            .map_err(error)?;
        let mut inner = tokenizers::Tokenizer::new(bpe);
        inner.with_normalizer(pre.normalizer).map_err(error)?;
        inner.with_pre_tokenizer(Some(pre.splits));
        inner.with_decoder(Some(ByteLevel::new(false, true, true)));
        Ok(Self::assemble(inner, specials, vocab_size))
    }

    pub fn from_gguf(gguf: &Gguf) -> Result<Self> {
        let list = |key: &str| -> Result<&[Value]> {
            Ok(gguf.metadata(key)?.as_list().unwrap_or_default())
        };
        let texts = |key: &str| -> Result<Vec<String>> {
            let texts = list(key)?.iter().map(|v| v.as_text().map(str::to_owned));
            let texts: Option<Vec<String>> = texts.collect();
            texts.ok_or_else(|| Error::Tokenizer(format!("{key:?} is not a list of texts")))
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
        let merges = texts("tokenizer.ggml.merges")?;
        let merges = merges
            .iter()
            .filter_map(|m| m.split_once(' '))
            .map(|(a, b)| (a.into(), b.into()))
            .collect();
        let tokens = texts("tokenizer.ggml.tokens")?;
        // Token types: 3 is control; 4, added by the model's maker, may be text.
        let types = list("tokenizer.ggml.token_type").unwrap_or_default();
        let special = tokens
            .iter()
            .enumerate()
            .map(|(i, token)| match types.get(i).and_then(Value::as_int) {
                Some(3) => true,
                Some(4) => token.starts_with('<') || is_marker(token),
                Some(_) => false,
                None => is_marker(token),
            })
            .collect();
        Self::with_pre_tokenizer(tokens, merges, special, pre)
    }

    /// From a Hugging Face `tokenizer.json`. Its templates, padding and truncation are left out: an
    /// encoding is the text's tokens and nothing else.
    pub fn from_json(path: &Path) -> Result<Self> {
        let (inner, specials) = tokenizer_from_file(path, |json| {
            for key in ["post_processor", "padding", "truncation"] {
                json[key] = Json::Null;
            }
            take_specials(json)
        })?;
        let last = specials.values().max().map_or(0, |&id| id as usize + 1);
        let vocab = inner.get_vocab(true);
        let last = vocab
            .values()
            .map(|&id| id as usize + 1)
            .fold(last, usize::max);
        Ok(Self::assemble(inner, specials, last))
    }

    fn assemble(
        inner: tokenizers::Tokenizer,
        specials: HashMap<String, u32>,
        vocab_size: usize,
    ) -> Self {
        let special_texts = specials.iter().map(|(t, &id)| (id, t.clone())).collect();
        let mut tokenizer = Self {
            inner,
            special_texts,
            specials,
            vocab_size,
            chat: None,
        };
        let (start, end) = (
            tokenizer.special("<|im_start|>"),
            tokenizer.special("<|im_end|>"),
        );
        if let (Some(start), Some(end), [newline]) = (start, end, &tokenizer.encode("\n")[..]) {
            tokenizer.chat = Some(ChatTokens {
                start,
                end,
                newline: *newline,
            });
        }
        tokenizer
    }

    /// Ids go from 0 to below this; a model's own `vocab_size` may be larger.
    pub fn vocab_size(&self) -> usize {
        self.vocab_size
    }

    /// The id of a special token such as `<|endoftext|>`.
    pub fn special(&self, text: &str) -> Option<u32> {
        self.specials.get(text).copied()
    }

    /// Token ids of plain text; markers such as `<|im_end|>` inside it stay plain text.
    ///
    /// # Panics
    /// Never for valid UTF-8 with a vocabulary that covers all bytes, as those of the supported
    /// models do.
    pub fn encode(&self, text: &str) -> Vec<u32> {
        self.inner
            .encode_fast(text, false)
            .expect("the vocabulary covers all bytes")
            .get_ids()
            .to_vec()
    }

    pub fn count(&self, text: &str) -> usize {
        self.encode(text).len()
    }

    pub fn decode(&self, ids: &[u32]) -> Result<String> {
        let tokens: Vec<String> = ids
            .iter()
            .filter_map(|id| {
                let special = self.special_texts.get(id).cloned();
                special.or_else(|| self.inner.id_to_token(*id))
            })
            .collect();
        match self.inner.get_decoder() {
            Some(decoder) => decoder
                .decode(tokens)
                .map_err(|e| Error::Tokenizer(e.to_string())),
            None => Ok(tokens.join(" ")),
        }
    }

    /// The delimiters of ChatML.
    ///
    /// # Errors
    /// If the model was not made for it: its vocabulary lacks them.
    pub fn chat(&self) -> Result<ChatTokens> {
        self.chat.ok_or_else(|| {
            Error::Tokenizer(
                "the vocabulary lacks <|im_start|>, <|im_end|> or a newline: the model is not made for the ChatML layout; use an instruction-tuned SmolLM2 or Qwen".into(),
            )
        })
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
    ///
    /// # Panics
    /// If the model has no ChatML; [`Tokenizer::chat`] tells.
    pub fn message(&self, role: &str, content: &str) -> Vec<u32> {
        let chat = self.chat_or_panic();
        let mut ids = vec![chat.start];
        ids.extend(self.encode(role));
        ids.push(chat.newline);
        ids.extend(self.encode(content));
        ids.extend([chat.end, chat.newline]);
        ids
    }

    /// `<|im_start|>assistant\n`: what an answer follows. The answer ends with [`ChatTokens::end`].
    ///
    /// # Panics
    /// If the model has no ChatML; [`Tokenizer::chat`] tells.
    pub fn answer_opening(&self) -> Vec<u32> {
        let chat = self.chat_or_panic();
        let mut ids = vec![chat.start];
        ids.extend(self.encode("assistant"));
        ids.push(chat.newline);
        ids
    }

    fn chat_or_panic(&self) -> ChatTokens {
        self.chat().unwrap_or_else(|e| panic!("{e}"))
    }
}

/// Is it written as vocabularies write what is not text?
fn is_marker(token: &str) -> bool {
    token.len() > 4 && token.starts_with("<|") && token.ends_with("|>")
}

/// Takes special tokens out of a `tokenizer.json`: its list of added tokens, its vocabulary and the
/// merges that lead to one. Added tokens that are neither special nor in brackets are text (runs of
/// spaces, in some vocabularies) and stay.
fn take_specials(json: &mut Json) -> HashMap<String, u32> {
    let mut specials = HashMap::new();
    if let Some(added) = json["added_tokens"].as_array_mut() {
        added.retain(|token| {
            let content = token["content"].as_str().unwrap_or_default();
            let bracketed = content.starts_with(['<', '[']);
            let special = token["special"] == json!(true) || bracketed;
            if let Some(id) = token["id"].as_u64().filter(|_| special) {
                specials.insert(content.to_owned(), id as u32);
            }
            !special
        });
    }
    let model = &mut json["model"];
    // What unknown characters become must stay, and no text is spelt like it.
    let unknown = model["unk_token"].as_str().map(str::to_owned);
    let goes = |token: &str| specials.contains_key(token) && Some(token) != unknown.as_deref();
    if let Some(vocab) = model["vocab"].as_object_mut() {
        vocab.retain(|token, _| !goes(token));
    }
    if let Some(merges) = model["merges"].as_array_mut() {
        merges.retain(|merge| match merge {
            Json::String(pair) => !goes(&pair.replacen(' ', "", 1)),
            Json::Array(pair) => {
                let parts: Option<Vec<&str>> = pair.iter().map(Json::as_str).collect();
                !parts.is_some_and(|p| goes(&p.concat()))
            }
            _ => true,
        });
    }
    specials
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
