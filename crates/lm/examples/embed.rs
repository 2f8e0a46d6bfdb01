//! Sentence embeddings of the lines of a file, and how long they took.
//!
//! `cargo run --release -p hkfr-lm --example embed -- MODEL_DIR TEXTS.txt N_THREADS {f32,bf16} [VECTORS.f32]`
//!
//! Prints JSON: the number of texts, the seconds of one call after a short one to warm up, and the
//! processor time of it, of all threads (Linux; null elsewhere). The vectors are little-endian
//! `f32`, one row a line.

use std::path::Path;
use std::time::Instant;

use hkfr_lm::Encoder;

/// User and system time of this process: fields 14 and 15 of proc_pid_stat(5), in hundredths.
fn cpu_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |i: usize| fields.get(i)?.parse::<f64>().ok();
    Some((ticks(11)? + ticks(12)?) / 100.0)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [dir, texts, n_threads, precision, out @ ..] = &args[..] else {
        return Err("usage: embed MODEL_DIR TEXTS.txt N_THREADS {f32,bf16} [VECTORS.f32]".into());
    };
    let encoder = Encoder::open_with(Path::new(dir), precision.parse()?)?;
    let text = std::fs::read_to_string(texts)?;
    let lines: Vec<&str> = text.lines().collect();
    let n_threads = n_threads.parse()?;
    encoder.embed(&lines[..lines.len().min(64)], n_threads)?;
    let (start, cpu) = (Instant::now(), cpu_seconds());
    let vectors = encoder.embed(&lines, n_threads)?;
    let seconds = start.elapsed().as_secs_f64();
    let cpu = cpu.zip(cpu_seconds()).map(|(before, after)| after - before);
    let cpu = cpu.map_or("null".to_owned(), |s| format!("{s:.2}"));
    println!(
        "{{\"texts\": {}, \"seconds\": {seconds:.3}, \"cpu_seconds\": {cpu}}}",
        lines.len()
    );
    if let Some(out) = out.first() {
        let bytes: Vec<u8> = vectors.iter().flat_map(|v| v.to_le_bytes()).collect();
        std::fs::write(out, bytes)?;
    }
    Ok(())
}
