//! Every deed in every phase: it ends within its budget, for the right reason, and the next call is served.

use std::{
    sync::Arc,
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use edgewit_chain::{Filter, Phase, Stop, StopReason};
use edgewit_model::{ByteSize, Plugin};
use edgewit_wasm::{LoadError, WasmFilter};
use rustix::time::{ClockId, clock_gettime};

use crate::{
    bench::{Bench, call, plugin},
    guest::{When, of_every_phase},
};

/// What a guest does, why it is stopped, and which limit that is.
struct Deed {
    name: &'static str,
    act: &'static str,
    reason: StopReason,
    limit: fn(&mut Plugin),
}

const NOTHING: fn(&mut Plugin) = |_| {};
const LITTLE_FUEL: fn(&mut Plugin) = |plugin| plugin.limits.fuel = 3_000_000;
/// So little time, and fuel for hours.
const LITTLE_TIME: fn(&mut Plugin) = |plugin| {
    let limits = &mut plugin.limits;
    limits.fuel = u64::MAX / 4;
    limits.time = TIME;
    limits.instantiate_time = TIME;
    limits.configure_time = TIME;
};
const TIME: Duration = Duration::from_millis(30);

/// C1 to C7 of the threat model.
const DEEDS: [Deed; 16] = [
    Deed { name: "trap", act: "(func $act unreachable)", reason: StopReason::Trap, limit: NOTHING },
    Deed {
        name: "loop-fuel",
        act: "(func $act (loop $more (br $more)))",
        reason: StopReason::Fuel,
        limit: LITTLE_FUEL,
    },
    Deed {
        name: "loop-time",
        act: "(func $act (loop $more (br $more)))",
        reason: StopReason::Time,
        limit: LITTLE_TIME,
    },
    Deed {
        name: "host-calls",
        act: "(func $act (loop $more (drop (call $now)) (br $more)))",
        reason: StopReason::Capability,
        limit: NOTHING,
    },
    Deed {
        name: "grow-loop",
        act: "(func $act (loop $more (drop (memory.grow (i32.const 60000))) (br $more)))",
        reason: StopReason::Time,
        limit: LITTLE_TIME,
    },
    Deed {
        name: "fill-loop",
        act: "(func $act (drop (memory.grow (i32.const 60)))
            (loop $more (memory.fill (i32.const 65536) (i32.const 7) (i32.const 3900000)) (br $more)))",
        reason: StopReason::Time,
        limit: LITTLE_TIME,
    },
    Deed {
        name: "memory",
        act: "(func $act (loop $more
            (if (i32.eq (memory.grow (i32.const 1)) (i32.const -1)) (then unreachable))
            (br $more)))",
        reason: StopReason::Memory,
        limit: NOTHING,
    },
    Deed {
        name: "table",
        act: "(table $t 1 1000000 funcref) (func $act (loop $more
            (if (i32.eq (table.grow $t (ref.null func) (i32.const 1000)) (i32.const -1)) (then unreachable))
            (br $more)))",
        reason: StopReason::Memory,
        limit: NOTHING,
    },
    Deed {
        name: "recursion",
        act: "(func $act (call $act) (drop (memory.grow (i32.const 0))))",
        reason: StopReason::Trap,
        limit: |plugin| plugin.limits.fuel = u64::MAX / 4,
    },
    Deed {
        name: "megabytes",
        act: "(func $act (drop (memory.grow (i32.const 1650)))
            (call $log (i32.const 2) (i32.const 1024) (i32.const 104857600)))",
        reason: StopReason::Capability,
        limit: |plugin| plugin.limits.memory = ByteSize(128 << 20),
    },
    Deed {
        name: "out-of-bounds",
        act: "(func $act (call $log (i32.const 2) (i32.const 1024) (i32.const 104857600)))",
        reason: StopReason::Trap,
        limit: NOTHING,
    },
    Deed {
        name: "random",
        act: "(func $act (call $random (i32.const 65537) (i32.const 256)))",
        reason: StopReason::Capability,
        limit: NOTHING,
    },
    Deed {
        name: "handles",
        act: "(func $act (loop $more (drop (call $stdout)) (br $more)))",
        reason: StopReason::Trap,
        limit: NOTHING,
    },
    // The host calls back into the guest for memory, while it answers one of its calls.
    Deed {
        name: "callback-loop",
        act: "(func $act (global.set $deed (i32.const 1)) (call $random (i32.const 16) (i32.const 256)))",
        reason: StopReason::Time,
        limit: LITTLE_TIME,
    },
    Deed {
        name: "callback-reentrance",
        act: "(func $act (global.set $deed (i32.const 2)) (call $random (i32.const 16) (i32.const 256)))",
        reason: StopReason::Trap,
        limit: NOTHING,
    },
    Deed {
        name: "callback-recursion",
        act: "(func $act (global.set $deed (i32.const 4)) (call $random (i32.const 16) (i32.const 256)))",
        reason: StopReason::Trap,
        limit: |plugin| plugin.limits.fuel = u64::MAX / 4,
    },
];

impl Deed {
    fn plugin(&self) -> Plugin {
        let mut plugin = plugin(self.name);
        (self.limit)(&mut plugin);
        plugin
    }

    /// Functions that take memory cannot be called yet while a module starts, which is a trap.
    fn reason_at_start(&self) -> StopReason {
        let takes_memory = self.act.contains("$log") || self.act.contains("$random");
        if takes_memory { StopReason::Trap } else { self.reason }
    }

    /// Does it, and looks at how it ended.
    #[track_caller]
    fn assert_stopped(&self, place: &str, act: impl FnOnce() -> Option<Stop>) {
        let before = cpu();
        let stop = act().unwrap_or_else(|| panic!("{} in {place} was not stopped", self.name));
        let took = cpu() - before;
        assert_eq!(stop.reason, self.reason, "{} in {place}: {}", self.name, stop.detail);
        // The fuel of the others is milliseconds in a build for use; what bounds them here is far away.
        let bound = if self.reason == StopReason::Time { 20 * TIME } else { 10_000 * MS };
        assert!(took < bound, "{} in {place} took {took:?}", self.name);
    }
}

const MS: Duration = Duration::from_millis(1);

fn cpu() -> Duration {
    clock_gettime(ClockId::ThreadCPUTime).try_into().unwrap()
}

#[test]
fn every_deed_ends_in_every_phase() {
    let bench = Bench::new(16);
    for deed in &DEEDS {
        let component = of_every_phase(deed.act, When::Asked);
        for phase in Phase::ALL {
            // Loaded anew, so that it owes no time to what was wasted in the phases before.
            let filter = bench.load(&component, &deed.plugin()).unwrap();
            deed.assert_stopped(phase.as_str(), || {
                let mut instance = filter.start().unwrap();
                let stop = call(&filter, &mut *instance, phase, b"!").err();
                let again = call(&filter, &mut *instance, phase, b"").unwrap_err();
                assert_eq!(again.reason, StopReason::Abi, "a stopped instance answers no call");
                stop
            });
            let mut next = filter.start().unwrap();
            call(&filter, &mut *next, phase, b"").unwrap_or_else(|stop| panic!("{stop}"));
        }
        bench.assert_alive(0);
    }
}

#[test]
fn every_deed_ends_while_it_is_configured() {
    let bench = Bench::new(16);
    for deed in &DEEDS {
        let mut plugin = deed.plugin();
        plugin.config.insert("act".to_owned(), true.into());
        // The fuel of `configure` is a constant of the host; its time is over before.
        plugin.limits.configure_time = plugin.limits.configure_time.min(Duration::from_secs(2));
        let refused = bench.load(&of_every_phase(deed.act, When::Asked), &plugin).err();
        assert_refused(deed, deed.reason, refused.as_ref());
        plugin.config.clear();
        bench.load(&of_every_phase(deed.act, When::Asked), &plugin).expect("another one is loaded");
    }
}

#[test]
fn every_deed_ends_while_it_is_instantiated() {
    let bench = Bench::new(16);
    for deed in &DEEDS {
        let mut plugin = deed.plugin();
        plugin.limits.configure_time = plugin.limits.configure_time.min(Duration::from_secs(2));
        let refused = bench.load(&of_every_phase(deed.act, When::Started), &plugin).err();
        assert_refused(deed, deed.reason_at_start(), refused.as_ref());
    }
    let loaded: Vec<_> = DEEDS.iter().map(|deed| (deed, good_while_loaded(&bench, deed))).collect();
    for (deed, (filter, turns_bad)) in loaded {
        thread::sleep(turns_bad.duration_since(SystemTime::now()).unwrap_or_default());
        for _ in 0..3 {
            let expected = Deed { reason: deed.reason_at_start(), ..*deed };
            expected.assert_stopped("instantiation", || filter.start().err());
        }
        bench.assert_alive(0);
    }
}

/// A filter that behaves well while it is loaded and does its deed in each instance after that time.
fn good_while_loaded(bench: &Bench, deed: &Deed) -> (Arc<WasmFilter>, SystemTime) {
    for seconds in [2, 10, 60] {
        let turns_bad = SystemTime::now() + Duration::from_secs(seconds);
        let ms = turns_bad.duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
        let component = of_every_phase(deed.act, When::StartedAfter(ms));
        if let Ok(filter) = bench.load(&component, &deed.plugin()) {
            return (filter, turns_bad + MS);
        }
    }
    panic!("{} could not be loaded in a minute", deed.name);
}

#[track_caller]
fn assert_refused(deed: &Deed, reason: StopReason, refused: Option<&LoadError>) {
    let Some(LoadError::Config { message }) = refused else { panic!("{}: {refused:?}", deed.name) };
    // Fuel is given generously there, so that time is what ends a loop.
    let reason = if reason == StopReason::Fuel { StopReason::Time } else { reason };
    let expected = format!("it was stopped while starting: stopped by {reason}: ");
    assert!(message.starts_with(&expected), "{}: {message}", deed.name);
}
