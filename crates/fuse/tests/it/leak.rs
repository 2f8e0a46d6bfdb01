use hkfr_events::{AsOf, DatasetBuilder, Event};
use hkfr_fuse::{
    FactsConfig, TemplateSet, Wording, behaviour_text, candidate_statements, facts, raw_text,
};

use crate::fixture::{DAY, describe, event, info, words};

/// Marked events at and after the cut-off reach neither facts nor prompts nor statements.
#[test]
fn nothing_at_or_after_the_cut_off_is_written() {
    let mut b = DatasetBuilder::new(info());
    describe(&mut b, "m", "Whole milk", "fluid milk", 3.0);
    describe(&mut b, "z", "MARKED product", "MARKED category", 3.0);
    for day in [1, 2, 3, 8] {
        event(&mut b, "u", "m", "purchase", day * DAY);
    }
    let cut_off = 10 * DAY;
    for ts in [cut_off, cut_off + 1, 20 * DAY] {
        event(&mut b, "u", "z", "purchase", ts);
        event(&mut b, "u", "z", "exposure-display", ts);
        let (user, kind) = (b.user("u"), b.kind("coupon", "redeem", "MARKED scenario"));
        b.push(Event {
            user,
            item: None,
            kind,
            ts,
            value: None,
            place: None,
            text: Some("MARKED coupon".into()),
            row: 0,
        });
    }
    let ds = b.build();
    let history = ds.history(0, AsOf::new(cut_off));
    let templates = TemplateSet::load("grocery", None).unwrap();
    let wording = Wording::new(&ds, &templates);
    let f = facts(&wording, &history, &FactsConfig::default());
    let mut written = format!("{f:?}");
    written += &behaviour_text(&wording, &history, &f, 500, &words)
        .unwrap()
        .text;
    written += &raw_text(&wording, &history, &f, 500, &words).unwrap().text;
    for s in candidate_statements(&f, &templates).unwrap() {
        written += &s.text;
    }
    assert!(
        written.contains("Whole milk") && !written.contains("MARKED"),
        "{written}"
    );
    // The same marks do show once the cut-off has passed them.
    let later = facts(
        &wording,
        &ds.history(0, AsOf::new(30 * DAY)),
        &FactsConfig::default(),
    );
    assert!(format!("{later:?}").contains("MARKED"));
}
