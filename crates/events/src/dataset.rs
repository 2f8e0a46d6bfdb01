//! Events, catalogue and profiles in memory: ids interned to dense indices, events sorted by user and time, so that a
//! user's history is one slice.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

pub type UserIdx = u32;
pub type ItemIdx = u32;
pub type KindIdx = u16;

/// A kind of behaviour: subject × action × scenario. A template belongs to a kind.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Kind {
    /// What sort of thing: `product`, `coupon`, `film`, …
    pub subject: String,
    /// What was done: `purchase`, `exposure`, `click`, `rate`, …
    pub action: String,
    /// Where or when it happened: `home page`, `search`, `morning store visit`, …
    pub scenario: String,
}

/// One behaviour of a user.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    pub user: UserIdx,
    /// Absent where the behaviour has no item: a search has `text` instead.
    pub item: Option<ItemIdx>,
    pub kind: KindIdx,
    /// Seconds since 1970-01-01 in the local time of the log, so that an hour is the user's hour.
    pub ts: i64,
    /// Rating, quantity or price paid: what the data set says of `Kind::action`.
    pub value: Option<f32>,
    /// Index into [`Dataset::places`]: a store, a city, a page.
    pub place: Option<u32>,
    /// Query, review, tag, coupon or campaign id.
    pub text: Option<Box<str>>,
    /// The event's id: unique in its data set, what evidence refers to.
    pub row: u32,
}

/// The attribute of an item that holds the id it had where the file's makers took it from. Like [`Item::id`] it says
/// which item it is, and nothing of what it is.
pub const SOURCE_ID: &str = "source id";

/// One thing that can be recommended.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Item {
    pub id: String,
    /// What a person would call it. Empty if unknown; use [`Dataset::title`] to show it.
    pub title: String,
    /// From coarse to fine.
    pub categories: Vec<String>,
    pub price: Option<f32>,
    pub attributes: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Profile {
    pub id: String,
    pub attributes: BTreeMap<String, String>,
}

/// What a data set says of itself.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DatasetInfo {
    pub name: String,
    /// The actions that count as "the user chose this": what is predicted.
    pub target_actions: Vec<String>,
    /// How much an action says of a preference; purchase 1.0. An action not listed counts 0.
    pub strengths: BTreeMap<String, f32>,
    /// Which of an item's categories (0 = coarsest) the category task ranks.
    pub category_level: usize,
    /// What the domain calls an item and a user, singular: `product`, `household`.
    pub item_noun: String,
    pub user_noun: String,
    /// Licence and origin, in a sentence that is shown to people.
    pub licence: String,
}

/// A data set in memory. Its events can be read only as-of a time: see [`Dataset::history`].
#[derive(Debug, Clone, Default)]
pub struct Dataset {
    pub info: DatasetInfo,
    pub users: Vec<Profile>,
    pub items: Vec<Item>,
    pub kinds: Vec<Kind>,
    pub places: Vec<String>,
    pub(crate) events: Vec<Event>,
    /// `events[user_offsets[u]..user_offsets[u + 1]]` are user u's, oldest first.
    pub(crate) user_offsets: Vec<usize>,
    /// By kind: is its action a target action?
    is_target: Vec<bool>,
}

impl Dataset {
    pub fn n_users(&self) -> usize {
        self.users.len()
    }

    pub fn n_items(&self) -> usize {
        self.items.len()
    }

    pub fn n_events(&self) -> usize {
        self.events.len()
    }

    /// All events of a user. Only splits may look past a cut-off.
    pub(crate) fn user_events(&self, user: UserIdx) -> &[Event] {
        let u = user as usize;
        &self.events[self.user_offsets[u]..self.user_offsets[u + 1]]
    }

    pub fn is_target(&self, event: &Event) -> bool {
        self.is_target[event.kind as usize] && event.item.is_some()
    }

    pub fn kind(&self, event: &Event) -> &Kind {
        &self.kinds[event.kind as usize]
    }

    /// The title, or `untitled <noun> <id>`: an item without a title can still be talked about.
    pub fn title(&self, item: ItemIdx) -> std::borrow::Cow<'_, str> {
        let item = &self.items[item as usize];
        if item.title.is_empty() {
            format!("untitled {} {}", self.info.item_noun, item.id).into()
        } else {
            item.title.as_str().into()
        }
    }

    /// The category that the category task ranks; the finest one known where the level is missing.
    pub fn category(&self, item: ItemIdx) -> Option<&str> {
        let categories = &self.items[item as usize].categories;
        categories
            .get(self.info.category_level)
            .or(categories.last())
            .map(String::as_str)
    }

    pub fn user_by_id(&self, id: &str) -> Option<UserIdx> {
        self.users
            .iter()
            .position(|p| p.id == id)
            .map(|u| u as UserIdx)
    }
}

/// Interns ids while rows arrive in any order, then sorts.
#[derive(Debug, Default)]
pub struct DatasetBuilder {
    pub info: DatasetInfo,
    users: Vec<Profile>,
    user_ids: HashMap<String, UserIdx>,
    items: Vec<Item>,
    item_ids: HashMap<String, ItemIdx>,
    kinds: Vec<Kind>,
    kind_ids: HashMap<Kind, KindIdx>,
    places: Vec<String>,
    place_ids: HashMap<String, u32>,
    events: Vec<Event>,
}

impl DatasetBuilder {
    pub fn new(info: DatasetInfo) -> Self {
        Self {
            info,
            ..Self::default()
        }
    }

    pub fn user(&mut self, id: &str) -> UserIdx {
        if let Some(&u) = self.user_ids.get(id) {
            return u;
        }
        let u = self.users.len() as UserIdx;
        self.user_ids.insert(id.to_owned(), u);
        self.users.push(Profile {
            id: id.to_owned(),
            ..Profile::default()
        });
        u
    }

    pub fn profile_mut(&mut self, user: UserIdx) -> &mut Profile {
        &mut self.users[user as usize]
    }

    pub fn item(&mut self, id: &str) -> ItemIdx {
        if let Some(&i) = self.item_ids.get(id) {
            return i;
        }
        let i = self.items.len() as ItemIdx;
        self.item_ids.insert(id.to_owned(), i);
        self.items.push(Item {
            id: id.to_owned(),
            ..Item::default()
        });
        i
    }

    pub fn item_mut(&mut self, item: ItemIdx) -> &mut Item {
        &mut self.items[item as usize]
    }

    pub fn has_user(&self, id: &str) -> bool {
        self.user_ids.contains_key(id)
    }

    pub fn has_item(&self, id: &str) -> bool {
        self.item_ids.contains_key(id)
    }

    /// # Panics
    /// After 65,536 kinds: a scenario that is an identifier belongs into `place`.
    pub fn kind(&mut self, subject: &str, action: &str, scenario: &str) -> KindIdx {
        let kind = Kind {
            subject: subject.into(),
            action: action.into(),
            scenario: scenario.into(),
        };
        if let Some(&k) = self.kind_ids.get(&kind) {
            return k;
        }
        let k = KindIdx::try_from(self.kinds.len()).expect("more than 65,536 kinds of behaviour");
        self.kind_ids.insert(kind.clone(), k);
        self.kinds.push(kind);
        k
    }

    pub fn n_kinds(&self) -> usize {
        self.kinds.len()
    }

    pub(crate) fn item_names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.items.iter().map(|i| i.id.as_str())
    }

    pub(crate) fn user_names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.users.iter().map(|u| u.id.as_str())
    }

    /// The user of each event.
    pub(crate) fn users_of_events(&self) -> impl Iterator<Item = UserIdx> {
        self.events.iter().map(|e| e.user)
    }

    pub(crate) fn sort_events_by(&mut self, compare: impl FnMut(&Event, &Event) -> Ordering) {
        self.events.sort_by(compare);
    }

    pub fn place(&mut self, name: &str) -> u32 {
        if let Some(&p) = self.place_ids.get(name) {
            return p;
        }
        let p = self.places.len() as u32;
        self.place_ids.insert(name.to_owned(), p);
        self.places.push(name.to_owned());
        p
    }

    /// Indices in the order of the users' first events; those without any come last.
    pub(crate) fn users_by_first_event(&mut self) {
        let mut first = vec![u32::MAX; self.users.len()];
        for e in &self.events {
            let first = &mut first[e.user as usize];
            *first = e.row.min(*first);
        }
        let mut order: Vec<UserIdx> = (0..self.users.len() as UserIdx).collect();
        order.sort_by_key(|&u| first[u as usize]);
        let mut rank = vec![0; order.len()];
        for (r, &u) in order.iter().enumerate() {
            rank[u as usize] = r as UserIdx;
        }
        let users = order.iter();
        let users = users.map(|&u| std::mem::take(&mut self.users[u as usize]));
        self.users = users.collect();
        let ids = self.user_ids.values_mut();
        let events = self.events.iter_mut().map(|e| &mut e.user);
        ids.chain(events).for_each(|u| *u = rank[*u as usize]);
    }

    /// Adds an event that already has its `row`: the event store keeps ids.
    pub(crate) fn push_with_row(&mut self, event: Event) {
        self.events.push(event);
    }

    /// Adds an event; its `row` is set to the order of arrival.
    pub fn push(&mut self, mut event: Event) {
        event.row = self.events.len() as u32;
        self.events.push(event);
    }

    pub fn n_events(&self) -> usize {
        self.events.len()
    }

    /// Sorts by user and time. Rows out of order are legal; equal times keep the order in which they came.
    pub fn build(mut self) -> Dataset {
        self.events.sort_by_key(|e| (e.user, e.ts));
        let mut user_offsets = vec![0; self.users.len() + 1];
        for e in &self.events {
            user_offsets[e.user as usize + 1] += 1;
        }
        for u in 0..self.users.len() {
            user_offsets[u + 1] += user_offsets[u];
        }
        let is_target = self
            .kinds
            .iter()
            .map(|k| self.info.target_actions.contains(&k.action))
            .collect();
        Dataset {
            info: self.info,
            users: self.users,
            items: self.items,
            kinds: self.kinds,
            places: self.places,
            events: self.events,
            user_offsets,
            is_target,
        }
    }
}
