//! The Complete Journey on a shelf of six products.

use std::path::Path;

use hkfr_events::adapters::{CompleteJourneyConfig, complete_journey};
use hkfr_events::{AsOf, Dataset, Error, Event, IngestReport};

use crate::fixtures::{DAY, floats, ints, parquet, seconds, texts};

/// 2017-01-02, a Monday, 00:00.
const START: i64 = 1_483_315_200;
const HOUR: i64 = 3_600;

/// (household, basket, product, quantity, value, coupon discount, week, time)
type Receipt = (i64, i64, i64, i64, f64, f64, i64, i64);

fn shop(dir: &Path, receipts: &[Receipt]) {
    let r = receipts;
    parquet(
        dir,
        "transactions",
        vec![
            ("household_id", ints(r.iter().map(|r| r.0))),
            ("store_id", ints(r.iter().map(|_| 7))),
            ("basket_id", ints(r.iter().map(|r| r.1))),
            ("product_id", ints(r.iter().map(|r| r.2))),
            ("quantity", ints(r.iter().map(|r| r.3))),
            ("sales_value", floats(r.iter().map(|r| r.4))),
            ("retail_disc", floats(r.iter().map(|_| 0.0))),
            ("coupon_disc", floats(r.iter().map(|r| r.5))),
            ("coupon_match_disc", floats(r.iter().map(|_| 0.0))),
            ("week", ints(r.iter().map(|r| r.6))),
            ("transaction_timestamp", seconds(r.iter().map(|r| r.7))),
        ],
    );
    parquet(
        dir,
        "products",
        vec![
            ("product_id", ints(1..=5)),
            ("manufacturer_id", ints([9; 5])),
            (
                "department",
                texts(["GROCERY", "GROCERY", "GROCERY", "MISC", ""]),
            ),
            (
                "brand",
                texts(["Private", "National", "National", "National", "National"]),
            ),
            (
                "product_category",
                texts(["FRZN ICE", "FRZN ICE", "TEAS", "", ""]),
            ),
            (
                "product_type",
                texts(["ICE - CRUSHED", "ICE CUBES (LARGE", "GREEN TEA", "", ""]),
            ),
            ("package_size", texts(["22 LB", "", "", "", ""])),
        ],
    );
    // Product 3 (tea) and 2 (ice) are promoted in both weeks, 1 only in week 2, 4 in another store.
    parquet(
        dir,
        "promotions",
        vec![
            ("product_id", ints([2, 2, 3, 3, 1, 4])),
            ("store_id", ints([7, 7, 7, 7, 7, 8])),
            ("display_location", texts(["3", "0", "0", "0", "1", "1"])),
            ("mailer_location", texts(["0", "A", "D", "D", "A", "A"])),
            ("week", ints([1, 2, 1, 2, 2, 1])),
        ],
    );
    parquet(
        dir,
        "campaigns",
        vec![
            ("campaign_id", ints([26, 26, 99])),
            ("household_id", ints([1, 77, 1])),
        ],
    );
    parquet(
        dir,
        "campaign_descriptions",
        vec![
            ("campaign_id", ints([26])),
            ("campaign_type", texts(["Type A"])),
            ("start_date", seconds([START + DAY])),
            ("end_date", seconds([START + 9 * DAY])),
        ],
    );
    parquet(
        dir,
        "coupons",
        vec![
            ("coupon_upc", ints([500, 500, 500])),
            ("product_id", ints([1, 2, 3])),
            ("campaign_id", ints([26; 3])),
        ],
    );
    parquet(
        dir,
        "coupon_redemptions",
        vec![
            ("household_id", ints([1])),
            ("coupon_upc", ints([500])),
            ("campaign_id", ints([26])),
            ("redemption_date", seconds([START + 7 * DAY])),
        ],
    );
    parquet(
        dir,
        "demographics",
        vec![
            ("household_id", ints([1])),
            ("age", texts(["45-54"])),
            ("income", texts(["35-49K"])),
            ("home_ownership", texts([""])),
            ("marital_status", texts(["Married"])),
            ("household_size", texts(["2"])),
            ("household_comp", texts(["2 Adults No Kids"])),
            ("kids_count", texts(["0"])),
        ],
    );
}

fn two_visits() -> Vec<Receipt> {
    vec![
        (1, 10, 1, 2, 3.0, 0.0, 1, START + 9 * HOUR),
        (1, 10, 1, 2, 3.0, 0.0, 1, START + 9 * HOUR),
        (1, 10, 6, 0, 0.0, 0.0, 1, START + 9 * HOUR),
        (1, 20, 3, 1, 4.0, 0.5, 2, START + 7 * DAY + 20 * HOUR),
        (2, 30, 5, 1, 1.0, 0.0, 1, START + 12 * HOUR),
    ]
}

fn load(dir: &Path, report: &mut IngestReport) -> Dataset {
    let config = CompleteJourneyConfig {
        dir: dir.into(),
        ..CompleteJourneyConfig::default()
    };
    complete_journey::load(&config, report).unwrap()
}

fn line(d: &Dataset, e: &Event) -> String {
    let k = d.kind(e);
    let item = e.item.map_or("-", |i| d.items[i as usize].id.as_str());
    format!(
        "{} {} {item} {}",
        k.action,
        k.scenario,
        e.text.as_deref().unwrap_or("-")
    )
}

#[test]
fn a_household_sees_buys_redeems_and_gets_mail() {
    let dir = tempfile::tempdir().unwrap();
    shop(dir.path(), &two_visits());
    let mut report = IngestReport::new(false);
    let d = load(dir.path(), &mut report);
    let user = d.user_by_id("1").unwrap();
    let history = d.history(user, AsOf::new(i64::MAX));
    let lines: Vec<String> = history.events().iter().map(|e| line(&d, e)).collect();
    let (first, second) = lines.split_at(3);
    // On the first visit no category was known: nothing but the purchases is seen.
    assert_eq!(
        first,
        [
            "purchase morning store visit 1 -",
            "purchase morning store visit 1 -",
            "campaign-received mail - Type A campaign 26",
        ]
    );
    // On the second, tea is seen because it is bought; ice because ice was bought before.
    assert_eq!(
        second[0],
        "exposure-mailer evening store visit 3 front page feature"
    );
    let mut others = second[1..4].to_vec();
    others.sort();
    assert_eq!(
        others,
        [
            "exposure-display evening store visit 1 store front",
            "exposure-mailer evening store visit 1 interior page feature",
            "exposure-mailer evening store visit 2 interior page feature",
        ]
    );
    assert_eq!(
        second[4..],
        [
            "purchase-with-coupon evening store visit 3 -",
            "redeem checkout - coupon 500 for frozen ice of campaign 26",
        ]
    );
    assert_eq!(
        history.events().last().unwrap().ts,
        START + 8 * DAY - 1,
        "a redemption is known when its day is over"
    );
    let purchase = &history.events()[0];
    assert_eq!(
        (
            purchase.value,
            d.places[purchase.place.unwrap() as usize].as_str()
        ),
        (Some(3.0), "7")
    );
    assert_eq!(
        d.users[user as usize].attributes["marital status"],
        "Married"
    );

    let item = |id: &str| d.items.iter().find(|i| i.id == id);
    let ice = item("1").unwrap();
    assert_eq!(ice.title, "Ice - crushed, store brand, 22 lb");
    assert_eq!(ice.categories, ["grocery", "frozen ice", "ice - crushed"]);
    assert_eq!(ice.price, Some(1.5));
    assert_eq!(item("2").unwrap().title, "Ice cubes");
    assert!(item("4").is_none(), "promoted where nobody was");
    assert_eq!(
        (
            item("5").unwrap().title.as_str(),
            item("5").unwrap().categories.len()
        ),
        ("", 3)
    );

    assert_eq!(report.duplicates, 1);
    assert_eq!(report.n_bad(), 1, "campaign 99 is described nowhere");
    assert_eq!(
        report.rows_read,
        report.rows_kept + report.n_bad() + report.n_skipped(),
        "{report}"
    );
}

#[test]
fn what_was_seen_does_not_depend_on_what_is_bought_later() {
    let seen_first = |later: &[Receipt]| {
        let dir = tempfile::tempdir().unwrap();
        let mut receipts = vec![
            (1, 10, 1, 1, 1.0, 0.0, 1, START),
            (1, 15, 1, 1, 1.0, 0.0, 2, START + 6 * DAY),
        ];
        receipts.extend_from_slice(later);
        shop(dir.path(), &receipts);
        let d = load(dir.path(), &mut IngestReport::new(false));
        let h = d.history(0, AsOf::new(START + 6 * DAY + 1));
        h.events().iter().map(|e| line(&d, e)).collect::<Vec<_>>()
    };
    let tea_later = [(1, 20, 3, 1, 4.0, 0.0, 2, START + 7 * DAY)];
    let with = seen_first(&tea_later);
    assert_eq!(with, seen_first(&[]));
    assert!(
        with.iter().any(|l| l.starts_with("exposure-mailer")),
        "{with:?}"
    );
    assert!(
        with.iter().all(|l| !l.contains("visit 3 ")),
        "tea is seen before it was ever bought: {with:?}"
    );
}

#[test]
fn a_sample_of_households_is_the_same_every_time() {
    let dir = tempfile::tempdir().unwrap();
    let receipts: Vec<Receipt> = (0..40)
        .map(|h| (h, h, 1, 1, 1.0 + h as f64, 0.0, 1, START + h))
        .collect();
    shop(dir.path(), &receipts);
    let sample = |seed| {
        let config = CompleteJourneyConfig {
            dir: dir.path().into(),
            max_users: Some(10),
            seed,
            ..CompleteJourneyConfig::default()
        };
        let mut report = IngestReport::new(false);
        let d = complete_journey::load(&config, &mut report).unwrap();
        assert_eq!(
            report.skipped["transaction of a household outside the sample"],
            30
        );
        assert_eq!(d.items[0].price, Some(10.5), "prices are of all households");
        d.users.iter().map(|u| u.id.clone()).collect::<Vec<_>>()
    };
    assert_eq!(sample(1).len(), 10);
    assert_eq!(sample(1), sample(1));
    assert_ne!(sample(1), sample(2));
}

#[test]
fn a_file_cut_off_or_foreign_is_named() {
    let dir = tempfile::tempdir().unwrap();
    shop(dir.path(), &two_visits());
    let config = CompleteJourneyConfig {
        dir: dir.path().into(),
        ..CompleteJourneyConfig::default()
    };
    let path = dir.path().join("promotions.parquet");
    let whole = fs_err::read(&path).unwrap();
    fs_err::write(&path, &whole[..whole.len() - 20]).unwrap();
    let error = complete_journey::load(&config, &mut IngestReport::new(false)).unwrap_err();
    assert!(
        matches!(&error, Error::BadFile { path: p, .. } if *p == path),
        "{error}"
    );
    fs_err::copy(dir.path().join("products.parquet"), &path).unwrap();
    let error = complete_journey::load(&config, &mut IngestReport::new(false)).unwrap_err();
    assert!(
        error.to_string().contains("no column `store_id`"),
        "{error}"
    );
    shop(dir.path(), &[]);
    let error = complete_journey::load(&config, &mut IngestReport::new(false)).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("transactions.parquet: the log holds no events"),
        "{error}"
    );
}
