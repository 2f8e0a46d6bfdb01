//! Speed of decoding on one model, and what it says under no constraint, a set of titles, a schema.
//!
//! `cargo run --release -p hkfr-lm --example decode -- MODEL.gguf`

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use hkfr_lm::{
    ByteConstraint, ChatOptions, ChatTemplate, Constraint, GenerateConfig, Generator, Gguf,
    JsonAutomaton, JsonSchema, Llama, Message, Request, Session, StringSet, TokenMask, TokenTree,
    Vocabulary,
};

/// Tokens a second of `n` steps for `batch` requests after a prefix of 256 tokens.
fn steps(model: &Llama, batch: usize, n: usize, grow: bool) -> f64 {
    let ids: Vec<u32> = (0..256).map(|i| 1000 + i * 37).collect();
    let mut tree = TokenTree::default();
    let mut session = Session::default();
    let root = tree.push(None, &ids);
    let mut at: Vec<usize> = (0..batch)
        .map(|i| tree.push_with_room(Some(root), &[2000 + i as u32], if grow { n } else { 0 }))
        .collect();
    session.prefill(model, None, &tree);
    let start = Instant::now();
    for step in 0..n as u32 {
        for segment in &mut at {
            if grow {
                tree.grow(*segment, 3000 + step);
            } else {
                *segment = tree.push(Some(*segment), &[3000 + step]);
            }
        }
        session.extend(model, None, &tree);
        let rows: Vec<usize> = at.iter().map(|&s| tree.rows(s).end - 1).collect();
        session.logits(model, &rows);
    }
    (batch * n) as f64 / start.elapsed().as_secs_f64()
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("usage: decode MODEL.gguf")?;
    let (model, tokenizer) = Llama::open(Path::new(&path))?;
    for batch in [1, 4, 16] {
        let (grown, chained) = (
            steps(&model, batch, 96, true),
            steps(&model, batch, 96, false),
        );
        println!("{batch} requests, 96 steps: {grown:.0} tok/s grown, {chained:.0} tok/s chained");
    }

    let start = Instant::now();
    let vocabulary = Arc::new(Vocabulary::of(&tokenizer));
    println!("vocabulary in {:.2} s", start.elapsed().as_secs_f64());
    let template = ChatTemplate::from_gguf(&Gguf::open(Path::new(&path))?)?;
    let ends = vec![template.eos_id().ok_or("the model has no end token")?];
    let titles: Vec<String> = (0..5000).map(|i| format!("Film number {i}")).collect();
    let titles = StringSet::new(
        titles
            .iter()
            .map(String::as_str)
            .chain(["Heat", "Heat and Dust"]),
    )?;
    let schema = JsonSchema::parse(
        r#"{"type": "object", "required": ["genre", "reasons"], "properties": {
            "genre": {"enum": ["crime", "romance", "comedy"]},
            "reasons": {"type": "array", "items": {"type": "string", "maxLength": 60}, "minItems": 1, "maxItems": 3},
            "confidence": {"type": "number"}}}"#,
    )?;
    let titles: Box<dyn Constraint> = Box::new(ByteConstraint::new(
        Arc::new(titles),
        vocabulary.clone(),
        &ends,
    )?);
    let json: Box<dyn Constraint> = Box::new(ByteConstraint::new(
        Arc::new(JsonAutomaton::new(schema)),
        vocabulary.clone(),
        &ends,
    )?);
    let mut mask = TokenMask::default();
    for (name, constraint, said) in [
        ("5,002 titles, at the start", &titles, ""),
        (
            "a schema, within a text",
            &json,
            r#"{"genre":"crime","reasons":["a"#,
        ),
    ] {
        let mut constraint = constraint.fork();
        let said = tokenizer.encode(said);
        said.iter().for_each(|&token| constraint.advance(token));
        let start = Instant::now();
        constraint.allowed(100, &mut mask);
        println!(
            "mask of {name}: {} tokens in {:.2} ms",
            mask.len(),
            start.elapsed().as_secs_f64() * 1e3
        );
    }
    let options = ChatOptions {
        add_generation_prompt: true,
        ..ChatOptions::default()
    };
    for (question, constraint) in [
        ("Name a crime film in a few words.", None),
        ("Name a crime film in a few words.", Some(titles)),
        ("Describe the film Heat as JSON.", Some(json)),
    ] {
        let messages = [Message::new("user", question)];
        let request = Request {
            prompt: template.encode(&tokenizer, &messages, &options)?,
            config: GenerateConfig {
                max_new_tokens: Some(80),
                stop_tokens: ends.clone(),
                ..GenerateConfig::default()
            },
            constraint,
            ..Request::default()
        };
        let start = Instant::now();
        let output = Generator::new(&model, None, vocabulary.clone())
            .generate(&[], vec![request])?
            .remove(0);
        let seconds = start.elapsed().as_secs_f64();
        println!(
            "{question}\n  {:?}, {:?}, {} tokens in {seconds:.2} s",
            output.text,
            output.finish,
            output.tokens.len()
        );
    }
    Ok(())
}
