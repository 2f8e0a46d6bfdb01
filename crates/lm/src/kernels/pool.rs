//! Threads that wait for the next small task: one product of a decoding step takes some ten
//! microseconds, and starting a thread for it would take longer.
//!
//! [`Pool::run`] calls a closure once with each rank, rank 0 on the calling thread, and returns when
//! all are done. Waiting threads spin for a moment, then sleep.

#![allow(unsafe_code)]

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};

/// Spins before a thread sleeps: some 50 µs, longer than the pause between two products.
const SPINS: u32 = 20_000;

type Task = *const (dyn Fn(usize) + Sync);

struct Shared {
    /// Counts the tasks; a change tells that `task` is new.
    epoch: AtomicUsize,
    running: AtomicUsize,
    task: Mutex<Option<SendTask>>,
    wake: Condvar,
    stop: AtomicBool,
    panicked: AtomicBool,
}

#[derive(Clone, Copy)]
struct SendTask(Task);

// SAFETY: the closure behind the pointer is `Sync`, and `run` keeps it alive until all have finished.
unsafe impl Send for SendTask {}

/// A fixed team of threads.
pub struct Pool {
    shared: Arc<Shared>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl Default for Pool {
    /// The calling thread alone.
    fn default() -> Self {
        Self::new(1)
    }
}

impl Pool {
    /// A team of `n` (at least one), the caller included.
    pub fn new(n: usize) -> Self {
        let shared = Arc::new(Shared {
            epoch: AtomicUsize::new(0),
            running: AtomicUsize::new(0),
            task: Mutex::new(None),
            wake: Condvar::new(),
            stop: AtomicBool::new(false),
            panicked: AtomicBool::new(false),
        });
        let threads = (1..n.max(1))
            .map(|rank| {
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || shared.work(rank))
            })
            .collect();
        Self { shared, threads }
    }

    /// Members of the team.
    pub fn size(&self) -> usize {
        self.threads.len() + 1
    }

    /// Calls `f` once with each of `parts`, which the ranks take by turns.
    ///
    /// # Panics
    /// If `f` panicked on any rank.
    pub fn each<T: Send>(&mut self, parts: Vec<T>, f: impl Fn(T) + Sync) {
        let team = self.size();
        let parts: Vec<Mutex<Option<T>>> = parts.into_iter().map(|p| Mutex::new(Some(p))).collect();
        self.run(&|rank| {
            for part in parts.iter().skip(rank).step_by(team) {
                let part = part.lock().expect("locked once").take();
                f(part.expect("taken once"));
            }
        });
    }

    /// Calls `f` once with each rank.
    ///
    /// # Panics
    /// If `f` panicked on any rank.
    pub fn run(&mut self, f: &(dyn Fn(usize) + Sync)) {
        if self.threads.is_empty() {
            return f(0);
        }
        let shared = &*self.shared;
        // SAFETY: only the lifetime is forgotten; this function does not return, nor unwind, before
        // every thread has left the closure.
        let task = unsafe { std::mem::transmute::<*const (dyn Fn(usize) + Sync + '_), Task>(f) };
        shared.running.store(self.threads.len(), Ordering::Relaxed);
        *shared.task.lock().expect("no thread panics with the lock") = Some(SendTask(task));
        shared.epoch.fetch_add(1, Ordering::Release);
        shared.wake.notify_all();
        let mine = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| f(0)));
        while shared.running.load(Ordering::Acquire) > 0 {
            std::hint::spin_loop();
        }
        if let Err(panic) = mine {
            std::panic::resume_unwind(panic);
        }
        assert!(
            !shared.panicked.swap(false, Ordering::Relaxed),
            "a thread of the pool panicked"
        );
    }
}

impl Shared {
    fn work(&self, rank: usize) {
        let mut seen = 0;
        loop {
            let mut spins = 0;
            while self.epoch.load(Ordering::Acquire) == seen {
                if self.stop.load(Ordering::Relaxed) {
                    return;
                }
                spins += 1;
                if spins < SPINS {
                    std::hint::spin_loop();
                } else {
                    let task = self.task.lock().expect("no thread panics with the lock");
                    // Asked again under the lock: whoever changes the epoch has held it before.
                    let asleep = self.epoch.load(Ordering::Acquire) == seen
                        && !self.stop.load(Ordering::Relaxed);
                    if asleep {
                        let pause = std::time::Duration::from_millis(10);
                        let _ = self.wake.wait_timeout(task, pause);
                    }
                }
            }
            seen = self.epoch.load(Ordering::Acquire);
            let task = self
                .task
                .lock()
                .expect("no thread panics with the lock")
                .expect("set before the epoch");
            // SAFETY: `run` waits for `running` to reach zero before the closure may go.
            let task = unsafe { &*task.0 };
            let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| task(rank)));
            if done.is_err() {
                self.panicked.store(true, Ordering::Relaxed);
            }
            self.running.fetch_sub(1, Ordering::Release);
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.shared.wake.notify_all();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rank_is_called_once_a_task() {
        for n in [1, 2, 5] {
            let mut pool = Pool::new(n);
            for round in 0..300 {
                let calls: Vec<AtomicUsize> = (0..n).map(|_| AtomicUsize::new(0)).collect();
                pool.run(&|rank| {
                    calls[rank].fetch_add(1, Ordering::Relaxed);
                });
                assert!(calls.iter().all(|c| c.load(Ordering::Relaxed) == 1));
                if round % 100 == 99 {
                    // Long enough for the team to fall asleep.
                    std::thread::sleep(std::time::Duration::from_millis(5));
                }
            }
        }
    }

    #[test]
    fn a_panic_of_any_rank_is_the_callers() {
        for rank in 0..2 {
            let mut pool = Pool::new(2);
            let task = |r: usize| assert_ne!(r, rank, "as asked");
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| pool.run(&task)));
            assert!(result.is_err());
            pool.run(&|_| {});
        }
    }
}
