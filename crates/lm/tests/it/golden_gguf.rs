//! Blocks of every format against the dequantisation of the Python package `gguf`, bit for bit
//! (`tests/golden_gguf/make.py`).

use std::path::Path;

use hkfr_lm::{Gguf, Value};

fn floats(hex: &str) -> Vec<f32> {
    let byte = |i: usize| u8::from_str_radix(&hex[i..i + 2], 16).unwrap();
    (0..hex.len())
        .step_by(8)
        .map(|i| f32::from_le_bytes([byte(i), byte(i + 2), byte(i + 4), byte(i + 6)]))
        .collect()
}

#[test]
fn every_block_format_equals_the_reference() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden_gguf");
    let file = Gguf::open(&dir.join("golden.gguf")).unwrap();
    let numbers: Vec<i64> = file
        .metadata("golden.numbers")
        .unwrap()
        .as_list()
        .unwrap()
        .iter()
        .filter_map(Value::as_int)
        .collect();
    assert_eq!(numbers, [1, -2, 3]);
    let text = std::fs::read_to_string(dir.join("golden.json")).unwrap();
    let golden: serde_json::Value = serde_json::from_str(&text).unwrap();
    let golden = golden["floats"].as_object().unwrap();
    assert_eq!(golden.len(), 11);
    for (name, hex) in golden {
        let expected = floats(hex.as_str().unwrap());
        let found = file.tensor(name, &[1, expected.len()]).unwrap();
        for (i, (found, expected)) in found.iter().zip(&expected).enumerate() {
            assert_eq!(
                found.to_bits(),
                expected.to_bits(),
                "{name} at {i}: {found}, not {expected}"
            );
        }
    }
}
