//! Events → split: cut-offs, then who is held out, then catalogue, training instances and cases.
//!
//! The order matters: a held-out user must be gone before the catalogue is counted, and the
//! catalogue must stand before training targets outside it are dropped.

use std::collections::BTreeSet;

use super::sample::{lowest_by_hash, sample_recent};
use super::{Case, Catalogue, Instance, Phase, Segment, Split, SplitConfig, SplitKind};
use crate::dataset::{Dataset, Event, ItemIdx, UserIdx};
use crate::error::{Error, Result};
use crate::hash;
use crate::history::AsOf;

const DAY: i64 = 86_400;

/// Splits a data set.
///
/// Global temporal, test: T = last target event + 1 s − horizon. Whoever orders in [T, T + horizon)
/// has a case: as-of T, targets the items of the first order (first distinct timestamp) at or
/// after T. Validation: T one horizon earlier, and nothing at or after the test T is used.
///
/// Leave-one-out, test: the last order, as-of its own time; validation: the one before.
///
/// # Errors
/// [`Error::Config`] if the config asks for something impossible, or no user has a case.
pub fn build(dataset: &Dataset, config: &SplitConfig) -> Result<Split> {
    if config.kind == SplitKind::GlobalTemporal && config.horizon_days == 0 {
        return Err(Error::Config(
            "split.horizon_days must be at least 1".into(),
        ));
    }
    if config.simulated_cold_start.contains(&0) {
        return Err(Error::Config(
            "split.simulated_cold_start: 0 would cut the whole history; use 1 or more".into(),
        ));
    }
    let (mut fit_before, mut questions) = match config.kind {
        SplitKind::GlobalTemporal => global_temporal(dataset, config)?,
        SplitKind::LeaveOneOut => leave_one_out(dataset, config.phase),
    };
    questions.retain(|q| dataset.history(q.user, q.as_of).n_targets(dataset) >= config.min_history);
    if questions.is_empty() {
        return Err(Error::Config(format!(
            "no user has an order to ask for with {} target events before it: lower \
             split.min_history, or (global-temporal) change split.horizon_days",
            config.min_history
        )));
    }

    let (asked, simulated) = hold_out(dataset, config, questions, &fit_before);
    for q in &simulated {
        fit_before[q.user as usize] = None;
    }
    let catalogue = catalogue(dataset, &fit_before, config.min_item_buyers);
    let mut cases: Vec<Case> = asked
        .into_iter()
        .map(|q| Case {
            case_id: dataset.users[q.user as usize].id.clone(),
            segment: segment(dataset, q.user, fit_before[q.user as usize], config),
            instance: q,
        })
        .collect();
    cases.extend(simulated_cases(dataset, &simulated, config));
    let horizon = match config.kind {
        SplitKind::GlobalTemporal => Some(i64::from(config.horizon_days) * DAY),
        SplitKind::LeaveOneOut => None,
    };
    let mut split = Split {
        phase: config.phase,
        horizon,
        fit_before,
        catalogue,
        train: Vec::new(),
        cases,
    };
    // The last period is left to the ranker, which learns there how far to trust a model that did not.
    let earlier = split.earlier(dataset, 1).fit_before;
    split.train = training_instances(dataset, &earlier, &split.catalogue, config);
    if split.train.is_empty() {
        // A log of hardly more than one period: nothing is left for a ranker, and the model learns all the same.
        split.train = training_instances(dataset, &split.fit_before, &split.catalogue, config);
    }
    Ok(split)
}

type Cut = (Vec<Option<AsOf>>, Vec<Instance>);

fn global_temporal(dataset: &Dataset, config: &SplitConfig) -> Result<Cut> {
    let horizon = i64::from(config.horizon_days) * DAY;
    let targets = || {
        dataset
            .events
            .iter()
            .filter(|e| dataset.is_target(e))
            .map(|e| e.ts)
    };
    let (Some(first), Some(last)) = (targets().min(), targets().max()) else {
        return Err(Error::Config(format!(
            "no event has a target action ({}): nothing can be predicted",
            dataset.info.target_actions.join(", ")
        )));
    };
    let test = last + 1 - horizon;
    let cut = match config.phase {
        Phase::Test => test,
        Phase::Validation => test - horizon,
    };
    if cut <= first {
        return Err(Error::Config(format!(
            "split.horizon_days = {} leaves nothing to learn from: the log spans {} days",
            config.horizon_days,
            (last - first) / DAY + 1
        )));
    }
    let questions = (0..dataset.n_users() as UserIdx)
        .filter_map(|user| {
            let order = Orders::new(dataset, dataset.user_events(user))
                .find(|o| o.ts() >= cut && o.ts() < cut + horizon)?;
            Some(order.instance(user, AsOf::new(cut)))
        })
        .collect();
    Ok((vec![Some(AsOf::new(cut)); dataset.n_users()], questions))
}

fn leave_one_out(dataset: &Dataset, phase: Phase) -> Cut {
    let back = match phase {
        Phase::Test => 1,
        Phase::Validation => 2,
    };
    let mut fit_before = Vec::with_capacity(dataset.n_users());
    let mut questions = Vec::new();
    for user in 0..dataset.n_users() as UserIdx {
        let events = dataset.user_events(user);
        let orders: Vec<Order> = Orders::new(dataset, events).collect();
        let asked = orders.len().checked_sub(back).map(|i| &orders[i]);
        // Without an order to ask for, the test order still stays unseen; without any order,
        // there is nothing to give away.
        let cut = asked
            .or(orders.last())
            .map_or_else(|| events.last().map_or(0, |e| e.ts + 1), Order::ts);
        fit_before.push(Some(AsOf::new(cut)));
        questions.extend(asked.map(|o| o.instance(user, AsOf::new(o.ts()))));
    }
    (fit_before, questions)
}

/// The target events of one timestamp of one user.
pub(super) struct Order<'a> {
    dataset: &'a Dataset,
    events: Vec<&'a Event>,
}

impl Order<'_> {
    pub fn ts(&self) -> i64 {
        self.events[0].ts
    }

    pub fn instance(&self, user: UserIdx, as_of: AsOf) -> Instance {
        let targets: BTreeSet<ItemIdx> = self.events.iter().filter_map(|e| e.item).collect();
        Instance {
            user,
            as_of,
            keep_last: None,
            targets: targets.into_iter().collect(),
            target_ts: self.ts(),
            target_scenario: self.dataset.kind(self.events[0]).scenario.clone(),
        }
    }
}

/// A user's orders, oldest first.
pub(super) struct Orders<'a> {
    dataset: &'a Dataset,
    events: std::iter::Peekable<std::slice::Iter<'a, Event>>,
}

impl<'a> Orders<'a> {
    pub fn new(dataset: &'a Dataset, events: &'a [Event]) -> Self {
        Self {
            dataset,
            events: events.iter().peekable(),
        }
    }
}

impl<'a> Iterator for Orders<'a> {
    type Item = Order<'a>;

    fn next(&mut self) -> Option<Order<'a>> {
        let dataset = self.dataset;
        let first = self.events.find(|e| dataset.is_target(e))?;
        let mut events = vec![first];
        while let Some(e) = self.events.next_if(|e| e.ts == first.ts) {
            if dataset.is_target(e) {
                events.push(e);
            }
        }
        Some(Order { dataset, events })
    }
}

fn segment(
    dataset: &Dataset,
    user: UserIdx,
    fit_before: Option<AsOf>,
    config: &SplitConfig,
) -> Segment {
    let known = fit_before.map_or(0, |t| dataset.history(user, t).n_targets(dataset));
    if known <= config.cold_start_max {
        Segment::ColdStart
    } else {
        Segment::Warm
    }
}

/// (asked as they are, held out for the simulated cold start), each in order of users.
fn hold_out(
    dataset: &Dataset,
    config: &SplitConfig,
    questions: Vec<Instance>,
    fit_before: &[Option<AsOf>],
) -> (Vec<Instance>, Vec<Instance>) {
    let id_hash = |salt: u64, q: &Instance| {
        hash::bytes(
            config.seed ^ salt,
            dataset.users[q.user as usize].id.as_bytes(),
        )
    };
    let is_warm = |q: &Instance| {
        segment(dataset, q.user, fit_before[q.user as usize], config) == Segment::Warm
    };
    let (warm, cold): (Vec<_>, Vec<_>) = questions.into_iter().partition(is_warm);
    let n_simulated = if config.simulated_cold_start.is_empty() {
        0
    } else {
        config.simulated_users.min(warm.len() / 2)
    };
    let (simulated, mut asked) = lowest_by_hash(warm, n_simulated, |q| id_hash(1, q));
    asked.extend(cold);
    if let Some(n) = config.max_cases {
        (asked, _) = lowest_by_hash(asked, n, |q| id_hash(2, q));
    }
    asked.sort_by_key(|q| q.user);
    (asked, simulated)
}

fn simulated_cases(dataset: &Dataset, held_out: &[Instance], config: &SplitConfig) -> Vec<Case> {
    let mut sizes = config.simulated_cold_start.clone();
    sizes.sort_unstable();
    sizes.dedup();
    let mut cases = Vec::new();
    for q in held_out {
        let known = dataset.history(q.user, q.as_of).n_targets(dataset);
        // A history that is no longer than n would not be cut: no cold start to simulate.
        for &n in sizes.iter().filter(|&&n| (n as usize) < known) {
            cases.push(Case {
                case_id: format!("{}@{n}", dataset.users[q.user as usize].id),
                instance: Instance {
                    keep_last: Some(n),
                    ..q.clone()
                },
                segment: Segment::SimulatedColdStart(n),
            });
        }
    }
    cases
}

/// Items with enough distinct buyers in the training histories, and their categories.
fn catalogue(dataset: &Dataset, fit_before: &[Option<AsOf>], min_buyers: u32) -> Catalogue {
    let mut buyers = vec![0u32; dataset.n_items()];
    let mut last_buyer = vec![UserIdx::MAX; dataset.n_items()];
    for (user, as_of) in fit_before.iter().enumerate() {
        let Some(as_of) = *as_of else { continue };
        let user = user as UserIdx;
        for e in dataset.history(user, as_of).events() {
            let Some(item) = e.item.filter(|_| dataset.is_target(e)) else {
                continue;
            };
            if last_buyer[item as usize] != user {
                last_buyer[item as usize] = user;
                buyers[item as usize] += 1;
            }
        }
    }
    let items: Vec<ItemIdx> = (0..dataset.n_items() as ItemIdx)
        .filter(|&i| buyers[i as usize] >= min_buyers.max(1))
        .collect();
    let names: BTreeSet<&str> = items.iter().filter_map(|&i| dataset.category(i)).collect();
    let categories: Vec<String> = names.into_iter().map(str::to_owned).collect();
    let category_of = items
        .iter()
        .map(|&i| {
            let name = dataset.category(i)?;
            let c = categories.binary_search_by(|c| c.as_str().cmp(name)).ok()?;
            Some(c as u32)
        })
        .collect();
    Catalogue {
        items,
        categories,
        category_of,
    }
}

fn training_instances(
    dataset: &Dataset,
    fit_before: &[Option<AsOf>],
    catalogue: &Catalogue,
    config: &SplitConfig,
) -> Vec<Instance> {
    let hash_of = |q: &Instance| {
        let user = hash::bytes(
            config.seed ^ 3,
            dataset.users[q.user as usize].id.as_bytes(),
        );
        hash::mix(user ^ hash::mix(q.as_of.seconds() as u64))
    };
    let mut instances = Vec::new();
    for (user, as_of) in fit_before.iter().enumerate() {
        let Some(as_of) = *as_of else { continue };
        let user = user as UserIdx;
        let mut known = 0;
        let mut own = Vec::new();
        for order in Orders::new(dataset, dataset.history(user, as_of).events()) {
            let mut q = order.instance(user, AsOf::new(order.ts()));
            q.targets.retain(|&i| catalogue.position(i).is_some());
            if known >= config.min_history && !q.targets.is_empty() {
                own.push(q);
            }
            known += order.events.len();
        }
        instances.extend(sample_recent(own, config.instances_per_user, hash_of));
    }
    if let Some(n) = config.max_train_instances {
        (instances, _) = lowest_by_hash(instances, n, |q| hash::mix(hash_of(q)));
    }
    instances
}
