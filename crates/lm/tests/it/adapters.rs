use std::sync::Arc;

use hkfr_lm::{
    Adapters, GenerateConfig, Generated, Generator, Llama, LlamaConfig, Lora, LoraConfig, Request,
    Sampling, Vocabulary, save_adapter,
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::tiny::{assert_close, model, tokens};

fn adapter(model: &Llama, seed: u64) -> Lora {
    let mut lora = Lora::new(LoraConfig::default(), &model.config, seed);
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let params = lora.params.iter_mut();
    params.for_each(|p| *p = rng.random_range(-0.4..0.4));
    lora
}

fn request(i: u64, adapter: Option<&str>) -> Request {
    Request {
        prompt: tokens(1 + i as usize % 5, i),
        config: GenerateConfig {
            max_new_tokens: Some(4 + i as usize % 9),
            sampling: Sampling {
                temperature: (i % 2 == 1).then_some(0.8),
                seed: i,
                ..Sampling::default()
            },
            ..GenerateConfig::default()
        },
        adapter: adapter.map(Into::into),
        ..Request::default()
    }
}

fn generator<'a>(model: &'a Llama, lora: Option<&'a Lora>) -> Generator<'a> {
    let vocabulary = Vocabulary::new(vec![None; model.config.vocab_size]);
    Generator::new(model, lora, Arc::new(vocabulary))
}

#[test]
fn requests_of_several_adapters_say_together_what_each_says_with_its_own() {
    let model = model();
    let (films, books) = (adapter(&model, 1), adapter(&model, 2));
    let mut adapters = Adapters::default();
    let dir = tempfile::tempdir().unwrap();
    save_adapter(dir.path(), &films, &model.config, "random").unwrap();
    adapters.load("films", dir.path(), &model.config).unwrap();
    adapters.insert("books", books.clone());
    assert_eq!(adapters.get("films").unwrap(), &films);
    assert_eq!(adapters.names().collect::<Vec<_>>(), ["books", "films"]);

    let names = [Some("films"), None, Some("books")];
    let mut mixed = generator(&model, None);
    mixed.adapters = Some(&adapters);
    mixed.batch_size = 3;
    // The second call of a prefix finds it computed for all, the third has another.
    for prefix in [tokens(6, 1), tokens(6, 1), tokens(4, 2), vec![]] {
        let requests = (0..24).map(|i| request(i, names[i as usize % 3]));
        let mixed = mixed.generate(&prefix, requests.collect()).unwrap();
        let alone = |lora| -> Vec<Generated> {
            let mut alone = generator(&model, lora);
            let requests = (0..24).map(|i| request(i, None));
            alone.generate(&prefix, requests.collect()).unwrap()
        };
        let alone = [alone(Some(&films)), alone(None), alone(Some(&books))];
        for (i, mixed) in mixed.iter().enumerate() {
            let own = &alone[i % 3][i];
            assert_eq!(mixed.tokens, own.tokens);
            assert_close(&mixed.log_probs, &own.log_probs, 1e-4);
        }
        for (a, b) in [(0, 1), (0, 2), (1, 2)] {
            let differ = alone[a].iter().zip(&alone[b]);
            let differ = differ.filter(|(a, b)| a.tokens != b.tokens).count();
            assert!(differ > 12, "{a} and {b} differ in {differ} of 24");
        }
    }
}

#[test]
fn an_adapter_that_is_not_there_or_does_not_fit_is_refused_before_a_token() {
    let model = model();
    let mut adapters = Adapters::default();
    let refused = |adapters: Option<&Adapters>, name| {
        let mut generator = generator(&model, None);
        generator.adapters = adapters;
        let requests = vec![request(1, None), request(2, Some(name))];
        let generated = generator.generate_streaming(&[1], requests, |_| panic!("checked first"));
        generated.unwrap_err().to_string()
    };
    for none in [None, Some(&adapters)] {
        assert_eq!(
            refused(none, "films"),
            "request 1: adapter \"films\" is not loaded; loaded: none"
        );
    }
    adapters.insert("films", adapter(&model, 1));
    let other = LlamaConfig {
        n_layers: 2,
        ..model.config.clone()
    };
    let other = Llama::random(other, 1).unwrap();
    adapters.insert("books", adapter(&other, 1));
    assert_eq!(
        refused(Some(&adapters), "film"),
        "request 1: adapter \"film\" is not loaded; loaded: books, films"
    );
    assert_eq!(
        refused(Some(&adapters), "books"),
        "request 1: an adapter of 2 layers does not fit a model of 3"
    );
}
