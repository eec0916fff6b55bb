//! The clock that ends calls which take too long.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{JoinHandle, Thread},
    time::Duration,
};

use wasmtime::Engine;

/// Moves the epoch of an engine on, once a millisecond, while anything can run in it. A gateway without filters has no
/// thread that wakes a thousand times a second.
pub(crate) struct Ticker {
    state: Arc<State>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct State {
    stop: AtomicBool,
    /// Those that need the clock.
    users: AtomicUsize,
}

/// The clock runs as long as this is held. Nothing of the engine may run without one: it would not be stopped.
#[derive(Debug)]
pub(crate) struct Ticking {
    state: Arc<State>,
    thread: Thread,
}

/// One tick of the clock that ends calls which take too long.
pub(crate) const TICK: Duration = Duration::from_millis(1);

impl Ticker {
    /// The clock of an engine. It stands still until somebody needs it.
    pub(crate) fn start(engine: &Engine) -> wasmtime::Result<Self> {
        let state = Arc::new(State::default());
        let (engine, shared) = (engine.weak(), Arc::clone(&state));
        let tick = move || {
            while !shared.stop.load(Ordering::Acquire) {
                if shared.users.load(Ordering::Acquire) == 0 {
                    std::thread::park();
                    continue;
                }
                std::thread::sleep(TICK);
                match engine.upgrade() {
                    Some(engine) => engine.increment_epoch(),
                    None => return,
                }
            }
        };
        let thread = std::thread::Builder::new()
            .name("edgewit-epoch".to_owned())
            .spawn(tick)
            .map_err(|e| wasmtime::Error::msg(format!("no thread for the clock: {e}")))?;
        Ok(Self { state, thread: Some(thread) })
    }

    /// Somebody needs it; `None` if its thread has gone, which it does at the end alone.
    pub(crate) fn ticking(&self) -> Option<Ticking> {
        let thread = self.thread.as_ref()?.thread().clone();
        Some(Ticking::new(Arc::clone(&self.state), thread))
    }
}

impl Ticking {
    fn new(state: Arc<State>, thread: Thread) -> Self {
        if state.users.fetch_add(1, Ordering::AcqRel) == 0 {
            thread.unpark();
        }
        Self { state, thread }
    }
}

impl Clone for Ticking {
    fn clone(&self) -> Self {
        Self::new(Arc::clone(&self.state), self.thread.clone())
    }
}

impl Drop for Ticking {
    fn drop(&mut self) {
        self.state.users.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.state.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // It ends within a tick; a panic in it has been reported already.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use wasmtime::{Config, Module, Store};

    use super::*;

    /// Runs without end until the epoch has moved on.
    fn ends(engine: &Engine) -> bool {
        let code = wat::parse_str("(module (func (export \"f\") (loop (br 0))))").unwrap();
        let module = Module::new(engine, code).unwrap();
        let mut store = Store::new(engine, ());
        store.set_epoch_deadline(1);
        let instance = wasmtime::Instance::new(&mut store, &module, &[]).unwrap();
        let run = instance.get_typed_func::<(), ()>(&mut store, "f").unwrap();
        run.call(&mut store, ()).is_err()
    }

    #[test]
    fn the_clock_runs_while_somebody_needs_it_and_again_after_a_rest() {
        let engine = Engine::new(Config::new().epoch_interruption(true)).unwrap();
        let ticker = Ticker::start(&engine).unwrap();
        for _ in 0..3 {
            let ticking = ticker.ticking().unwrap();
            assert!(ends(&engine));
            let other = ticking.clone();
            drop(ticking);
            assert!(ends(&engine), "one of two still needs it");
            drop(other);
            std::thread::yield_now();
        }
        let begun = Instant::now();
        drop(ticker);
        assert!(begun.elapsed() < Duration::from_secs(10), "a clock that rests ends, too");
    }
}
