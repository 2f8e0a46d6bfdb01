//! A user leaves what is in memory: a data set that was just read from the logs, and a split.

use std::collections::HashMap;

use crate::dataset::{Dataset, UserIdx};
use crate::split::Split;

impl Dataset {
    /// Takes out the users whose id is among the forgotten, with their events, and places that only these name.
    /// Returns how many users and events went.
    pub fn forget(&mut self, is_forgotten: impl Fn(&str) -> bool) -> (usize, usize) {
        let (n_users, n_events) = (self.n_users(), self.n_events());
        // By old index: the new one.
        let mut moved: Vec<Option<UserIdx>> = Vec::with_capacity(n_users);
        let mut next = 0;
        for user in &self.users {
            let stays = !is_forgotten(&user.id);
            moved.push(stays.then_some(next));
            next += u32::from(stays);
        }
        if next as usize == n_users {
            return (0, 0);
        }
        let stays = |user: UserIdx| moved[user as usize].is_some();
        let mut at = 0..;
        self.users
            .retain(|_| stays(at.next().expect("as many as users")));
        self.events.retain(|e| stays(e.user));
        let mut offsets = vec![0; self.users.len() + 1];
        let mut places = HashMap::new();
        let mut names = Vec::new();
        for event in &mut self.events {
            event.user = moved[event.user as usize].expect("it stays");
            offsets[event.user as usize + 1] += 1;
            if let Some(place) = &mut event.place {
                *place = *places.entry(*place).or_insert_with(|| {
                    names.push(std::mem::take(&mut self.places[*place as usize]));
                    names.len() as u32 - 1
                });
            }
        }
        for user in 0..self.users.len() {
            offsets[user + 1] += offsets[user];
        }
        (self.user_offsets, self.places) = (offsets, names);
        (n_users - self.users.len(), n_events - self.events.len())
    }
}

impl Split {
    /// Takes a user out of a split of a data set that had `n_users`; later users move down by one. A split that
    /// knows another number of users was changed before, and is left as it is.
    pub fn forget(&mut self, user: UserIdx, n_users: usize) {
        if self.fit_before.len() != n_users {
            return;
        }
        self.fit_before.remove(user as usize);
        self.train.retain(|i| i.user != user);
        self.cases.retain(|c| c.instance.user != user);
        let cases = self.cases.iter_mut().map(|c| &mut c.instance);
        for instance in self.train.iter_mut().chain(cases) {
            instance.user -= u32::from(instance.user > user);
        }
    }

    /// Training instances and cases of a user.
    pub fn n_of(&self, user: UserIdx) -> (usize, usize) {
        let train = self.train.iter().filter(|i| i.user == user).count();
        let cases = self.cases.iter().filter(|c| c.instance.user == user);
        (train, cases.count())
    }
}
