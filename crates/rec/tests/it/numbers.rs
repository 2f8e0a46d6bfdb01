//! P5's numbers: a permutation that tells nothing, texts within their budget, and labels.

use std::collections::BTreeSet;

use hkfr_events::{AsOf, Dataset, Phase, Split};
use hkfr_rec::llm::{NUMBER_TASKS, Numbers};

use crate::fixtures::{DAY, dataset, split};

/// Everybody walks through 40 items in their order; the categories are `c0`, `c1`, `c2`.
fn walks() -> (Dataset, Split) {
    let events: Vec<_> = (0..6u32)
        .flat_map(|u| (0..40).map(move |k| (u, k, i64::from(k), 0)))
        .collect();
    let ds = dataset(40, &events);
    let split = split(&ds, Phase::Test, 10).unwrap();
    (ds, split)
}

fn words(text: &str) -> usize {
    text.split_whitespace().count()
}

#[test]
fn numbers_are_a_permutation_by_the_seed() {
    let (ds, split) = walks();
    let numbers = |seed| Numbers::new(&ds, &split.catalogue, seed).items();
    // The catalogue has the 30 items that are chosen in training.
    let all: BTreeSet<String> = (1..=30).map(|n| n.to_string()).collect();
    assert_eq!(numbers(1).into_iter().collect::<BTreeSet<_>>(), all);
    assert_eq!(numbers(1), numbers(1));
    assert_ne!(numbers(1), numbers(2));
    // The next item is the next number as often as chance has it: 29 neighbours, each at 1 in 30.
    let neighbours: usize = (0..100)
        .map(|seed| {
            let n: Vec<u32> = numbers(seed).iter().map(|n| n.parse().unwrap()).collect();
            n.windows(2).filter(|w| w[1] == w[0] + 1).count()
        })
        .sum();
    assert!((60..140).contains(&neighbours), "{neighbours} of 2,900");
}

#[test]
fn an_input_holds_the_last_choices_that_fit() {
    let (ds, split) = walks();
    let numbers = Numbers::new(&ds, &split.catalogue, 5);
    let (items, categories) = (numbers.items(), numbers.categories());
    let history = ds.history(2, AsOf::new(30 * DAY));
    let of = |n: usize| {
        let last: Vec<usize> = (30 - n..30).collect();
        let list = |of: &dyn Fn(usize) -> String| {
            let all: Vec<String> = last.iter().map(|&i| of(i)).collect();
            all.join(", ")
        };
        // Item k has the category `c<k mod 3>`; both lie sorted by their names.
        let position = |k: usize| {
            let id = format!("i{k}");
            let at = |&i: &u32| ds.items[i as usize].id == id;
            split.catalogue.items.iter().position(at).unwrap()
        };
        format!(
            "Items chosen, oldest first: {}. Their categories: {}.",
            list(&|k| items[position(k)].clone()),
            list(&|k| categories[k % 3].clone())
        )
    };
    let input = |budget| numbers.input(&history, &words, budget);
    assert_eq!(input(1000), of(30));
    assert_eq!(input(7 + 2 * 30 - 1 - 1), of(29));
    assert_eq!(input(7 + 2 * 4), of(4));
    let none = "Items chosen, oldest first: none. Their categories: none.";
    assert_eq!(input(0), none);
    let nothing = ds.history(2, AsOf::new(0));
    assert_eq!(numbers.input(&nothing, &words, 1000), none);
}

#[test]
fn labels_are_the_numbers_of_the_next_order() {
    let (ds, split) = walks();
    let numbers = Numbers::new(&ds, &split.catalogue, 5);
    let mut instance = split.train[0].clone();
    instance.targets = vec![4, 7, 7, 10, 11];
    let answers = numbers.answers(&instance, 8);
    let rows: Vec<_> = answers
        .iter()
        .map(|a| a.row(&ds, &instance, "what is known"))
        .collect();
    let of = |task: &str| -> BTreeSet<&str> {
        let rows = rows.iter().filter(|r| r.task == task);
        rows.map(|r| r.output.as_str()).collect()
    };
    let [(category, asked), (item, _)] = NUMBER_TASKS;
    let items = numbers.items();
    let expected = instance.targets.iter().map(|&t| {
        let at = split.catalogue.position(t).unwrap();
        items[at].as_str()
    });
    assert_eq!(of(item), expected.collect());
    // Three of the four are of the category c1, one of c2.
    assert_eq!(of(category).len(), 2);
    assert_eq!(rows.len(), 4 + 2);
    let ids: BTreeSet<&str> = rows.iter().map(|r| r.id.as_str()).collect();
    assert_eq!(ids.len(), rows.len());
    assert!(rows.iter().all(|r| r.input == "what is known"));
    assert!(rows.iter().any(|r| r.instruction == asked));
    assert_eq!(numbers.answers(&instance, 1).len(), 2);
}
