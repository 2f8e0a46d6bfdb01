//! Damaged and malicious files: an error or a value, never a panic, and never more than ten times
//! the file in memory.

use std::path::Path;

use allocation_counter::measure;
use hkfr_lm::{Encoder, Gguf, Llama, Tokenizer, load_adapter, save_adapter, tensors_from_bytes};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use crate::golden::dir;
use crate::sample::{GgufFile, encoder_dir, model_gguf};
use crate::tiny::{lora, model};

/// What a loader may take beside ten times the file: buffers of 8 KiB and tables of a fixed size.
const SMALL: u64 = 128 << 10;
/// The same with a tokenizer, whose crate keeps a cache of 10,000 words.
const TOKENIZER: u64 = 4 << 20;

/// One change of a file. Places are shares of its length, so that they fit whatever came before.
#[derive(Debug, Clone)]
enum Damage {
    Flip(f64, u8),
    /// Eight bytes at once: a length or an offset.
    Number(f64, u64),
    Cut(f64),
    Remove(f64, usize),
    Insert(f64, Vec<u8>),
}

fn damage() -> impl Strategy<Value = Damage> {
    let number = prop_oneof![
        any::<u64>(),
        0..300u64,
        Just(u64::MAX),
        Just(1 << 62),
        Just(1 << 40),
        Just(f64::NAN.to_bits())
    ];
    // Half of all places in the first tenth: headers are where the lengths are.
    let place = || prop_oneof![0.0..0.1, 0.0..1.0];
    prop_oneof![
        4 => (place(), any::<u8>()).prop_map(|(at, b)| Damage::Flip(at, b)),
        3 => (place(), number).prop_map(|(at, n)| Damage::Number(at, n)),
        1 => place().prop_map(Damage::Cut),
        1 => (place(), 1..200usize).prop_map(|(at, n)| Damage::Remove(at, n)),
        1 => (place(), prop::collection::vec(any::<u8>(), 1..100)).prop_map(|(at, b)| Damage::Insert(at, b)),
    ]
}

fn apply(bytes: &mut Vec<u8>, damage: &Damage) {
    let at = |share: f64| (share * bytes.len() as f64) as usize;
    match damage {
        Damage::Flip(share, b) => {
            let i = at(*share);
            if let Some(byte) = bytes.get_mut(i) {
                *byte ^= b;
            }
        }
        Damage::Number(share, n) => {
            let i = at(*share);
            for (byte, new) in bytes.iter_mut().skip(i).zip(n.to_le_bytes()) {
                *byte = new;
            }
        }
        Damage::Cut(share) => bytes.truncate(at(*share)),
        Damage::Remove(share, n) => {
            let i = at(*share);
            bytes.drain(i..(i + n).min(bytes.len()));
        }
        Damage::Insert(share, new) => {
            let i = at(*share);
            bytes.splice(i..i, new.iter().copied());
        }
    }
}

/// Runs `load` on `cases` damaged versions of `bytes`, the same ones every time.
fn survives(cases: u32, bytes: &[u8], fixed: u64, load: impl Fn(Vec<u8>)) {
    let config = Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let strategy = prop::collection::vec(damage(), 1..4);
    let outcome = runner.run(&strategy, |damages| {
        let mut damaged = bytes.to_vec();
        damages.iter().for_each(|d| apply(&mut damaged, d));
        let limit = 10 * damaged.len() as u64 + fixed;
        let peak = peak(|| load(damaged));
        prop_assert!(peak <= limit, "{peak} bytes for a limit of {limit}");
        Ok(())
    });
    if let Err(e) = outcome {
        panic!("{e}");
    }
}

/// Bytes held at once by this thread while `f` runs.
fn peak(f: impl FnOnce()) -> u64 {
    measure(f).bytes_max
}

#[test]
fn a_damaged_gguf_model() {
    for (cases, bytes) in [(3000, model_gguf()), (1000, glm4_gguf())] {
        Llama::from_gguf(&Gguf::from_bytes("m.gguf", bytes.clone()).unwrap()).unwrap();
        survives(cases, &bytes, TOKENIZER, |bytes| {
            if let Ok(file) = Gguf::from_bytes("m.gguf", bytes) {
                let _ = Llama::from_gguf(&file);
            }
        });
    }
}

/// Biases, norms of results, a fused matrix, heads that turn in part.
fn glm4_gguf() -> Vec<u8> {
    std::fs::read(dir("glm4").join("model.gguf")).unwrap()
}

#[test]
fn a_damaged_gguf_vocabulary() {
    let bytes = GgufFile::vocabulary().bytes();
    Tokenizer::from_gguf(&Gguf::from_bytes("v.gguf", bytes.clone()).unwrap()).unwrap();
    survives(2000, &bytes, TOKENIZER, |bytes| {
        let tokenizer = Gguf::from_bytes("v.gguf", bytes).and_then(|f| Tokenizer::from_gguf(&f));
        if let Ok(t) = tokenizer {
            let _ = t.decode(&t.encode("naïve <|im_end|> 12"));
        }
    });
}

#[test]
fn damaged_gguf_blocks() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden_gguf");
    let bytes = std::fs::read(dir.join("golden.gguf")).unwrap();
    survives(3000, &bytes, SMALL, |bytes| {
        if let Ok(file) = Gguf::from_bytes("b.gguf", bytes) {
            for (name, n) in [("Q4_0", 96), ("Q5_K", 768), ("Q6_K", 768), ("BF16", 32)] {
                let _ = file.tensor(name, &[1, n]);
            }
        }
    });
}

#[test]
fn a_damaged_adapter() {
    let dir = tempfile::tempdir().unwrap();
    let model = model();
    save_adapter(dir.path(), &lora(&model), &model.config, "random").unwrap();
    let weights = std::fs::read(dir.path().join("adapter_model.safetensors")).unwrap();
    survives(2000, &weights, SMALL, |bytes| {
        let _ = tensors_from_bytes(Path::new("a.safetensors"), &bytes);
    });
    for file in ["adapter_config.json", "adapter_model.safetensors"] {
        let path = dir.path().join(file);
        let bytes = std::fs::read(&path).unwrap();
        survives(500, &bytes, SMALL + 10 * weights.len() as u64, |bytes| {
            std::fs::write(&path, bytes).unwrap();
            let _ = load_adapter(dir.path(), &model.config);
        });
        std::fs::write(&path, bytes).unwrap();
    }
    load_adapter(dir.path(), &model.config).unwrap();
}

#[test]
fn a_damaged_encoder() {
    let dir = encoder_dir();
    let size: u64 = std::fs::read_dir(dir.path())
        .unwrap()
        .map(|f| f.unwrap().metadata().unwrap().len())
        .sum();
    for file in ["config.json", "tokenizer.json", "model.safetensors"] {
        let path = dir.path().join(file);
        let bytes = std::fs::read(&path).unwrap();
        survives(500, &bytes, TOKENIZER + 10 * size, |bytes| {
            std::fs::write(&path, bytes).unwrap();
            if let Ok(encoder) = Encoder::open(dir.path()) {
                let _ = encoder.embed(&["", "red polish", "nail"], 1);
            }
        });
        std::fs::write(&path, bytes).unwrap();
    }
    let unit = Encoder::open(dir.path())
        .unwrap()
        .embed(&["red", ""], 1)
        .unwrap();
    assert!((unit[..8].iter().map(|x| x * x).sum::<f32>() - 1.0).abs() < 1e-5);
    assert_eq!(unit[8..], [0.0; 8], "an empty text has no tokens here");
}

#[test]
fn a_damaged_tokenizer_json() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("tokenizer.json");
    let bytes = std::fs::read(dir("tokenizer").join("tokenizer.json")).unwrap();
    survives(1000, &bytes, TOKENIZER, |bytes| {
        std::fs::write(&path, bytes).unwrap();
        let _ = Tokenizer::from_json(&path);
    });
    for text in [
        "[]",
        "3",
        "{}",
        "{\"model\": []}",
        "{\"model\": {}, \"added_tokens\": 1}",
    ] {
        std::fs::write(&path, text).unwrap();
        let error = Tokenizer::from_json(&path).err().unwrap().to_string();
        assert!(
            error.contains("tokenizer.json") && error.contains("fetch it again"),
            "{text}: {error}"
        );
    }
}

#[test]
fn a_damaged_model_directory() {
    let temp = tempfile::tempdir().unwrap();
    let mut size = 0;
    for file in ["config.json", "model.safetensors"] {
        let to = temp.path().join(file);
        size += std::fs::copy(dir("llama-tied").join(file), to).unwrap();
    }
    for file in ["config.json", "model.safetensors"] {
        let path = temp.path().join(file);
        let bytes = std::fs::read(&path).unwrap();
        survives(300, &bytes, SMALL + 10 * size, |bytes| {
            std::fs::write(&path, bytes).unwrap();
            let _ = Llama::from_dir(temp.path());
        });
        std::fs::write(&path, &bytes).unwrap();
    }
    // A header that promises what the file does not hold takes none of it.
    let path = temp.path().join("model.safetensors");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[..8].copy_from_slice(&(90u64 << 20).to_le_bytes());
    std::fs::write(&path, bytes).unwrap();
    let taken = peak(|| assert!(Llama::from_dir(temp.path()).is_err()));
    assert!(taken < SMALL, "{taken}");
}

/// A file whose text asks for more than it holds: refused, with little memory taken.
fn refused(bytes: Vec<u8>, says: &str) {
    let limit = 10 * bytes.len() as u64 + SMALL;
    let mut error = String::new();
    let peak = peak(|| {
        let model = Gguf::from_bytes("h.gguf", bytes).and_then(|f| Llama::from_gguf(&f));
        error = model.map(|_| ()).unwrap_err().to_string();
    });
    assert!(error.contains(says), "{error}");
    assert!(
        peak <= limit,
        "{peak} bytes for a limit of {limit}: {error}"
    );
}

#[test]
fn a_list_of_bytes_that_would_become_a_list_of_values() {
    let mut file = GgufFile::default();
    file.list("bytes", 0, 1 << 20, &vec![7; 1 << 20]);
    refused(file.bytes(), "ten times its size");
}

#[test]
fn a_list_longer_than_the_file() {
    let mut file = GgufFile::default();
    file.list("bytes", 10, u64::MAX / 4, &[0; 64]);
    refused(file.bytes(), "are due at byte");
}

#[test]
fn tensors_that_share_their_bytes() {
    let mut file = GgufFile {
        data: vec![0; 1 << 20],
        ..GgufFile::default()
    };
    for i in 0..8 {
        file.tensor(&format!("t{i}"), &[1 << 18], 0, 0);
    }
    refused(file.bytes(), "lies across");
}

#[test]
fn shapes_whose_product_overflows() {
    let mut file = GgufFile::default();
    file.tensor("t", &[1 << 33, 1 << 33], 2, 0);
    refused(file.bytes(), "more weights than memory");
    // The product fits, the bytes do not: found by fuzzing.
    for kind in [0, 1] {
        let mut file = GgufFile::default();
        file.tensor("t", &[1 << 63], kind, 0);
        refused(file.bytes(), "more weights than memory");
    }
    let mut file = GgufFile::default();
    file.tensor("t", &[32], 2, u64::MAX - 40);
    refused(file.bytes(), "ends inside the tensor");
}

#[test]
fn a_vocabulary_out_of_proportion() {
    let mut file = GgufFile::default();
    let tokens: Vec<String> = (0..200_000).map(|i| format!("{i:x}")).collect();
    file.text("tokenizer.ggml.pre", "smollm");
    file.texts("tokenizer.ggml.tokens", &tokens);
    file.texts("tokenizer.ggml.merges", &[]);
    refused(file.bytes(), "200000 tokens and 0 merges");
}

#[test]
fn geometries_that_no_model_has() {
    for (key, value) in [
        ("llama.attention.head_count", 0),
        ("llama.attention.head_count_kv", 0),
        ("llama.embedding_length", 0),
        ("llama.block_count", u32::MAX),
        ("llama.context_length", u32::MAX),
        ("llama.feed_forward_length", u32::MAX),
    ] {
        let mut file = GgufFile::model();
        file.metadata.retain(|(k, _)| k != key);
        file.int(key, value);
        let file = Gguf::from_bytes("g.gguf", file.bytes()).unwrap();
        let error = Llama::from_gguf(&file).err().unwrap().to_string();
        assert!(error.contains("geometry"), "{key}: {error}");
    }
    let mut file = GgufFile::model();
    file.metadata.retain(|(k, _)| k != "llama.context_length");
    file.int("llama.context_length", 1 << 23);
    let file = Gguf::from_bytes("g.gguf", file.bytes()).unwrap();
    let error = Llama::from_gguf(&file).err().unwrap().to_string();
    assert!(error.contains("out of proportion"), "{error}");
}

#[test]
fn a_rank_that_the_weights_do_not_bear_out() {
    let dir = tempfile::tempdir().unwrap();
    let model = model();
    save_adapter(dir.path(), &lora(&model), &model.config, "random").unwrap();
    let path = dir.path().join("adapter_config.json");
    for r in ["4000000000", "0", "-1", "1e300", "4.5", "null"] {
        std::fs::write(&path, format!("{{\"r\": {r}, \"lora_alpha\": 6}}")).unwrap();
        let mut error = String::new();
        let peak = peak(|| {
            error = load_adapter(dir.path(), &model.config)
                .unwrap_err()
                .to_string()
        });
        assert!(peak < 1 << 20, "{peak}");
        assert!(
            error.contains("adapter_config.json") || error.contains("expected shape"),
            "{error}"
        );
    }
}

/// `cargo test -p hkfr-lm --test it -- --ignored seeds`: valid files for the targets in `fuzz/`.
#[test]
#[ignore = "writes into fuzz/corpus"]
fn seeds() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden_gguf/golden.gguf");
    let dir = tempfile::tempdir().unwrap();
    let mut config = model().config;
    config.n_layers = 1;
    let model = Llama::random(config, 1).unwrap();
    save_adapter(dir.path(), &lora(&model), &model.config, "random").unwrap();
    let read = |name: &str| std::fs::read(dir.path().join(name)).unwrap();
    let adapter = [
        read("adapter_config.json"),
        vec![0],
        read("adapter_model.safetensors"),
    ];
    for (target, name, bytes) in [
        ("gguf", "model", model_gguf()),
        ("gguf", "glm4", glm4_gguf()),
        ("gguf", "golden", std::fs::read(golden).unwrap()),
        ("tokenizer", "vocabulary", GgufFile::vocabulary().bytes()),
        ("safetensors", "adapter", adapter.concat()),
    ] {
        let dir = corpus.join(target);
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join(name), bytes).unwrap();
    }
}
