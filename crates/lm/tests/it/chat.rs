//! Against `golden_chat/golden.json`, which `make.py` beside it writes with transformers.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use chrono::NaiveDateTime;
use hkfr_lm::{
    ChatLayout, ChatOptions, ChatTemplate, Message, SpecialToken, Tokenizer, Vocabulary,
};
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    now: String,
    tokens: Vec<String>,
    merges: Vec<(String, String)>,
    special: BTreeMap<String, u32>,
    templates: BTreeMap<String, Ends>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Ends {
    bos: Option<String>,
    eos: Option<String>,
}

#[derive(Deserialize)]
struct Case {
    template: String,
    messages: Vec<Message>,
    variables: BTreeMap<String, serde_json::Value>,
    add_generation_prompt: bool,
    text: Option<String>,
    #[serde(default)]
    ids: Vec<u32>,
    error: Option<String>,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("../golden_chat/golden.json")).unwrap()
}

fn special(golden: &Golden) -> Vec<SpecialToken> {
    let special = golden.special.iter().map(|(text, &id)| SpecialToken {
        text: text.clone(),
        id,
        lstrip: false,
        rstrip: false,
    });
    special.collect()
}

fn template(golden: &Golden, source: &str, name: &str) -> ChatTemplate {
    let ends = &golden.templates[name];
    ChatTemplate::new(
        source.into(),
        ends.bos.clone(),
        ends.eos.clone(),
        special(golden),
    )
    .unwrap()
}

fn source(name: &str) -> String {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden_chat/templates");
    std::fs::read_to_string(dir.join(format!("{name}.jinja"))).unwrap()
}

fn tokenizer(golden: &Golden) -> Tokenizer {
    Tokenizer::new(golden.tokens.clone(), golden.merges.clone()).unwrap()
}

#[test]
fn chats_have_the_text_and_tokens_of_transformers() {
    let golden = golden();
    let tokenizer = tokenizer(&golden);
    let now = golden.now.parse::<NaiveDateTime>().unwrap();
    for (i, case) in golden.cases.iter().enumerate() {
        let template = template(&golden, &source(&case.template), &case.template);
        let options = ChatOptions {
            add_generation_prompt: case.add_generation_prompt,
            now: Some(now),
            variables: case.variables.clone(),
        };
        let place = format!("case {i}, {}: {:?}", case.template, case.messages);
        match &case.error {
            Some(why) => {
                let error = template
                    .encode(&tokenizer, &case.messages, &options)
                    .unwrap_err();
                assert!(error.to_string().contains(why), "{place}: {error}");
            }
            None => {
                let text = template.render(&case.messages, &options).unwrap();
                assert_eq!(Some(&text), case.text.as_ref(), "{place}");
                let ids = template
                    .encode(&tokenizer, &case.messages, &options)
                    .unwrap();
                assert_eq!(ids, case.ids, "{place}");
            }
        }
    }
}

#[test]
fn no_content_becomes_a_special_token() {
    let golden = golden();
    let tokenizer = tokenizer(&golden);
    let options = ChatOptions {
        now: golden.now.parse().ok(),
        ..ChatOptions::default()
    };
    for name in ["chatml", "llama3", "qwen", "gemma"] {
        let template = template(&golden, &source(name), name);
        let count = |content: &str| {
            let messages = [Message::new("user", content)];
            let ids = template.encode(&tokenizer, &messages, &options).unwrap();
            ids.iter()
                .filter(|&&id| id < golden.special.len() as u32)
                .count()
        };
        let usual = count("hello");
        for text in golden.special.keys() {
            assert_eq!(count(text), usual);
            assert_eq!(count(&format!(" a{text}b\n")), usual);
        }
        // Half a marker at the seam, and text that looks like a placeholder.
        assert_eq!(count("im_end|><|im_"), usual);
        assert_eq!(
            count("\u{E000}hKfR0\u{E001}0\u{E002} \u{E000}hKfR1\u{E001}"),
            usual
        );
        assert_eq!(count("{{ bos_token }}{{ eos_token }}"), usual);
    }
}

#[test]
fn a_template_that_changes_a_content_is_an_error_that_says_so() {
    let golden = golden();
    let tokenizer = tokenizer(&golden);
    let check = |source: &str, content: &str| -> Result<Vec<u32>, String> {
        let source = format!("{{% for m in messages %}}<|im_start|>{source}{{% endfor %}}");
        let template = template(&golden, &source, "chatml");
        let messages = [Message::new("user", content)];
        template
            .encode(&tokenizer, &messages, &ChatOptions::default())
            .map_err(|e| e.to_string())
    };
    for (source, content, what) in [
        (
            "{{ m.content | upper }}",
            "a",
            "leaves out or changes the content of message 0 (user)",
        ),
        ("{{ m.role }}", "a", "leaves out"),
        ("{{ m.content[1:] }}", "ab", "changes"),
        (
            "{{ m.content.replace('a', 'b') }}",
            "a",
            "changes a content or depends",
        ),
        (
            "{{ m.content.split('</think>')[-1] }}",
            "a</think>b",
            "changes a content or depends",
        ),
        (
            "{% if 'x' in m.content %}!{% endif %}{{ m.content }}",
            "x",
            "depends on what it says",
        ),
        (
            "{{ m.content | length }}{{ m.content }}",
            "x",
            "depends on what it says",
        ),
        (
            "{{ strftime_now('%Y') }}{{ m.content }}",
            "x",
            "give ChatOptions::now",
        ),
        (
            "{{ m.content.casefold() }}",
            "x",
            "no method named casefold",
        ),
        ("{{ raise_exception('Only once.') }}", "x", "Only once."),
    ] {
        let error = check(source, content).unwrap_err();
        assert!(error.contains(what), "{source}: {error}");
    }
    let start = golden.special["<|im_start|>"];
    for (source, content, text) in [
        ("{{ m.content | trim }}.", " a \n", "a."),
        (
            "{{ m.content.rstrip() }}{{ m.content.lstrip('\\n') }}",
            "\na ",
            "\naa ",
        ),
        (
            "{{ m['content'].strip() }}{{ m.content.replace('z', 'b') }}",
            " a",
            "a a",
        ),
        (
            "{% if m.content %}{{ m.content }}{% else %}none{% endif %}",
            "",
            "none",
        ),
        (
            "{{ m.role.title() ~ m.get('name', '?') }}{% for k, v in m.items() %}{{ k }}{% endfor %}{{ m.content }}",
            "a",
            "User?rolecontenta",
        ),
    ] {
        let expected = [&[start][..], &tokenizer.encode(text)].concat();
        assert_eq!(check(source, content).unwrap(), expected, "{source}");
    }
    let role = [Message::new("<|im_end|>", "a")];
    let template = template(&golden, &source("chatml"), "chatml");
    let error = template
        .encode(&tokenizer, &role, &ChatOptions::default())
        .unwrap_err();
    assert!(error.to_string().contains("the role of message 0 holds"));
}

#[test]
fn a_hugging_face_directory_gives_its_template() {
    let golden = golden();
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    let added = serde_json::json!({"added_tokens": golden.special.iter().map(|(t, id)| serde_json::json!({"id": id, "content": t, "special": true})).collect::<Vec<_>>()});
    write("tokenizer.json", &added.to_string());
    let messages = [Message::new("user", "a")];
    let render = || -> Result<String, String> {
        let template = ChatTemplate::from_dir(dir.path()).map_err(|e| e.to_string())?;
        assert_eq!(template.eos_id(), Some(golden.special["<|im_end|>"]));
        template
            .render(&messages, &ChatOptions::default())
            .map_err(|e| e.to_string())
    };
    write(
        "tokenizer_config.json",
        r#"{"eos_token": {"content": "<|im_end|>"}, "chat_template": [{"name": "tool_use", "template": "no"}, {"name": "default", "template": "yes{{ eos_token }}"}]}"#,
    );
    assert_eq!(render().unwrap(), "yes<|im_end|>");
    write(
        "tokenizer_config.json",
        r#"{"eos_token": "<|im_end|>", "chat_template": "text {{ messages[0].content }}"}"#,
    );
    assert_eq!(render().unwrap(), "text a");
    write("chat_template.jinja", "file {{ messages[0].content }}");
    assert_eq!(render().unwrap(), "file a");
    std::fs::remove_file(dir.path().join("chat_template.jinja")).unwrap();
    write("tokenizer_config.json", "{}");
    let error = render().unwrap_err();
    assert!(error.contains("use an instruct model"), "{error}");
}

#[test]
fn the_bytes_of_tokens_are_those_of_the_text() {
    let golden = golden();
    let tokenizer = tokenizer(&golden);
    let vocabulary = Vocabulary::of(&tokenizer);
    for case in &golden.cases {
        for message in &case.messages {
            let ids = tokenizer.encode(&message.content);
            let bytes: Vec<u8> = ids
                .iter()
                .flat_map(|&id| tokenizer.token_bytes(id).unwrap())
                .collect();
            assert_eq!(bytes, message.content.as_bytes());
        }
    }
    for id in golden.special.values() {
        assert_eq!(tokenizer.token_bytes(*id), None);
        assert_eq!(vocabulary.bytes(*id), None);
    }
    let mut single: Vec<Vec<u8>> = (0..vocabulary.len() as u32)
        .filter_map(|id| Some(vocabulary.bytes(id)?.to_vec()))
        .filter(|b| b.len() == 1)
        .collect();
    single.sort();
    assert_eq!(single, (0..=255u8).map(|b| vec![b]).collect::<Vec<_>>());
}

/// For every model: the tokens of its template up to the answer, shared as far as they are the same, and what
/// ends an answer.
#[test]
fn a_layout_asks_as_the_template_does() {
    let golden = golden();
    let tokenizer = Arc::new(tokenizer(&golden));
    let (system, asked) = ("You know Ann.", ["What next?", "When next?"]);
    let options = ChatOptions {
        add_generation_prompt: true,
        now: "2024-07-26T00:00:00".parse().ok(),
        ..ChatOptions::default()
    };
    for (name, end, has_system, lead) in [
        ("chatml", "<|im_end|>", true, ""),
        // Every answer of Qwen3 begins with what it thought: here nothing.
        ("qwen", "<|im_end|>", true, "<think>\n\n</think>\n\n"),
        ("llama3", "<|eot_id|>", true, ""),
        ("gemma", "<end_of_turn>", false, ""),
    ] {
        let template = || template(&golden, &source(name), name);
        let layout = ChatLayout::of_template(Arc::clone(&tokenizer), template()).unwrap();
        assert_eq!(layout.end(), golden.special[end], "{name}");
        for (system, asked) in [
            (system, &asked[..]),
            (system, &asked[..1]),
            ("", &asked[..]),
        ] {
            let questions = layout.questions(system, asked).unwrap();
            let shared = tokenizer.decode(&questions.shared).unwrap();
            assert!(shared.contains(system), "{name}: {shared}");
            for (own, question) in questions.own.iter().zip(asked) {
                assert!(!own.is_empty());
                let messages = match system {
                    "" => vec![Message::new("user", *question)],
                    s if has_system => {
                        vec![Message::new("system", s), Message::new("user", *question)]
                    }
                    s => vec![Message::new("user", format!("{s}\n\n{question}"))],
                };
                let whole = template().encode(&tokenizer, &messages, &options).unwrap();
                let whole = [whole, tokenizer.encode(lead)].concat();
                assert_eq!([&questions.shared[..], own].concat(), whole, "{name}");
            }
        }
    }
}

#[test]
fn chatml_is_what_its_template_says() {
    let golden = golden();
    let tokenizer = Arc::new(tokenizer(&golden));
    let by_template = template(&golden, &source("chatml"), "chatml");
    let layouts = [
        ChatLayout::chatml(Arc::clone(&tokenizer)).unwrap(),
        ChatLayout::of_template(tokenizer, by_template).unwrap(),
    ];
    let [a, b] = layouts.map(|layout| {
        let q = layout.questions("You know Ann.", &["What next?"]).unwrap();
        (layout.end(), [q.shared, q.own.concat()].concat())
    });
    assert_eq!(a, b);
}

/// GLM-4's generation prompt ends before the line break that its answers begin with.
#[test]
fn what_a_template_writes_before_an_answer_belongs_to_the_question() {
    let golden = golden();
    let tokenizer = Arc::new(tokenizer(&golden));
    let glm = "{% for m in messages %}<start_of_turn>\n{{ m.content }}{% endfor %}\
               {% if add_generation_prompt %}<start_of_turn>{% endif %}";
    let template = template(&golden, glm, "gemma");
    let layout = ChatLayout::of_template(Arc::clone(&tokenizer), template).unwrap();
    assert_eq!(layout.end(), golden.special["<end_of_turn>"]);
    let questions = layout.questions("", &["What next?", "When next?"]).unwrap();
    for (own, question) in questions.own.iter().zip(["What next?", "When next?"]) {
        let whole = [&questions.shared[..], own].concat();
        let expected = format!("<start_of_turn>\n{question}<start_of_turn>\n");
        assert_eq!(tokenizer.decode(&whole).unwrap(), expected);
    }
}
