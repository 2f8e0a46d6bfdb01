//! A service of the test's own: HTTP/1.1 with connections that are kept, a thread for each.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

pub struct Asked {
    pub body: Value,
    pub prompt: String,
    pub authorization: Option<String>,
    /// How often this prompt was asked before, of whichever model.
    pub before: usize,
}

pub enum Reply {
    /// Status, further header lines (each with its `\r\n`), body.
    Say(u16, String, String),
    /// Says nothing until the client has gone.
    Hang,
    /// Promises more than it sends, and closes.
    Cut(String),
    /// A byte at a time.
    Drip(String, Duration),
}

pub struct Server {
    /// Up to and including `/v1`.
    pub url: String,
    pub asked: Arc<Mutex<HashMap<String, usize>>>,
}

pub fn good(model: &str, text: &str) -> String {
    json!({
        "model": model,
        "choices": [{"message": {"role": "assistant", "content": text}}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5},
    })
    .to_string()
}

pub fn say(status: u16, body: impl Into<String>) -> Reply {
    Reply::Say(status, String::new(), body.into())
}

impl Server {
    /// It serves until the process ends.
    pub fn start(respond: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        let asked: Arc<Mutex<HashMap<String, usize>>> = Arc::default();
        let (counts, respond) = (Arc::clone(&asked), Arc::new(respond));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (counts, respond) = (Arc::clone(&counts), Arc::clone(&respond));
                // A client that goes away in the middle is what these tests are about.
                std::thread::spawn(move || drop(serve(stream.unwrap(), &counts, &*respond)));
            }
        });
        Self { url, asked }
    }

    pub fn count(&self, prompt: &str) -> usize {
        let asked = self.asked.lock().unwrap();
        asked.get(prompt).copied().unwrap_or(0)
    }

    pub fn total(&self) -> usize {
        self.asked.lock().unwrap().values().sum()
    }
}

fn serve(
    stream: TcpStream,
    counts: &Mutex<HashMap<String, usize>>,
    respond: &dyn Fn(&Asked) -> Reply,
) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream);
    loop {
        let (mut length, mut authorization) = (0, None);
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            let lower = line.to_lowercase();
            if let Some(n) = lower.strip_prefix("content-length:") {
                length = n.trim().parse().unwrap();
            }
            if lower.starts_with("authorization:") {
                authorization = Some(line["authorization:".len()..].trim().to_owned());
            }
            if line.trim().is_empty() {
                break;
            }
        }
        let mut sent = vec![0; length];
        reader.read_exact(&mut sent)?;
        let body: Value = serde_json::from_slice(&sent).unwrap();
        let prompt = body["messages"][0]["content"].as_str().unwrap().to_owned();
        let before = {
            let mut counts = counts.lock().unwrap();
            let n = counts.entry(prompt.clone()).or_default();
            *n += 1;
            *n - 1
        };
        let asked = Asked {
            body,
            prompt,
            authorization,
            before,
        };
        let out = reader.get_mut();
        match respond(&asked) {
            Reply::Say(status, headers, body) => {
                let n = body.len();
                let head = format!("HTTP/1.1 {status} x\r\ncontent-length: {n}\r\n{headers}\r\n");
                out.write_all((head + &body).as_bytes())?;
            }
            Reply::Hang => {
                let _ = out.read(&mut [0]);
                return Ok(());
            }
            Reply::Cut(body) => {
                let n = body.len() + 100;
                let head = format!("HTTP/1.1 200 x\r\ncontent-length: {n}\r\n\r\n");
                return out.write_all((head + &body).as_bytes());
            }
            Reply::Drip(body, every) => {
                let n = body.len();
                write!(out, "HTTP/1.1 200 x\r\ncontent-length: {n}\r\n\r\n")?;
                for byte in body.bytes() {
                    out.write_all(&[byte])?;
                    std::thread::sleep(every);
                }
            }
        }
    }
}
