use std::path::Path;

use hkfr_lm::{Gguf, Llama};

/// A GGUF file with one text value and one tensor of each readable type, 32 weights each.
fn gguf() -> Vec<u8> {
    let mut out = b"GGUF".to_vec();
    let text = |out: &mut Vec<u8>, s: &str| {
        out.extend((s.len() as u64).to_le_bytes());
        out.extend(s.as_bytes());
    };
    out.extend(3u32.to_le_bytes());
    out.extend(4u64.to_le_bytes());
    out.extend(1u64.to_le_bytes());
    text(&mut out, "general.architecture");
    out.extend(8u32.to_le_bytes());
    text(&mut out, "llama");
    let half = |v: f32| half::f16::from_f32(v).to_le_bytes();
    let mut blocks: Vec<(u32, Vec<u8>)> = Vec::new();
    blocks.push((0, (0..32).flat_map(|i| (i as f32).to_le_bytes()).collect()));
    let nibbles: Vec<u8> = (0..16).map(|i| i | (15 - i) << 4).collect();
    blocks.push((2, [&half(0.5)[..], &nibbles].concat()));
    blocks.push((3, [&half(0.5)[..], &half(-1.0), &nibbles].concat()));
    blocks.push((
        8,
        [
            &half(0.25)[..],
            &(0..32).map(|i| (i - 16) as i8 as u8).collect::<Vec<_>>(),
        ]
        .concat(),
    ));
    let mut offset = 0u64;
    for (kind, bytes) in &blocks {
        text(&mut out, &format!("t{kind}"));
        out.extend(2u32.to_le_bytes());
        out.extend(16u64.to_le_bytes());
        out.extend(2u64.to_le_bytes());
        out.extend(kind.to_le_bytes());
        out.extend(offset.to_le_bytes());
        offset += bytes.len().div_ceil(32) as u64 * 32;
    }
    out.resize(out.len().div_ceil(32) * 32, 0);
    for (_, bytes) in &blocks {
        out.extend(bytes);
        out.resize(out.len().div_ceil(32) * 32, 0);
    }
    out
}

fn write(bytes: &[u8]) -> (tempfile::TempDir, std::path::PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m.gguf");
    std::fs::write(&path, bytes).unwrap();
    (dir, path)
}

#[test]
fn blocks_are_dequantised_as_ggml_defines_them() {
    let (_dir, path) = write(&gguf());
    let file = Gguf::open(&path).unwrap();
    assert_eq!(
        file.metadata("general.architecture").unwrap().as_text(),
        Some("llama")
    );
    let t = |name: &str| file.tensor(name, &[2, 16]).unwrap();
    assert_eq!(t("t0")[31], 31.0);
    assert_eq!((t("t2")[0], t("t2")[15], t("t2")[16]), (-4.0, 3.5, 3.5));
    assert_eq!(
        (t("t3")[0], t("t3")[15], t("t3")[16], t("t3")[31]),
        (-1.0, 6.5, 6.5, -1.0)
    );
    assert_eq!((t("t8")[0], t("t8")[31]), (-4.0, 3.75));
    let error = file.tensor("t0", &[16, 2]).unwrap_err().to_string();
    assert_eq!(error, "t0: expected shape [16, 2], found [2, 16]");
}

#[test]
fn a_file_cut_anywhere_is_an_error_that_names_it() {
    let bytes = gguf();
    for cut in [0, 3, 10, 40, 100, bytes.len() - 40] {
        let (_dir, path) = write(&bytes[..cut]);
        let error = match Gguf::open(&path) {
            Err(e) => e.to_string(),
            Ok(file) => file.tensor("t8", &[2, 16]).unwrap_err().to_string(),
        };
        assert!(
            error.contains("m.gguf") && error.contains("fetch it again"),
            "cut at {cut}: {error}"
        );
    }
}

#[test]
fn a_model_that_is_none_says_what_it_lacks() {
    let (_dir, path) = write(&gguf());
    let error = Llama::open(&path).err().unwrap().to_string();
    assert!(error.contains("tokenizer.ggml.pre"), "{error}");
    assert!(Llama::open(Path::new("/does/not/exist.gguf")).is_err());
}
