//! How much an upstream can do at a time, found out from how long it takes.

mod gradient;

use std::{
    sync::{
        Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use edgewit_model as model;
use tokio::time::Instant;

use gradient::{Gradient, Window};

/// Times of one window are collected for so long, and until there are enough of them.
const WINDOW: Duration = Duration::from_millis(100);
const ENOUGH: usize = 20;

/// Times of one window that are kept; further ones say nothing new.
const MOST: usize = 1_000;

/// The bound on requests that follows what an upstream can do.
///
/// Reading it is a load. Who ends an attempt leaves its time behind if nobody else is doing so at that instant; a few
/// times less do not change a median, so nobody waits for the lock.
#[derive(Debug)]
pub(crate) struct Adaptive {
    limit: AtomicU32,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    gradient: Gradient,
    window: Window,
    window_began: Instant,
    /// Attempts that began before the current measurement say nothing about it.
    since: Instant,
}

impl Adaptive {
    pub(crate) fn new(rules: &model::Concurrency, now: Instant) -> Self {
        let gradient = Gradient::new(rules, now);
        Self {
            limit: AtomicU32::new(gradient.limit()),
            state: Mutex::new(State {
                gradient,
                window: Window::default(),
                window_began: now,
                since: now,
            }),
        }
    }

    pub(crate) fn limit(&self) -> u32 {
        self.limit.load(Ordering::Relaxed)
    }

    /// An attempt that began then ended, with a status if there was a response; `busy` are under way. Whether the bound
    /// has risen.
    pub(crate) fn note(&self, began: Instant, status: Option<u16>, busy: u32) -> bool {
        let Ok(mut state) = self.state.try_lock() else { return false };
        let now = Instant::now();
        state.note(began, status, busy, now);
        if !state.is_window_over(now) {
            return false;
        }
        let before = self.limit();
        let limit = state.close_window(now);
        self.limit.store(limit, Ordering::Relaxed);
        limit > before
    }
}

impl State {
    fn note(&mut self, began: Instant, status: Option<u16>, busy: u32, now: Instant) {
        if began < self.since {
            return;
        }
        self.window.busiest = self.window.busiest.max(busy);
        match status {
            // The upstream says itself that it is too much, or says nothing in time.
            None | Some(429 | 503) => self.window.overloaded += 1,
            Some(500..) => {} // how fast an error comes says nothing about work
            Some(_) if self.window.times.len() < MOST => {
                self.window.times.push(now.saturating_duration_since(began));
            }
            Some(_) => {}
        }
    }

    fn is_window_over(&self, now: Instant) -> bool {
        let seen = self.window.times.len() + self.window.overloaded;
        seen >= ENOUGH && now.saturating_duration_since(self.window_began) >= WINDOW
    }

    fn close_window(&mut self, now: Instant) -> u32 {
        let was_measuring = self.gradient.is_measuring();
        let limit = self.gradient.close(&mut self.window, now);
        if self.gradient.is_measuring() && !was_measuring {
            self.since = now;
        }
        self.window.clear();
        self.window_began = now;
        limit
    }
}
