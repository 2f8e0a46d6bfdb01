use std::collections::BTreeSet;
use std::sync::Arc;

use hkfr_lm::{
    Architecture, Automaton, BeamConfig, ByteConstraint, Constraint, Finish, GenerateConfig,
    Generator, JsonAutomaton, JsonSchema, Llama, LlamaConfig, Request, Sampling, StringSet,
    TokenMask, Vocabulary,
};
use proptest::prelude::*;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

const END: u32 = 0;

/// An end token, all bytes, and tokens that reach across spaces, quotes and characters.
fn vocabulary() -> Arc<Vocabulary> {
    let longer = [
        "{\"", "\":", "\": ", "\", \"", "\"}", "\"]", ", ", "[]", "e\"", " the", "the ", "man ",
        "n th", "red", "12", ".5", "true", "tru", "\\u", "\\\"", "é", "\u{4e2d}", "a\"}", "},{",
    ];
    let mut bytes = vec![None];
    bytes.extend((0..=255u8).map(|b| Some(vec![b])));
    bytes.extend(longer.map(|t| Some(t.as_bytes().to_vec())));
    // Half a character: the last two bytes of 中 and a quote.
    bytes.push(Some(b"\xB8\xAD\"".to_vec()));
    Arc::new(Vocabulary::new(bytes))
}

fn model(vocabulary: &Vocabulary, seed: u64) -> Llama {
    let config = LlamaConfig {
        vocab_size: vocabulary.len() + 3,
        hidden_size: 16,
        intermediate_size: 24,
        n_layers: 1,
        n_heads: 2,
        n_kv_heads: 1,
        head_dim: None,
        rope_theta: 10_000.0,
        rope_scaling: None,
        partial_rotary_factor: 1.0,
        rms_norm_eps: 1e-5,
        max_positions: 512,
        tie_word_embeddings: true,
        architecture: Architecture::LLAMA,
    };
    Llama::random(config, seed).unwrap()
}

fn constraint<A: Automaton + 'static>(a: &Arc<A>, v: &Arc<Vocabulary>) -> Box<dyn Constraint> {
    Box::new(ByteConstraint::new(a.clone(), v.clone(), &[END]).unwrap())
}

const TITLES: [&str; 7] = [
    "Heat",
    "Heat wave",
    "The red man",
    "The red",
    "中国",
    "été",
    "H",
];

/// Cuts a text into random tokens.
fn cut(vocabulary: &Vocabulary, text: &[u8], rng: &mut ChaCha8Rng) -> Vec<u32> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let fits: Vec<u32> = (0..vocabulary.len() as u32)
            .filter(|&id| vocabulary.bytes(id).is_some_and(|b| rest.starts_with(b)))
            .collect();
        let token = fits[rng.random_range(0..fits.len())];
        rest = &rest[vocabulary.bytes(token).unwrap().len()..];
        tokens.push(token);
    }
    tokens
}

/// Every tokenisation of each text is allowed, and the end after it and only there.
fn accepts<A: Automaton + 'static>(automaton: &Arc<A>, texts: &[&str]) {
    let vocabulary = vocabulary();
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    for text in texts {
        for _ in 0..20 {
            let mut constraint = constraint(automaton, &vocabulary);
            let mut mask = TokenMask::default();
            for token in cut(&vocabulary, text.as_bytes(), &mut rng) {
                assert!(!constraint.allowed(1000, &mut mask));
                assert!(
                    mask.contains(token),
                    "{text}: {:?}",
                    vocabulary.bytes(token)
                );
                constraint.advance(token);
            }
            constraint.allowed(1000, &mut mask);
            assert!(mask.contains(END), "{text} may end");
            constraint.advance(END);
            constraint.allowed(1000, &mut mask);
            assert!(mask.is_empty(), "nothing follows the end");
        }
    }
}

#[test]
fn every_tokenisation_of_every_title_is_accepted_and_nothing_else() {
    let set = Arc::new(StringSet::new(TITLES).unwrap());
    accepts(&set, &TITLES);
    let vocabulary = vocabulary();
    let allowed = |said: &str| -> BTreeSet<Vec<u8>> {
        let mut constraint = constraint(&set, &vocabulary);
        for &byte in said.as_bytes() {
            constraint.advance(u32::from(byte) + 1);
        }
        let mut mask = TokenMask::default();
        constraint.allowed(100, &mut mask);
        let ids = (0..vocabulary.len() as u32).filter(|&id| mask.contains(id));
        ids.map(|id| vocabulary.bytes(id).unwrap_or(b"END").to_vec())
            .collect()
    };
    let set_of = |list: &[&str]| list.iter().map(|s| s.as_bytes().to_vec()).collect();
    assert_eq!(allowed("Heat"), set_of(&["END", " "]));
    assert_eq!(allowed("The"), set_of(&[" "]));
    assert_eq!(allowed("The "), set_of(&["r", "red"]));
    assert_eq!(allowed("H"), set_of(&["END", "e"]));
    assert_eq!(allowed("Heat wave"), set_of(&["END"]));
    assert!(allowed("Heat!").is_empty());
}

/// Beam search under a constraint with enough width lists the whole language.
#[test]
fn a_beam_as_wide_as_the_language_says_all_of_it() {
    let vocabulary = vocabulary();
    let model = model(&vocabulary, 1);
    let set = Arc::new(StringSet::new(TITLES).unwrap());
    let config = BeamConfig {
        width: 400,
        max_new_tokens: Some(12),
        stop_tokens: vec![END],
        ..BeamConfig::default()
    };
    let found = Generator::new(&model, None, vocabulary.clone())
        .beam_search(&[7, 8], &[9], &config, Some(constraint(&set, &vocabulary)))
        .unwrap();
    let said: BTreeSet<&str> = found.iter().map(|f| &*f.1.text).collect();
    assert_eq!(said, TITLES.into());
}

const SCHEMA: &str = r#"{
  "title": "Knowledge", "type": "object",
  "properties": {
    "reason": {"type": "string", "maxLength": 12},
    "tags": {"type": "array", "items": {"enum": ["red", "reddish", "a \"b\"", "é"]}, "minItems": 1, "maxItems": 3},
    "nested": {"type": "object", "additionalProperties": false, "properties": {
        "n": {"type": "integer"}, "x": {"type": "number"}, "name": {"type": "string"}}, "required": ["x"]},
    "rows": {"type": "array", "items": {"type": "array", "items": {"type": "boolean"}, "minItems": 2}},
    "none": {"type": "null"},
    "version": {"const": {"b": 1, "a": [2, "x"]}},
    "level": {"enum": [1, 12, 123]}
  },
  "required": ["reason", "tags", "nested", "version"]
}"#;

/// JSON Schema over a parsed value, for the keywords above, written apart from the automaton.
fn validates(v: &Value, schema: &Value) -> bool {
    if let Some(values) = schema["enum"].as_array() {
        return values.contains(v);
    }
    if !schema["const"].is_null() {
        return *v == schema["const"];
    }
    let n = |key: &str, default: usize| schema[key].as_u64().map_or(default, |n| n as usize);
    match schema["type"].as_str().unwrap() {
        "string" => v
            .as_str()
            .is_some_and(|s| s.chars().count() <= n("maxLength", usize::MAX)),
        "integer" => v.is_i64(),
        "number" => v.is_number(),
        "boolean" => v.is_boolean(),
        "null" => v.is_null(),
        "array" => v.as_array().is_some_and(|items| {
            (n("minItems", 0)..=n("maxItems", usize::MAX)).contains(&items.len())
                && items.iter().all(|i| validates(i, &schema["items"]))
        }),
        _ => v.as_object().is_some_and(|object| {
            let required = schema["required"].as_array().unwrap();
            required
                .iter()
                .all(|r| object.contains_key(r.as_str().unwrap()))
                && object.iter().all(|(k, v)| {
                    let property = schema["properties"].get(k);
                    property.is_some_and(|p| validates(v, p))
                })
        }),
    }
}

fn json(schema: &str) -> Arc<JsonAutomaton> {
    Arc::new(JsonAutomaton::new(JsonSchema::parse(schema).unwrap()))
}

#[test]
fn every_tokenisation_of_valid_json_is_accepted() {
    accepts(
        &json(SCHEMA),
        &[
            r#"{"reason":"","tags":["red"],"nested":{"x":0},"version":{"b":1,"a":[2,"x"]}}"#,
            r#"{"reason": "the \u00e9\n\"中\"", "tags": ["reddish", "a \"b\""], "nested": {"n": -12, "x": -0.5, "name": "a\\ /"}, "rows": [[true, false], [true, true, true]], "none": null, "version": {"b":1,"a":[2,"x"]}, "level": 12}"#,
        ],
    );
    accepts(&json(r#"{"type": "number"}"#), &["0", "-0.25", "120.5"]);
    accepts(
        &json(r#"{"enum": [1, 12, "1", null]}"#),
        &["1", "12", "\"1\"", "null"],
    );
    accepts(&json(r#"{"type": "object", "properties": {}}"#), &["{}"]);
    accepts(
        &json(r#"{"type": "array", "items": {"type": "integer"}, "maxItems": 0}"#),
        &["[]"],
    );
}

#[test]
fn what_does_not_validate_is_not_accepted() {
    let refuses = |schema: &str, text: &str| {
        let automaton = json(schema);
        let state = text
            .bytes()
            .try_fold(automaton.start(), |s, b| automaton.step(&s, b));
        assert!(
            !state.is_some_and(|s| automaton.is_end(&s)),
            "{text} is accepted"
        );
    };
    let string = r#"{"type": "string", "maxLength": 2}"#;
    for text in [
        "\"abc\"",
        "\"a",
        "\"\\x\"",
        "\"\\ud800\"",
        "\"\\uD8\"",
        "\"\n\"",
        "a",
        "\"a\" ",
        "\"éaé\"",
    ] {
        refuses(string, text);
    }
    for text in [
        "-",
        "01",
        "1.",
        "-0",
        "1e5",
        "1.5",
        "+1",
        "1234567890123456789",
    ] {
        refuses(r#"{"type": "integer"}"#, text);
    }
    let object = r#"{"type": "object", "properties": {"b": {"type": "null"}, "a": {"type": "null"}}, "required": ["a"]}"#;
    for text in [
        "{}",
        r#"{"b":null}"#,
        r#"{"a":null,"b":null}"#,
        r#"{"a":null,}"#,
        r#"{"a":null,"a":null}"#,
    ] {
        refuses(object, text);
    }
    let array = r#"{"type": "array", "items": {"type": "integer"}, "minItems": 1, "maxItems": 2}"#;
    for text in ["[]", "[1,2,3]", "[,1]", "[1,]", "[1 ,2]", "[ 1]"] {
        refuses(array, text);
    }
}

#[test]
fn whatever_the_model_says_parses_and_validates() {
    let vocabulary = vocabulary();
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    let automaton = json(SCHEMA);
    let shortest = constraint(&automaton, &vocabulary).min_tokens();
    let mut ends = [0, 0];
    for seed in 0..6 {
        let model = model(&vocabulary, seed);
        let mut generator = Generator::new(&model, None, vocabulary.clone());
        let requests = (0..60)
            .map(|i| Request {
                prompt: vec![1 + i],
                config: GenerateConfig {
                    max_new_tokens: Some(shortest + 4 * i as usize),
                    sampling: Sampling {
                        temperature: (i % 5 != 0).then_some(1.0 + (i % 3) as f32),
                        seed: u64::from(i),
                        ..Sampling::default()
                    },
                    ..GenerateConfig::default()
                },
                constraint: Some(constraint(&automaton, &vocabulary)),
                ..Request::default()
            })
            .collect();
        for output in generator.generate(&[5, 6], requests).unwrap() {
            let value: Value = serde_json::from_str(&output.text)
                .unwrap_or_else(|e| panic!("{e}: {:?}", output.text));
            assert!(validates(&value, &schema), "{value}");
            assert_eq!(output.tokens.last(), Some(&END));
            ends[usize::from(output.finish == Finish::Length)] += 1;
        }
    }
    assert!(ends[0] > 10 && ends[1] > 100, "{ends:?}");
}

#[test]
fn a_request_that_could_not_end_well_is_refused_before_any_is_computed() {
    let vocabulary = vocabulary();
    let model = model(&vocabulary, 1);
    let automaton = json(SCHEMA);
    let refused = |config: GenerateConfig| {
        let request = Request {
            prompt: vec![1],
            config,
            constraint: Some(constraint(&automaton, &vocabulary)),
            ..Request::default()
        };
        let mut generator = Generator::new(&model, None, vocabulary.clone());
        let first = Request {
            prompt: vec![1],
            ..Request::default()
        };
        let requests = vec![first, request];
        let generated = generator.generate_streaming(&[], requests, |_| panic!("checked first"));
        generated.unwrap_err().to_string()
    };
    let error = refused(GenerateConfig {
        max_new_tokens: Some(9),
        ..GenerateConfig::default()
    });
    assert!(
        error.starts_with("request 1: the shortest output"),
        "{error}"
    );
    assert!(
        error.ends_with("raise max_new_tokens or shorten the prompt"),
        "{error}"
    );
    let error = refused(GenerateConfig {
        stop_strings: vec!["}".into()],
        ..GenerateConfig::default()
    });
    assert!(error.contains("a stop string would cut"), "{error}");
}

#[test]
fn unsupported_keywords_are_named_with_their_place() {
    for (schema, what) in [
        (
            r#"{"type": "string", "pattern": "a"}"#,
            "#: \"pattern\" is not supported for \"string\"",
        ),
        (
            r#"{"type": "array", "items": {"anyOf": []}}"#,
            "#/items: lacks \"type\"",
        ),
        (
            r#"{"type": "object", "properties": {"a": {"type": "integer", "minimum": 1}}}"#,
            "#/properties/a: \"minimum\" is not supported",
        ),
        (r#"{"type": ["string", "null"]}"#, "give one type by name"),
        (
            r#"{"type": "object", "properties": {}, "required": ["b"]}"#,
            "\"b\" is required but not among",
        ),
        (
            r#"{"type": "array", "items": {"type": "null"}, "minItems": 2, "maxItems": 1}"#,
            "below",
        ),
        (r#"{"enum": []}"#, "no value"),
        ("{", "the schema is not JSON"),
    ] {
        let error = JsonSchema::parse(schema).unwrap_err().to_string();
        assert!(error.contains(what), "{error}");
    }
}

#[test]
fn a_vocabulary_without_single_bytes_is_refused() {
    let few = Arc::new(Vocabulary::new(vec![None, Some(b"a".to_vec())]));
    let set = |text: &str| Arc::new(StringSet::new([text]).unwrap());
    let refused = ByteConstraint::new(set("ab"), few.clone(), &[END]);
    let error = refused.err().unwrap().to_string();
    assert!(
        error.contains("no token stands for the byte 0x62"),
        "{error}"
    );
    assert!(ByteConstraint::new(set("a"), few, &[END]).is_ok());
}

/// A walk by random bytes that the automaton allows: the shortest ending shrinks along itself.
fn endings_are_consistent<A: Automaton>(automaton: &A, seed: u64) -> Result<(), TestCaseError> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut state = automaton.start();
    for _ in 0..60 {
        let rest = automaton.shortest(&state);
        prop_assert_eq!(automaton.distance(&state), rest.len());
        let mut at = state.clone();
        for (i, &byte) in rest.iter().enumerate() {
            at = automaton
                .step(&at, byte)
                .expect("the shortest ending is a way");
            prop_assert_eq!(&automaton.shortest(&at)[..], &rest[i + 1..]);
        }
        prop_assert!(automaton.is_end(&at));
        let next: Vec<_> = (0..=255u8)
            .filter_map(|b| automaton.step(&state, b))
            .collect();
        if next.is_empty() {
            break;
        }
        state = next[rng.random_range(0..next.len())].clone();
    }
    Ok(())
}

proptest! {
    #[test]
    fn the_shortest_ending_after_its_first_byte_is_its_rest(seed in any::<u64>()) {
        endings_are_consistent(&*json(SCHEMA), seed)?;
        endings_are_consistent(&StringSet::new(TITLES).unwrap(), seed)?;
    }

    #[test]
    fn the_trie_finds_the_fewest_tokens(text in "[a-e]{0,12}", words in prop::collection::vec("[a-e]{1,4}", 1..12)) {
        let vocabulary = Vocabulary::new(words.iter().map(|w| Some(w.as_bytes().to_vec())).collect());
        let mut fewest = vec![Some(0)];
        for end in 1..=text.len() {
            let ways = words.iter().filter(|w| text[..end].ends_with(&***w));
            fewest.push(ways.filter_map(|w| fewest[end - w.len()]).min().map(|n: usize| n + 1));
        }
        prop_assert_eq!(vocabulary.min_tokens(text.as_bytes()), fewest[text.len()]);
    }
}
