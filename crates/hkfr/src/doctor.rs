//! `hkfr doctor`: what is installed, cached and missing, a line each, with a remedy.

use std::process::Command;

use anyhow::Result;
use indicatif::HumanBytes;

use crate::fetch::{Cache, Hub, Pip, State, assets};
use crate::stop::Stop;

/// Memory that the default config needs at its peak, in bytes.
const WANTED_MEMORY: u64 = 3_000_000_000;
/// Disk that models, data and one run need, in bytes.
const WANTED_DISK: u64 = 2_000_000_000;

/// One thing that was looked at.
#[derive(Debug, PartialEq)]
pub struct Finding {
    pub level: Level,
    pub what: String,
    /// What to do about it; empty if nothing.
    pub remedy: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    Good,
    /// Works, with a drawback.
    Note,
    /// Something will not work.
    Bad,
}

impl Finding {
    fn new(level: Level, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            level,
            what: what.into(),
            remedy: remedy.into(),
        }
    }

    fn good(what: impl Into<String>) -> Self {
        Self::new(Level::Good, what, "")
    }
}

/// Looks at everything and prints it. `online`: also asks hub and index.
pub fn run(cache: &Cache, online: bool) -> Result<()> {
    let mut findings = machine(cache);
    findings.extend(python());
    findings.extend(cached(cache)?);
    if online {
        findings.extend(network());
    } else {
        findings.push(Finding::new(
            Level::Note,
            "network: not asked",
            "`hkfr doctor --online` asks",
        ));
    }
    print!("{}", render(&findings));
    Ok(())
}

pub fn render(findings: &[Finding]) -> String {
    let mut text = format!("hkfr {}\n", env!("CARGO_PKG_VERSION"));
    for f in findings {
        let mark = match f.level {
            Level::Good => "ok     ",
            Level::Note => "note   ",
            Level::Bad => "missing",
        };
        text += &format!("  {mark}  {}\n", f.what);
        if !f.remedy.is_empty() {
            text += &format!("           → {}\n", f.remedy);
        }
    }
    let bad = findings.iter().filter(|f| f.level == Level::Bad).count();
    text += &match bad {
        0 => "nothing is missing\n".to_owned(),
        1 => "1 thing is missing\n".to_owned(),
        n => format!("{n} things are missing\n"),
    };
    text
}

fn machine(cache: &Cache) -> Vec<Finding> {
    let mut findings = Vec::new();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    findings.push(Finding::good(format!("cores: {cores}")));
    findings.push(match memory() {
        Some(bytes) if bytes < WANTED_MEMORY => Finding::new(
            Level::Note,
            format!("memory: {} free", HumanBytes(bytes)),
            format!(
                "the default config wants {}; lower [data] max_users or [fusion] knowledge_tokens",
                HumanBytes(WANTED_MEMORY)
            ),
        ),
        Some(bytes) => Finding::good(format!("memory: {} free", HumanBytes(bytes))),
        None => Finding::new(Level::Note, "memory: unknown", "this system does not tell"),
    });
    for (name, dir) in [
        ("cache disk", cache.root().to_owned()),
        ("disk here", ".".into()),
    ] {
        findings.push(match disk(&dir) {
            Some(bytes) if bytes < WANTED_DISK => Finding::new(
                Level::Bad,
                format!("{name}: {} free", HumanBytes(bytes)),
                format!(
                    "free {}, or use another place (--cache, --out)",
                    HumanBytes(WANTED_DISK)
                ),
            ),
            Some(bytes) => Finding::good(format!("{name}: {} free", HumanBytes(bytes))),
            None => Finding::new(
                Level::Note,
                format!("{name}: unknown"),
                "`df` does not tell",
            ),
        });
    }
    findings.push(simd());
    findings
}

#[cfg(target_arch = "x86_64")]
fn simd() -> Finding {
    let has = [
        ("avx2", std::is_x86_feature_detected!("avx2")),
        ("fma", std::is_x86_feature_detected!("fma")),
        ("f16c", std::is_x86_feature_detected!("f16c")),
        ("avx512f", std::is_x86_feature_detected!("avx512f")),
        ("avx512vnni", std::is_x86_feature_detected!("avx512vnni")),
        ("avx512bf16", std::is_x86_feature_detected!("avx512bf16")),
    ];
    let names: Vec<&str> = has.iter().filter(|(_, b)| *b).map(|(n, _)| *n).collect();
    if has[0].1 && has[1].1 {
        Finding::good(format!("SIMD: {}", names.join(" ")))
    } else {
        Finding::new(
            Level::Note,
            format!("SIMD: {} (no AVX2 with FMA)", names.join(" ")),
            "the language model will be several times slower on this processor",
        )
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn simd() -> Finding {
    Finding::good(format!("SIMD: {} baseline", std::env::consts::ARCH))
}

fn python() -> Vec<Finding> {
    vec![match Pip::detect() {
        Ok((command, version)) => Finding::good(format!("{} ({version})", command.join(" "))),
        Err(why) => Finding::new(
            Level::Note,
            why,
            "needed only to fetch data and, where the hub cannot be reached, models",
        ),
    }]
}

/// Every file of every asset, its SHA-256 computed anew.
fn cached(cache: &Cache) -> Result<Vec<Finding>> {
    let mut findings = vec![Finding::good(format!("cache: {}", cache.root().display()))];
    for asset in assets()? {
        let mut wrong = Vec::new();
        let mut missing = 0;
        for file in &asset.files {
            match cache.state(&asset, file, true)? {
                State::Good => {}
                State::Missing => missing += 1,
                State::Corrupt(why) => {
                    wrong.push(format!("{}: {why}", cache.path(&asset, file).display()));
                }
            }
        }
        let remedy = format!("hkfr fetch {}", asset.name);
        findings.push(if !wrong.is_empty() {
            let what = format!("{}: corrupt: {}", asset.name, wrong.join("; "));
            Finding::new(Level::Bad, what, format!("{remedy} (sets it aside)"))
        } else if missing > 0 {
            let size = HumanBytes(asset.size());
            let what = format!(
                "{}: {missing} of {} files not cached ({size})",
                asset.name,
                asset.files.len()
            );
            Finding::new(Level::Bad, what, remedy)
        } else {
            Finding::good(format!(
                "{}: verified, {}",
                asset.name,
                HumanBytes(asset.size())
            ))
        });
    }
    Ok(findings)
}

fn network() -> Vec<Finding> {
    let hub = Hub::new(std::env::var("HF_ENDPOINT").ok(), Stop::default());
    let hub_finding = match hub.ping() {
        Ok(()) => Finding::good(format!("hub: {} answers", hub.endpoint())),
        Err(why) => Finding::new(
            Level::Note,
            format!("hub: {} cannot be reached ({why})", hub.endpoint()),
            "models come by pip instead; a mirror goes into HF_ENDPOINT, a proxy into HTTPS_PROXY",
        ),
    };
    vec![hub_finding, index()]
}

/// Asks pip's own index for the smallest package in use, without downloading it.
fn index() -> Finding {
    let Ok((command, _)) = Pip::detect() else {
        return Finding::new(
            Level::Bad,
            "pip's index: no pip to ask it",
            "install Python 3 with pip",
        );
    };
    let answer = Command::new(command[0])
        .args(&command[1..])
        .args(["index", "versions", "recbole", "--retries=0", "--timeout=5"])
        .args(["--disable-pip-version-check", "--no-input"])
        .output();
    match answer {
        Ok(output) if output.status.success() => Finding::good("pip's index answers"),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            let said = said
                .lines()
                .find(|l| l.starts_with("ERROR"))
                .unwrap_or("no answer");
            Finding::new(
                Level::Bad,
                format!("pip's index: {said}"),
                "set index-url in pip's config, or a proxy in HTTPS_PROXY",
            )
        }
        Err(e) => Finding::new(
            Level::Bad,
            format!("pip's index: {e}"),
            "install Python 3 with pip",
        ),
    }
}

/// Available memory in bytes.
fn memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find(|l| l.starts_with("MemAvailable:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib * 1024)
}

/// Free bytes of the file system that holds the directory or its nearest existing parent.
fn disk(dir: &std::path::Path) -> Option<u64> {
    let dir = std::path::absolute(dir).ok()?;
    let existing = dir.ancestors().find(|d| d.exists())?;
    let output = Command::new("df")
        .args(["-Pk"])
        .arg(existing)
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let kib: u64 = text
        .lines()
        .nth(1)?
        .split_whitespace()
        .nth(3)?
        .parse()
        .ok()?;
    Some(kib * 1024)
}
