//! Of whom little is known, people like them are told: who they are, what is said, and nothing of the future.

use hkfr_events::{AsOf, Dataset, DatasetBuilder, History};
use hkfr_fuse::{
    COHORT_SLOT, Claim, Cohort, CohortBy, CohortConfig, Cohorts, FactsConfig, Fusion,
    KnowledgeRecord, Population, StatementScorer, TemplateSet, Wording, false_cohort_claims,
    own_weight,
};
use proptest::prelude::*;

use crate::fixture::{DAY, describe, event, info, words};

struct Indifferent;

impl StatementScorer for Indifferent {
    fn model_id(&self) -> String {
        "none".into()
    }

    fn score(&mut self, _: &str, _: &str, options: &[String]) -> Result<Vec<f32>, String> {
        Ok(vec![0.0; options.len()])
    }
}

fn config(by: CohortBy, min: usize) -> CohortConfig {
    CohortConfig {
        by,
        min,
        strength: 10.0,
        max_events: 300,
    }
}

/// Attributes, and what is chosen when.
type Person<'a> = (&'a [(&'a str, &'a str)], &'a [(&'a str, i64)]);

/// Users `u0`… with their profiles and what they bought, (category, day); user 0 is asked about.
fn people(people: &[Person]) -> Dataset {
    let mut b = DatasetBuilder::new(info());
    for (i, (profile, bought)) in people.iter().enumerate() {
        let id = format!("u{i}");
        let user = b.user(&id);
        let attributes = profile.iter().map(|(k, v)| (k.to_string(), v.to_string()));
        b.profile_mut(user).attributes.extend(attributes);
        for (category, day) in *bought {
            describe(&mut b, category, &format!("some {category}"), category, 1.0);
            event(&mut b, &id, category, "purchase", day * DAY);
        }
    }
    b.build()
}

fn with_population<T>(
    ds: &Dataset,
    fit_before: &[Option<AsOf>],
    config: CohortConfig,
    set: &str,
    as_of: i64,
    then: impl FnOnce(&Population, &Wording) -> T,
) -> T {
    let templates = TemplateSet::load(set, None).unwrap();
    let wording = Wording::new(ds, &templates);
    let cohorts = Cohorts::new(&wording, fit_before, config);
    then(&cohorts.at(AsOf::new(as_of * DAY)), &wording)
}

fn all(ds: &Dataset) -> Vec<Option<AsOf>> {
    vec![Some(AsOf::new(i64::MAX)); ds.n_users()]
}

fn cohort_of(ds: &Dataset, config: CohortConfig, fit_before: &[Option<AsOf>]) -> Option<Cohort> {
    with_population(ds, fit_before, config, "generic", 50, |p, _| {
        p.cohort(&ds.history(0, AsOf::new(50 * DAY)))
    })
}

const YOUNG_RICH: &[(&str, &str)] = &[("age", "19-24"), ("income", "250K+")];
const YOUNG_POOR: &[(&str, &str)] = &[("age", "19-24"), ("income", "Under 15K")];
const OLD_RICH: &[(&str, &str)] = &[("age", "65+"), ("income", "250K+")];

#[test]
fn a_segment_backs_off_until_there_are_enough() {
    let ds = people(&[
        (YOUNG_RICH, &[("milk", 1)]),
        (YOUNG_RICH, &[("bread", 1)]),
        (YOUNG_POOR, &[("bread", 1)]),
        (YOUNG_POOR, &[("bread", 1), ("cola", 2)]),
        (OLD_RICH, &[("wine", 1)]),
        (&[("age", "unknown")], &[("milk", 1)]),
        // Did nothing that could be learnt from.
        (YOUNG_RICH, &[]),
    ]);
    let fit = all(&ds);
    let segment = |min| cohort_of(&ds, config(CohortBy::Segment, min), &fit).unwrap();
    let (exact, young) = (segment(1), segment(2));
    assert_eq!(exact.members, [1]);
    assert_eq!(exact.segment, ["age 19-24", "income 250K+"]);
    // Of the rich there are two others, of the young three: income goes first.
    assert_eq!(
        (young.members, young.segment),
        (vec![1, 2, 3], vec!["age 19-24".to_owned()])
    );
    // No segment is large enough: the nearest, who share milk.
    let nearest = segment(4);
    assert_eq!((nearest.members, nearest.segment), (vec![5], Vec::new()));
    // Bread has all of two people and half of a third.
    let share = |c: &Cohort, of: f32| c.shares.iter().any(|s| (s - of).abs() < 1e-6);
    assert!(share(&segment(3), 2.5 / 3.0), "{:?}", segment(3));
    // Who is held out is learnt nothing from.
    let mut held_out = fit.clone();
    held_out[1] = None;
    let young = cohort_of(&ds, config(CohortBy::Segment, 1), &held_out).unwrap();
    assert_eq!(young.members, [2, 3]);
    let alone = people(&[(YOUNG_RICH, &[("milk", 1)])]);
    assert_eq!(
        cohort_of(&alone, config(CohortBy::Segment, 1), &all(&alone)),
        None
    );
}

/// The knowledge of user 0 with the cohort, and the cohort.
fn told(
    ds: &Dataset,
    config: CohortConfig,
    set: &str,
    as_of: i64,
    budget: usize,
) -> (KnowledgeRecord, Option<Cohort>) {
    let history = ds.history(0, AsOf::new(as_of * DAY));
    with_population(ds, &all(ds), config, set, as_of, |population, wording| {
        let facts = FactsConfig::default();
        let fusion = Fusion {
            wording,
            facts: &facts,
            budget_tokens: 400,
            knowledge_tokens: budget,
            count: &words,
        };
        let mut record = fusion.embedded(&history, None, &mut Indifferent).unwrap();
        population
            .add_to(&mut record, &history, budget, &words)
            .unwrap();
        (record, population.cohort(&history))
    })
}

fn of_cohort(record: &KnowledgeRecord) -> Vec<&Claim> {
    record
        .claims
        .iter()
        .filter(|c| c.slot == COHORT_SLOT)
        .collect()
}

#[test]
fn it_is_said_of_others_and_counted_over_them() {
    let ds = people(&[
        (YOUNG_RICH, &[("milk", 1)]),
        (YOUNG_RICH, &[("bread", 1), ("milk", 2)]),
        (YOUNG_RICH, &[("bread", 1), ("cola", 2)]),
    ]);
    let (record, cohort) = told(&ds, config(CohortBy::Segment, 2), "grocery", 9, 200);
    insta::assert_snapshot!(record.text, @"Household: age 19-24, income 250K+. Often buys milk. Recently: some milk. Shops Friday, night. Pays mostly under 2. Brands: national. 0% bought before, 1 products a trip, last trip 8 days ago. Households like this one (age 19-24, income 250K+) often buy bread, cola.");
    let claims = of_cohort(&record);
    assert_eq!(
        (claims[0].value.as_str(), claims[0].n, claims[0].percent),
        ("bread", 2, 100)
    );
    assert_eq!(
        (claims[1].value.as_str(), claims[1].n, claims[1].percent),
        ("cola", 1, 50)
    );
    let members: Vec<History> = cohort
        .unwrap()
        .members
        .iter()
        .map(|&u| ds.history(u, AsOf::new(9 * DAY)))
        .collect();
    assert!(false_cohort_claims(&ds, &members, 300, &record.claims).is_empty());
    let mut wrong = record.claims.clone();
    wrong.iter_mut().for_each(|c| c.n += 1);
    assert_eq!(false_cohort_claims(&ds, &members, 300, &wrong).len(), 2);
    // Where there is little room, less is said, and it is counted.
    let n = words(&record.text);
    let (shorter, _) = told(&ds, config(CohortBy::Segment, 2), "grocery", 9, n - 1);
    assert!(
        shorter.text.ends_with("often buy bread."),
        "{}",
        shorter.text
    );
    assert_eq!((shorter.n_dropped, shorter.n_tokens), (1, n - 1));
    // Every set has words for it, the Chinese ones no English ones.
    for set in TemplateSet::builtin_sets() {
        let mut b = DatasetBuilder::new(info());
        for (user, item) in [("a", "面条"), ("b", "面条"), ("b", "奶茶")] {
            describe(&mut b, item, item, item, 1.0);
            event(&mut b, user, item, "purchase", DAY);
            let user = b.user(user);
            b.profile_mut(user)
                .attributes
                .insert("age".into(), "35-44".into());
        }
        let (record, _) = told(&b.build(), config(CohortBy::Segment, 1), set, 9, 400);
        let sentence = record
            .text
            .rsplit(['.', '。'])
            .find(|s| s.contains("奶茶"))
            .unwrap()
            .to_owned();
        assert!(sentence.contains("35-44"), "{set}: {sentence}");
        if set.ends_with("-zh") {
            assert!(
                !sentence.contains(|c: char| c.is_ascii_alphabetic()),
                "{set}: {sentence}"
            );
            assert!(!record.text.contains("。 "), "{set}: {}", record.text);
        }
    }
}

#[test]
fn nothing_of_the_future_is_told_of_others() {
    let marked: &[(&str, i64)] = &[("bread", 1), ("MARKED", 10), ("MARKED", 11), ("MARKED", 30)];
    let ds = people(&[
        (&[], &[("milk", 1), ("bread", 2)]),
        (&[], marked),
        (&[], marked),
    ]);
    for by in [CohortBy::Segment, CohortBy::Nearest, CohortBy::Everyone] {
        let (record, cohort) = told(&ds, config(by, 2), "generic", 10, 300);
        assert_eq!(cohort.unwrap().members, [1, 2]);
        assert!(!format!("{record:?}").contains("MARKED"), "{record:?}");
        let (later, _) = told(&ds, config(by, 2), "generic", 11, 300);
        assert!(
            of_cohort(&later).iter().any(|c| c.value == "MARKED"),
            "{later:?}"
        );
        // Nor of what a split keeps from being learnt.
        let fit = [Some(AsOf::new(10 * DAY)); 3];
        let cohort = cohort_of(&ds, config(by, 2), &fit).unwrap();
        assert_eq!(
            cohort.shares.iter().filter(|s| **s > 0.0).count(),
            1,
            "{cohort:?}"
        );
    }
}

/// With events the cohort fades: its weight falls with each, and in the end nothing is said of it.
#[test]
fn many_choices_leave_no_room_for_others() {
    let weights: Vec<f32> = [0, 1, 10, 100, 100_000].map(|n| own_weight(n, 10.0)).into();
    assert!(weights.is_sorted() && weights[0] == 0.0 && weights[2] == 0.5 && weights[4] > 0.999);
    let others: &[(&str, i64)] = &[
        ("milk", 1),
        ("bread", 1),
        ("cola", 1),
        ("tea", 1),
        ("wine", 1),
        ("soap", 1),
    ];
    let mut said = Vec::new();
    for n in [1usize, 5, 20, 80, 280] {
        let own: Vec<(&str, i64)> = (0..n)
            .map(|i| (["milk", "bread"][i % 2], i as i64 % 9))
            .collect();
        let ds = people(&[(&[], &own), (&[], others), (&[], others)]);
        let (record, cohort) = told(&ds, config(CohortBy::Nearest, 2), "generic", 9, 300);
        said.push(of_cohort(&record).len());
        let history = ds.history(0, AsOf::new(9 * DAY));
        let blended = with_population(
            &ds,
            &all(&ds),
            config(CohortBy::Nearest, 2),
            "generic",
            9,
            |p, _| {
                let own = p.blended(&history, None, 10.0);
                let both = p.blended(&history, cohort.as_ref(), 10.0);
                own.iter()
                    .zip(&both)
                    .map(|(a, b)| (a - b).abs())
                    .fold(0.0, f32::max)
            },
        );
        assert!(blended <= 10.0 / (n as f32 + 10.0), "{n}: {blended}");
    }
    assert!(
        said.is_sorted_by(|a, b| a >= b) && said[0] == 5 && said[4] == 0,
        "{said:?}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn no_claim_about_others_is_false(
        log in prop::collection::vec((0usize..6, 0usize..7, 0i64..40), 1..120),
        as_of in 1i64..45,
        min in 1usize..5,
        by in prop::sample::select(vec![CohortBy::Segment, CohortBy::Nearest, CohortBy::Everyone]),
    ) {
        let mut b = DatasetBuilder::new(info());
        for user in 0..6 {
            let user = b.user(&format!("u{user}"));
            let age = [("age".to_owned(), (user % 2).to_string())];
            b.profile_mut(user).attributes.extend(age);
        }
        for (user, category, day) in log {
            let category = format!("kind {category}");
            describe(&mut b, &category, &category, &category, 1.0);
            event(&mut b, &format!("u{user}"), &category, "purchase", day * DAY);
        }
        let ds = b.build();
        let (record, cohort) = told(&ds, config(by, min), "generic", as_of, 300);
        let members = cohort.map_or(Vec::new(), |c| c.members);
        prop_assert!(!members.contains(&0) && members.is_sorted());
        let members: Vec<History> = members.into_iter().map(|u| ds.history(u, AsOf::new(as_of * DAY))).collect();
        prop_assert_eq!(false_cohort_claims(&ds, &members, 300, &record.claims), Vec::<&Claim>::new());
        prop_assert!(of_cohort(&record).iter().all(|c| c.n > 0 && !c.evidence.is_empty()));
        if members.is_empty() {
            prop_assert!(of_cohort(&record).is_empty());
        }
    }
}

/// A history that is read user by user has a number of its own: it is known by its id, and nobody is in one's own cohort.
#[test]
fn a_history_from_a_store_finds_the_same_people() {
    use hkfr_events::store;

    let people = |users: std::ops::Range<usize>| {
        let mut b = DatasetBuilder::new(info());
        for category in ["milk", "bread", "cola"] {
            describe(&mut b, category, &format!("some {category}"), category, 1.0);
        }
        for i in users {
            let id = format!("u{i}");
            let user = b.user(&id);
            let (age, bought) = match i % 3 {
                0 => ("65+", ["milk", "bread"]),
                1 => ("19-24", ["cola", "milk"]),
                _ => ("19-24", ["bread", "bread"]),
            };
            b.profile_mut(user)
                .attributes
                .insert("age".into(), age.into());
            for (category, day) in bought.into_iter().zip(1..) {
                event(&mut b, &id, category, "purchase", day * DAY);
            }
        }
        b.build()
    };
    let ds = people(0..9);
    let dir = tempfile::tempdir().unwrap();
    store::write(&people(1..9), dir.path()).unwrap();
    let opened = store::Store::open(dir.path()).unwrap();
    let fit_before = vec![Some(AsOf::new(30 * DAY)); ds.n_users()];
    for by in [CohortBy::Nearest, CohortBy::Segment, CohortBy::Everyone] {
        with_population(
            &ds,
            &fit_before,
            config(by, 2),
            "grocery",
            20,
            |population, _| {
                let mut renumbered = 0;
                for p in 0..opened.partitions() {
                    let mut users = opened.users(p).unwrap();
                    while let Some(user) = users.next_user().unwrap() {
                        let read = user.history(AsOf::new(20 * DAY));
                        let known = ds.user_by_id(&read.profile().id).unwrap();
                        renumbered += usize::from(known != read.user());
                        let own = ds.history(known, AsOf::new(20 * DAY));
                        assert_eq!(population.cohort(&read), population.cohort(&own), "{by:?}");
                    }
                }
                assert!(renumbered > 0);
            },
        );
    }
}
