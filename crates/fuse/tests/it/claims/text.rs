//! Sentences of an answer: which stand.

use hkfr_events::AsOf;
use hkfr_fuse::claims::{Vocabulary, ground};
use hkfr_fuse::{FactsConfig, TemplateSet, Wording, Words, facts};

use crate::fixture::{DAY, describe, household, info, meals};

/// Each line begins with + where it must stand and with - where not.
fn check(set: &str, ds: &hkfr_events::Dataset, as_of: i64, sentences: &str) {
    let templates = TemplateSet::load(set, None).unwrap();
    let words = Words::load(set, None).unwrap();
    let wording = Wording::new(ds, &templates);
    let f = facts(
        &wording,
        &ds.history(0, AsOf::new(as_of)),
        &FactsConfig::default(),
    );
    let vocabulary = Vocabulary::new(ds);
    for line in sentences.lines().map(str::trim).filter(|l| !l.is_empty()) {
        let (sign, sentence) = line.split_at(1);
        let grounded = ground(sentence.trim(), &f, &[], &vocabulary, &words);
        assert_eq!(
            (grounded.kept.len(), grounded.n_cut),
            (usize::from(sign == "+"), usize::from(sign != "+")),
            "{line}"
        );
    }
}

#[test]
fn a_sentence_says_what_is_known_or_goes() {
    let mut b = hkfr_events::DatasetBuilder::new(info());
    // In the catalogue, and never seen by anyone.
    describe(&mut b, "w", "Baby wipes, 80 CT", "baby care", 5.0);
    let other = b.build();
    let mut ds = household();
    ds.items.extend(other.items);
    check(
        "grocery",
        &ds,
        30 * DAY,
        "
        + Often buys fluid milk.
        + Fluid milk makes up 50% of what is bought!
        + They bought Whole milk, 1 GA 3 times.
        + Shops every 7 days, on Mondays in the morning.
        + Buys 6 products in 3 trips.
        + Pays 2 to 5.
        + 33% was bought before.
        - Buys baby care.
        - Buys fluid milk and baby care.
        - Bought Baby wipes, 80 CT.
        - Fluid milk makes up 55% of what is bought.
        - Bought wheat bread 3 times.
        - Buys 12 products.
        - Shops on Fridays.
        - Buys fluid milk at night.
        - Pays over 10 for fluid milk.
        - Never buys fluid milk.
        - Doesn't like bread.
        - They have a child.
        - They are rich and happy people.
        - Buys fluid milk every 7 days.
        ",
    );
}

#[test]
fn chinese_sentences_are_held_to_the_same() {
    let ds = meals([
        "小面馆",
        "牛肉面",
        "面条",
        "茶饮站",
        "珍珠奶茶",
        "奶茶",
        "辣味面",
    ]);
    // Before the last visit nothing of the other merchant was ordered.
    check(
        "food-delivery-zh",
        &ds,
        20 * DAY,
        "
        + 常点面条。
        + 牛肉面点了4次。
        + 多在周一中午下单。
        + 从不点奶茶！
        + 看到奶茶也没有下单。
        - 喜欢奶茶。
        - 常点珍珠奶茶。
        - 牛肉面点了5次。
        - 多在周日下单。
        - 不喜欢面条。
        - 这位顾客是学生。
        ",
    );
}
