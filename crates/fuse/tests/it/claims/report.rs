//! What the report tells of a model: one that reads, one that draws lots, and one that says the same of all.

use std::collections::BTreeSet;

use hkfr_events::{AsOf, Dataset, DatasetBuilder};
use hkfr_fuse::claims::{
    ClaimsConfig, Consistency, Examined, Portrait, PromptReport, Vocabulary, prompt_reports, table,
};
use hkfr_fuse::{
    Answered, ChatAnswer, ChatRequest, FactsConfig, Fusion, TemplateSet, Wording, assemble,
    candidate_statements, facts,
};
use serde_json::{Value, json};

use crate::fixture::{DAY, describe, event, info, words};

/// Twelve users, each with two kinds of their own.
fn users() -> Dataset {
    let mut b = DatasetBuilder::new(info());
    for i in 0..24 {
        describe(
            &mut b,
            &i.to_string(),
            &format!("Product {i}"),
            &format!("kind {}", i % 12),
            3.0,
        );
    }
    for user in 0..12 {
        for n in 0..6_i64 {
            let item = (user + 12 * (n as usize % 2) + n as usize / 3) % 24;
            event(
                &mut b,
                &format!("u{user}"),
                &item.to_string(),
                "purchase",
                (4 + n) * DAY,
            );
        }
    }
    b.build()
}

/// What a model says of the data that it is sent, in a round.
type Model = fn(&Value, u64) -> Value;

fn row_claims(data: &Value, rows: &[usize]) -> Vec<Value> {
    let columns = data["columns"].as_array().unwrap();
    let category = columns.iter().position(|c| c == "category").unwrap();
    let claim = |&row: &usize| {
        let row = &data["events"][row];
        json!({"kind": "category", "value": row[category], "events": [row[0]]})
    };
    rows.iter().map(claim).collect()
}

fn reads(data: &Value, _: u64) -> Value {
    let claims = row_claims(data, &[0, 5]);
    let (a, b) = (&claims[0]["value"], &claims[1]["value"]);
    let text = format!(
        "Lately bought {}. Before that mostly {}.",
        a.as_str().unwrap(),
        b.as_str().unwrap()
    );
    json!({"claims": claims, "text": text})
}

fn draws_lots(data: &Value, round: u64) -> Value {
    let row = if round == 0 { 0 } else { 5 };
    json!({"claims": row_claims(data, &[row]), "text": "."})
}

fn says_the_same(_: &Value, _: u64) -> Value {
    let claim = |value: &str| json!({"kind": "category", "value": value, "events": [1]});
    json!({
        "claims": [claim("kind 0"), claim("kind 1"), {"kind": "weekday", "value": "Sunday", "events": [2]}],
        "text": "This user likes quality products and buys kind 0 every week on Sunday.",
    })
}

/// As the stage reports it.
fn report_of(model: Model, repeats: u32) -> PromptReport {
    let ds = users();
    let templates = TemplateSet::load("grocery", None).unwrap();
    let (wording, vocabulary) = (Wording::new(&ds, &templates), Vocabulary::new(&ds));
    let config = FactsConfig::default();
    let fusion = Fusion {
        wording: &wording,
        facts: &config,
        budget_tokens: 1000,
        knowledge_tokens: 100,
        count: &words,
    };
    let (mut records, mut portraits, mut standing) = (Vec::new(), Vec::new(), Vec::new());
    for user in 0..12 {
        let history = ds.history(user, AsOf::new(30 * DAY));
        let mut ask = |request: &ChatRequest| {
            let data = request.messages[0].content.lines().last().unwrap();
            let data: Value = serde_json::from_str(data).unwrap();
            let text = model(&data, request.seed.unwrap_or(0)).to_string();
            let answer = ChatAnswer {
                text,
                usage: None,
                model: None,
                ..ChatAnswer::default()
            };
            Ok(Some(Answered {
                model: "m".into(),
                answer,
                from_store: false,
            }))
        };
        let rounds: Vec<Examined> = (0..repeats)
            .map(|round| {
                let claims = ClaimsConfig::default();
                let examined =
                    fusion.examine(&history, None, &claims, &vocabulary, round, &mut ask);
                examined.unwrap().unwrap()
            })
            .collect();
        let f = facts(&wording, &history, &config);
        let statements = candidate_statements(&f, &templates).unwrap();
        let scores = vec![0.0; statements.len()];
        let text = assemble(&f, &statements, &scores, &templates, 100, &words)
            .unwrap()
            .0;
        portraits.push(Portrait::new(&rounds[0], &f, &text));
        let stands = |e: &Examined| -> BTreeSet<(String, String)> {
            e.record
                .claims
                .iter()
                .map(|c| (c.slot.clone(), c.value.clone()))
                .collect()
        };
        standing.push(rounds.iter().map(stands).collect::<Vec<_>>());
        records.push(rounds.into_iter().next().unwrap().record);
    }
    let [mut report] = <[PromptReport; 1]>::try_from(prompt_reports(&records)).unwrap();
    report.compare(&portraits);
    report.consistency = Consistency::of(&standing);
    report
}

#[test]
fn a_model_that_reads_is_precise_and_no_more_alike_than_its_users() {
    let report = report_of(reads, 2);
    assert_eq!((report.histories, report.claims_made), (12, 24));
    assert_eq!(report.precision, Some(1.0));
    assert!(report.cut.ranked().is_empty());
    let coverage = report.coverage.unwrap();
    assert!(coverage > 0.1 && coverage < 0.9, "{coverage}");
    assert_eq!(report.consistency.unwrap().mean, 1.0);
    assert_eq!(
        report.warnings,
        Vec::<String>::new(),
        "{:?}",
        report.similarity
    );
    // Lists are told for people, and as JSON.
    let text = table(std::slice::from_ref(&report));
    assert!(
        text.contains("| m | ") && text.contains("| 24 | 24 | 1.000 | "),
        "{text}"
    );
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["claims_supported"], 24);
}

#[test]
fn a_model_that_says_the_same_of_all_is_caught() {
    let report = report_of(says_the_same, 1);
    assert!(report.precision.unwrap() < 0.2, "{report:?}");
    assert_eq!(report.consistency, None);
    let similarity = report.similarity.unwrap();
    assert_eq!((similarity.claims.mean, similarity.text.mean), (1.0, 1.0));
    assert!(similarity.facts.mean < 0.5, "{similarity:?}");
    assert_eq!(report.warnings.len(), 2, "{:?}", report.warnings);
    assert!(report.warnings[0].contains("says the same of different users: their claims"));
    assert!(table(&[report]).contains("- warning: model \"m\" says the same"));
}

#[test]
fn a_model_that_draws_lots_is_inconsistent() {
    let report = report_of(draws_lots, 3);
    let consistency = report.consistency.unwrap();
    assert_eq!((consistency.users, consistency.repeats), (12, 3));
    // Of three pairs of rounds, one agrees.
    assert!(
        (consistency.mean - 1.0 / 3.0).abs() < 0.2,
        "{consistency:?}"
    );
}
