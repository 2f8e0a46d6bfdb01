use std::sync::Arc;

use hkfr_lm::{
    BeamConfig, Finish, GenerateConfig, Generated, Generator, Llama, LlamaConfig, Request,
    Sampling, Session, TokenTree, Vocabulary, log_sum_exp,
};

use crate::tiny::{assert_close, lora, model, tokens};

/// Token i is the i-th letter; token 36 is special.
fn vocabulary() -> Arc<Vocabulary> {
    let letters = "abcdefghijklmnopqrstuvwxyz0123456789".chars();
    let bytes = letters.map(|c| Some(c.to_string().into_bytes()));
    Arc::new(Vocabulary::new(bytes.chain([None]).collect()))
}

fn logits(model: &Llama, adapted: bool, ids: &[u32]) -> Vec<f32> {
    let lora = lora(model);
    let mut tree = TokenTree::default();
    tree.push(None, ids);
    let mut session = Session::default();
    session.prefill(model, adapted.then_some(&lora), &tree);
    session.logits(model, &[ids.len() - 1]).to_vec()
}

fn argmax(logits: &[f32]) -> u32 {
    (0..logits.len()).fold(0, |best, i| if logits[i] > logits[best] { i } else { best }) as u32
}

fn request(prompt: Vec<u32>, max_new_tokens: usize, sampling: Sampling) -> Request {
    Request {
        prompt,
        config: GenerateConfig {
            max_new_tokens: Some(max_new_tokens),
            sampling,
            ..GenerateConfig::default()
        },
        ..Request::default()
    }
}

fn run(prefix: &[u32], requests: Vec<Request>) -> Vec<Generated> {
    let model = model();
    Generator::new(&model, None, vocabulary())
        .generate(prefix, requests)
        .unwrap()
}

#[test]
fn greedy_is_the_argmax_of_every_step_computed_without_a_cache() {
    let model = model();
    let lora = lora(&model);
    for adapted in [false, true] {
        let mut generator = Generator::new(&model, adapted.then_some(&lora), vocabulary());
        let prompts = [tokens(3, 1), tokens(9, 2), vec![], tokens(1, 3)];
        let prefix = tokens(6, 4);
        let requests = prompts
            .iter()
            .map(|p| request(p.clone(), 12, Sampling::default()));
        let outputs = generator.generate(&prefix, requests.collect()).unwrap();
        for (prompt, output) in prompts.iter().zip(outputs) {
            let mut ids = [&prefix[..], prompt].concat();
            for (&token, &log_prob) in output.tokens.iter().zip(&output.log_probs) {
                let logits = logits(&model, adapted, &ids);
                assert_eq!(token, argmax(&logits));
                assert_close(
                    &[log_prob],
                    &[logits[token as usize] - log_sum_exp(&logits)],
                    1e-4,
                );
                ids.push(token);
            }
            assert_eq!((output.tokens.len(), output.finish), (12, Finish::Length));
        }
    }
}

#[test]
fn a_request_says_in_any_batch_what_it_says_alone() {
    let prefix = tokens(5, 20);
    let make = |i: u64| {
        let sampling = Sampling {
            temperature: Some(0.8),
            top_k: i.is_multiple_of(2).then_some(10),
            repetition_penalty: i.is_multiple_of(3).then_some(1.3),
            seed: i,
            ..Sampling::default()
        };
        request(tokens(i as usize % 7, i), 5 + i as usize, sampling)
    };
    let alone: Vec<Generated> = (0..20).flat_map(|i| run(&prefix, vec![make(i)])).collect();
    let model = model();
    let mut generator = Generator::new(&model, None, vocabulary());
    for batch_size in [1, 3, 20] {
        generator.batch_size = batch_size;
        let together = generator
            .generate(&prefix, (0..20).map(make).collect())
            .unwrap();
        for (a, b) in alone.iter().zip(&together) {
            assert_eq!(
                (&a.tokens, &a.text, a.finish),
                (&b.tokens, &b.text, b.finish)
            );
            assert_close(&a.log_probs, &b.log_probs, 1e-4);
        }
    }
    assert_ne!(alone[8].tokens, alone[10].tokens);
}

#[test]
fn stop_tokens_stop_strings_and_the_callback_end_a_request() {
    let prompt = tokens(4, 2);
    let drawn = Sampling {
        temperature: Some(2.0),
        seed: 4,
        ..Sampling::default()
    };
    let free = &run(&prompt, vec![request(vec![], 12, drawn.clone())])[0];
    let at = (1..12)
        .find(|&i| !free.tokens[..i].contains(&free.tokens[i]))
        .unwrap();
    let mut with_token = request(vec![], 12, drawn.clone());
    with_token.config.stop_tokens = vec![free.tokens[at]];
    // The string reaches over two tokens.
    let stop: String = free.text.chars().skip(2).take(2).collect();
    let cut = free.text.find(&stop).unwrap();
    let mut with_string = request(vec![], 12, drawn.clone());
    with_string.config.stop_strings = vec!["no such text".into(), stop];
    let model = model();
    let mut generator = Generator::new(&model, None, vocabulary());
    let mut streamed = vec![String::new(); 3];
    let outputs = generator
        .generate_streaming(
            &prompt,
            vec![with_token, with_string, request(vec![], 12, drawn.clone())],
            |step| {
                streamed[step.request] += step.text;
                step.request != 2 || streamed[2].len() < 5
            },
        )
        .unwrap();
    assert_eq!(outputs[0].tokens, free.tokens[..=at]);
    assert_eq!(
        (&*outputs[0].text, outputs[0].finish),
        (&free.text[..at], Finish::Stop)
    );
    assert_eq!(
        (&*outputs[1].text, outputs[1].finish),
        (&free.text[..cut], Finish::StopString)
    );
    assert_eq!(
        (&*outputs[2].text, outputs[2].finish),
        (&free.text[..5], Finish::Cancelled)
    );
    for (output, text) in outputs.iter().zip(&streamed) {
        assert_eq!(&output.text, text);
    }
}

#[test]
fn defaults_are_greedy_without_limits_and_the_context_is_the_end() {
    let config = GenerateConfig::default();
    assert_eq!(config.max_new_tokens, None);
    assert!(config.stop_tokens.is_empty() && config.stop_strings.is_empty());
    assert_eq!(config.sampling, Sampling::default());
    assert_eq!(BeamConfig::default().width, 1);
    assert_eq!(BeamConfig::default().length_penalty, 0.0);
    let output = &run(&tokens(60, 1), vec![Request::default()])[0];
    // The last token needs no place of its own.
    assert_eq!((output.tokens.len(), output.finish), (5, Finish::Length));
}

#[test]
fn prompts_that_cannot_be_computed_are_refused() {
    let model = model();
    let mut generator = Generator::new(&model, None, vocabulary());
    for (prompt, what) in [
        (vec![], "a prompt is empty"),
        (vec![0; 65], "the model's context is 64"),
        (vec![37], "the vocabulary has 37"),
    ] {
        let request = request(prompt, 1, Sampling::default());
        let error = generator
            .generate(&[], vec![request])
            .unwrap_err()
            .to_string();
        assert!(error.contains(what), "{error}");
    }
}

/// Six tokens, of which 5 ends.
fn six() -> Llama {
    let config = LlamaConfig {
        vocab_size: 6,
        ..model().config
    };
    Llama::random(config, 5).unwrap()
}

/// All outputs of at most `n` tokens with their log-probabilities.
fn all(
    model: &Llama,
    prompt: &[u32],
    said: Vec<u32>,
    sum: f32,
    n: usize,
    out: &mut Vec<(f32, Vec<u32>)>,
) {
    if said.last() == Some(&5) || said.len() == n {
        out.push((sum, said));
        return;
    }
    let logits = logits(model, false, &[prompt, &said].concat());
    let norm = log_sum_exp(&logits);
    for (token, logit) in logits.iter().enumerate() {
        let said = [&said[..], &[token as u32]].concat();
        all(model, prompt, said, sum + logit - norm, n, out);
    }
}

#[test]
fn a_full_beam_finds_the_best_outputs_by_brute_force() {
    let model = six();
    let vocabulary = Arc::new(Vocabulary::new(vec![None; 6]));
    let mut generator = Generator::new(&model, None, vocabulary);
    for (seed, length_penalty) in [(1, 0.0), (2, 0.0), (3, 1.0), (4, 0.6)] {
        let prompt: Vec<u32> = tokens(5, seed).iter().map(|t| t % 6).collect();
        let mut expected = Vec::new();
        all(&model, &prompt, Vec::new(), 0.0, 4, &mut expected);
        for e in &mut expected {
            e.0 /= (e.1.len() as f32).powf(length_penalty);
        }
        expected.sort_by(|a, b| b.0.total_cmp(&a.0));
        let config = BeamConfig {
            width: 6usize.pow(4),
            length_penalty,
            max_new_tokens: Some(4),
            stop_tokens: vec![5],
        };
        let found = generator
            .beam_search(&prompt[..2], &prompt[2..], &config, None)
            .unwrap();
        assert_eq!(found.len(), expected.len());
        for ((score, output), (sum, said)) in found.iter().zip(&expected).take(50) {
            assert_close(&[*score], &[*sum], 1e-4);
            assert_eq!(&output.tokens, said);
        }
    }
}

#[test]
fn a_beam_of_width_1_is_greedy_and_scores_are_those_of_the_tokens() {
    let model = model();
    let mut generator = Generator::new(&model, None, vocabulary());
    for seed in 0..6 {
        let prompt = tokens(4, seed);
        let mut greedy = request(prompt.clone(), 20, Sampling::default());
        greedy.config.stop_tokens = vec![3, 11];
        let greedy = generator.generate(&[], vec![greedy]).unwrap().remove(0);
        let config = BeamConfig {
            max_new_tokens: Some(20),
            stop_tokens: vec![3, 11],
            ..BeamConfig::default()
        };
        let one = generator.beam_search(&[], &prompt, &config, None).unwrap();
        assert_eq!(one.len(), 1);
        assert_eq!(one[0].1.tokens, greedy.tokens);
        assert_eq!(
            (&one[0].1.text, one[0].1.finish),
            (&greedy.text, greedy.finish)
        );
        assert_close(&one[0].1.log_probs, &greedy.log_probs, 1e-4);
        let wide = BeamConfig { width: 5, ..config };
        let wide = generator.beam_search(&[], &prompt, &wide, None).unwrap();
        // Every score is that of its tokens, whatever was forked and grown on the way.
        for (score, output) in &wide {
            let mut ids = prompt.clone();
            let mut sum = 0.0;
            for &token in &output.tokens {
                let logits = logits(&model, false, &ids);
                sum += logits[token as usize] - log_sum_exp(&logits);
                ids.push(token);
            }
            assert_close(&[*score], &[sum], 1e-3);
        }
    }
}

/// Bytes in random order, with whole and half characters.
fn byte_soup() -> (Llama, Arc<Vocabulary>) {
    let mut bytes: Vec<_> = (0..=255u8).map(|b| Some(vec![b])).collect();
    bytes.extend(["中", "é", "ab", "ba"].map(|t| Some(t.as_bytes().to_vec())));
    bytes.extend([&b"\xE4"[..], b"\xE4\xB8", b"\xAD", b"a\xF0\x9F"].map(|t| Some(t.to_vec())));
    let config = LlamaConfig {
        vocab_size: bytes.len(),
        max_positions: 700,
        ..model().config
    };
    (
        Llama::random(config, 3).unwrap(),
        Arc::new(Vocabulary::new(bytes)),
    )
}

fn drawn(seed: u64) -> Sampling {
    Sampling {
        temperature: Some(3.0),
        seed,
        ..Sampling::default()
    }
}

#[test]
fn streamed_text_adds_up_to_the_text_whatever_the_bytes() {
    let (model, vocabulary) = byte_soup();
    let mut generator = Generator::new(&model, None, vocabulary);
    let requests = (0..40).map(|i| {
        let mut request = request(vec![i], 60, drawn(i.into()));
        request.config.stop_strings = vec!["abba".into(), "中é".into(), "a".repeat(i as usize % 3)];
        request
    });
    let mut streamed = vec![String::new(); 40];
    let outputs = generator
        .generate_streaming(&[1], requests.collect(), |step| {
            streamed[step.request] += step.text;
            true
        })
        .unwrap();
    for (output, text) in outputs.iter().zip(&streamed) {
        assert_eq!(&output.text, text);
        assert!(!text.contains("abba"));
    }
    assert!(outputs.iter().any(|o| o.finish == Finish::StopString));
}

#[test]
fn an_output_that_outgrows_its_reserved_rows_is_still_the_models() {
    let (model, vocabulary) = byte_soup();
    let mut generator = Generator::new(&model, None, vocabulary);
    let requests = (0..3).map(|i| request(vec![i], 560, drawn(i.into())));
    for (i, output) in (0..).zip(generator.generate(&[9, 8], requests.collect()).unwrap()) {
        let ids = [&[9, 8, i], &output.tokens[..]].concat();
        let mut tree = TokenTree::default();
        tree.push(None, &ids);
        let mut session = Session::default();
        session.prefill(&model, None, &tree);
        let asked: Vec<(usize, u32)> = (3..ids.len()).map(|at| (at - 1, ids[at])).collect();
        assert_close(&output.log_probs, &session.log_probs(&model, &asked), 1e-3);
    }
}

#[test]
fn requests_of_many_pages_say_what_they_say_alone_in_the_memory_of_a_batch() {
    let (model, vocabulary) = byte_soup();
    let prefix = [9, 8, 7];
    // Prompts and outputs of one page and of several, in turn.
    let make = |i: usize| {
        let prompt = [1, 300, 7, 2, 520][i % 5];
        let prompt = (0..prompt as u32).map(|t| (t * 31 + i as u32) % 250);
        request(prompt.collect(), [3, 90, 1, 300][i % 4], drawn(i as u64))
    };
    let mut generator = Generator::new(&model, None, vocabulary.clone());
    generator.batch_size = 3;
    let together = generator
        .generate(&prefix, (0..20).map(make).collect())
        .unwrap();
    // A request is at most 520 + 172 tokens, three pages of 256.
    assert!(generator.n_rows() <= prefix.len() + 3 * 3 * 256);
    for (i, together) in together.iter().enumerate() {
        let mut generator = Generator::new(&model, None, vocabulary.clone());
        let alone = &generator.generate(&prefix, vec![make(i)]).unwrap()[0];
        assert_eq!(
            (&alone.tokens, &alone.text, alone.finish),
            (&together.tokens, &together.text, together.finish)
        );
        assert_close(&alone.log_probs, &together.log_probs, 1e-3);
    }
}

#[test]
fn thousands_of_requests_take_the_rows_of_a_batch() {
    let model = model();
    let mut generator = Generator::new(&model, None, vocabulary());
    let prefix = tokens(5, 1);
    let make = |i: u64| request(tokens(1 + i as usize % 9, i), 1 + i as usize % 6, drawn(i));
    generator
        .generate(&prefix, (0..3000).map(make).collect())
        .unwrap();
    // The longest has 9 + 6 tokens, of which the last needs no row.
    assert_eq!(generator.n_rows(), 5 + 16 * 14);
}

#[test]
fn the_next_request_takes_the_place_of_one_that_is_cancelled() {
    let model = model();
    let mut generator = Generator::new(&model, None, vocabulary());
    generator.batch_size = 2;
    let requests = (0..4).map(|i| request(tokens(2, i), 20, drawn(i)));
    let mut order = Vec::new();
    let outputs = generator
        .generate_streaming(&[1], requests.collect(), |step| {
            order.push(step.request);
            step.request != 1 || order.len() < 4
        })
        .unwrap();
    // Request 0 still has 18 tokens to say when the third begins.
    assert_eq!(order[..6], [0, 1, 0, 1, 0, 2]);
    assert_eq!(
        (outputs[1].tokens.len(), outputs[1].finish),
        (2, Finish::Cancelled)
    );
    let alone = run(&[1], vec![request(tokens(2, 2), 20, drawn(2))]);
    assert_eq!(outputs[2].tokens, alone[0].tokens);
    assert_eq!(generator.n_rows(), 1 + 2 * 21);
}

#[test]
fn another_prefix_or_none_is_computed_anew() {
    let model = model();
    let mut generator = Generator::new(&model, None, vocabulary());
    let (a, b) = (tokens(5, 1), tokens(8, 2));
    for prefix in [&a[..], &b, &[], &a, &a] {
        let make = || request(tokens(3, 5), 6, Sampling::default());
        let found = generator.generate(prefix, vec![make()]).unwrap();
        let fresh = run(prefix, vec![make()]);
        assert_eq!(found[0].tokens, fresh[0].tokens);
        assert_close(&found[0].log_probs, &fresh[0].log_probs, 1e-4);
    }
}
