//! A byte that is not what was written is found, in whatever file of a run it is.

use std::path::{Path, PathBuf};

use hkfr::verify::{self, Report};
use rand::{Rng, SeedableRng};

use crate::models::{change, prepare};
use crate::server::{Server, good, say};
use crate::walk::run;

/// A run with all there can be: a service's paid answers, an adapter, lists, trials of a search.
fn whole_run(dir: &Path) {
    prepare(dir);
    let server = Server::start(|_| say(200, good("small", "They like things.")));
    change(dir, "toy.toml", |text| {
        let fusion = format!(
            "[fusion]\nmode = \"service\"\ntemplates = \"generic\"\nbase_url = \"{}\"\nmodel = \"small\"\nmin_useful = 0.0\n[tuning]",
            server.url
        );
        text.replace("[tuning]", &fusion)
    });
    for args in [
        &["run", "toy.toml"][..],
        &[
            "search",
            "toy.toml",
            "--systems",
            "item-knn",
            "--trials",
            "2",
        ],
    ] {
        let (code, _, err) = run(dir, args);
        assert_eq!(code, Some(0), "{err}");
    }
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut files = hkfr::forget::files(dir).unwrap();
    files.retain(|f| std::fs::metadata(f).unwrap().len() > 0);
    files
}

fn names(report: &Report, file: &Path) -> bool {
    let of = |d: &verify::Damage| d.path == file && !d.remedy.is_empty();
    report.damaged.iter().any(of)
}

#[test]
fn a_flipped_byte_is_found_in_every_file() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path();
    whole_run(dir);
    let run_dir = dir.join("out/toy");
    let (code, out, err) = run(dir, &["verify", "toy.toml"]);
    assert_eq!(code, Some(0), "{out}{err}");
    assert!(out.contains("every one is what was written"), "{out}");
    assert!(!out.contains("note"), "{out}");
    let before = files(&run_dir);
    for kind in [
        "manifest.json",
        "answers.sqlite",
        "answers.sqlite.seal",
        "knowledge.sqlite",
        "pseudonym.key",
        "trials.jsonl",
        "adapter_model.safetensors",
        "part-003.parquet",
        "report.html",
    ] {
        assert!(before.iter().any(|f| f.ends_with(kind)), "{kind}");
    }
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(3);
    let mut n = 0;
    for file in &before {
        let good = std::fs::read(file).unwrap();
        let times = if file.extension().is_some_and(|e| e == "sqlite") {
            12
        } else {
            2
        };
        for _ in 0..times {
            let mut bytes = good.clone();
            let at = rng.random_range(0..bytes.len());
            bytes[at] ^= 1 << rng.random_range(0..8);
            std::fs::write(file, bytes).unwrap();
            let report = verify::directory(&run_dir).unwrap();
            assert!(
                names(&report, file),
                "byte {at} of {}:\n{}",
                file.display(),
                report.told()
            );
            n += 1;
        }
        std::fs::write(file, good).unwrap();
    }
    assert_eq!(files(&run_dir), before, "looking changes nothing");
    println!("{n} flips in {} files", before.len());
    let report = verify::directory(&run_dir).unwrap();
    assert!(report.damaged.is_empty(), "{}", report.told());

    // Missing, longer, and as a person sees it.
    let table = run_dir.join("evaluate/table.txt");
    std::fs::remove_file(run_dir.join("split/split.json")).unwrap();
    std::fs::write(&table, std::fs::read_to_string(&table).unwrap() + "more").unwrap();
    let (code, out, err) = run(dir, &["verify", "out/toy"]);
    assert_eq!(code, Some(1));
    for part in [
        "damaged  out/toy/split/split.json: it is missing",
        "→ `hkfr run CONFIG --force split` makes it again",
        "damaged  out/toy/evaluate/table.txt: ",
    ] {
        assert!(out.contains(part), "{out}");
    }
    assert!(err.contains("2 damages"), "{err}");
    let (code, _, err) = run(dir, &["verify", "out/none"]);
    assert_eq!(code, Some(1));
    assert!(err.contains("out/none"), "{err}");
}

#[test]
fn a_store_that_was_not_closed_is_looked_at_row_by_row() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path();
    whole_run(dir);
    let run_dir = dir.join("out/toy");
    let answers = run_dir.join("fuse/answers.sqlite");
    std::fs::remove_file(run_dir.join("fuse/answers.sqlite.seal")).unwrap();
    let (code, out, _) = run(dir, &["verify", "out/toy"]);
    assert_eq!(code, Some(0), "{out}");
    assert!(
        out.contains("answers.sqlite: not closed in good order"),
        "{out}"
    );
    // A letter of the answers, wherever it is: pages hold old copies that no row uses.
    let mut bytes = std::fs::read(&answers).unwrap();
    let text = b"They like things.";
    for at in 0..bytes.len() - text.len() {
        bytes[at] ^= u8::from(bytes[at..].starts_with(text));
    }
    std::fs::write(&answers, bytes).unwrap();
    let (code, out, _) = run(dir, &["verify", "out/toy"]);
    assert_eq!(code, Some(1));
    assert!(
        out.contains("answers.sqlite: ")
            && out.contains(" rows of answers are not what was written"),
        "{out}"
    );
}

#[test]
fn models_in_the_cache_are_held_against_their_pinned_hashes() {
    use hkfr::fetch::{Cache, assets};
    let temp = tempfile::tempdir().unwrap();
    let mut asset = assets().unwrap().remove(0);
    asset.files.truncate(1);
    let file = &mut asset.files[0];
    (file.size, file.sha256) = (5, hkfr::digest::of_text("model"));
    let cache = Cache::new(temp.path().into());
    let check = || {
        let mut report = Report::default();
        verify::cached(&cache, &[&asset], &mut report).unwrap();
        report
    };
    assert_eq!(check().notes.len(), 1);
    let path = cache.path(&asset, &asset.files[0]);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, "model").unwrap();
    assert!(check().damaged.is_empty());
    std::fs::write(&path, "mode1").unwrap();
    assert!(names(&check(), &path), "{}", check().told());
}
