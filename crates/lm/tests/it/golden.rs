//! Tiny models of each architecture against what `transformers`, `peft` and `torch` compute with
//! them (`tests/golden/make.py`).

use std::path::{Path, PathBuf};

use hkfr_lm::{
    Example, Label, Llama, Lora, Session, Target, Tensors, TokenTree, Trainer, load_adapter,
    load_tensors, save_adapter,
};

use crate::tiny::assert_close;

pub const MODELS: [&str; 5] = ["llama-tied", "llama-untied", "qwen2", "qwen3", "glm4"];

pub fn dir(name: &str) -> PathBuf {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    golden.join(name)
}

pub struct Golden {
    pub model: Llama,
    pub lora: Lora,
    pub tokens: Vec<u32>,
    expected: Tensors,
}

pub fn golden(name: &str) -> Golden {
    let dir = dir(name);
    let model = Llama::from_dir(&dir).unwrap();
    let lora = load_adapter(&dir.join("adapter"), &model.config).unwrap();
    let expected = load_tensors(&dir.join("expected.safetensors")).unwrap();
    let tokens = expected.0["tokens"].1.iter().map(|&t| t as u32).collect();
    Golden {
        model,
        lora,
        tokens,
        expected,
    }
}

impl Golden {
    pub fn expected(&self, name: &str) -> &[f32] {
        &self.expected.0[name].1
    }

    fn logits(&self, lora: Option<&Lora>) -> Vec<f32> {
        logits(&self.model, lora, &self.tokens)
    }

    /// Every token but the first is a label, as in the loss of `make.py`.
    pub fn example(&self) -> Example {
        let mut tree = TokenTree::default();
        tree.push(None, &self.tokens);
        let labels = self.tokens.iter().enumerate().skip(1);
        Example {
            tree,
            labels: labels
                .map(|(i, &token)| Label {
                    row: i - 1,
                    token,
                    weight: 1.0,
                })
                .collect(),
            taps: Vec::new(),
        }
    }
}

pub fn logits(model: &Llama, lora: Option<&Lora>, tokens: &[u32]) -> Vec<f32> {
    let mut tree = TokenTree::default();
    tree.push(None, tokens);
    let mut session = Session::default();
    session.prefill(model, lora, &tree);
    let rows: Vec<usize> = (0..tokens.len()).collect();
    session.logits(model, &rows).to_vec()
}

#[test]
fn logits_are_those_of_transformers() {
    for name in MODELS {
        let g = golden(name);
        assert_eq!(g.model.name, name, "a directory names its model");
        assert_close(&g.logits(None), g.expected("logits"), 2e-5);
    }
}

#[test]
fn logits_with_an_adapter_are_those_of_peft() {
    for name in MODELS {
        let g = golden(name);
        let adapted = g.logits(Some(&g.lora));
        assert_close(&adapted, g.expected("adapter.logits"), 2e-5);
        let moved = adapted.iter().zip(g.expected("logits"));
        let moved = moved.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(moved > 0.1, "{name}: the adapter changes nothing");
    }
}

#[test]
fn the_loss_and_the_gradient_of_every_matrix_are_those_of_torch() {
    for name in MODELS {
        let g = golden(name);
        let mut grads = vec![0.0; g.lora.params.len()];
        let batch = [g.example()];
        let stats = Trainer::new(1).gradient(&g.model, &g.lora, &batch, None, &mut grads);
        assert_close(&[stats.token_loss], g.expected("adapter.loss"), 1e-5);
        let fused = g.model.config.architecture.fused_gate_up;
        for layer in 0..2 {
            for target in Target::ALL {
                let (a, b) = g.lora.ranges(layer, target);
                let half = matches!(target, Target::Gate | Target::Up) && fused;
                let module = if half {
                    "gate_up_proj"
                } else {
                    target.module()
                };
                let of = |side| {
                    g.expected(&format!(
                        "grad.base_model.model.model.layers.{layer}.{}.{module}.lora_{side}.weight",
                        target.parent()
                    ))
                };
                if half {
                    // One A serves both halves in torch: its gradient is the sum of ours.
                    let (gate, _) = g.lora.ranges(layer, Target::Gate);
                    let (up, _) = g.lora.ranges(layer, Target::Up);
                    let both = grads[gate].iter().zip(&grads[up]);
                    let both: Vec<f32> = both.map(|(g, u)| g + u).collect();
                    assert_close(&both, of('A'), 1e-5);
                    let n = b.len();
                    let own = if target == Target::Gate { 0 } else { n };
                    assert_close(&grads[b], &of('B')[own..own + n], 1e-5);
                } else {
                    assert_close(&grads[a], of('A'), 1e-5);
                    assert_close(&grads[b], of('B'), 1e-5);
                }
            }
        }
    }
}

#[test]
fn an_adapter_merged_into_the_weights_gives_the_same_logits() {
    for name in MODELS {
        let mut g = golden(name);
        let apart = g.logits(Some(&g.lora));
        g.model.merge(&g.lora).unwrap();
        assert_close(&g.logits(None), &apart, 1e-4);
    }
}

#[test]
fn an_adapter_of_another_geometry_is_not_merged() {
    let mut g = golden("qwen2");
    let before = g.logits(None);
    let error = g.model.merge(&golden("qwen3").lora).unwrap_err();
    assert_eq!(
        error.to_string(),
        "q_proj: expected shape [32, 32], found [48, 32]"
    );
    assert_eq!(g.logits(None), before);
}

/// Its upper layers would be dropped without a word.
#[test]
fn an_adapter_of_a_deeper_model_is_refused() {
    let g = golden("llama-tied");
    let temp = tempfile::tempdir().unwrap();
    hkfr_lm::save_adapter(temp.path(), &g.lora, &g.model.config, "deep").unwrap();
    let mut shallow = g.model.config.clone();
    hkfr_lm::load_adapter(temp.path(), &shallow).unwrap();
    shallow.n_layers -= 1;
    let error = hkfr_lm::load_adapter(temp.path(), &shallow)
        .err()
        .unwrap()
        .to_string();
    assert!(error.contains("tuned on another model"), "{error}");
}

#[test]
fn a_branch_with_cached_keys_equals_the_whole_sequence() {
    for name in MODELS {
        let g = golden(name);
        let mut tree = TokenTree::default();
        let mut session = Session::default();
        let root = tree.push(None, &g.tokens[..10]);
        session.prefill(&g.model, Some(&g.lora), &tree);
        tree.push(Some(root), &[1, 2, 3]);
        let branch = tree.push(Some(root), &g.tokens[10..]);
        session.extend(&g.model, Some(&g.lora), &tree);
        let rows: Vec<usize> = tree.rows(branch).collect();
        let expected = g.expected("adapter.logits");
        let v = g.model.config.vocab_size;
        assert_close(session.logits(&g.model, &rows), &expected[10 * v..], 2e-5);
    }
}

#[test]
fn an_adapter_written_and_read_again_is_the_same_function() {
    for name in MODELS {
        let g = golden(name);
        let dir = tempfile::tempdir().unwrap();
        save_adapter(dir.path(), &g.lora, &g.model.config, name).unwrap();
        let again = load_adapter(dir.path(), &g.model.config).unwrap();
        assert_eq!(again, g.lora, "{name}");
        if !g.model.config.architecture.fused_gate_up {
            let file = "adapter_model.safetensors";
            let theirs = load_tensors(&self::dir(name).join("adapter").join(file)).unwrap();
            assert_eq!(load_tensors(&dir.path().join(file)).unwrap().0, theirs.0);
        }
    }
}
