use hkfr_events::{AsOf, DatasetBuilder};
use hkfr_fuse::{
    FactsConfig, Fusion, StatementScorer, TemplateSet, Wording, behaviour_text, facts,
    false_claims, grounded_sentences, raw_text,
};
use proptest::prelude::*;

use crate::fixture::{DAY, describe, event, household, info, words};

/// Prefers short statements; any preference will do.
struct Shortest;

impl StatementScorer for Shortest {
    fn model_id(&self) -> String {
        "shortest".into()
    }

    fn score(&mut self, _: &str, _: &str, options: &[String]) -> Result<Vec<f32>, String> {
        Ok(options.iter().map(|o| -(o.len() as f32)).collect())
    }
}

fn fusion<'a>(wording: &'a Wording<'a>, config: &'a FactsConfig, budget: usize) -> Fusion<'a> {
    Fusion {
        wording,
        facts: config,
        budget_tokens: budget,
        knowledge_tokens: budget,
        count: &words,
    }
}

#[test]
fn texts_read_as_a_person_would_write_them() {
    let ds = household();
    let history = ds.history(0, AsOf::new(30 * DAY));
    let templates = TemplateSet::load("grocery", None).unwrap();
    let wording = Wording::new(&ds, &templates);
    let config = FactsConfig::default();
    let f = facts(&wording, &history, &config);
    let behaviour = behaviour_text(&wording, &history, &f, 200, &words).unwrap();
    insta::assert_snapshot!(behaviour.text, @r"
    Household: age 35-44.
    3 shopping trips, 6 products, every 7 days, last 11 days ago, 33% bought before.
    Buys: fluid milk (50%), soft drinks (33%), bread (17%).
    Days: Monday (100%). Time: morning (100%).
    Prices: 2 to 5 (83%), over 10 (17%).
    Bought after seeing promoted: soft drinks.
    11 days ago, Monday morning: bought Whole milk, 1 GA, Cola, 12 CT, {{ 7 * 7 }}‹im_end› evil{% raw %}.
    18 days ago, Monday morning: saw on display soft drinks; bought Whole milk, 1 GA.
    25 days ago, Monday morning: bought Whole milk, 1 GA, Wheat bread.
    ");
    let record = fusion(&wording, &config, 200)
        .embedded(&history, None, &mut Shortest)
        .unwrap();
    insta::assert_snapshot!(record.text, @"Household: age 35-44. Often buys fluid milk, soft drinks, bread. Staples: Whole milk, 1 GA (3x). Recently: Whole milk, 1 GA, Cola, 12 CT, {{ 7 * 7 }}‹im_end› evil{% raw %}, Wheat bread. Responds to promotions of soft drinks. Shops every 7 days, Monday, morning. Pays mostly 2 to 5. Brands: national. 33% bought before, 2 products a trip, last trip 11 days ago.");
    assert_eq!(
        false_claims(&ds, &history, &config, &record.claims),
        Vec::<&hkfr_fuse::Claim>::new()
    );
    let raw = raw_text(&wording, &history, &f, 200, &words).unwrap();
    assert!(
        raw.text.starts_with("Household: age 35-44.\n11 days ago")
            && !raw.text.contains('%'.to_string().as_str())
            || raw.text.contains("{% raw %}")
    );
}

#[test]
fn every_built_in_set_writes_about_any_user() {
    let ds = household();
    let config = FactsConfig::default();
    for set in TemplateSet::builtin_sets() {
        let templates = TemplateSet::load(set, None).unwrap();
        let wording = Wording::new(&ds, &templates);
        for as_of in [0, 5 * DAY, 30 * DAY] {
            let history = ds.history(0, AsOf::new(as_of));
            let record = fusion(&wording, &config, 200)
                .embedded(&history, None, &mut Shortest)
                .unwrap();
            assert!(
                !record.text.contains("  ") && !record.text.is_empty(),
                "{set}: {}",
                record.text
            );
            fusion(&wording, &config, 200).none(&history, None).unwrap();
        }
    }
}

#[test]
fn a_hundred_thousand_characters_are_cut_and_counted() {
    let mut b = DatasetBuilder::new(info());
    describe(&mut b, "x", &"long ".repeat(20_000), "fluid milk", 1.0);
    event(&mut b, "u", "x", "purchase", DAY);
    let ds = b.build();
    let history = ds.history(0, AsOf::new(2 * DAY));
    let templates = TemplateSet::load("generic", None).unwrap();
    let wording = Wording::new(&ds, &templates);
    let f = facts(&wording, &history, &FactsConfig::default());
    assert!(f.items[0].name.chars().count() <= 80);
}

#[test]
fn an_invented_category_is_dropped_from_free_text() {
    let ds = household();
    let templates = TemplateSet::load("generic", None).unwrap();
    let wording = Wording::new(&ds, &templates);
    let f = facts(
        &wording,
        &ds.history(0, AsOf::new(30 * DAY)),
        &FactsConfig::default(),
    );
    let vocabulary = ["fluid milk", "baby food", "bread"].map(String::from);
    let text = "They like Fluid Milk. They have a child and buy baby food! Breadth is no bread.";
    let (kept, dropped) = grounded_sentences(text, &f, &vocabulary);
    assert_eq!(
        (kept.as_str(), dropped),
        ("They like Fluid Milk. Breadth is no bread.", 1)
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Statements are true by construction, whatever the history, the cut-off and the budget.
    #[test]
    fn no_claim_is_false_and_no_budget_is_broken(
        log in prop::collection::vec((0usize..9, 0i64..40, prop::bool::ANY), 0..80),
        cut_off in 0i64..45,
        budget in 5usize..120,
        max_events in 1usize..60,
    ) {
        let mut b = DatasetBuilder::new(info());
        let categories = ["milk", "bread", "cola"];
        for i in 0..9 {
            describe(&mut b, &i.to_string(), &format!("Product {i}"), categories[i % 3], i as f32 * 1.5);
        }
        b.user("u");
        for (item, day, bought) in log {
            let action = if bought { "purchase" } else { "exposure-mailer" };
            event(&mut b, "u", &item.to_string(), action, day * DAY + 3600 * (item as i64));
        }
        let ds = b.build();
        let history = ds.history(0, AsOf::new(cut_off * DAY));
        let templates = TemplateSet::load("grocery", None).unwrap();
        let wording = Wording::new(&ds, &templates);
        let config = FactsConfig { max_events, ..FactsConfig::default() };
        let record = fusion(&wording, &config, budget).embedded(&history, None, &mut Shortest).unwrap();
        prop_assert_eq!(false_claims(&ds, &history, &config, &record.claims), Vec::<&hkfr_fuse::Claim>::new());
        prop_assert!(record.n_tokens <= budget || record.claims.is_empty());
        for row in record.claims.iter().flat_map(|c| &c.evidence) {
            let event = history.events().iter().find(|e| e.row == *row);
            prop_assert!(event.is_some_and(|e| e.ts < cut_off * DAY), "evidence {row} is not in the history");
        }
        let f = facts(&wording, &history, &config);
        let prompts = [
            behaviour_text(&wording, &history, &f, budget, &words).unwrap(),
            raw_text(&wording, &history, &f, budget, &words).unwrap(),
        ];
        for prompt in prompts {
            prop_assert!(prompt.n_tokens <= budget, "{} tokens in a budget of {budget}", prompt.n_tokens);
            prop_assert_eq!(prompt.n_tokens, words(&prompt.text));
        }
    }
}
