//! Every ranker that needs no language model, by name: settings in, a fitted [`Scorer`] out.
//!
//! | system | learns from | source |
//! |---|---|---|
//! | `popularity` `recent-popularity` `own-frequency` | counts | [`crate::baselines`] |
//! | `item-knn` `ease` `ials` `bpr-mf` `lightgcn` | who chose what | [`crate::baselines`] |
//! | `sequential-rules` `vsknn` `stan` | the order of choices, by counting | [`crate::baselines`] |
//! | `text-knn` | what the catalogue says of what was chosen | [`crate::baselines`] |
//! | `sasrec` `esasrec` `bert4rec` `gru4rec` `caser` | the order of choices | [`crate::sequence`] |
//! | `sasrec-text` | `sasrec` that reads texts and attributes of the items | [`crate::sequence::Described`] |
//! | `hkfr` | all of these, and what is known of items and users | [`crate::method`] |
//! | `RIVAL+own` | any of these but `hkfr`, and the user's own choices | [`crate::method::WithOwnConfig`] |
//! | `sasrec-bce` `sasrec-softmax` | `sasrec` with one loss, which a search leaves as it is | [`crate::sequence`] |
//!
//! A system sees the training histories of one split and nothing else. What it needs to stop in time
//! it holds out of them: the last order of each user. Then it learns again, from everything, for as many epochs
//! (`refit = false`: it does not, as in published tables). So under leave-one-out, asked on the test split, it
//! stops by the last choice but one and learns from it as ItemKNN does; under a global cut-off nothing after the
//! cut-off decides anything.

mod accuracy;
mod features;
mod hold_out;
mod pairwise;
mod sequence;

use std::ops::ControlFlow;
use std::sync::OnceLock;

use hkfr_events::{Dataset, Item, Split};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::baselines::{
    BprConfig, BprTrainer, Ease, EaseConfig, Entities, Ials, IalsConfig, Interactions, ItemKnn,
    ItemKnnConfig, LightGcnConfig, LightGcnTrainer, OwnFrequency, OwnFrequencyConfig,
    PairwiseScorer, Popularity, RecentPopularity, RecentPopularityConfig, RepeatPolicy, Scorer,
    SequentialRules, SequentialRulesConfig, Stan, StanConfig, TextKnn, TextKnnConfig, Vsknn,
    VsknnConfig,
};
use crate::error::{Error, Result};
use crate::method::{Hkfr, HkfrConfig, HkfrRecipe, WITH_OWN, rival_with_own, with_own_recipe};
use crate::sequence::{
    Bert4Rec, Bert4RecConfig, Caser, ESasRec, Gru4Rec, Orders, SasRec, SequenceScorer,
    TransformerConfig, training_orders,
};
use crate::text::EntityTexts;

pub use crate::sequence::Progress;
pub use accuracy::{Accuracy, accuracy};

/// The names of all systems; `RIVAL+own` besides ([`rival_with_own`]).
pub const SYSTEMS: [&str; 21] = [
    "popularity",
    "recent-popularity",
    "own-frequency",
    "item-knn",
    "sequential-rules",
    "vsknn",
    "stan",
    "text-knn",
    "ease",
    "ials",
    "bpr-mf",
    "lightgcn",
    "sasrec",
    "sasrec-bce",
    "sasrec-softmax",
    "sasrec-text",
    "esasrec",
    "bert4rec",
    "gru4rec",
    "caser",
    "hkfr",
];

/// Those that rank by counts alone: with own choices added they are another count of them.
pub const COUNTS: [&str; 3] = ["popularity", "recent-popularity", "own-frequency"];

/// Keys of a system and their values; a key that is absent has its default.
pub type Settings = serde_json::Map<String, Value>;

/// Hears of progress and says whether to go on.
pub type Watch<'a> = &'a mut dyn FnMut(Progress) -> ControlFlow<()>;

/// What a system learns from.
pub struct Fitting<'a> {
    pub ds: &'a Dataset,
    pub split: &'a Split,
    pub entities: &'a Entities,
    pub repeats: RepeatPolicy,
    pub n_threads: usize,
    interactions: OnceLock<Interactions>,
    orders: OnceLock<Vec<Orders>>,
    texts: OnceLock<EntityTexts>,
}

impl<'a> Fitting<'a> {
    pub fn new(
        ds: &'a Dataset,
        split: &'a Split,
        entities: &'a Entities,
        repeats: RepeatPolicy,
        n_threads: usize,
    ) -> Self {
        Self {
            ds,
            split,
            entities,
            repeats,
            n_threads,
            interactions: OnceLock::new(),
            orders: OnceLock::new(),
            texts: OnceLock::new(),
        }
    }

    /// Made once, for all systems that ask.
    pub fn interactions(&self) -> &Interactions {
        self.interactions
            .get_or_init(|| Interactions::fit(self.ds, self.split, self.entities))
    }

    /// By entity its category, `u32::MAX` if it has none; empty where entities are categories.
    pub fn category_of(&self) -> Vec<u32> {
        if self.entities.are_categories() {
            return Vec::new();
        }
        let of = self.split.catalogue.category_of.iter();
        of.map(|c| c.unwrap_or(u32::MAX)).collect()
    }

    /// The entities as items; `None` where they are categories.
    pub fn items(&self) -> Option<Vec<&'a Item>> {
        let items = self.split.catalogue.items.iter();
        let items = items.map(|&i| &self.ds.items[i as usize]);
        (!self.entities.are_categories()).then(|| items.collect())
    }

    /// What each user may teach, order by order; made once.
    pub fn orders(&self) -> &[Orders] {
        self.orders
            .get_or_init(|| training_orders(self.ds, self.split, self.entities))
    }

    /// What the catalogue says of each entity; made once.
    pub fn texts(&self) -> &EntityTexts {
        self.texts
            .get_or_init(|| EntityTexts::new(self.ds, self.entities))
    }
}

/// A system with its settings.
pub trait Recipe {
    /// # Errors
    /// [`Error::Interrupted`] if `watch` says so.
    fn fit(&self, from: &Fitting, watch: Watch) -> Result<Box<dyn Scorer>>;

    /// All keys, the defaults too.
    fn settings(&self) -> Settings;

    /// Whether another seed gives other scores.
    fn is_random(&self) -> bool {
        self.settings().contains_key("seed")
    }

    /// Raised when a system of the same data and settings gives other lists than before: what is known by its
    /// settings, a trial or a list, is then made anew.
    fn version(&self) -> u32 {
        0
    }
}

/// The system of this name (one of [`SYSTEMS`], or `RIVAL+own`). `seed` decides its random choices, unless the
/// settings have a `seed` of their own.
///
/// # Errors
/// An unknown name or key; a value of the wrong type or out of its range.
pub fn recipe(system: &str, settings: &Settings, seed: u64) -> Result<Box<dyn Recipe>> {
    if let Some(rival) = rival_with_own(system) {
        return with_own_recipe(rival, settings, seed);
    }
    let s = settings;
    Ok(match system {
        "popularity" => plain::<NoSettings>(
            s,
            seed,
            |_| Ok(()),
            |_, f| Ok(Box::new(Popularity::fit(f.ds, f.split, f.entities))),
        )?,
        "recent-popularity" => plain(s, seed, RecentPopularityConfig::check, |c, f| {
            Ok(Box::new(RecentPopularity::fit(
                f.ds, f.split, f.entities, c,
            )))
        })?,
        "own-frequency" => plain(s, seed, OwnFrequencyConfig::check, |c, f| {
            Ok(Box::new(OwnFrequency::fit(f.ds, f.split, f.entities, c)))
        })?,
        "item-knn" => plain(s, seed, ItemKnnConfig::check, |c, f| {
            Ok(Box::new(ItemKnn::fit(f.entities, f.interactions(), c)))
        })?,
        "sequential-rules" => plain(s, seed, SequentialRulesConfig::check, |c, f| {
            Ok(Box::new(SequentialRules::fit(f.entities, f.orders(), c)))
        })?,
        "vsknn" => plain(s, seed, VsknnConfig::check, |c, f| {
            Ok(Box::new(Vsknn::fit(f.ds, f.split, f.entities, c)))
        })?,
        "stan" => plain(s, seed, StanConfig::check, |c, f| {
            Ok(Box::new(Stan::fit(f.ds, f.split, f.entities, c)))
        })?,
        "text-knn" => plain(s, seed, TextKnnConfig::check, |c, f| {
            Ok(Box::new(TextKnn::fit(f.entities, f.texts(), f.orders(), c)))
        })?,
        "ease" => plain(s, seed, EaseConfig::check, |c, f| {
            let ease = Ease::fit(f.entities, f.interactions(), c);
            if ease.is_finite() {
                Ok(Box::new(ease))
            } else {
                Err(Error::Config(format!(
                    "ease: lambda = {}: too small for these choices in single precision; raise it, to {} say",
                    c.lambda,
                    10.0 * c.lambda
                )))
            }
        })?,
        "ials" => watched(s, seed, IalsConfig::check, |c, f, watch| {
            let ials = Ials::fit(f.entities, f.interactions(), c, f.n_threads, watch)?;
            Ok(Box::new(ials))
        })?,
        "bpr-mf" => pairwise::read(s, seed, BprConfig::check, BprTrainer::new)?,
        "lightgcn" => pairwise::read(s, seed, LightGcnConfig::check, LightGcnTrainer::new)?,
        "sasrec" => sequence::read::<TransformerConfig, _>(s, seed, |c, _| SasRec::new(c))?,
        "sasrec-bce" => recipe("sasrec", &with_loss(system, s, "bce")?, seed)?,
        "sasrec-softmax" => recipe("sasrec", &with_loss(system, s, "softmax")?, seed)?,
        "sasrec-text" => recipe("sasrec", &with_features(s)?, seed)?,
        "esasrec" => sequence::read::<ESasRecDefaults, _>(s, seed, |c, _| ESasRec::new(c.0))?,
        "bert4rec" => sequence::read::<Bert4RecSettings, _>(s, seed, Bert4RecSettings::build)?,
        "gru4rec" => sequence::read(s, seed, |c, _| Gru4Rec::new(c))?,
        "caser" => sequence::read(s, seed, |c, _| Caser::new(c))?,
        "hkfr" => Box::new(HkfrRecipe {
            config: HkfrConfig::read(s, seed)?,
            expectations: None,
        }),
        _ => {
            return Err(Error::Config(format!(
                "there is no system {system:?}; the systems are {}, and each but hkfr with {WITH_OWN:?} at its end",
                SYSTEMS.join(", ")
            )));
        }
    })
}

/// A fitted ranker of a [`Scorer::name`], not yet bound to a data set; `None`: there is none of this name.
pub(crate) fn decode(name: &str, bytes: &[u8]) -> Option<postcard::Result<Box<dyn Scorer>>> {
    fn of<S: Scorer + DeserializeOwned + 'static>(
        bytes: &[u8],
    ) -> postcard::Result<Box<dyn Scorer>> {
        let (scorer, rest) = postcard::take_from_bytes::<S>(bytes)?;
        if rest.is_empty() {
            Ok(Box::new(scorer))
        } else {
            Err(postcard::Error::DeserializeBadEncoding)
        }
    }
    let decode = match name {
        "popularity" => of::<Popularity>,
        "recent-popularity" => of::<RecentPopularity>,
        "own-frequency" => of::<OwnFrequency>,
        "item-knn" => of::<ItemKnn>,
        "sequential-rules" => of::<SequentialRules>,
        "vsknn" => of::<Vsknn>,
        "stan" => of::<Stan>,
        "text-knn" => of::<TextKnn>,
        "ease" => of::<Ease>,
        "ials" => of::<Ials>,
        "bpr-mf" => of::<PairwiseScorer<BprTrainer>>,
        "lightgcn" => of::<PairwiseScorer<LightGcnTrainer>>,
        "sasrec" => of::<SequenceScorer<SasRec>>,
        "esasrec" => of::<SequenceScorer<ESasRec>>,
        "bert4rec" => of::<SequenceScorer<Bert4Rec>>,
        "gru4rec" => of::<SequenceScorer<Gru4Rec>>,
        "caser" => of::<SequenceScorer<Caser>>,
        "hkfr" => of::<Hkfr>,
        _ => return None,
    };
    Some(decode(bytes))
}

/// The settings of a system whose name says its loss.
fn with_loss(system: &str, settings: &Settings, loss: &str) -> Result<Settings> {
    let mut settings = settings.clone();
    match settings.insert("loss".to_owned(), loss.into()) {
        Some(other) if other != loss => Err(Error::Config(format!(
            "loss = {other}: the loss of {system:?} is {loss:?}; leave the key out, or set it for \"sasrec\""
        ))),
        _ => Ok(settings),
    }
}

/// The settings of "sasrec-text", which reads both texts and attributes.
fn with_features(settings: &Settings) -> Result<Settings> {
    let mut settings = settings.clone();
    let defaults = [("text_dim", Value::from(128)), ("attributes", true.into())];
    for (key, default) in defaults {
        let value = settings.entry(key).or_insert(default);
        if *value == 0 || *value == false {
            return Err(Error::Config(format!(
                "{key} = {value}: \"sasrec-text\" reads texts and attributes; leave the key out, or set it for \"sasrec\""
            )));
        }
    }
    Ok(settings)
}

/// A [`TransformerConfig`] whose feed-forward layer is as wide as eSASRec's by default.
#[derive(Clone, Serialize, Deserialize)]
struct ESasRecDefaults(TransformerConfig);

impl Default for ESasRecDefaults {
    fn default() -> Self {
        Self(TransformerConfig {
            feed_forward: 4,
            ..TransformerConfig::default()
        })
    }
}

/// A [`Bert4RecConfig`] as one flat table, the catalogue's size left out.
#[derive(Clone, Serialize, Deserialize)]
struct Bert4RecSettings {
    mask_prob: f32,
    last_only_prob: f32,
    maskings: usize,
    #[serde(flatten)]
    encoder: TransformerConfig,
}

impl Default for Bert4RecSettings {
    fn default() -> Self {
        let config = Bert4RecConfig::new(0);
        Self {
            mask_prob: config.mask_prob,
            last_only_prob: config.last_only_prob,
            maskings: config.maskings,
            encoder: config.encoder,
        }
    }
}

impl Bert4RecSettings {
    fn build(self, n_items: usize) -> Result<Bert4Rec> {
        Bert4Rec::new(Bert4RecConfig {
            n_items,
            mask_prob: self.mask_prob,
            last_only_prob: self.last_only_prob,
            maskings: self.maskings,
            encoder: self.encoder,
        })
    }
}

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct NoSettings {}

type FitFn<C> = fn(&C, &Fitting) -> Result<Box<dyn Scorer>>;

/// A system that learns from everything.
struct Plain<C, F> {
    config: C,
    fit: F,
}

impl<C, F> Recipe for Plain<C, F>
where
    C: Serialize,
    F: Fn(&C, &Fitting, Watch) -> Result<Box<dyn Scorer>>,
{
    fn fit(&self, from: &Fitting, watch: Watch) -> Result<Box<dyn Scorer>> {
        (self.fit)(&self.config, from, watch)
    }

    fn settings(&self) -> Settings {
        as_settings(&self.config)
    }
}

fn plain<C>(
    settings: &Settings,
    seed: u64,
    check: fn(&C) -> Result<()>,
    fit: FitFn<C>,
) -> Result<Box<dyn Recipe>>
where
    C: Default + Serialize + DeserializeOwned + 'static,
{
    let fit = move |c: &C, from: &Fitting, _: Watch| fit(c, from);
    watched(settings, seed, check, fit)
}

/// [`plain`], in steps.
fn watched<C, F>(
    settings: &Settings,
    seed: u64,
    check: fn(&C) -> Result<()>,
    fit: F,
) -> Result<Box<dyn Recipe>>
where
    C: Default + Serialize + DeserializeOwned + 'static,
    F: Fn(&C, &Fitting, Watch) -> Result<Box<dyn Scorer>> + 'static,
{
    let config = read(settings, seed)?;
    check(&config)?;
    Ok(Box::new(Plain { config, fit }))
}

/// Settings over the defaults of `C`.
pub(crate) fn read<C: Default + Serialize + DeserializeOwned>(
    settings: &Settings,
    seed: u64,
) -> Result<C> {
    let mut all = as_settings(&C::default());
    if let Some(value) = all.get_mut("seed") {
        *value = seed.into();
    }
    all.extend(settings.clone());
    serde_json::from_value(Value::Object(all)).map_err(|e| Error::Config(e.to_string()))
}

pub(crate) fn as_settings(config: &impl Serialize) -> Settings {
    match serde_json::to_value(config) {
        Ok(Value::Object(map)) => map,
        _ => unreachable!("a config is a struct"),
    }
}
