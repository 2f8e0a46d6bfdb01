//! Small valid files to damage: a GGUF writer, a two-layer Llama with its vocabulary, an encoder.

use std::collections::{BTreeSet, HashMap};

use hkfr_lm::save_tensors;
use serde_json::json;

/// A GGUF file in parts, of which any may lie.
#[derive(Default)]
pub struct GgufFile {
    pub metadata: Vec<(String, Vec<u8>)>,
    pub tensors: Vec<Vec<u8>>,
    pub data: Vec<u8>,
}

fn text(s: &str) -> Vec<u8> {
    [&(s.len() as u64).to_le_bytes()[..], s.as_bytes()].concat()
}

impl GgufFile {
    fn value(&mut self, key: &str, kind: u32, value: &[u8]) {
        let bytes = [&text(key)[..], &kind.to_le_bytes(), value].concat();
        self.metadata.push((key.into(), bytes));
    }

    pub fn int(&mut self, key: &str, value: u32) {
        self.value(key, 4, &value.to_le_bytes());
    }

    fn float(&mut self, key: &str, value: f32) {
        self.value(key, 6, &value.to_le_bytes());
    }

    pub fn text(&mut self, key: &str, value: &str) {
        self.value(key, 8, &text(value));
    }

    /// A list that says it has `n` elements.
    pub fn list(&mut self, key: &str, kind: u32, n: u64, elements: &[u8]) {
        self.value(
            key,
            9,
            &[&kind.to_le_bytes()[..], &n.to_le_bytes(), elements].concat(),
        );
    }

    pub fn texts(&mut self, key: &str, values: &[String]) {
        let elements: Vec<u8> = values.iter().flat_map(|v| text(v)).collect();
        self.list(key, 8, values.len() as u64, &elements);
    }

    /// An entry that says where its bytes are; the slowest dimension comes first.
    pub fn tensor(&mut self, name: &str, shape: &[u64], kind: u32, offset: u64) {
        let mut entry = text(name);
        entry.extend((shape.len() as u32).to_le_bytes());
        shape
            .iter()
            .rev()
            .for_each(|d| entry.extend(d.to_le_bytes()));
        entry.extend(kind.to_le_bytes());
        entry.extend(offset.to_le_bytes());
        self.tensors.push(entry);
    }

    /// A tensor with its bytes: F32 in rows narrower than a block, Q4_0 otherwise.
    fn weights(&mut self, name: &str, shape: &[u64]) {
        let n: u64 = shape.iter().product();
        let (kind, size) = if shape.len() == 1 {
            (0, n * 4)
        } else {
            (2, n / 32 * 18)
        };
        self.tensor(name, shape, kind, self.data.len() as u64);
        // 0x3c00 is one in half precision, 0x3c003c00 a small number in single precision.
        self.data
            .extend((0..size).map(|i| if i % 2 == 0 { 0 } else { 0x3c }));
        self.data.resize(self.data.len().div_ceil(32) * 32, 0);
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut out = b"GGUF".to_vec();
        out.extend(3u32.to_le_bytes());
        out.extend((self.tensors.len() as u64).to_le_bytes());
        out.extend((self.metadata.len() as u64).to_le_bytes());
        self.metadata
            .iter()
            .for_each(|(_, bytes)| out.extend(bytes));
        self.tensors.iter().for_each(|entry| out.extend(entry));
        out.resize(out.len().div_ceil(32) * 32, 0);
        out.extend(&self.data);
        out
    }

    pub fn vocabulary() -> Self {
        let mut file = Self::default();
        file.text("tokenizer.ggml.pre", "smollm");
        let mut tokens: Vec<String> = vec!["<|im_start|>".into(), "<|im_end|>".into()];
        let printable: BTreeSet<u32> = (33..=126).chain(161..=172).chain(174..=255).collect();
        let others = 256..512 - printable.len() as u32;
        let symbols = printable.iter().copied().chain(others);
        tokens.extend(symbols.map(|c| char::from_u32(c).unwrap().to_string()));
        tokens.extend(["us".into(), "er".into()]);
        file.texts("tokenizer.ggml.tokens", &tokens);
        file.texts("tokenizer.ggml.merges", &["u s".into(), "e r".into()]);
        file
    }

    pub fn model() -> Self {
        let mut file = Self::vocabulary();
        file.text("general.architecture", "llama");
        for (key, value) in [
            ("embedding_length", 32),
            ("feed_forward_length", 64),
            ("block_count", 2),
            ("attention.head_count", 4),
            ("attention.head_count_kv", 2),
            ("context_length", 64),
        ] {
            file.int(&format!("llama.{key}"), value);
        }
        file.float("llama.rope.freq_base", 10_000.0);
        file.float("llama.attention.layer_norm_rms_epsilon", 1e-5);
        file.weights("token_embd.weight", &[260, 32]);
        file.weights("output_norm.weight", &[32]);
        for i in 0..2 {
            for (name, shape) in [
                ("attn_norm", &[32][..]),
                ("attn_q", &[32, 32]),
                ("attn_k", &[16, 32]),
                ("attn_v", &[16, 32]),
                ("attn_output", &[32, 32]),
                ("ffn_norm", &[32]),
                ("ffn_gate", &[64, 32]),
                ("ffn_up", &[64, 32]),
                ("ffn_down", &[32, 64]),
            ] {
                file.weights(&format!("blk.{i}.{name}.weight"), shape);
            }
        }
        file
    }
}

pub fn model_gguf() -> Vec<u8> {
    GgufFile::model().bytes()
}

/// An encoder of width 8 with one layer, whose tokenizer knows a few words and adds no markers.
pub fn encoder_dir() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let (d, f, vocab, positions) = (8, 16, 6, 12);
    let config = json!({
        "hidden_size": d, "intermediate_size": f, "num_hidden_layers": 1,
        "num_attention_heads": 2, "layer_norm_eps": 1e-12,
        "max_position_embeddings": positions, "vocab_size": vocab, "hidden_act": "gelu",
    });
    std::fs::write(dir.path().join("config.json"), config.to_string()).unwrap();
    let words = ["[UNK]", "red", "nail", "pol", "##ish", "s"];
    let vocab_json: HashMap<&str, usize> = words.iter().enumerate().map(|(i, w)| (*w, i)).collect();
    let tokenizer = json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [],
        "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
            "strip_accents": null, "lowercase": true},
        "pre_tokenizer": {"type": "BertPreTokenizer"}, "post_processor": null,
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": true},
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100, "vocab": vocab_json},
    });
    std::fs::write(dir.path().join("tokenizer.json"), tokenizer.to_string()).unwrap();
    let mut shapes = vec![
        (
            "embeddings.word_embeddings.weight".to_owned(),
            vec![vocab, d],
        ),
        (
            "embeddings.position_embeddings.weight".into(),
            vec![positions, d],
        ),
        ("embeddings.token_type_embeddings.weight".into(), vec![2, d]),
    ];
    for (name, shape) in [
        ("embeddings.LayerNorm", vec![d]),
        ("encoder.layer.0.attention.self.query", vec![d, d]),
        ("encoder.layer.0.attention.self.key", vec![d, d]),
        ("encoder.layer.0.attention.self.value", vec![d, d]),
        ("encoder.layer.0.attention.output.dense", vec![d, d]),
        ("encoder.layer.0.attention.output.LayerNorm", vec![d]),
        ("encoder.layer.0.intermediate.dense", vec![f, d]),
        ("encoder.layer.0.output.dense", vec![d, f]),
        ("encoder.layer.0.output.LayerNorm", vec![d]),
    ] {
        shapes.push((format!("{name}.bias"), vec![shape[0]]));
        shapes.push((format!("{name}.weight"), shape));
    }
    let data: Vec<f32> = (0..400)
        .map(|i| (i * 37 % 100) as f32 / 50.0 - 1.0)
        .collect();
    let tensors: Vec<_> = shapes
        .into_iter()
        .map(|(name, shape)| {
            let n: usize = shape.iter().product();
            (name, shape, &data[n % 7..n % 7 + n])
        })
        .collect();
    save_tensors(
        &dir.path().join("model.safetensors"),
        &tensors,
        HashMap::new(),
    )
    .unwrap();
    dir
}
