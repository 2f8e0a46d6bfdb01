//! Whole runs with models of the user's own: tiny random ones, laid out as Hugging Face does.

use std::collections::HashMap;
use std::path::Path;

use hkfr_lm::save_tensors;
use serde_json::{Value, json};

use crate::walk::{run, toy};

const VOCAB: usize = 352;
const WIDTH: usize = 32;

const CONFIG: &str = r#"
[tuning]
rank = 4
rslora = true
targets = ["q_proj", "down_proj"]
dropout = 0.1
batch_size = 4
[models]
llm = "./llm"
encoder = "./encoder"
decoder_bits = 32
"#;

/// The same numbers on every machine, within ±0.3.
fn weights(dir: &Path, shapes: &[(String, Vec<usize>)]) {
    let mut state = 1_u64;
    let tensors: Vec<(String, Vec<usize>, Vec<f32>)> = shapes
        .iter()
        .map(|(name, shape)| {
            let values = (0..shape.iter().product()).map(|_| {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                (state >> 40) as f32 / (1 << 24) as f32 * 0.6 - 0.3
            });
            (name.clone(), shape.clone(), values.collect())
        })
        .collect();
    let views: Vec<_> = tensors
        .iter()
        .map(|(name, shape, data)| (name.clone(), shape.clone(), &data[..]))
        .collect();
    save_tensors(&dir.join("model.safetensors"), &views, HashMap::new()).unwrap();
}

fn tokenizer() -> String {
    let golden = "../lm/tests/golden/tokenizer/tokenizer.json";
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(golden)).unwrap()
}

fn write_json(path: &Path, value: &Value) {
    std::fs::write(path, value.to_string()).unwrap();
}

fn llm(dir: &Path) {
    std::fs::create_dir_all(dir).unwrap();
    let (inner, kv) = (64, 16);
    let config = json!({
        "_name_or_path": "org/tiny",
        "model_type": "llama",
        "vocab_size": VOCAB,
        "hidden_size": WIDTH,
        "intermediate_size": inner,
        "num_hidden_layers": 1,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 4096,
        "tie_word_embeddings": true,
    });
    write_json(&dir.join("config.json"), &config);
    std::fs::write(dir.join("tokenizer.json"), tokenizer()).unwrap();
    let mut shapes = vec![
        ("model.embed_tokens.weight".to_owned(), vec![VOCAB, WIDTH]),
        ("model.norm.weight".to_owned(), vec![WIDTH]),
    ];
    for (part, shape) in [
        ("input_layernorm", vec![WIDTH]),
        ("post_attention_layernorm", vec![WIDTH]),
        ("self_attn.q_proj", vec![WIDTH, WIDTH]),
        ("self_attn.k_proj", vec![kv, WIDTH]),
        ("self_attn.v_proj", vec![kv, WIDTH]),
        ("self_attn.o_proj", vec![WIDTH, WIDTH]),
        ("mlp.gate_proj", vec![inner, WIDTH]),
        ("mlp.up_proj", vec![inner, WIDTH]),
        ("mlp.down_proj", vec![WIDTH, inner]),
    ] {
        shapes.push((format!("model.layers.0.{part}.weight"), shape));
    }
    weights(dir, &shapes);
}

fn encoder(dir: &Path) {
    std::fs::create_dir_all(dir).unwrap();
    let config = json!({
        "hidden_size": WIDTH,
        "intermediate_size": WIDTH,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "layer_norm_eps": 1e-12,
        "max_position_embeddings": 64,
        "vocab_size": VOCAB,
        "hidden_act": "gelu",
    });
    write_json(&dir.join("config.json"), &config);
    std::fs::write(dir.join("tokenizer.json"), tokenizer()).unwrap();
    let embedding = |name: &str, n| {
        (
            format!("embeddings.{name}_embeddings.weight"),
            vec![n, WIDTH],
        )
    };
    let mut shapes = vec![
        embedding("word", VOCAB),
        embedding("position", 64),
        embedding("token_type", 2),
    ];
    let norm = |at: &str| (format!("{at}.LayerNorm"), vec![WIDTH]);
    let dense = |at: &str| (at.to_owned(), vec![WIDTH, WIDTH]);
    let layer = "encoder.layer.0";
    for (name, shape) in [
        norm("embeddings"),
        dense(&format!("{layer}.attention.self.query")),
        dense(&format!("{layer}.attention.self.key")),
        dense(&format!("{layer}.attention.self.value")),
        dense(&format!("{layer}.attention.output.dense")),
        norm(&format!("{layer}.attention.output")),
        dense(&format!("{layer}.intermediate.dense")),
        dense(&format!("{layer}.output.dense")),
        norm(&format!("{layer}.output")),
    ] {
        shapes.push((format!("{name}.bias"), vec![WIDTH]));
        shapes.push((format!("{name}.weight"), shape));
    }
    weights(dir, &shapes);
}

/// A log, both models, and a config that ranks with them.
pub fn prepare(dir: &Path) {
    toy(dir);
    llm(&dir.join("llm"));
    encoder(&dir.join("encoder"));
    change(dir, "toy.toml", |text| {
        let systems = r#"systems = ["popularity", "llm-untuned", "hkfr"]"#;
        text.replace(r#"systems = ["popularity", "own-frequency"]"#, systems) + CONFIG
    });
}

pub fn change(dir: &Path, file: &str, change: impl Fn(&str) -> String) {
    let path = dir.join(file);
    let before = std::fs::read_to_string(&path).unwrap();
    let after = change(&before);
    assert_ne!(before, after, "{file} is as it was");
    std::fs::write(path, after).unwrap();
}

/// The stages that ran, by the lines that name one.
fn ran(dir: &Path) -> Vec<String> {
    let (code, _, err) = run(dir, &["run", "toy.toml"]);
    assert_eq!(code, Some(0), "{err}");
    let stages = [
        "ingest",
        "split",
        "fuse",
        "instruct",
        "tune",
        "recommend",
        "evaluate",
    ];
    let lines = err.lines().filter(|l| stages.contains(l));
    lines.map(str::to_owned).collect()
}

#[test]
fn the_models_of_a_run_may_be_directories() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path();
    prepare(dir);
    assert_eq!(ran(dir).len(), 7);
    let adapter = dir.join("out/toy/tune/fusion/adapter_config.json");
    let adapter: Value = serde_json::from_slice(&std::fs::read(adapter).unwrap()).unwrap();
    for (key, value) in [
        ("base_model_name_or_path", json!("org/tiny")),
        ("r", json!(4)),
        ("use_rslora", json!(true)),
        ("target_modules", json!(["down_proj", "q_proj"])),
    ] {
        assert_eq!(adapter[key], value, "{key}");
    }
    assert!(ran(dir).is_empty());

    // Another place of the same files is the same model.
    std::fs::create_dir(dir.join("models")).unwrap();
    std::fs::rename(dir.join("llm"), dir.join("models/llm")).unwrap();
    let (code, _, err) = run(dir, &["run", "toy.toml"]);
    assert_eq!(code, Some(1));
    let missing = "[models] llm: ./llm does not exist; give an asset's name (`hkfr fetch --list`), a .gguf file";
    assert!(err.contains(missing), "{err}");
    change(dir, "toy.toml", |t| t.replace("./llm", "models/llm"));
    assert!(ran(dir).is_empty());

    // Its name is in the knowledge, but in no instruction.
    std::fs::rename(dir.join("models/llm"), dir.join("models/tiny")).unwrap();
    change(dir, "toy.toml", |t| t.replace("models/llm", "models/tiny"));
    assert_eq!(ran(dir), ["fuse", "instruct", "recommend", "evaluate"]);

    // What reads rounded weights, and what reads the model at all.
    change(dir, "toy.toml", |t| {
        t.replace("decoder_bits = 32", "decoder_bits = 8")
    });
    let rounded = ran(dir);
    assert_eq!(rounded[0], "fuse");
    assert!(rounded.iter().any(|s| s == "recommend"), "{rounded:?}");
    change(dir, "models/tiny/config.json", |t| {
        t.replace("4096", "2048")
    });
    let changed = ran(dir);
    for stage in ["fuse", "tune", "recommend"] {
        assert!(changed.iter().any(|s| s == stage), "{changed:?}");
    }
    change(dir, "toy.toml", |t| {
        t.replace("dropout = 0.1", "dropout = 0.2")
    });
    assert_eq!(ran(dir), ["tune", "recommend", "evaluate"]);

    // A context that the texts do not fit.
    change(dir, "models/tiny/config.json", |t| t.replace("2048", "64"));
    let (code, _, err) = run(dir, &["run", "toy.toml"]);
    assert_eq!(code, Some(1));
    assert!(
        err.contains("error: stage fuse: ") && err.contains("64"),
        "{err}"
    );
}

#[test]
fn numbers_need_neither_knowledge_nor_a_text_encoder() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path();
    prepare(dir);
    std::fs::remove_dir_all(dir.join("encoder")).unwrap();
    change(dir, "toy.toml", |text| {
        text.replace(r#""llm-untuned", "hkfr""#, r#""p5""#)
    });
    assert_eq!(ran(dir).len(), 7);
    let read = |file: &str| std::fs::read_to_string(dir.join("out/toy").join(file)).unwrap();
    assert!(!dir.join("out/toy/fuse/knowledge.jsonl").exists());
    let row = read("instruct/numbers.alpaca.jsonl");
    let row: Value = serde_json::from_str(row.lines().next().unwrap()).unwrap();
    let input = row["input"].as_str().unwrap();
    assert!(input.starts_with("Items chosen, oldest first: "), "{input}");
    assert!(row["output"].as_str().unwrap().parse::<u32>().is_ok());
    // Every list holds all ten items, and each once.
    let run = read("recommend/p5.item.jsonl");
    // After the header.
    for line in run.lines().skip(1) {
        let list: Value = serde_json::from_str(line).unwrap();
        let mut items: Vec<&str> = list["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|i| i.as_str().unwrap())
            .collect();
        items.sort_unstable();
        items.dedup();
        assert_eq!(items.len(), 10, "{line}");
    }
    assert!(ran(dir).is_empty());
    // Without the categories, which are not computed then, the items stay as they are.
    change(dir, "toy.toml", |text| {
        text.replace("[recommend]", "[recommend]\ntasks = [\"item\"]")
    });
    assert_eq!(ran(dir), ["recommend", "evaluate"]);
    assert!(!dir.join("out/toy/recommend/p5.category.jsonl").exists());
    assert_eq!(read("recommend/p5.item.jsonl"), run);
    // How much of a history is told.
    change(dir, "toy.toml", |text| {
        text.replace("[tuning]", "[fusion]\nknowledge_tokens = 60\n[tuning]")
    });
    let again = ran(dir);
    assert!(again.iter().any(|s| s == "instruct"), "{again:?}");
    assert!(again.iter().any(|s| s == "tune"), "{again:?}");
}

#[test]
fn a_model_without_chatml_is_asked_by_its_own_template() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path();
    prepare(dir);
    change(dir, "llm/tokenizer.json", |t| {
        t.replace("<|im_start|>", "<|turn|>")
            .replace("<|im_end|>", "<|over|>")
    });
    let (code, _, err) = run(dir, &["run", "toy.toml"]);
    assert_eq!(code, Some(1));
    assert!(
        err.contains("neither ChatML nor a chat template") && err.contains("tokenizer_config.json"),
        "{err}"
    );
    let template = "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no') }}{% endif %}<|turn|>{{ m.content }}<|over|>{% endfor %}{% if add_generation_prompt %}<|turn|>{% endif %}";
    let config = json!({ "eos_token": "<|over|>", "chat_template": template });
    write_json(&dir.join("llm/tokenizer_config.json"), &config);
    assert_eq!(ran(dir).len(), 5);
}
