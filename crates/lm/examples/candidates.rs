//! Log-probabilities of each user's candidates, for `benchmarks/lm/candidates.py`.
//!
//! `cargo run --release -p hkfr-lm --example candidates -- MODEL.gguf USERS.json N_USERS SCORES.f32 {f32,bf16}`
//! with `USERS.json` = `[{"prompt": [token ids], "candidates": [[token ids], …]}, …]`. So many
//! users at a time, 1 or 2, share two threads: one prefill, then all candidates as branches of it. Prints JSON; the scores are
//! little-endian, in the order of the file.

use std::sync::Mutex;
use std::time::Instant;

use hkfr_lm::{Llama, Pool, Session, TokenTree, score_continuations};
use serde::Deserialize;

#[path = "shared/memory.rs"]
mod memory;
#[path = "shared/model.rs"]
mod model;

#[derive(Deserialize)]
struct User {
    prompt: Vec<u32>,
    candidates: Vec<Vec<u32>>,
}

fn pass(model: &Llama, sessions: &mut [Session], users: &[User], scores: &mut [Vec<f32>]) {
    let work = Mutex::new(users.iter().zip(scores));
    std::thread::scope(|scope| {
        for session in sessions {
            scope.spawn(|| {
                let next = || work.lock().expect("a thread panicked").next();
                while let Some((user, scores)) = next() {
                    let mut tree = TokenTree::default();
                    let prompt = tree.push(None, &user.prompt);
                    session.prefill(model, None, &tree);
                    let options = &user.candidates;
                    *scores = score_continuations(session, model, None, &mut tree, prompt, options);
                }
            });
        }
    });
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [path, users, n_users, out, precision] = &args[..] else {
        return Err("usage: candidates MODEL.gguf USERS.json N_USERS SCORES.f32 {f32,bf16}".into());
    };
    let model = model::open(path, precision)?;
    let users: Vec<User> = serde_json::from_str(&std::fs::read_to_string(users)?)?;
    let mut sessions = Vec::new();
    sessions.resize_with(n_users.parse()?, Session::default);
    if let [session] = &mut sessions[..] {
        session.pool = Pool::new(2);
    }
    let mut scores = vec![Vec::new(); users.len()];
    let warm_up = sessions.len().min(users.len());
    pass(&model, &mut sessions, &users[..warm_up], &mut scores);
    let start = Instant::now();
    pass(&model, &mut sessions, &users, &mut scores);
    let seconds = start.elapsed().as_secs_f64();
    let bytes = scores.iter().flatten().flat_map(|s| s.to_le_bytes());
    std::fs::write(out, bytes.collect::<Vec<u8>>())?;
    println!(
        "{}",
        serde_json::json!({
            "users_per_second": users.len() as f64 / seconds,
            "users": users.len(),
            "seconds": seconds,
            "peak_mb": memory::peak_mb(),
        })
    );
    Ok(())
}
