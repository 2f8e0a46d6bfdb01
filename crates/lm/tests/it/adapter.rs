use hkfr_lm::{Error, load_adapter, load_tensors, save_adapter};

use crate::tiny::{lora, model};

#[test]
fn an_adapter_survives_its_directory_and_has_the_names_of_peft() {
    let dir = tempfile::tempdir().unwrap();
    let model = model();
    let lora = lora(&model);
    save_adapter(dir.path(), &lora, &model.config, "random").unwrap();
    assert_eq!(load_adapter(dir.path(), &model.config).unwrap(), lora);
    let (tensors, _) = load_tensors(&dir.path().join("adapter_model.safetensors")).unwrap();
    assert_eq!(tensors.len(), 2 * 4 * 3);
    let (shape, _) = &tensors["base_model.model.model.layers.2.self_attn.k_proj.lora_B.weight"];
    assert_eq!(shape, &[8, 4]);
}

#[test]
fn a_damaged_adapter_names_the_file_and_the_tensor() {
    let dir = tempfile::tempdir().unwrap();
    let model = model();
    save_adapter(dir.path(), &lora(&model), &model.config, "random").unwrap();
    let mut other = model.config.clone();
    other.n_layers = 4;
    let error = load_adapter(dir.path(), &other).unwrap_err().to_string();
    assert!(
        error.contains("adapter_model.safetensors")
            && error.contains("layers.3.self_attn.q_proj.lora_A"),
        "{error}"
    );
    let path = dir.path().join("adapter_model.safetensors");
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    assert!(matches!(
        load_adapter(dir.path(), &model.config),
        Err(Error::BadFile { .. })
    ));
}
