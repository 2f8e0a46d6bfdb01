//! Files from a model hub: `<endpoint>/<owner>/<repository>/resolve/main/<file>` over HTTPS.
//!
//! Connecting may take 5 seconds, and a transfer may stall for 30; a machine that cannot reach the
//! hub is told so once.

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use super::{Asset, AssetFile, Failure, Source};
use crate::progress::{Progress, Unit};
use crate::stop::Stop;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const STALL_TIMEOUT: Duration = Duration::from_secs(30);

pub struct Hub {
    endpoint: String,
    stop: Stop,
}

impl Hub {
    /// `endpoint: None` is the public hub.
    pub fn new(endpoint: Option<String>, stop: Stop) -> Self {
        let endpoint = endpoint.unwrap_or_else(|| "https://huggingface.co".into());
        Self {
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            stop,
        }
    }

    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// `Err` with the reason if the hub does not answer.
    pub fn ping(&self) -> Result<(), String> {
        run(async {
            let request = client()?.head(&self.endpoint).send();
            request.await.map(|_| ()).map_err(|e| innermost(&e))
        })
    }

    async fn download(&self, repo: &str, file: &AssetFile, into: &Path) -> Result<(), Failure> {
        let url = format!("{}/{repo}/resolve/main/{}", self.endpoint, file.name);
        let client = client().map_err(Failure::Unreachable)?;
        let response = client.get(&url).send();
        let mut response = self.or_stop(response).await?.map_err(|e| {
            let reason = format!("{} cannot be reached ({})", self.endpoint, innermost(&e));
            Failure::Unreachable(reason)
        })?;
        if !response.status().is_success() {
            return Err(Failure::Unavailable(format!(
                "{url}: {}",
                response.status()
            )));
        }
        let io = |e: std::io::Error| Failure::Unavailable(format!("{}: {e}", into.display()));
        let mut out = std::fs::File::create(into.join(&file.name)).map_err(io)?;
        let progress = Progress::new(&file.name, Unit::Bytes, Some(file.size));
        loop {
            let chunk = self.or_stop(response.chunk()).await?;
            match chunk {
                Ok(Some(bytes)) => {
                    out.write_all(&bytes).map_err(io)?;
                    progress.inc(bytes.len() as u64);
                    if progress.done() > file.size {
                        let reason =
                            format!("{url}: longer than {} bytes: another file", file.size);
                        return Err(Failure::Unavailable(reason));
                    }
                }
                Ok(None) => return Ok(()),
                Err(e) => {
                    let reason = format!("{url}: broke off ({})", innermost(&e));
                    return Err(Failure::Unavailable(reason));
                }
            }
        }
    }

    async fn or_stop<T>(&self, work: impl Future<Output = T>) -> Result<T, Failure> {
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                value = &mut work => return Ok(value),
                () = tokio::time::sleep(Duration::from_millis(100)) => {
                    if self.stop.requested() {
                        return Err(Failure::Stopped);
                    }
                }
            }
        }
    }
}

impl Source for Hub {
    fn name(&self) -> String {
        "hub".into()
    }

    fn fetch(&self, asset: &Asset, wanted: &[&AssetFile], into: &Path) -> Result<(), Failure> {
        let Some(repo) = &asset.hub else {
            return Err(Failure::Unavailable("no hub has these files".into()));
        };
        run(async {
            for file in wanted {
                self.download(repo, file, into).await?;
            }
            Ok(())
        })
    }
}

fn run<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime needs only file descriptors");
    let value = runtime.block_on(work);
    // A name lookup that hangs would otherwise hold the process until it times out by itself.
    runtime.shutdown_background();
    value
}

fn client() -> Result<reqwest::Client, String> {
    // Err means that it is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .user_agent(concat!("hkfr/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(STALL_TIMEOUT)
        .build()
        .map_err(|e| innermost(&e))
}

/// The last cause: what a person can act on ("connection refused"), without the wrapping.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}
