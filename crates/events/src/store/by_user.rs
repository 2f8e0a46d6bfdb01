//! A store read user by user, in bounded memory: the catalogue, and of the events a batch of rows a reader.
//!
//! ```no_run
//! # fn main() -> hkfr_events::Result<()> {
//! use hkfr_events::{AsOf, store::Store};
//!
//! let store = Store::open("out/shop/ingest".as_ref())?;
//! for p in 0..store.partitions() {
//!     let mut users = store.users(p)?;
//!     while let Some(user) = users.next_user()? {
//!         let history = user.history(AsOf::new(1_700_000_000));
//!         println!("{}: {} events", user.profile().id, history.events().len());
//!     }
//! }
//! # Ok(()) }
//! ```

use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};

use super::events::{events_of, open_part, partition};
use super::tables::{self, open_users, profiles_of};
use super::{Info, Shard, damaged, part, read_info};
use crate::adapters::parquet_in::Table;
use crate::dataset::{Dataset, DatasetBuilder, Event, ItemIdx, KindIdx, Profile, UserIdx};
use crate::error::Result;
use crate::hash;
use crate::history::{AsOf, History};

/// A store on disk whose users are read one by one.
pub struct Store {
    dir: PathBuf,
    info: Info,
    /// Items, kinds and places, and no user.
    catalogue: Dataset,
    items: HashMap<String, ItemIdx>,
    kinds: HashMap<String, KindIdx>,
    places: HashMap<String, u32>,
}

fn index<N: TryFrom<usize>>(names: impl Iterator<Item = String>) -> HashMap<String, N> {
    let numbered = names.enumerate();
    numbered
        .filter_map(|(i, name)| Some((name, N::try_from(i).ok()?)))
        .collect()
}

impl Store {
    /// # Errors
    /// As [`super::read`].
    pub fn open(dir: &Path) -> Result<Self> {
        let info = read_info(dir)?;
        let mut builder = DatasetBuilder::new(info.info.clone());
        for kind in &info.kinds {
            builder.kind(&kind.subject, &kind.action, &kind.scenario);
        }
        for place in &info.places {
            builder.place(place);
        }
        tables::read_items(&mut builder, &dir.join("items.parquet"))?;
        let catalogue = builder.build();
        let kinds = catalogue.kinds.iter();
        let mut key = String::new();
        let kinds = kinds.map(|k| {
            kind_key(&mut key, &k.subject, &k.action, &k.scenario);
            key.clone()
        });
        Ok(Self {
            kinds: index(kinds),
            items: index(catalogue.items.iter().map(|i| i.id.clone())),
            places: index(catalogue.places.iter().cloned()),
            dir: dir.to_owned(),
            catalogue,
            info,
        })
    }

    /// Items, kinds and places. It holds no user: those come from [`Self::users`].
    pub fn catalogue(&self) -> &Dataset {
        &self.catalogue
    }

    pub fn n_users(&self) -> usize {
        self.info.n_users
    }

    pub fn n_events(&self) -> usize {
        self.info.n_events
    }

    pub fn partitions(&self) -> usize {
        self.info.partitions
    }

    /// `None`: all users.
    pub fn shard(&self) -> Option<Shard> {
        self.info.shard
    }

    /// The time after the last event of the log, other shards' users included; `None`: no events, or a store of
    /// an older version.
    pub fn end(&self) -> Option<AsOf> {
        self.info.last_ts.map(|t| AsOf::new(t.saturating_add(1)))
    }

    /// The users of a partition, each with all events, in the order of `users.parquet`.
    ///
    /// # Errors
    /// An unreadable file.
    pub fn users(&self, p: usize) -> Result<Users<'_>> {
        Ok(Users {
            store: self,
            p,
            profiles: open_users(&self.dir.join("users.parquet"))?,
            next: VecDeque::new(),
            n_profiles: 0,
            events: open_part(&part(&self.dir.join("events"), p))?,
            groups: VecDeque::new(),
            at_end: false,
            last_kind: None,
        })
    }

    /// The same for all shards of a log, and another for another log: a hash of what they have in common.
    pub fn log_id(&self) -> String {
        let log = serde_json::to_vec(&self.info.of_log()).expect("plain values");
        format!("{:016x}", hash::bytes(0, &log))
    }

    pub(super) fn info(&self) -> &Info {
        &self.info
    }
}

fn kind_key(key: &mut String, subject: &str, action: &str, scenario: &str) {
    key.clear();
    for part in [subject, action, scenario] {
        key.push_str(part);
        key.push('\0');
    }
}

/// One user, with events that only a [`History`] shows.
pub struct UserEvents {
    user: UserIdx,
    profile: Profile,
    events: Vec<Event>,
}

impl UserEvents {
    pub fn profile(&self) -> &Profile {
        &self.profile
    }

    /// The events strictly before `as_of`, oldest first.
    pub fn history(&self, as_of: AsOf) -> History<'_> {
        let n = self.events.partition_point(|e| e.ts < as_of.seconds());
        History::new(self.user, &self.profile, as_of, &self.events[..n])
    }

    pub(super) fn into_parts(self) -> (Profile, Vec<Event>) {
        (self.profile, self.events)
    }
}

/// The users of a partition, one after another.
pub struct Users<'s> {
    store: &'s Store,
    p: usize,
    profiles: Table,
    /// Of this partition, with their positions in `users.parquet`.
    next: VecDeque<(UserIdx, Profile)>,
    n_profiles: UserIdx,
    events: Table,
    /// Whole but for the last one, unless `at_end`.
    groups: VecDeque<(String, Vec<Event>)>,
    at_end: bool,
    /// Logs often repeat one.
    last_kind: Option<KindIdx>,
}

impl Users<'_> {
    /// # Errors
    /// An unreadable or damaged file.
    pub fn next_user(&mut self) -> Result<Option<UserEvents>> {
        let Some((user, profile)) = self.next_profile()? else {
            self.read_events()?;
            return match self.groups.front() {
                Some((user, _)) => Err(damaged(
                    &self.events.path,
                    &format!("user {user} is not in users.parquet, or in another order"),
                )),
                None => Ok(None),
            };
        };
        self.read_events()?;
        let has_events = self.groups.front().is_some_and(|g| g.0 == profile.id);
        let mut events = match has_events {
            true => self.groups.pop_front().expect("a group").1,
            false => Vec::new(),
        };
        events.iter_mut().for_each(|e| e.user = user);
        if !events.is_sorted_by_key(|e| e.ts) {
            return Err(damaged(
                &self.events.path,
                &format!("the events of user {} are out of order", profile.id),
            ));
        }
        Ok(Some(UserEvents {
            user,
            profile,
            events,
        }))
    }

    fn next_profile(&mut self) -> Result<Option<(UserIdx, Profile)>> {
        loop {
            if let Some(next) = self.next.pop_front() {
                return Ok(Some(next));
            }
            let Some((_, batch)) = self.profiles.next_batch()? else {
                return Ok(None);
            };
            for profile in profiles_of(&self.profiles, &batch)? {
                let user = self.n_profiles;
                self.n_profiles += 1;
                if partition(&profile.id, self.store.partitions()) == self.p {
                    self.next.push_back((user, profile));
                }
            }
        }
    }

    /// Until a whole group is there, or the end.
    fn read_events(&mut self) -> Result<()> {
        while self.groups.len() < 2 && !self.at_end {
            let Some((_, batch)) = self.events.next_batch()? else {
                self.at_end = true;
                break;
            };
            let (store, groups, last) = (self.store, &mut self.groups, &mut self.last_kind);
            let path = &self.events.path;
            let mut key = String::new();
            events_of(&self.events, &batch, |stored| {
                let unknown = |what: &str, name: &str| {
                    damaged(path, &format!("{what} {name} is not in the catalogue"))
                };
                let is = |k: &KindIdx| {
                    let kind = &store.catalogue.kinds[*k as usize];
                    kind.action == stored.action
                        && kind.scenario == stored.scenario
                        && kind.subject == stored.subject
                };
                let kind = match last.filter(is) {
                    Some(kind) => kind,
                    None => {
                        kind_key(&mut key, stored.subject, stored.action, stored.scenario);
                        let kind = store.kinds.get(key.as_str()).copied();
                        kind.ok_or_else(|| unknown("kind", &key.replace('\0', " ")))?
                    }
                };
                *last = Some(kind);
                let item = stored.item.map(|id| {
                    let item = store.items.get(id).copied();
                    item.ok_or_else(|| unknown("item", id))
                });
                let place = stored.place.map(|name| {
                    let place = store.places.get(name).copied();
                    place.ok_or_else(|| unknown("place", name))
                });
                let event = Event {
                    item: item.transpose()?,
                    place: place.transpose()?,
                    kind,
                    ..stored.event
                };
                match groups.back_mut().filter(|g| g.0 == stored.user) {
                    Some(group) => group.1.push(event),
                    None => groups.push_back((stored.user.to_owned(), vec![event])),
                }
                Ok(())
            })?;
        }
        Ok(())
    }
}
