//! A split of what a split may learn from: the same question, asked earlier.
//!
//! A ranker that learns how far to trust other rankers needs lists whose answers are known and that were made
//! without them. They come from training histories alone:
//!
//! | split | cut-off, `back` periods earlier | asked |
//! |---|---|---|
//! | global temporal, cut-off T | T − back · horizon, for all users | the first order within a horizon of it |
//! | leave-one-out | the time of a user's order, counted `back` from the end of training | that order |

use super::build::{Order, Orders};
use super::{Case, Instance, Segment, Split};
use crate::dataset::{Dataset, UserIdx};
use crate::history::AsOf;

impl Split {
    /// The split that this one's training histories hold, `back` periods earlier (1: just before it). Its cases are of
    /// users who may be learnt from, their targets of this split's catalogue; it has no training instances. The later
    /// order of a user is in no history of it, and nothing of users who are held out.
    pub fn earlier(&self, dataset: &Dataset, back: u32) -> Self {
        let cut = |user: UserIdx, as_of: AsOf| match self.horizon {
            Some(horizon) => self.one_cut_off(dataset, user, as_of, horizon * i64::from(back)),
            None => self.own_order(dataset, user, as_of, back),
        };
        let mut fit_before = Vec::with_capacity(self.fit_before.len());
        let mut cases = Vec::new();
        for (user, as_of) in (0..).zip(&self.fit_before) {
            let Some((as_of, question)) = as_of.map(|as_of| cut(user, as_of)) else {
                fit_before.push(None);
                continue;
            };
            fit_before.push(Some(as_of));
            let Some(mut question) = question else {
                continue;
            };
            question
                .targets
                .retain(|&i| self.catalogue.position(i).is_some());
            if !question.targets.is_empty() {
                cases.push(Case {
                    case_id: dataset.users[user as usize].id.clone(),
                    instance: question,
                    segment: Segment::Warm,
                });
            }
        }
        Self {
            phase: self.phase,
            horizon: self.horizon,
            fit_before,
            catalogue: self.catalogue.clone(),
            train: Vec::new(),
            cases,
        }
    }

    fn one_cut_off(
        &self,
        dataset: &Dataset,
        user: UserIdx,
        as_of: AsOf,
        earlier: i64,
    ) -> (AsOf, Option<Instance>) {
        let cut = AsOf::new(as_of.seconds() - earlier);
        let end = cut.seconds() + self.horizon.unwrap_or_default();
        let question = Orders::new(dataset, dataset.history(user, as_of).events())
            .find(|o| o.ts() >= cut.seconds())
            .filter(|o| o.ts() < end)
            .map(|o| o.instance(user, cut));
        (cut, question)
    }

    /// A question needs an order before it; where there are too few, the last order stays unseen all the same.
    fn own_order(
        &self,
        dataset: &Dataset,
        user: UserIdx,
        as_of: AsOf,
        back: u32,
    ) -> (AsOf, Option<Instance>) {
        let history = dataset.history(user, as_of);
        let orders: Vec<Order> = Orders::new(dataset, history.events()).collect();
        let asked = orders.len().checked_sub(back as usize).filter(|&i| i > 0);
        let order = asked.map(|i| &orders[i]);
        let cut = order.or(orders.last()).map_or(as_of.seconds(), Order::ts);
        let question = order.map(|o| o.instance(user, AsOf::new(o.ts())));
        (AsOf::new(cut), question)
    }
}
