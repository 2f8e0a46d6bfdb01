//! The arguments as typed. What they mean together with the environment and the config is resolved
//! in [`crate::cli`].

use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand};
use hkfr_eval::Ties;
use hkfr_events::store::Shard;

/// From behaviour logs to fused knowledge, a tuned language model and measured recommendations.
#[derive(Debug, Parser)]
#[command(name = "hkfr", version, propagate_version = true, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
    #[command(flatten)]
    pub global: Global,
}

#[derive(Debug, Args)]
pub struct Global {
    /// Where fetched models and data are kept [default: $HKFR_CACHE, else the platform's cache]
    #[arg(long, global = true, value_name = "DIR")]
    pub cache: Option<PathBuf>,
    /// Ask no network: only what is cached is used
    #[arg(long, global = true)]
    pub offline: bool,
    /// Say more (-v: what is done, -vv: details); $HKFR_LOG takes a filter
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

#[derive(Debug, Args)]
pub struct StageArgs {
    /// The config of the run, a TOML file
    pub config: PathBuf,
    #[command(flatten)]
    pub options: StageOptions,
}

#[derive(Debug, Args)]
pub struct StageOptions {
    /// Run this stage even if it is up to date (repeatable)
    #[arg(long, value_name = "STAGE", value_parser = clap::builder::PossibleValuesParser::new(&crate::stages::ORDER[1..]))]
    pub force: Vec<String>,
    /// Write results here instead of the config's `out`
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Decides random choices, instead of the config's `seed`; give --out too, to keep both results
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Stop at the first bad row of a log, as `strict = true` in the config does
    #[arg(long)]
    pub strict: bool,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Walk all stages, skipping what is up to date; ends with a table and report.html
    Run(StageArgs),
    /// Obtain models and data, by name or what a config needs
    Fetch(FetchArgs),
    /// Read the logs into Parquet events, catalogue and profiles
    Ingest(IngestArgs),
    /// Cut the past from the future: training instances and evaluation cases
    Split(StageArgs),
    /// Turn histories into prompts and prompts into knowledge
    Fuse(FuseArgs),
    /// Write the fusion prompt of every user as JSON lines, in bounded memory; no model is asked
    Prompts(PromptsArgs),
    /// Put together what the shards of a stage made (--shard), as one machine would have made it
    Merge(MergeArgs),
    /// Write instruction rows as JSONL
    Instruct(StageArgs),
    /// Train the LoRA adapters
    Tune(StageArgs),
    /// Choose the settings of systems on validation, with one budget for all
    Search(SearchArgs),
    /// Let every system rank the catalogue for every case
    Recommend(StageArgs),
    /// Score the rankings: table and report.html; or score anyone's lists (--run)
    Evaluate(EvaluateArgs),
    /// Show that no list changes with the future, and what each system loses when time is shuffled
    CheckLeaks(StageArgs),
    /// Measure what knowledge is worth where it is old, or where little is known; no model is asked
    Measure(MeasureArgs),
    /// Write the features of HKFR's ranker as Parquet, with labels and a schema, for any other ranker
    Features(FeaturesArgs),
    /// Fit logistic regression and DCN-v2 to what `hkfr features` wrote, with and without groups of features: AUC,
    /// log-loss and calibration by segment
    Ctr(CtrArgs),
    /// Make the table that shows what HKFR owes to what: all rivals, with own choices added too, and HKFR with
    /// and without each of its parts, over several seeds; resumes
    Ablate(AblateArgs),
    /// Compare runs: one table, which differences are significant, and a report
    Compare(CompareArgs),
    /// Take a user out of a run, and keep the user out
    Forget(ForgetArgs),
    /// Check every file of a run, and the models it uses, for damage
    Verify(VerifyArgs),
    /// Check a config, or print the commented file of all defaults
    Config(ConfigArgs),
    /// Say what is installed, cached and missing, with a remedy for each
    Doctor(DoctorArgs),
    /// Show what is known of one person
    Show(ShowArgs),
    /// Check a template set, or see what it writes about one person
    Template(TemplateArgs),
    /// Write a synthetic log whose truth is known
    Generate(GenerateArgs),
}

#[derive(Debug, Args)]
pub struct ShardArg {
    /// Only the users of the k-th of n shards, into a directory of their own; `hkfr merge` puts the
    /// shards together
    #[arg(long, value_name = "K/N")]
    pub shard: Option<Shard>,
}

#[derive(Debug, Args)]
pub struct IngestArgs {
    /// The config of the run, a TOML file
    pub config: PathBuf,
    #[command(flatten)]
    pub options: StageOptions,
    #[command(flatten)]
    pub shard: ShardArg,
}

#[derive(Debug, Args)]
pub struct PromptsArgs {
    /// The config of the run, a TOML file
    pub config: PathBuf,
    #[command(flatten)]
    pub options: StageOptions,
    #[command(flatten)]
    pub shard: ShardArg,
    #[command(flatten)]
    pub what: PromptsOptions,
}

#[derive(Debug, Args)]
pub struct PromptsOptions {
    /// Only what was before is known: 2024-01-31, or "2024-01-31 18:05" [default: all of the log]
    #[arg(long, value_name = "DATE", value_parser = crate::show::parse_date, allow_negative_numbers = true)]
    pub as_of: Option<i64>,
    /// Count four bytes as a token, in place of the model's tokenizer: faster, and no model is needed
    #[arg(long)]
    pub count_bytes: bool,
}

#[derive(Debug, Args)]
pub struct MergeArgs {
    /// The config of the run, a TOML file
    pub config: PathBuf,
    /// What the shards made
    pub stage: MergeStage,
    /// Directories of shards (ingest-shard-1-of-3), or directories that hold them [default: the run's own]
    #[arg(long, value_name = "DIR", num_args = 1..)]
    pub from: Vec<PathBuf>,
    #[command(flatten)]
    pub options: StageOptions,
    #[command(flatten)]
    pub prompts: PromptsOptions,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum MergeStage {
    Ingest,
    Fuse,
    /// With the --as-of and --count-bytes of the shards
    Prompts,
}

#[derive(Debug, Args)]
pub struct FuseArgs {
    /// The config of the run, a TOML file
    pub config: PathBuf,
    #[command(flatten)]
    pub options: StageOptions,
    #[command(flatten)]
    pub shard: ShardArg,
    #[command(flatten)]
    pub service: ServiceArgs,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Asking a service (mode = \"service\")")]
#[group(multiple = false)]
pub struct ServiceArgs {
    /// Say how many requests there are, how many are answered, and what the others may cost; ask
    /// nothing and write nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Write the requests that are not answered as a file for OpenAI's Batch API
    #[arg(long, value_name = "FILE")]
    pub batch_out: Option<PathBuf>,
    /// Take the answers from output (and error) files of the Batch API
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub batch_in: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub struct SearchArgs {
    /// The config of the run, a TOML file
    pub config: PathBuf,
    /// The systems to search [default: those of the config that need no language model]
    #[arg(long, value_name = "SYSTEM,…", value_delimiter = ',')]
    pub systems: Vec<String>,
    /// Trials of each system and task, at least
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..))]
    pub trials: u32,
    /// Go on with a system, up to ten times as many trials, until its trials took so long in all
    #[arg(long, value_name = "S", default_value_t = 0.0)]
    pub seconds: f64,
    /// A TOML file of [system] tables with `key = [values]`, which go before those of the built-in space
    #[arg(long, value_name = "FILE")]
    pub space: Option<PathBuf>,
    /// Also write the chosen settings here, for `[recommend] settings`
    #[arg(long, value_name = "FILE")]
    pub write: Option<PathBuf>,
    /// Write results here instead of the config's `out`
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct EvaluateArgs {
    /// The config of the run, a TOML file
    #[arg(required_unless_present = "run", conflicts_with = "run")]
    pub config: Option<PathBuf>,
    #[command(flatten)]
    pub options: StageOptions,
    /// Also write the lists and the truth as files that other tools (and --run) read: TREC, or Parquet
    /// where a name holds white space
    #[arg(long, value_name = "DIR")]
    pub export: Option<PathBuf>,
    #[command(flatten)]
    pub lists: ListsArgs,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Anyone's lists")]
pub struct ListsArgs {
    /// A system's lists: a TREC run, or Parquet with q_id, doc_id, score (repeatable)
    #[arg(long, value_name = "FILE", requires = "qrels", conflicts_with_all = ["force", "out", "strict", "export"])]
    pub run: Vec<PathBuf>,
    /// What was right: TREC qrels, or Parquet with q_id, doc_id, relevance
    #[arg(long, value_name = "FILE", requires = "run")]
    pub qrels: Option<PathBuf>,
    /// Cut-offs
    #[arg(long, value_name = "K,…", value_delimiter = ',', default_values_t = [5, 10], requires = "run")]
    pub k: Vec<usize>,
    /// json: the means; table: with intervals and tests; report: all of it as JSON
    #[arg(long, value_enum, default_value_t = ListsFormat::Table, requires = "run")]
    pub format: ListsFormat,
    /// All items that exist, one a line, each with its interactions in training if known: tells
    /// invalid answers, coverage, Gini, novelty and popularity
    #[arg(long, value_name = "FILE", requires = "run")]
    pub catalogue: Option<PathBuf>,
    /// What was consumed before, as qrels of any relevance: taken out of all lists and targets
    #[arg(long, value_name = "FILE", requires = "run")]
    pub consumed: Option<PathBuf>,
    /// The system that the others are compared with
    #[arg(long, value_name = "SYSTEM", requires = "run")]
    pub reference: Option<String>,
    /// Where equal scores stand: against (the targets last), trec (trec_eval's order: falling ids), random
    /// (expected values over all orders)
    #[arg(long, value_name = "RULE", default_value = "against", value_parser = ties(), requires = "run")]
    pub ties: Ties,
}

/// The rules for ties, by name.
fn ties() -> impl TypedValueParser<Value = Ties> {
    let names = PossibleValuesParser::new(Ties::CHOICES);
    names.try_map(|name| name.parse::<Ties>())
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub enum ListsFormat {
    Json,
    Table,
    Report,
}

#[derive(Debug, Args)]
pub struct FeaturesArgs {
    /// The config of the run, a TOML file
    pub config: PathBuf,
    #[command(flatten)]
    pub options: StageOptions,
    #[command(flatten)]
    pub what: FeaturesOptions,
}

#[derive(Debug, Args)]
pub struct FeaturesOptions {
    /// What is ranked [default: each task of the config]
    #[arg(long, value_name = "TASK", value_parser = PossibleValuesParser::new(crate::config::TASKS))]
    pub task: Option<String>,
    /// Number of candidates to keep that were not chosen, in each list of both parts, picked by a hash [default: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub negatives: Option<u32>,
}

#[derive(Debug, Args)]
pub struct CtrArgs {
    /// The config of the run, a TOML file
    pub config: PathBuf,
    #[command(flatten)]
    pub options: StageOptions,
    /// Largest number of candidates to read that were not chosen, in each list, picked by a hash
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    pub negatives: u32,
}

#[derive(Debug, Args)]
pub struct MeasureArgs {
    #[command(subcommand)]
    pub what: MeasureWhat,
}

#[derive(Debug, Subcommand)]
pub enum MeasureWhat {
    /// What is saved, and lost, when knowledge is fused again only where a user's facts have moved: the
    /// last cut-offs before the end of training are walked
    Freshness {
        #[command(flatten)]
        common: MeasureOptions,
        /// Cut-offs at which it is decided
        #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=520))]
        steps: u32,
        /// Days between two
        #[arg(long, value_name = "N", default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=366))]
        days: u32,
        /// Values of [fusion] refresh_threshold
        #[arg(long, value_name = "X,…", value_delimiter = ',', default_values_t = [0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4])]
        thresholds: Vec<f32>,
    },
    /// What people like a user tell of whom little is known: categories ranked for the cold starts of the
    /// split
    Cohorts {
        #[command(flatten)]
        common: MeasureOptions,
        /// Values of [fusion] cohort_min
        #[arg(long, value_name = "N,…", value_delimiter = ',', default_values_t = [50, 200], value_parser = clap::value_parser!(u32).range(1..))]
        sizes: Vec<u32>,
        /// Values of [fusion] cohort_strength
        #[arg(long, value_name = "X,…", value_delimiter = ',', default_values_t = [10.0, 30.0, 100.0, 300.0])]
        strengths: Vec<f32>,
        /// The ranking that the others are compared with: "popularity", "everyone, k 100", "nearest 50, k 10", …
        #[arg(long, value_name = "NAME", default_value = "popularity")]
        reference: String,
    },
}

#[derive(Debug, Args)]
pub struct MeasureOptions {
    /// The config of the run, a TOML file
    pub config: PathBuf,
    /// Write results here instead of the config's `out`
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Also write what was measured as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct AblateArgs {
    /// The config of a run, a TOML file: its data, split, rivals and all settings
    pub config: PathBuf,
    /// Seeds of the systems that draw anything; the others have the first one [default: the config's, and the next two]
    #[arg(long, value_name = "N,…", value_delimiter = ',')]
    pub seeds: Vec<u64>,
    /// Write results here instead of the config's `out`
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct CompareArgs {
    /// Directories of `hkfr run` (OUT/NAME) on the same data, and run files (TREC, or Parquet with
    /// q_id, doc_id, score), which are measured against the truth of the directories, or with --qrels
    /// against that. A system with several seeds is averaged over them. A NAME tells apart what is
    /// called alike: systems of a directory become NAME/system, that of a file NAME, and files of one
    /// NAME are its seeds
    #[arg(required = true, value_name = "[NAME=]RUN")]
    pub runs: Vec<String>,
    /// The system that the others are compared with [default: that of the first directory's config,
    /// else the first system]
    #[arg(long, value_name = "SYSTEM")]
    pub reference: Option<String>,
    /// Compare on the cases that all runs were asked, where one was asked a sample of them
    #[arg(long, conflicts_with = "qrels")]
    pub common_cases: bool,
    /// Cut-offs
    #[arg(long, value_name = "K,…", value_delimiter = ',', default_values_t = [5, 10])]
    pub k: Vec<usize>,
    /// Where equal scores stand: against (the targets last), trec (trec_eval's order: falling ids), random
    /// (expected values over all orders)
    #[arg(long, value_name = "RULE", default_value = "against", value_parser = ties())]
    pub ties: Ties,
    /// The metric that decides, e.g. hr@5 [default: NDCG at the deepest cut-off]
    #[arg(long, value_name = "METRIC@K")]
    pub metric: Option<hkfr_eval::MetricAt>,
    /// Also write report.html, report.json, table.md and table.tex into this directory
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// What is printed
    #[arg(long, value_enum, default_value_t = CompareFormat::Text)]
    pub format: CompareFormat,
    /// For run files beside directories, the task that they answer [default: the only one]
    #[arg(long, value_name = "TASK", conflicts_with = "qrels")]
    pub task: Option<String>,
    /// For run files alone, what was right: TREC qrels, or Parquet with q_id, doc_id, relevance
    #[arg(long, value_name = "FILE")]
    pub qrels: Option<PathBuf>,
    /// For run files, all items that exist, one a line, each with its interactions in training if known
    #[arg(long, value_name = "FILE", requires = "qrels")]
    pub catalogue: Option<PathBuf>,
    /// For run files, what was consumed before, as qrels of any relevance: taken out of all lists and targets
    #[arg(long, value_name = "FILE", requires = "qrels")]
    pub consumed: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub enum CompareFormat {
    Text,
    Markdown,
    Latex,
}

#[derive(Debug, Args)]
pub struct FetchArgs {
    /// Names of assets (see --list)
    pub names: Vec<String>,
    /// Everything
    #[arg(long, conflicts_with = "names")]
    pub all: bool,
    /// List the assets with licence, size and state
    #[arg(long)]
    pub list: bool,
}

#[derive(Debug, Args)]
pub struct ForgetArgs {
    /// The config of the run, a TOML file
    pub config: PathBuf,
    /// The user's id as in the log
    #[arg(long, value_name = "ID")]
    pub user: String,
    /// Say what would go, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Where the results lie, if not in the config's `out`
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// The config of a run, or the directory of one
    pub what: PathBuf,
    /// Where the results lie, if not in the config's `out`
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct ConfigArgs {
    /// A config to check
    #[arg(required_unless_present = "defaults")]
    pub config: Option<PathBuf>,
    /// Print one commented TOML file with every key
    #[arg(long, conflicts_with = "config")]
    pub defaults: bool,
}

#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Also ask whether the hub and pip's index can be reached
    #[arg(long)]
    pub online: bool,
}

#[derive(Debug, Args)]
pub struct ShowArgs {
    #[command(subcommand)]
    pub what: ShowWhat,
}

#[derive(Debug, Subcommand)]
pub enum ShowWhat {
    /// One person from the run's results: events, prompt, knowledge, instruction, recommendation
    User {
        /// The user's id as in the log
        id: String,
        /// The config of the run
        #[arg(long)]
        config: PathBuf,
        /// Where the results lie, if not in the config's `out`
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
    },
}

#[derive(Debug, Args)]
pub struct TemplateArgs {
    #[command(subcommand)]
    pub what: TemplateWhat,
}

#[derive(Debug, Subcommand)]
pub enum TemplateWhat {
    /// Every mistake in a template set, with file, line and remedy
    Check {
        /// A directory whose files replace those of the set that have the same name
        dir: Option<PathBuf>,
        /// The built-in set [default: that of the default config]
        #[arg(long, value_name = "NAME")]
        set: Option<String>,
    },
    /// What the config's templates write about one person; no model is asked
    Preview {
        /// The config of the run, a TOML file
        config: PathBuf,
        /// The user's id as in the log
        #[arg(long, value_name = "ID")]
        user: String,
        /// Only what was before is known: 2024-01-31, or "2024-01-31 18:05" [default: the as-of of the
        /// user's case, else the last order]
        #[arg(long, value_name = "DATE", value_parser = crate::show::parse_date, allow_negative_numbers = true)]
        as_of: Option<i64>,
        /// Where the results lie, if not in the config's `out`
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
    },
}

#[derive(Debug, Args)]
pub struct GenerateArgs {
    #[command(subcommand)]
    pub what: GenerateWhat,
}

#[derive(Debug, Subcommand)]
pub enum GenerateWhat {
    /// Merchants and dishes: what is shown, opened, searched, put in the cart and ordered, with a
    /// config that reads it and truth.jsonl, which says what each customer prefers
    FoodDelivery {
        /// Customers
        #[arg(long, value_name = "N")]
        users: u32,
        /// Days that the log covers, at least 14
        #[arg(long, value_name = "N", default_value_t = 60)]
        days: u32,
        /// The same seed gives the same bytes
        #[arg(long, value_name = "N", default_value_t = 1)]
        seed: u64,
        /// The directory to write, made if absent
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
}
