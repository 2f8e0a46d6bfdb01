//! Rows in memory until there are too many, then sorted.

use std::collections::HashMap;
use std::rc::Rc;

use super::Group;
use crate::dataset::{Event, UserIdx};
use crate::order::{Fine, FineOrder};
use crate::store::events::partition;

/// Bytes that a user takes beside the id: the map's and the list's entries, the allocation.
const USER: usize = 112;
/// Bytes that a text on the heap takes beside its own.
const TEXT: usize = 16;

pub(super) struct Buffer {
    limit: usize,
    bytes: usize,
    ids: HashMap<Rc<str>, UserIdx>,
    users: Vec<Rc<str>>,
    /// Logs often name a user several times in a row.
    last: UserIdx,
    events: Vec<Event>,
    fine: FineOrder,
    profiles: Vec<(UserIdx, u32, Box<str>)>,
}

impl Buffer {
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            bytes: 0,
            ids: HashMap::new(),
            users: Vec::new(),
            last: 0,
            events: Vec::new(),
            fine: FineOrder::default(),
            profiles: Vec::new(),
        }
    }

    fn user(&mut self, id: &str) -> UserIdx {
        if self
            .users
            .get(self.last as usize)
            .is_some_and(|u| **u == *id)
        {
            return self.last;
        }
        self.last = match self.ids.get(id) {
            Some(&u) => u,
            None => {
                let (u, id) = (self.users.len() as UserIdx, Rc::from(id));
                self.bytes += USER + str::len(&id);
                self.users.push(Rc::clone(&id));
                self.ids.insert(id, u);
                u
            }
        };
        self.last
    }

    pub fn event(&mut self, user: &str, event: Event, fine: Fine) {
        let user = self.user(user);
        // Doubling at the end would take half of the memory for nothing.
        if self.events.len() == self.events.capacity() {
            let most = (self.limit / size_of::<Event>()).max(64);
            let room = most.saturating_sub(self.events.len()).max(1);
            self.events
                .reserve_exact(self.events.len().clamp(64, room.max(64)));
        }
        self.bytes += size_of::<Event>() + event.text.as_ref().map_or(0, |t| TEXT + t.len());
        if fine != Fine::default() {
            // The list doubles as it grows.
            self.bytes += 2 * FineOrder::BYTES;
            self.fine.push(event.row, fine);
        }
        self.events.push(Event { user, ..event });
    }

    pub fn profile(&mut self, user: &str, row: u32, attributes: Box<str>) {
        let user = self.user(user);
        self.bytes += 2 * size_of::<(UserIdx, u32, Box<str>)>() + TEXT + attributes.len();
        self.profiles.push((user, row, attributes));
    }

    pub fn users(&self) -> &[Rc<str>] {
        &self.users
    }

    pub fn is_full(&self) -> bool {
        self.bytes >= self.limit
    }

    /// What is in the buffer, which is empty afterwards.
    pub fn sorted(&mut self, partitions: usize) -> Sorted {
        let full = std::mem::replace(self, Self::new(self.limit));
        let of = |id: &str| partition(id, partitions);
        let mut users: Vec<(usize, Rc<str>, UserIdx)> = full
            .users
            .into_iter()
            .enumerate()
            .map(|(u, id)| (of(&id), id, u as UserIdx))
            .collect();
        drop(full.ids);
        users.sort_unstable();
        let mut rank = vec![0; users.len()];
        for (r, (_, _, u)) in users.iter().enumerate() {
            rank[*u as usize] = r as UserIdx;
        }
        let (mut events, mut profiles) = (full.events, full.profiles);
        events
            .iter_mut()
            .for_each(|e| e.user = rank[e.user as usize]);
        let fine = full.fine;
        events.sort_unstable_by(|a, b| {
            let time = || fine.compare(a, b);
            a.user.cmp(&b.user).then_with(time)
        });
        profiles.iter_mut().for_each(|p| p.0 = rank[p.0 as usize]);
        profiles.sort_unstable_by_key(|p| (p.0, p.1));
        let users: Vec<(usize, Rc<str>)> = users.into_iter().map(|(p, id, _)| (p, id)).collect();
        Sorted {
            users: users.into_iter().peekable(),
            next: 0,
            events: events.into_iter().peekable(),
            fine,
            profiles: profiles.into_iter().peekable(),
        }
    }
}

type Rows<T> = std::iter::Peekable<std::vec::IntoIter<T>>;

/// A buffer's users by (partition, id), with their rows.
pub(super) struct Sorted {
    users: Rows<(usize, Rc<str>)>,
    /// What the rows of the next user have in the place of a user.
    next: UserIdx,
    events: Rows<Event>,
    fine: FineOrder,
    profiles: Rows<(UserIdx, u32, Box<str>)>,
}

impl Sorted {
    /// The next user of partition `p`; partitions must be asked for in order.
    pub fn next(&mut self, p: usize) -> Option<Group> {
        let (_, id) = self.users.next_if(|(of, _)| *of == p)?;
        let rank = self.next;
        self.next += 1;
        let mut group = Group {
            user: String::from(&*id),
            ..Group::default()
        };
        while let Some(event) = self.events.next_if(|e| e.user == rank) {
            group.fine.push(event.row, self.fine.of(event.row));
            group.events.push(event);
        }
        group.fine.sort();
        while let Some((_, row, text)) = self.profiles.next_if(|p| p.0 == rank) {
            group.profiles.push((row, text));
        }
        Some(group)
    }
}
