//! What is ranked: the catalogue's items, or its categories, as dense positions `0..n`.

use std::collections::HashMap;
use std::sync::Arc;

use hkfr_events::{Catalogue, Dataset, Event, History, ItemIdx};
use serde::{Deserialize, Serialize};

/// A view of a data set in which an event is about at most one entity. A clone shares the table.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Entities(Arc<Table>);

#[derive(Debug, Default, PartialEq)]
struct Table {
    ids: Vec<String>,
    /// By item of the data set; what was added to it later is no entity.
    of_item: Vec<Option<u32>>,
    of_categories: bool,
}

impl Entities {
    /// Entity = item; position = catalogue position; id = item id.
    pub fn items(ds: &Dataset, catalogue: &Catalogue) -> Self {
        let mut of_item = vec![None; ds.n_items()];
        for (position, &item) in (0u32..).zip(&catalogue.items) {
            of_item[item as usize] = Some(position);
        }
        Self(Arc::new(Table {
            ids: catalogue
                .items
                .iter()
                .map(|&i| ds.items[i as usize].id.clone())
                .collect(),
            of_item,
            of_categories: false,
        }))
    }

    /// Entity = category; position in [`Catalogue::categories`]; id = name. Items outside the
    /// catalogue count for their category too.
    pub fn categories(ds: &Dataset, catalogue: &Catalogue) -> Self {
        let position = |item| {
            let name = ds.category(item)?;
            catalogue
                .categories
                .binary_search_by(|c| c.as_str().cmp(name))
                .ok()
                .map(|p| p as u32)
        };
        Self(Arc::new(Table {
            ids: catalogue.categories.clone(),
            of_item: (0..ds.n_items() as ItemIdx).map(position).collect(),
            of_categories: true,
        }))
    }

    /// Entities of these ids, in this order, in a data set that may number its items otherwise than the one they come
    /// from.
    ///
    /// # Errors
    /// The entities that no item of the data set is.
    pub(crate) fn find(
        ds: &Dataset,
        ids: Vec<String>,
        of_categories: bool,
    ) -> Result<Self, Vec<String>> {
        let positions: HashMap<&str, u32> = ids.iter().map(String::as_str).zip(0..).collect();
        let position = |item| positions.get(name(ds, item, of_categories)?).copied();
        let of_item: Vec<Option<u32>> = (0..ds.n_items() as ItemIdx).map(position).collect();
        let mut found = vec![false; ids.len()];
        for &entity in of_item.iter().flatten() {
            found[entity as usize] = true;
        }
        if found.contains(&false) {
            let all = ids.into_iter().zip(found);
            return Err(all.filter(|(_, found)| !found).map(|(id, _)| id).collect());
        }
        Ok(Self(Arc::new(Table {
            ids,
            of_item,
            of_categories,
        })))
    }

    /// By position.
    pub fn ids(&self) -> &[String] {
        &self.0.ids
    }

    pub fn n(&self) -> usize {
        self.0.ids.len()
    }

    pub fn id(&self, entity: u32) -> &str {
        &self.0.ids[entity as usize]
    }

    /// Whether an entity is a category rather than an item.
    pub fn are_categories(&self) -> bool {
        self.0.of_categories
    }

    pub fn of_item(&self, item: ItemIdx) -> Option<u32> {
        self.0.of_item.get(item as usize).copied().flatten()
    }

    /// What an item is called as a target, in the catalogue or not: its id, or its category, if it has one.
    pub fn name<'a>(&self, ds: &'a Dataset, item: ItemIdx) -> Option<&'a str> {
        name(ds, item, self.0.of_categories)
    }

    /// What a history chose, by time and then by entity, each entity once a time: five yogurts in an order choose the
    /// category once, as what is asked is the set of the next order. It counts as much as its strongest action.
    pub fn choices(&self, ds: &Dataset, history: &History) -> Vec<Choice> {
        let choice = |e: &Event| {
            let entity = self.chosen(ds, e)?;
            let strength = strength(ds, e);
            Some(Choice {
                ts: e.ts,
                entity,
                strength,
            })
        };
        let mut choices: Vec<Choice> = history.events().iter().filter_map(choice).collect();
        choices.sort_by(|a, b| {
            let order = (a.ts, a.entity).cmp(&(b.ts, b.entity));
            order.then(b.strength.total_cmp(&a.strength))
        });
        choices.dedup_by_key(|c| (c.ts, c.entity));
        choices
    }

    /// The entities that a history chose, sorted and unique.
    pub fn distinct(&self, ds: &Dataset, history: &History) -> Vec<u32> {
        let chosen = history.events().iter();
        let mut chosen: Vec<u32> = chosen.filter_map(|e| self.chosen(ds, e)).collect();
        chosen.sort_unstable();
        chosen.dedup();
        chosen
    }

    /// The entity that a target event chose.
    pub fn chosen(&self, ds: &Dataset, event: &Event) -> Option<u32> {
        if ds.is_target(event) {
            self.of_item(event.item?)
        } else {
            None
        }
    }
}

fn name(ds: &Dataset, item: ItemIdx, of_categories: bool) -> Option<&str> {
    if of_categories {
        ds.category(item)
    } else {
        Some(&ds.items[item as usize].id)
    }
}

/// Raised when something else counts as a choice than before: what was made of choices is then made anew.
pub const CHOICES_VERSION: u32 = 1;

/// An entity that was chosen at a time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Choice {
    /// Seconds since 1970.
    pub ts: i64,
    pub entity: u32,
    pub strength: f32,
}

/// How much a chosen thing counts: the strength of its action; 1 if a target action has none.
pub(super) fn strength(ds: &Dataset, event: &Event) -> f32 {
    ds.info
        .strengths
        .get(&ds.kind(event).action)
        .copied()
        .unwrap_or(1.0)
}

/// May a list contain what the user chose before? One policy for all systems of a table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RepeatPolicy {
    /// Groceries, restaurants: people repeat.
    #[default]
    Allow,
    /// Films: people do not.
    Exclude,
}

impl RepeatPolicy {
    /// What to give [`crate::rank`] as `exclude`: sorted, unique.
    pub fn excluded(
        self,
        ds: &Dataset,
        entities: &Entities,
        history: &History,
    ) -> Option<Vec<u32>> {
        match self {
            Self::Allow => None,
            Self::Exclude => Some(entities.distinct(ds, history)),
        }
    }
}
