//! Sequence models on disk.

use std::collections::HashMap;
use std::path::PathBuf;

use hkfr_lm::{load_tensors, save_tensors};
use hkfr_rec::Error;
use hkfr_rec::sequence::{
    Bert4Rec, Bert4RecConfig, ESasRec, SasRec, Saved, SavedModel, Scratch, SequenceModel,
    TrainConfig, Trainer,
};
use tempfile::TempDir;

use crate::sequence::{N_ITEMS, sequences, slices, small};
use crate::{caser, gru4rec};

fn bert4rec() -> Bert4Rec {
    Bert4Rec::new(Bert4RecConfig {
        encoder: small(),
        ..Bert4RecConfig::new(N_ITEMS)
    })
    .unwrap()
}

fn trained<N: Saved>(network: N) -> SequenceModel<N> {
    let sequences = sequences();
    let mut trainer =
        Trainer::new(network, N_ITEMS, &sequences, TrainConfig::default(), 1).unwrap();
    trainer.step(&sequences.iter().collect::<Vec<_>>());
    trainer.model
}

fn check_round_trip<N: Saved>(network: N) {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("model.safetensors");
    let model = trained(network);
    model.save(&path).unwrap();
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    assert_eq!(SavedModel::open(&path).unwrap().system(), N::SYSTEM);
    let loaded = SequenceModel::<N>::load(&path).unwrap();
    let (sequences, mut scratch) = (sequences(), Scratch::default());
    let histories = slices(&sequences);
    let expected = model.scores(&histories, &mut scratch).to_vec();
    assert!(expected.iter().any(|s| *s != 0.0));
    assert_eq!(loaded.scores(&histories, &mut scratch), expected);
    assert_eq!(loaded.counts, model.counts);
}

#[test]
fn a_saved_model_has_the_same_scores() {
    check_round_trip(SasRec::new(small()).unwrap());
    check_round_trip(ESasRec::new(small()).unwrap());
    check_round_trip(bert4rec());
    check_round_trip(gru4rec::network());
    check_round_trip(caser::network());
}

struct OnDisk {
    _dir: TempDir,
    path: PathBuf,
}

fn on_disk() -> OnDisk {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("model.safetensors");
    trained(bert4rec()).save(&path).unwrap();
    OnDisk { _dir: dir, path }
}

/// The error of loading after an edit of tensors and metadata.
fn edited(
    edit: impl FnOnce(&mut HashMap<String, (Vec<usize>, Vec<f32>)>, &mut HashMap<String, String>),
) -> Error {
    let file = on_disk();
    let (mut tensors, mut metadata) = load_tensors(&file.path).unwrap();
    edit(&mut tensors, &mut metadata);
    let tensors: Vec<_> = tensors
        .iter()
        .map(|(name, (shape, data))| (name.clone(), shape.clone(), &data[..]))
        .collect();
    save_tensors(&file.path, &tensors, metadata).unwrap();
    SequenceModel::<Bert4Rec>::load(&file.path).err().unwrap()
}

#[test]
fn a_file_cut_anywhere_is_refused() {
    let file = on_disk();
    let bytes = std::fs::read(&file.path).unwrap();
    for n in (0..bytes.len()).step_by(97) {
        std::fs::write(&file.path, &bytes[..n]).unwrap();
        let error = SequenceModel::<Bert4Rec>::load(&file.path).err().unwrap();
        assert!(error.to_string().contains("damaged"), "{n}: {error}");
    }
}

#[test]
fn a_model_of_another_system_is_refused() {
    let file = on_disk();
    let error = SequenceModel::<SasRec>::load(&file.path).err().unwrap();
    assert!(matches!(
        error,
        Error::ModelSystem { ref found, expected: "sasrec", .. } if found == "bert4rec"
    ));
}

#[test]
fn another_version_is_refused() {
    let error = edited(|_, metadata| {
        metadata.insert("format_version".into(), "2".into());
    });
    assert!(matches!(error, Error::ModelVersion { ref found, .. } if found == "2"));
}

#[test]
fn what_does_not_fit_its_configuration_is_refused() {
    let error = edited(|tensors, _| {
        let (shape, data) = tensors.get_mut("blocks.1.up_proj.weight").unwrap();
        shape[0] -= 1;
        data.truncate(shape[0] * shape[1]);
    });
    assert!(matches!(
        error,
        Error::Lm(hkfr_lm::Error::Shape { ref name, .. }) if name == "blocks.1.up_proj.weight"
    ));
    let reason = |error| match error {
        Error::BadModel { reason, .. } => reason,
        other => panic!("{other}"),
    };
    let error = edited(|tensors, _| {
        tensors.remove("output.norm.bias");
    });
    assert_eq!(reason(error), "lacks the tensor \"output.norm.bias\"");
    let error = edited(|tensors, _| {
        tensors.get_mut("item_embeddings.weight").unwrap().1[5] = f32::NAN;
    });
    assert!(reason(error).contains("not a number"));
    let error = edited(|_, metadata| {
        metadata.insert("n_items".into(), "12".into());
    });
    assert!(reason(error).contains("number of items"));
    let error = edited(|_, metadata| {
        let config = metadata.get_mut("config").unwrap();
        *config = config.replace("\"dim\":12", "\"dim\":99999999999999");
    });
    assert!(reason(error).contains("dim = 99999999999999"));
    let error = edited(|_, metadata| {
        metadata.insert("config".into(), "{}".into());
    });
    assert!(reason(error).contains("configuration"));
    let error = edited(|_, metadata| metadata.clear());
    assert!(reason(error).contains("is no sequence model"));
}
