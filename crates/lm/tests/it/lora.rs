//! Laws of LoRA and of its training, for every architecture and all seven projections.

use hkfr_lm::{
    AdamW, Error, Example, Label, Lora, LoraConfig, Precision, Target, Targets, Trainer,
    load_adapter, load_tensors, save_adapter, save_tensors,
};

use crate::golden::{MODELS, dir, golden, logits};
use crate::tiny::{assert_close, tokens};

/// Packed examples of different lengths, tokens within the golden vocabulary.
fn batch(n: usize) -> Vec<Example> {
    (0..n)
        .map(|i| {
            let mut example = Example::default();
            let root = example.tree.push(None, &tokens(5 + i % 4, i as u64));
            for branch in 0..2 {
                let ids = tokens(6, 100 + 2 * i as u64 + branch);
                let segment = example.tree.push(Some(root), &ids);
                let rows = example.tree.rows(segment).take(5).zip(&ids[1..]);
                example.labels.extend(rows.map(|(row, &token)| Label {
                    row,
                    token,
                    weight: 1.0,
                }));
            }
            example
        })
        .collect()
}

/// Trap 14 of the field: a gradient that is silently zero for one matrix.
#[test]
fn the_gradient_of_every_matrix_equals_a_finite_difference() {
    for name in MODELS {
        for dropout in [0.0, 0.3] {
            let mut g = golden(name);
            g.lora.config.dropout = dropout;
            let batch = batch(3);
            let mut trainer = Trainer::new(1);
            let mut grads = vec![0.0; g.lora.params.len()];
            trainer.gradient(&g.model, &g.lora, &batch, None, &mut grads);
            let mut scratch = grads.clone();
            for layer in 0..2 {
                let ranges = Target::ALL.map(|t| {
                    let (a, b) = g.lora.ranges(layer, t);
                    [(t, a), (t, b)]
                });
                for (target, range) in ranges.into_iter().flatten() {
                    let own = &grads[range.clone()];
                    let norm = own.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>();
                    let norm = norm.sqrt();
                    let what = format!("{name}, dropout {dropout}, layer {layer} {target:?}");
                    assert!(norm > 1e-3, "{what}: the gradient vanishes");
                    // Along the gradient itself, where the signal is largest, by the five-point rule;
                    // the step is where rounding and curvature both stay below a quarter of the bound.
                    let saved = g.lora.params[range.clone()].to_vec();
                    let mut at = |step: f64| {
                        for (i, p) in range.clone().zip(&saved) {
                            g.lora.params[i] = p + (step / norm) as f32 * grads[i];
                        }
                        let model = &g.model;
                        let s = trainer.gradient(model, &g.lora, &batch, None, &mut scratch);
                        f64::from(s.token_loss)
                    };
                    let h = (0.006 / norm).min(0.015);
                    let (near, far) = (at(h) - at(-h), at(2.0 * h) - at(-2.0 * h));
                    let numeric = (8.0 * near - far) / (12.0 * h);
                    g.lora.params[range].copy_from_slice(&saved);
                    assert!(
                        (numeric - norm).abs() < 1e-3 * norm,
                        "{what}: analytic {norm}, numeric {numeric}"
                    );
                }
            }
        }
    }
}

#[test]
fn an_untrained_adapter_changes_nothing() {
    for name in MODELS {
        let g = golden(name);
        let config = LoraConfig {
            targets: Targets::ALL,
            ..LoraConfig::default()
        };
        let fresh = Lora::new(config, &g.model.config, 5);
        assert_eq!(
            logits(&g.model, Some(&fresh), &g.tokens),
            logits(&g.model, None, &g.tokens)
        );
    }
}

/// Eight steps on `n_threads` threads.
fn train(name: &str, n_threads: usize, dropout: f32) -> (f32, f32, Vec<f32>) {
    let g = golden(name);
    let before = logits(&g.model, None, &g.tokens);
    let config = LoraConfig {
        rank: 4,
        alpha: 8.0,
        targets: Targets::ALL,
        dropout,
        ..LoraConfig::default()
    };
    let mut lora = Lora::new(config, &g.model.config, 1);
    let mut adam = AdamW::new(lora.params.len(), 0.01);
    let mut trainer = Trainer::new(n_threads);
    let mut grads = vec![0.0; lora.params.len()];
    let batch = batch(21);
    let mut losses = Vec::new();
    for step in 0..8 {
        trainer.set_step(9, step);
        let stats = trainer.gradient(&g.model, &lora, &batch, None, &mut grads);
        losses.push(stats.token_loss);
        adam.update(&mut lora.params, &grads, 1.0, 0.01);
    }
    assert_eq!(
        before,
        logits(&g.model, None, &g.tokens),
        "{name}: training touched the base weights"
    );
    (losses[0], losses[7], lora.params)
}

#[test]
fn a_seed_gives_the_same_bytes_on_any_number_of_threads_and_learns() {
    for name in MODELS {
        for dropout in [0.0, 0.2] {
            let one = train(name, 1, dropout);
            assert_eq!(one, train(name, 2, dropout), "{name}");
            assert_eq!(one, train(name, 5, dropout), "{name}");
            assert!(one.1 < 0.95 * one.0, "{name}: {} to {}", one.0, one.1);
        }
    }
}

#[test]
fn dropout_draws_anew_each_step_and_is_absent_from_inference() {
    let mut g = golden("qwen2");
    let plain = logits(&g.model, Some(&g.lora), &g.tokens);
    g.lora.config.dropout = 0.5;
    assert_eq!(logits(&g.model, Some(&g.lora), &g.tokens), plain);
    let batch = [g.example()];
    let mut trainer = Trainer::new(1);
    let mut grads = vec![0.0; g.lora.params.len()];
    let mut loss = |seed, step, dropout| {
        g.lora.config.dropout = dropout;
        trainer.set_step(seed, step);
        let stats = trainer.gradient(&g.model, &g.lora, &batch, None, &mut grads);
        stats.token_loss
    };
    assert_eq!(loss(1, 1, 0.5), loss(1, 1, 0.5));
    assert_ne!(loss(1, 1, 0.5), loss(1, 2, 0.5));
    assert_ne!(loss(1, 1, 0.5), loss(2, 1, 0.5));
    // A little dropout moves the loss a little: what is kept is scaled up.
    let (none, n) = (loss(1, 1, 0.0), 200);
    let mean = (0..n).map(|step| loss(3, step, 0.05)).sum::<f32>() / n as f32;
    assert!((mean - none).abs() < 0.1, "{none} without, {mean} with");
}

#[test]
fn a_peft_directory_with_some_modules_adapts_those() {
    for name in ["llama-tied", "qwen3", "glm4"] {
        let g = golden(name);
        let fused = g.model.config.architecture.fused_gate_up;
        let subsets: [&[Target]; 4] = [
            &[Target::Q, Target::V],
            &[Target::Down],
            &[Target::Gate, Target::Up, Target::O],
            &[Target::K],
        ];
        for subset in subsets {
            let source = dir(name).join("adapter");
            let (tensors, _) = load_tensors(&source.join("adapter_model.safetensors")).unwrap();
            let kept = |key: &str| {
                subset.iter().any(|t| {
                    let half = fused && matches!(t, Target::Gate | Target::Up);
                    let module = if half { "gate_up_proj" } else { t.module() };
                    key.contains(&format!(".{module}."))
                })
            };
            let kept: Vec<_> = tensors
                .iter()
                .filter(|(key, _)| kept(key))
                .map(|(key, (shape, data))| (key.clone(), shape.clone(), &data[..]))
                .collect();
            let to = tempfile::tempdir().unwrap();
            let file = to.path().join("adapter_model.safetensors");
            save_tensors(&file, &kept, Default::default()).unwrap();
            let config = "adapter_config.json";
            std::fs::copy(source.join(config), to.path().join(config)).unwrap();

            let read = load_adapter(to.path(), &g.model.config).unwrap();
            assert_eq!(read.config.targets, subset.iter().copied().collect());
            let mut others_zero = g.lora.clone();
            for target in Target::ALL.into_iter().filter(|t| !subset.contains(t)) {
                for layer in 0..2 {
                    others_zero.params[g.lora.ranges(layer, target).1].fill(0.0);
                }
            }
            let expected = logits(&g.model, Some(&others_zero), &g.tokens);
            assert_eq!(logits(&g.model, Some(&read), &g.tokens), expected);

            save_adapter(to.path(), &read, &g.model.config, name).unwrap();
            let again = load_adapter(to.path(), &g.model.config).unwrap();
            assert_eq!(again, read, "{name} {subset:?}");
        }
    }
}

#[test]
fn half_of_a_fused_projection_survives_its_directory() {
    let g = golden("glm4");
    for rslora in [false, true] {
        let config = LoraConfig {
            targets: [Target::Up].into_iter().collect(),
            rslora,
            ..LoraConfig::default()
        };
        let mut lora = Lora::new(config, &g.model.config, 2);
        lora.params.iter_mut().for_each(|p| *p += 0.01);
        let to = tempfile::tempdir().unwrap();
        save_adapter(to.path(), &lora, &g.model.config, "glm4").unwrap();
        let again = load_adapter(to.path(), &g.model.config).unwrap();
        assert_close(
            &logits(&g.model, Some(&again), &g.tokens),
            &logits(&g.model, Some(&lora), &g.tokens),
            1e-6,
        );
    }
}

/// arXiv 2312.03732: α/√r is α/r with α√r for α, in memory and through a directory.
#[test]
fn rank_stabilised_lora_is_scaled_by_the_root_of_the_rank() {
    let g = golden("llama-tied");
    let (mut rs, mut plain) = (g.lora.clone(), g.lora.clone());
    rs.config.rslora = true;
    plain.config.alpha *= (plain.config.rank as f32).sqrt();
    let expected = logits(&g.model, Some(&plain), &g.tokens);
    assert_close(&logits(&g.model, Some(&rs), &g.tokens), &expected, 1e-5);
    let to = tempfile::tempdir().unwrap();
    save_adapter(to.path(), &rs, &g.model.config, "llama-tied").unwrap();
    assert_eq!(load_adapter(to.path(), &g.model.config).unwrap(), rs);
}

/// What makes a batch of any size fit the memory: it is nothing but the sum of its examples.
#[test]
fn the_gradient_of_a_batch_is_the_weighted_sum_of_its_parts() {
    let g = golden("qwen2");
    let mut batch = batch(7);
    for (i, label) in batch.iter_mut().flat_map(|e| &mut e.labels).enumerate() {
        label.weight = 0.5 + (i % 3) as f32;
    }
    let weight =
        |part: &[Example]| -> f32 { part.iter().flat_map(|e| &e.labels).map(|l| l.weight).sum() };
    let mut trainer = Trainer::new(2);
    let mut gradient = |part: &[Example]| {
        let mut grads = vec![0.0; g.lora.params.len()];
        let stats = trainer.gradient(&g.model, &g.lora, part, None, &mut grads);
        (stats.token_loss, grads)
    };
    let (loss, whole) = gradient(&batch);
    let (mut sum_loss, mut sum) = (0.0, vec![0.0; whole.len()]);
    for part in batch.chunks(3) {
        let share = weight(part) / weight(&batch);
        let (loss, grads) = gradient(part);
        sum_loss += share * loss;
        sum.iter_mut().zip(grads).for_each(|(s, g)| *s += share * g);
    }
    assert_close(&[loss], &[sum_loss], 1e-5);
    assert_close(&whole, &sum, 1e-5);
}

#[test]
fn bfloat16_turns_the_gradient_by_its_rounding_only() {
    for name in MODELS {
        let mut g = golden(name);
        let mut gradient = |precision| {
            g.model.set_precision(precision);
            let mut grads = vec![0.0; g.lora.params.len()];
            Trainer::new(2).gradient(&g.model, &g.lora, &batch(4), None, &mut grads);
            grads
        };
        let (exact, rounded) = (gradient(Precision::F32), gradient(Precision::Bf16));
        let dot = |a: &[f32], b: &[f32]| -> f32 { a.iter().zip(b).map(|(a, b)| a * b).sum() };
        let norms = (dot(&exact, &exact) * dot(&rounded, &rounded)).sqrt();
        let cosine = dot(&exact, &rounded) / norms;
        assert!(cosine > 0.999, "{name}: cosine {cosine}");
        assert_eq!(exact != rounded, Precision::Bf16.is_fast(), "{name}");
    }
}

#[test]
fn what_changes_an_adapters_arithmetic_is_refused_by_name() {
    let g = golden("llama-tied");
    let source = dir("llama-tied").join("adapter");
    let text = std::fs::read_to_string(source.join("adapter_config.json")).unwrap();
    let load = |from: &str, to: &str| {
        let dir = tempfile::tempdir().unwrap();
        assert!(text.contains(from), "{from}");
        let file = "adapter_model.safetensors";
        std::fs::copy(source.join(file), dir.path().join(file)).unwrap();
        let path = dir.path().join("adapter_config.json");
        std::fs::write(path, text.replace(from, to)).unwrap();
        load_adapter(dir.path(), &g.model.config)
    };
    for (from, to, named) in [
        ("\"use_dora\": false", "\"use_dora\": true", "use_dora"),
        ("\"LORA\"", "\"IA3\"", "IA3"),
        ("\"bias\": \"none\"", "\"bias\": \"all\"", "bias \"all\""),
        (
            "\"rank_pattern\": {}",
            "\"rank_pattern\": {\"q_proj\": 2}",
            "rank_pattern",
        ),
        (
            "\"modules_to_save\": null",
            "\"modules_to_save\": [\"lm_head\"]",
            "modules_to_save",
        ),
    ] {
        let error = load(from, to).unwrap_err();
        assert!(matches!(error, Error::BadFile { .. }));
        let error = error.to_string();
        assert!(
            error.contains("adapter_config.json") && error.contains(named),
            "{error}"
        );
    }
    let rs = load("\"use_rslora\": false", "\"use_rslora\": true").unwrap();
    assert!(rs.config.rslora && rs.config.alpha == 5.0);
}

#[test]
fn targets_are_written_as_module_names() {
    let targets: Targets = [Target::Up, Target::Q].into_iter().collect();
    let json = serde_json::to_string(&targets).unwrap();
    assert_eq!(json, r#"["q_proj","up_proj"]"#);
    assert_eq!(serde_json::from_str::<Targets>(&json).unwrap(), targets);
    let error = serde_json::from_str::<Targets>(r#"["lm_head"]"#).unwrap_err();
    assert!(error.to_string().contains("\"lm_head\" is not supported"));
}
