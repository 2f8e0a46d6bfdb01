//! The ways to a model: golden weights through a GGUF file, and files that are refused.

use std::path::Path;

use hkfr_lm::{Gguf, Llama, load_tensors};

use crate::gguf_writer::{Meta, gguf};
use crate::golden::{dir, golden, logits};
use crate::tiny::assert_close;

/// The golden model as llama.cpp's converter writes it.
fn as_gguf(name: &str, arch: &str, more: Option<(&str, Meta)>) -> Vec<u8> {
    let g = golden(name);
    let c = &g.model.config;
    let key = |k: &str| format!("{arch}.{k}");
    let tokens = (0..c.vocab_size).map(|i| format!("t{i}")).collect();
    let mut metadata = vec![
        ("general.architecture".into(), Meta::Text(arch)),
        ("tokenizer.ggml.pre".into(), Meta::Text("qwen2")),
        ("tokenizer.ggml.tokens".into(), Meta::Texts(tokens)),
        ("tokenizer.ggml.merges".into(), Meta::Texts(Vec::new())),
        ("tokenizer.ggml.token_type".into(), Meta::Ints(vec![1; 64])),
        (key("rope.freq_base"), Meta::Float(c.rope_theta)),
        (
            key("attention.layer_norm_rms_epsilon"),
            Meta::Float(c.rms_norm_eps),
        ),
    ];
    for (k, v) in [
        ("embedding_length", c.hidden_size),
        ("feed_forward_length", c.intermediate_size),
        ("block_count", c.n_layers),
        ("attention.head_count", c.n_heads),
        ("attention.head_count_kv", c.n_kv_heads),
        ("attention.key_length", c.head_dim()),
        ("context_length", c.max_positions),
        ("rope.dimension_count", c.rotary_dim()),
    ] {
        metadata.push((key(k), Meta::Int(v as u32)));
    }
    metadata.extend(more.map(|(k, v)| (key(k), v)));
    let names = [
        ("model.embed_tokens", "token_embd"),
        ("model.norm", "output_norm"),
        ("lm_head", "output"),
        ("model.layers.", "blk."),
        ("post_self_attn_layernorm", "post_attention_norm"),
        ("post_mlp_layernorm", "post_ffw_norm"),
        ("mlp.gate_up_proj", "ffn_up"),
        ("post_attention_layernorm", "ffn_norm"),
        ("input_layernorm", "attn_norm"),
        ("self_attn.q_norm", "attn_q_norm"),
        ("self_attn.k_norm", "attn_k_norm"),
        ("self_attn.q_proj", "attn_q"),
        ("self_attn.k_proj", "attn_k"),
        ("self_attn.v_proj", "attn_v"),
        ("self_attn.o_proj", "attn_output"),
        ("mlp.gate_proj", "ffn_gate"),
        ("mlp.up_proj", "ffn_up"),
        ("mlp.down_proj", "ffn_down"),
    ];
    let (tensors, _) = load_tensors(&dir(name).join("model.safetensors")).unwrap();
    let tensors: Vec<_> = tensors
        .into_iter()
        .map(|(key, (shape, mut data))| {
            if arch == "llama" && (key.contains("q_proj") || key.contains("k_proj")) {
                data = interleave(&data, c.head_dim(), shape[1]);
            }
            let to = names
                .iter()
                .fold(key, |key, (from, to)| key.replace(from, to));
            (to, shape, data)
        })
        .collect();
    gguf(&metadata, &tensors)
}

/// Row s·(d/2) + j of a head goes to row 2j + s.
fn interleave(w: &[f32], head_dim: usize, d_in: usize) -> Vec<f32> {
    let half = head_dim / 2;
    let rows: Vec<&[f32]> = w.chunks_exact(d_in).collect();
    let heads = rows.chunks_exact(head_dim);
    heads
        .flat_map(|head| (0..half).flat_map(|j| [head[j], head[half + j]]))
        .flatten()
        .copied()
        .collect()
}

#[test]
fn a_gguf_file_is_the_same_model_as_its_safetensors() {
    for (name, arch) in [
        ("llama-tied", "llama"),
        ("qwen2", "qwen2"),
        ("qwen3", "qwen3"),
        ("glm4", "glm4"),
    ] {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("m.gguf");
        std::fs::write(&path, as_gguf(name, arch, None)).unwrap();
        let g = golden(name);
        let (model, tokenizer) = Llama::open(&path).unwrap();
        assert_eq!(
            model.config,
            hkfr_lm::LlamaConfig {
                head_dim: Some(g.model.config.head_dim()),
                ..g.model.config.clone()
            }
        );
        assert_eq!(
            logits(&model, Some(&g.lora), &g.tokens),
            logits(&g.model, Some(&g.lora), &g.tokens)
        );
        let error = tokenizer.chat().unwrap_err().to_string();
        assert!(error.contains("ChatML"), "{error}");
    }
}

#[test]
fn glm4_from_a_gguf_file_gives_the_logits_of_transformers() {
    let g = golden("glm4");
    let (model, _) = Llama::open(&dir("glm4").join("model.gguf")).unwrap();
    assert_eq!(model.config, g.model.config);
    assert_close(&logits(&model, None, &g.tokens), g.expected("logits"), 2e-5);
}

#[test]
fn what_a_gguf_file_has_beside_the_text_model_is_refused_by_name() {
    for (arch, key, value, named) in [
        (
            "glm4",
            "rope.dimension_sections",
            Meta::Ints(vec![8, 12, 12, 0]),
            "glm4.rope.dimension_sections is not supported",
        ),
        (
            "glm4",
            "nextn_predict_layers",
            Meta::Int(1),
            "glm4.nextn_predict_layers is not supported",
        ),
        (
            "qwen3",
            "rope.scaling.type",
            Meta::Text("yarn"),
            "\"none\" and \"llama3\"",
        ),
    ] {
        let bytes = as_gguf(arch, arch, Some((key, value)));
        let file = Gguf::from_bytes("m.gguf", bytes).unwrap();
        let error = Llama::from_gguf(&file).err().unwrap().to_string();
        assert!(error.contains(named), "{error}");
    }
}

/// What loading the golden directory says after a change of its `config.json`.
fn refusal(name: &str, from: &str, to: &str) -> String {
    let temp = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(dir(name)).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            std::fs::copy(&path, temp.path().join(path.file_name().unwrap())).unwrap();
        }
    }
    let path = temp.path().join("config.json");
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{from}");
    std::fs::write(&path, text.replace(from, to)).unwrap();
    Llama::from_dir(temp.path()).err().unwrap().to_string()
}

#[test]
fn what_is_not_computed_is_refused_by_name() {
    for (name, from, to, named) in [
        (
            "qwen2",
            "\"qwen2\"",
            "\"gemma3\"",
            "model_type \"gemma3\" is not supported; llama, qwen2, qwen3, glm4 are",
        ),
        (
            "glm4",
            "\"silu\"",
            "\"gelu\"",
            "hidden_act \"gelu\" is not supported; \"silu\" is",
        ),
        (
            "llama-untied",
            "\"llama3\"",
            "\"yarn\"",
            "rope type \"yarn\" is not supported; \"default\" and \"llama3\" are",
        ),
        (
            "llama-untied",
            "\"factor\"",
            "\"of\"",
            "rope type \"llama3\" lacks \"factor\"",
        ),
        (
            "llama-tied",
            "\"attention_bias\": false",
            "\"attention_bias\": true",
            "attention_bias true",
        ),
        (
            "qwen3",
            "\"use_sliding_window\": false",
            "\"use_sliding_window\": true",
            "use_sliding_window true",
        ),
    ] {
        let error = refusal(name, from, to);
        assert!(
            error.contains("config.json") && error.contains(named),
            "{error}"
        );
    }
    assert_eq!(
        refusal("qwen2", "\"hidden_size\": 32", "\"hidden_size\": 40"),
        "model.layers.0.mlp.gate_proj.weight: expected shape [48, 40], found [48, 32]"
    );
}

#[test]
fn an_incomplete_directory_names_what_it_lacks() {
    let temp = tempfile::tempdir().unwrap();
    let error = Llama::from_dir(temp.path()).err().unwrap().to_string();
    assert!(error.contains("model.safetensors"), "{error}");
    let copy = |file: &str| {
        std::fs::copy(dir("llama-untied").join(file), temp.path().join(file)).unwrap();
    };
    copy("config.json");
    copy("model.safetensors.index.json");
    copy("model-00001-of-00002.safetensors");
    let error = Llama::from_dir(temp.path()).err().unwrap().to_string();
    assert!(error.contains("model-00002-of-00002"), "{error}");
    let path = temp.path().join("model-00002-of-00002.safetensors");
    let bytes = std::fs::read(dir("llama-untied").join(path.file_name().unwrap())).unwrap();
    for cut in [0, 4, 100, bytes.len() - 10] {
        std::fs::write(&path, &bytes[..cut]).unwrap();
        let error = Llama::from_dir(temp.path()).err().unwrap().to_string();
        assert!(
            error.contains("model-00002-of-00002") && error.contains("fetch it again"),
            "cut at {cut}: {error}"
        );
    }
    let error = Llama::open(&dir("qwen2")).err().unwrap();
    assert!(error.to_string().contains("tokenizer.json"), "{error}");
}

#[test]
fn a_directory_opens_with_its_tokenizer_and_refuses_that_of_a_larger_model() {
    let temp = tempfile::tempdir().unwrap();
    let copy = |from: &Path| {
        std::fs::copy(from, temp.path().join(from.file_name().unwrap())).unwrap();
    };
    copy(&dir("qwen2").join("config.json"));
    copy(&dir("qwen2").join("model.safetensors"));
    copy(&dir("tokenizer").join("tokenizer.json"));
    let error = Llama::open(temp.path()).err().unwrap().to_string();
    assert!(error.contains("the model 64"), "{error}");
    // A vocabulary of single bytes that the model has rows for.
    let small = r#"{"version": "1.0", "added_tokens": [{"id": 3, "content": "<|im_end|>",
        "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true}],
        "normalizer": null, "pre_tokenizer": null, "post_processor": null, "decoder": null,
        "truncation": null, "padding": null,
        "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": ["a b"]}}"#;
    std::fs::write(temp.path().join("tokenizer.json"), small).unwrap();
    let (model, tokenizer) = Llama::open(temp.path()).unwrap();
    assert_eq!(model.config.vocab_size, 64);
    assert_eq!(tokenizer.encode("aba"), [2, 0]);
    assert_eq!(tokenizer.special("<|im_end|>"), Some(3));
}
