//! SHA-256 of texts and files, as lower-case hex.

use std::io::Read;
use std::path::Path;

use sha2::{Digest, Sha256};

pub fn of_text(text: &str) -> String {
    hex(Sha256::digest(text.as_bytes()).as_slice())
}

pub fn of_file(path: &Path) -> std::io::Result<String> {
    let mut file = fs_err::File::open(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let n = file.read(&mut buffer)?;
        if n == 0 {
            return Ok(hex(hasher.finalize().as_slice()));
        }
        hasher.update(&buffer[..n]);
    }
}

/// The same number for the same texts on every machine.
pub fn number(seed: u64, texts: &[&str]) -> u64 {
    let mut hasher = Sha256::new();
    hasher.update(seed.to_le_bytes());
    for text in texts {
        hasher.update(text.as_bytes());
        hasher.update([0]);
    }
    let digest = hasher.finalize();
    digest.iter().take(8).fold(0, |n, &b| n << 8 | u64::from(b))
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut s, b| {
        let _ = write!(s, "{b:02x}");
        s
    })
}
