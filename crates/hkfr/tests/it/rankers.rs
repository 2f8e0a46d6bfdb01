//! Fitted rankers that a run keeps.

use hkfr_eval::Run;
use hkfr_events::{Split, store};
use hkfr_rec::Ranker;

use crate::models::change;
use crate::walk::{run, toy};

const SYSTEMS: [&str; 3] = ["popularity", "stan", "item-knn"];

#[test]
fn a_kept_ranker_makes_the_lists_of_its_run() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path();
    toy(dir);
    change(dir, "toy.toml", |text| {
        let systems = format!("systems = {SYSTEMS:?}\nrepeats = \"exclude\"");
        text.replace(r#"systems = ["popularity", "own-frequency"]"#, &systems)
    });
    let (code, _, err) = run(dir, &["run", "toy.toml"]);
    assert_eq!(code, Some(0), "{err}");
    let out = dir.join("out/toy");
    let ds = store::read(&out.join("ingest")).unwrap();
    let split = Split::load(&out.join("split/split.json")).unwrap();
    for system in SYSTEMS {
        for task in ["item", "category"] {
            let name = format!("{system}.{task}");
            let path = out.join(format!("recommend/models/{name}.ranker"));
            let ranker = Ranker::load(&path, &ds).unwrap();
            assert_eq!(ranker.about().system, system);
            let lists = Run::read(&out.join(format!("recommend/{name}.jsonl"))).unwrap();
            let mut asked = 0;
            for (case, list) in split.cases.iter().zip(&lists.lists) {
                let history = case.instance.history(&ds);
                if case.case_id != history.profile().id {
                    continue;
                }
                asked += 1;
                let best = ranker.rank_one(&ds, &history, lists.depth).unwrap();
                let ids: Vec<&str> = best.iter().map(|b| ranker.entities().id(b.0)).collect();
                assert_eq!(ids, list.items, "{name}, {}", case.case_id);
                let scores: Vec<f32> = best.iter().map(|b| b.1).collect();
                let listed: Vec<f32> = list.scores.iter().map(|&s| s as f32).collect();
                assert_eq!(scores, listed, "{name}, {}", case.case_id);
            }
            assert!(asked > 5, "{asked}");
            let cost = std::fs::read(out.join(format!("recommend/{name}.cost.json"))).unwrap();
            let cost: serde_json::Value = serde_json::from_slice(&cost).unwrap();
            let size = std::fs::metadata(&path).unwrap().len();
            assert_eq!(cost["ranker_mb"], size as f64 / 1e6);
        }
    }
    change(dir, "toy.toml", |text| {
        text.replace("[evaluate]", "max_ranker_mb = 0\n[evaluate]")
    });
    let (code, _, err) = run(dir, &["run", "toy.toml"]);
    assert_eq!(code, Some(0), "{err}");
    assert!(!out.join("recommend/models").exists());
    let cost = std::fs::read_to_string(out.join("recommend/stan.item.cost.json")).unwrap();
    assert!(cost.contains("\"ranker_mb\": null"), "{cost}");
}
