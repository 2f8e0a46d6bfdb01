//! Arguments as typed → what they mean → the work. Errors end here, as one message.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use hkfr_eval::printable;
use hkfr_events::generate::FoodDeliveryConfig;

use crate::args::{
    Cli, Command, GenerateWhat, Global, MeasureOptions, MeasureWhat, ShowWhat, StageArgs,
    StageOptions, TemplateWhat,
};
use crate::config::{self, Config};
use crate::fetch::{self, Cache, Fetcher, State};
use crate::search::{self, Search};
use crate::stage::Outcome;
use crate::stages::{self, Session};
use crate::stop::{self, Stop, Stopped};
use crate::{
    ablate, compare, doctor, forget, generate, lists, measure, show, template, terminal, verify,
};

/// Stages that a shard makes of the log alone.
const OF_LOG: [&str; 2] = ["ingest", "prompts"];

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    log(cli.global.verbose);
    let stop = Stop::default();
    if let Err(e) = stop.listen() {
        tracing::warn!("Ctrl-C will not be graceful: {e}");
    }
    match dispatch(cli, &stop) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) if e.is::<Stopped>() || stop.requested() => {
            eprintln!("{Stopped}");
            ExitCode::from(stop::EXIT_CODE as u8)
        }
        Err(e) => {
            eprintln!("error: {}", printable(&told(&e)));
            ExitCode::FAILURE
        }
    }
}

/// An error and its causes, each that does not stand in the one before it already.
fn told(e: &anyhow::Error) -> String {
    let (mut told, mut last) = (String::new(), String::new());
    for cause in e.chain().map(ToString::to_string) {
        if last.contains(&cause) {
            continue;
        }
        if !told.is_empty() {
            told += ": ";
        }
        told += &cause;
        last = cause;
    }
    told
}

fn dispatch(cli: Cli, stop: &Stop) -> Result<()> {
    let global = &cli.global;
    let read = |path: &Path, options: &StageOptions| {
        let mut config = resolve(path, options.out.clone())?;
        config.data.strict |= options.strict;
        config.seed = options.seed.unwrap_or(config.seed);
        anyhow::Ok(config)
    };
    let walk = |args: StageArgs, until: &'static str| {
        let config = read(&args.config, &args.options)?;
        session(global, config, stop, &args.options.force)?.walk(until)
    };
    let open = |config, shard, of_shard, force: &[String]| match shard {
        None => session(global, config, stop, force),
        Some(shard) => {
            let cache = cache(global, Some(&config))?;
            let fetcher = Fetcher::standard(cache, global.offline, stop.clone());
            Session::of_shard(shard, of_shard, config, fetcher, stop.clone(), force)
        }
    };
    match cli.command {
        Command::Run(args) => walk(args, "evaluate"),
        Command::Ingest(args) => {
            let config = read(&args.config, &args.options)?;
            open(config, args.shard.shard, &OF_LOG, &args.options.force)?.walk("ingest")
        }
        Command::Prompts(args) => {
            let config = read(&args.config, &args.options)?;
            let mut session = open(config, args.shard.shard, &OF_LOG, &args.options.force)?;
            session.ingest()?;
            if stages::prompts(&mut session, &args.what)? == Outcome::UpToDate {
                eprintln!("prompts: up to date");
            }
            Ok(())
        }
        Command::Merge(args) => {
            let config = read(&args.config, &args.options)?;
            let mut session = session(global, config, stop, &args.options.force)?;
            if stages::merge(&mut session, &args)? == Outcome::UpToDate {
                eprintln!("all up to date");
            }
            Ok(())
        }
        Command::Split(args) => walk(args, "split"),
        Command::Fuse(args) => {
            let (options, service, shard) = (args.options, args.service, args.shard.shard);
            let files = service.batch_out.is_some() || !service.batch_in.is_empty();
            if !service.dry_run && !files {
                let config = args.config;
                if shard.is_some() {
                    // What is fused is decided by all users' events; the lock of the run is then free again.
                    let read = |options| read(&config, options);
                    session(global, read(&options)?, stop, &options.force)?.walk("split")?;
                    return open(read(&options)?, shard, &["fuse"], &options.force)?.fuse();
                }
                return walk(StageArgs { config, options }, "fuse");
            }
            let config = read(&args.config, &options)?;
            stages::service::check(&config, service.dry_run)?;
            if service.dry_run {
                // What is not cached would be written to the cache.
                let cache = cache(global, Some(&config))?;
                let fetcher = Fetcher::standard(cache, true, stop.clone());
                let mut session = Session::new(config, fetcher, stop.clone(), &[])?;
                if let Some(shard) = shard {
                    session.runner = session.runner.of_shard(shard, &["fuse"]);
                }
                print!("{}", stages::outstanding::dry_run(&mut session)?);
                return Ok(());
            }
            let mut session = session(global, config, stop, &options.force)?;
            session.walk("split")?;
            if let Some(shard) = shard {
                session.runner = session.runner.of_shard(shard, &["fuse"]);
            }
            print!("{}", stages::outstanding::batch(&mut session, &service)?);
            Ok(())
        }
        Command::Instruct(args) => walk(args, "instruct"),
        Command::Tune(args) => walk(args, "tune"),
        Command::Search(args) => {
            let config = resolve(&args.config, args.out)?;
            let mut session = session(global, config, stop, &[])?;
            let search = Search {
                systems: args.systems,
                n_trials: args.trials as usize,
                seconds: args.seconds,
                space: args.space,
                write: args.write,
            };
            print!("{}", search::run(&mut session, &search)?);
            Ok(())
        }
        Command::Recommend(args) => walk(args, "recommend"),
        Command::Evaluate(args) => match args.config {
            None => {
                print!("{}", lists::evaluate(&args.lists, args.options.seed)?);
                Ok(())
            }
            Some(path) => {
                let config = read(&path, &args.options)?;
                let (run_dir, tasks) = (config.run_dir(), config.recommend.tasks.clone());
                let mut session = session(global, config, stop, &args.options.force)?;
                session.walk("evaluate")?;
                match args.export {
                    Some(dir) => lists::export(&run_dir, &tasks, &dir),
                    None => Ok(()),
                }
            }
        },
        Command::CheckLeaks(args) => {
            let config = read(&args.config, &args.options)?;
            let open = |config| session(global, config, stop, &args.options.force);
            print!("{}", stages::check_leaks(config, open)?);
            Ok(())
        }
        Command::Measure(args) => {
            let open = |common: &MeasureOptions| {
                let config = resolve(&common.config, common.out.clone())?;
                let mut session = session(global, config, stop, &[])?;
                session.walk("split")?;
                anyhow::Ok(session)
            };
            let (measured, json) = match args.what {
                MeasureWhat::Freshness {
                    common,
                    steps,
                    days,
                    thresholds,
                } => {
                    let ask = measure::FreshnessAsk {
                        steps,
                        days,
                        thresholds,
                    };
                    (measure::freshness(&mut open(&common)?, &ask)?, common.json)
                }
                MeasureWhat::Cohorts {
                    common,
                    sizes,
                    strengths,
                    reference,
                } => {
                    let mut session = open(&common)?;
                    let measured = measure::cohorts(&mut session, &sizes, &strengths, &reference)?;
                    (measured, common.json)
                }
            };
            print!("{}", measured.table);
            json.map_or(Ok(()), |path| measured.write(&path))
        }
        Command::Features(args) => {
            let config = read(&args.config, &args.options)?;
            let mut session = session(global, config, stop, &args.options.force)?;
            if stages::features(&mut session, &args.what)? == Outcome::UpToDate {
                eprintln!("features: up to date");
            }
            println!("features: {}", session.dir("features").display());
            Ok(())
        }
        Command::Ctr(args) => {
            let config = read(&args.config, &args.options)?;
            let mut session = session(global, config, stop, &args.options.force)?;
            print!("{}", stages::ctr(&mut session, args.negatives as usize)?);
            Ok(())
        }
        Command::Ablate(args) => {
            let config = resolve(&args.config, args.out)?;
            let open = |config| session(global, config, stop, &[]);
            print!("{}", ablate::run(&config, &args.seeds, stop, open)?);
            Ok(())
        }
        Command::Compare(args) => {
            print!("{}", compare::run(&args)?);
            Ok(())
        }
        Command::Fetch(args) => {
            let mut fetcher = Fetcher::standard(cache(global, None)?, global.offline, stop.clone());
            let assets = fetch::assets()?;
            if args.list {
                return list(&assets, fetcher.cache());
            }
            if !args.all && args.names.is_empty() {
                anyhow::bail!(
                    "name what to fetch, or give --all; `hkfr fetch --list` lists the assets"
                );
            }
            let mut wanted: Vec<&fetch::Asset> = Vec::new();
            for name in &args.names {
                wanted.push(fetch::find(&assets, name)?);
            }
            if args.all {
                wanted = assets.iter().collect();
            }
            for asset in wanted {
                println!("{}: {}", asset.name, fetcher.obtain(asset)?.display());
            }
            Ok(())
        }
        Command::Forget(args) => {
            let config = resolve(&args.config, args.out)?;
            print!("{}", forget::run(&config, &args.user, args.dry_run)?);
            Ok(())
        }
        Command::Verify(args) => {
            let report = match args.what.is_dir() {
                true => verify::directory(&args.what)?,
                false => {
                    let config = resolve(&args.what, args.out)?;
                    let mut report = verify::directory(&config.run_dir())?;
                    let assets = fetch::assets()?;
                    let used = stages::assets_of(&config, &assets)?;
                    verify::cached(&cache(global, Some(&config))?, &used, &mut report)?;
                    report
                }
            };
            print!("{}", report.told());
            let n = report.damaged.len();
            anyhow::ensure!(n == 0, "{n} damages; each is named with its remedy");
            Ok(())
        }
        Command::Config(args) => match args.config {
            None => {
                print!("{}", config::DEFAULTS);
                Ok(())
            }
            Some(path) => {
                let config = config::load(&path)?;
                println!(
                    "{}: good; results go to {}",
                    path.display(),
                    config.run_dir().display()
                );
                Ok(())
            }
        },
        Command::Doctor(args) => doctor::run(&cache(global, None)?, args.online),
        Command::Show(args) => match args.what {
            ShowWhat::User { id, config, out } => {
                print!("{}", show::user(&resolve(&config, out)?, &id)?);
                Ok(())
            }
        },
        Command::Template(args) => match args.what {
            TemplateWhat::Check { dir, set } => {
                let set = set.unwrap_or_else(|| Config::default().fusion.templates);
                let (text, n) = template::check(&set, dir.as_deref())?;
                print!("{text}");
                anyhow::ensure!(n == 0, "{n} mistakes in the templates");
                Ok(())
            }
            TemplateWhat::Preview {
                config,
                user,
                as_of,
                out,
            } => {
                let config = resolve(&config, out)?;
                let cache = cache(global, Some(&config))?;
                print!("{}", template::preview(&config, &user, as_of, &cache)?);
                Ok(())
            }
        },
        Command::Generate(args) => match args.what {
            GenerateWhat::FoodDelivery {
                users,
                days,
                seed,
                out,
            } => {
                let config = FoodDeliveryConfig { users, days, seed };
                print!("{}", generate::food_delivery(config, &out, stop)?);
                Ok(())
            }
        },
    }
}

fn session(global: &Global, config: Config, stop: &Stop, force: &[String]) -> Result<Session> {
    let cache = cache(global, Some(&config))?;
    let fetcher = Fetcher::standard(cache, global.offline, stop.clone());
    Session::new(config, fetcher, stop.clone(), force)
}

fn resolve(path: &Path, out: Option<PathBuf>) -> Result<Config> {
    let mut config = config::load(path)?;
    if let Some(out) = out {
        config.out = out;
    }
    stages::check_asset_names(&config)?;
    Ok(config)
}

fn cache(global: &Global, config: Option<&Config>) -> Result<Cache> {
    let typed = global.cache.clone();
    let typed = typed.or_else(|| config.and_then(|c| c.models.cache.clone()));
    Cache::locate(typed, |name| {
        std::env::var_os(name)
            .filter(|v| !v.is_empty())
            .map(PathBuf::from)
    })
}

fn list(assets: &[fetch::Asset], cache: &Cache) -> Result<()> {
    for asset in assets {
        let mut cached = 0;
        for file in &asset.files {
            cached += usize::from(cache.state(asset, file, false)? == State::Good);
        }
        let source = match &asset.hub {
            Some(repo) => format!("hub {repo}, or "),
            None => "no hub; ".to_owned(),
        };
        println!(
            "{}\n  {}\n  {} in {} files, {cached} cached · {source}package {}=={}\n  licence: {}",
            asset.name,
            asset.what,
            indicatif::HumanBytes(asset.size()),
            asset.files.len(),
            asset.package.name,
            asset.package.version,
            asset.licence
        );
    }
    Ok(())
}

fn log(verbose: u8) {
    let level = [
        "warn",
        "info,h2=warn,hyper=warn",
        "debug,h2=info,hyper=info",
    ];
    let filter = tracing_subscriber::EnvFilter::try_from_env("HKFR_LOG")
        .unwrap_or_else(|_| level[usize::from(verbose).min(2)].into());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(terminal::stderr_colours())
        .without_time()
        .with_target(verbose > 1)
        .init();
}
