//! Fitted rankers in files: what is loaded scores as what was fitted, and a file that is not what was written says so.

use std::collections::BTreeMap;
use std::path::Path;

use hkfr_events::{AsOf, Dataset, Event, Phase};
use hkfr_rec::baselines::{Entities, RepeatPolicy, Scorer};
use hkfr_rec::method::{Expectation, HkfrConfig, HkfrRecipe};
use hkfr_rec::systems::{Fitting, Recipe, SYSTEMS, Settings, recipe};
use hkfr_rec::{About, Error, Ranker};
use serde_json::json;

use crate::fixtures::{DAY, builder, go_on, split};

const N_ITEMS: u32 = 24;
const N_USERS: u32 = 40;
/// All that this user does comes after the cut-off: nobody of the name is there at fitting.
const LATE: &str = "late";

/// Users choose and look at items until day 47, and once on day 58. `renumbered`: the same, told in another order, with
/// another item, user and kind of behaviour: all numbers of the data set differ.
fn world(renumbered: bool) -> Dataset {
    let mut b = builder();
    let mut items: Vec<u32> = (0..N_ITEMS).collect();
    let mut users: Vec<(u32, String)> = (0..N_USERS).map(|u| (u, format!("u{u}"))).collect();
    users.push((3, LATE.into()));
    if renumbered {
        items.reverse();
        users.reverse();
        b.item("unknown");
        b.kind("product", "glance", "store");
        b.user("somebody");
    }
    for i in items {
        let item = b.item(&format!("i{i}"));
        let item = b.item_mut(item);
        item.title = format!("thing {} of {}", i % 5, i % 7);
        item.categories = vec![format!("c{}", i % 4)];
        item.attributes = BTreeMap::from([("brand".into(), format!("b{}", i % 6))]);
        item.price = Some((i + 1) as f32);
    }
    for (u, id) in &users {
        let first = if id == LATE { 60 } else { 0 };
        let mut events: Vec<(u32, i64, &str)> = Vec::new();
        for k in 0..if id == LATE { 6 } else { 10 } {
            let item = (u % 4 * 6 + k * (1 + u % 2)) % N_ITEMS;
            let day = first + i64::from(k) * 5 + i64::from(u % 3);
            events.push((item, day, if k % 2 == 0 { "buy" } else { "rebuy" }));
            events.push(((item + 1) % N_ITEMS, day, "view"));
        }
        if id != LATE {
            events.push(((u + 5) % N_ITEMS, 58, "buy"));
        }
        for (item, day, action) in events {
            let event = Event {
                user: b.user(id),
                item: Some(b.item(&format!("i{item}"))),
                kind: b.kind("product", action, "store"),
                ts: day * DAY,
                value: None,
                place: None,
                text: None,
                row: 0,
            };
            b.push(event);
        }
    }
    b.build()
}

/// The keys of these that a system has.
fn small(system: &str) -> Settings {
    let all = recipe(system, &Settings::new(), 1).unwrap().settings();
    let mut small: Settings = serde_json::from_value(json!({
        "dim": 8, "hidden": 8, "max_epochs": 2, "max_len": 10, "text_dim": 4,
        "trees": { "rounds": 20, "leaves": 4 },
    }))
    .unwrap();
    small.retain(|key, _| all.contains_key(key));
    if system != "sasrec-text" {
        small.remove("text_dim");
    }
    small
}

/// What a language model may have said of three users before the cut-off.
fn expectations(entities: &Entities) -> Vec<Expectation> {
    let of = |u: u32, n: usize| (0..n).map(|i| (i as u32 * u % 7) as f32).collect();
    (0..3)
        .map(|u| Expectation {
            user_id: format!("u{u}"),
            as_of: 20 * DAY,
            n_events: 9,
            categories: of(u + 1, 4),
            items: of(u + 2, entities.n()),
            knowledge: of(u + 3, entities.n()),
            claims: vec!["b1".into(), "c2".into()],
        })
        .collect()
}

/// The scores of everybody now, of who was not there at fitting, and of an empty history.
fn scores(ds: &Dataset, n: usize, scorer: &dyn Scorer) -> Vec<(String, Vec<u32>)> {
    let ids = (0..N_USERS).map(|u| format!("u{u}")).chain([LATE.into()]);
    let mut asked: Vec<(String, i64)> = ids.map(|id| (id, 90 * DAY)).collect();
    asked.push((LATE.into(), 60 * DAY));
    let of = |(id, at): (String, i64)| {
        let user = ds.user_by_id(&id).unwrap();
        let history = ds.history(user, AsOf::new(at));
        assert_eq!(history.is_empty(), at == 60 * DAY);
        let mut out = vec![f32::NAN; n];
        scorer.score(ds, &history, &mut out);
        (id, out.into_iter().map(f32::to_bits).collect())
    };
    asked.into_iter().map(of).collect()
}

fn about(system: &str) -> About {
    About {
        system: system.into(),
        task: "item".into(),
        fitted_on: "a hash".into(),
        repeats: RepeatPolicy::Exclude,
        seed: 3,
    }
}

/// Saves what is fitted, loads it in two data sets, and saves it again.
fn survives_its_file(recipe: &dyn Recipe, system: &str, from: &Fitting, others: &Dataset) {
    let dir = tempfile::tempdir().unwrap();
    let (path, again) = (dir.path().join("a.ranker"), dir.path().join("b.ranker"));
    let scorer = recipe.fit(from, &mut go_on).unwrap();
    let fitted = Ranker::new(about(system), from.entities, scorer);
    fitted.save(&path).unwrap();
    let loaded = Ranker::load(&path, from.ds).unwrap();
    assert_eq!(loaded.about(), &about(system));
    assert_eq!(loaded.entities(), from.entities);
    let n = from.entities.n();
    let expected = scores(from.ds, n, fitted.scorer());
    // Texts of categories have no word in common.
    let same_for_all =
        system.contains("popularity") || (system == "text-knn" && from.entities.are_categories());
    let differ = expected.iter().any(|s| s.1 != expected[0].1);
    assert!(differ != same_for_all, "{system}");
    assert_eq!(scores(from.ds, n, loaded.scorer()), expected, "{system}");
    let elsewhere = Ranker::load(&path, others).unwrap();
    assert_eq!(scores(others, n, elsewhere.scorer()), expected, "{system}");
    elsewhere.save(&again).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    assert_eq!(bytes.len() as u64, fitted.n_bytes(), "{system}");
    assert!(std::fs::read(&again).unwrap() == bytes, "{system}");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2);
}

#[test]
fn what_is_loaded_scores_as_what_was_fitted() {
    let (ds, others) = (world(false), world(true));
    assert_ne!(ds.items[0].id, others.items[0].id);
    let test = split(&ds, Phase::Test, 28).unwrap();
    for entities in [
        Entities::items(&ds, &test.catalogue),
        Entities::categories(&ds, &test.catalogue),
    ] {
        let from = Fitting::new(&ds, &test, &entities, RepeatPolicy::Allow, 1);
        for system in SYSTEMS {
            let recipe = recipe(system, &small(system), 1).unwrap();
            survives_its_file(&*recipe, system, &from, &others);
        }
        let asked = HkfrRecipe {
            config: HkfrConfig::read(&small("hkfr"), 1).unwrap(),
            expectations: Some(expectations(&entities).into()),
        };
        survives_its_file(&asked, "hkfr", &from, &others);
    }
}

fn saved(dir: &Path, system: &str) -> Dataset {
    save(&dir.join("a.ranker"), system);
    world(false)
}

fn save(path: &Path, system: &str) {
    let ds = world(false);
    let test = split(&ds, Phase::Test, 28).unwrap();
    let entities = Entities::items(&ds, &test.catalogue);
    let from = Fitting::new(&ds, &test, &entities, RepeatPolicy::Allow, 1);
    let recipe = recipe(system, &small(system), 1).unwrap();
    let scorer = recipe.fit(&from, &mut go_on).unwrap();
    let ranker = Ranker::new(about(system), &entities, scorer);
    ranker.save(path).unwrap();
}

/// A file of today must be read by the programs that call its format version theirs. Where this fails because a fitted
/// type holds something else than before, raise `VERSION` in `src/ranker/file.rs`, delete the files and run it again.
#[test]
fn files_of_this_format_version_can_be_read() {
    let ds = world(false);
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/rankers");
    let temp = tempfile::tempdir().unwrap();
    let mut made = Vec::new();
    // Those whose names say their loss are kept as "sasrec".
    for system in SYSTEMS.iter().filter(|s| !s.starts_with("sasrec-")) {
        let path = golden.join(format!("{system}.ranker"));
        if !path.exists() {
            std::fs::create_dir_all(&golden).unwrap();
            save(&path, system);
            made.push(path);
            continue;
        }
        let ranker = Ranker::load(&path, &ds).unwrap_or_else(|e| panic!("{e}"));
        let again = temp.path().join("again.ranker");
        ranker.save(&again).unwrap();
        let same = std::fs::read(&again).unwrap() == std::fs::read(&path).unwrap();
        assert!(same, "{system}: another file comes of it");
    }
    assert!(made.is_empty(), "made, to be committed: {made:?}");
}

#[test]
fn one_user_is_ranked_without_what_was_chosen_before() {
    let dir = tempfile::tempdir().unwrap();
    let ds = saved(dir.path(), "item-knn");
    let ranker = Ranker::load(&dir.path().join("a.ranker"), &ds).unwrap();
    let history = ds.history(ds.user_by_id(LATE).unwrap(), AsOf::new(90 * DAY));
    let list = ranker.rank_one(&ds, &history, 5).unwrap();
    let chosen = ranker.entities().distinct(&ds, &history);
    assert_eq!(list.len(), 5);
    assert!(list.is_sorted_by(|a, b| a.1 >= b.1), "{list:?}");
    assert!(list.iter().all(|l| !chosen.contains(&l.0)), "{list:?}");
}

#[test]
fn a_damaged_ranker_is_no_ranker() {
    let dir = tempfile::tempdir().unwrap();
    let ds = saved(dir.path(), "popularity");
    let path = dir.path().join("a.ranker");
    let good = std::fs::read(&path).unwrap();
    let error = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        Ranker::load(&path, &ds).err()
    };
    for n in 0..good.len() {
        let found = error(&good[..n]);
        assert!(matches!(found, Some(Error::BadRanker { .. })), "{n} bytes");
        let mut flipped = good.clone();
        flipped[n] ^= 1 << (n % 8);
        let found = error(&flipped);
        let expected = match n {
            8..12 => matches!(found, Some(Error::RankerVersion { .. })),
            _ => matches!(found, Some(Error::BadRanker { .. })),
        };
        assert!(expected, "byte {n}: {found:?}");
    }
    let text = error(b"not a ranker").unwrap().to_string();
    assert!(text.ends_with("a.ranker: is no fitted ranker"), "{text}");
    let text = error(&good[..good.len() - 1]).unwrap().to_string();
    assert!(text.ends_with("is damaged: fit the ranker again"), "{text}");
    let mut newer = good.clone();
    newer[8..12].copy_from_slice(&2u32.to_le_bytes());
    let text = error(&newer).unwrap().to_string();
    let part = "format version 2, this program reads 1: fit the ranker again";
    assert!(text.contains(part), "{text}");
    assert!(error(&good).is_none());
    std::fs::remove_file(&path).unwrap();
    let found = Ranker::load(&path, &ds).err();
    assert!(matches!(found, Some(Error::Io(_))), "{found:?}");
}

#[test]
fn a_ranker_of_another_catalogue_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    saved(dir.path(), "popularity");
    let mut b = builder();
    for i in 0..20 {
        b.item(&format!("i{i}"));
    }
    let found = Ranker::load(&dir.path().join("a.ranker"), &b.build());
    let text = found.err().unwrap().to_string();
    let part = "of its 22 entities the data set lacks 3, such as \"i20\"";
    assert!(text.contains(part), "{text}");
}
