//! Faults of our own, injected where a guest calls the host, and where a component is compiled.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use edgewit_chain::{Filter, Phase, StopReason};
use edgewit_model::Isolation;
use edgewit_telemetry::PluginMetrics;
use edgewit_wasm::{Compiler, LoadError, Runtime, Settings};
use tracing::{
    Event, Metadata, Subscriber,
    span::{Attributes, Id, Record},
    subscriber::with_default,
};

use crate::{
    bench::{Bench, call, plugin},
    guest::of_request,
};

/// Panics where a plugin's line is written, which is in the middle of a host function.
struct Faulty;

impl Subscriber for Faulty {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "edgewit::plugin"
    }

    fn event(&self, _: &Event<'_>) {
        panic!("injected into a host function");
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// Writes a line.
const LOG: &str = "(call $log (i32.const 0) (i32.const 512) (i32.const 6))";

#[test]
fn a_panic_in_a_host_function_costs_one_instance() {
    let bench = Bench::new(4);
    let mut plugin = plugin("talker");
    plugin.isolation = Some(Isolation::Worker { recycle: 100 });
    let filter = bench.load(&of_request("", LOG), &plugin).unwrap();
    for round in 0..10 {
        let mut instance = filter.start().unwrap();
        call(&filter, &mut *instance, Phase::Request, b"").unwrap();
        let panicked = with_default(Faulty, || {
            catch_unwind(AssertUnwindSafe(|| {
                call(&filter, &mut *instance, Phase::Request, b"").is_ok()
            }))
        });
        let words = panicked.unwrap_err();
        assert_eq!(words.downcast_ref(), Some(&"injected into a host function"), "it is not lost");
        let stop = call(&filter, &mut *instance, Phase::Request, b"").unwrap_err();
        assert_eq!(
            stop.reason,
            StopReason::Abi,
            "what was left in the middle is not entered again"
        );
        drop(instance);
        bench.assert_alive(0);
        let mut next = filter.start().unwrap();
        call(&filter, &mut *next, Phase::Request, b"").unwrap_or_else(|e| panic!("{round}: {e}"));
    }
}

/// What comes of a component that this line of shell compiles.
fn compiled_by(line: &str) -> LoadError {
    let folder = tempfile::tempdir().unwrap();
    let runtime = Runtime::new(Settings {
        compiler: Compiler::Child {
            program: "/bin/sh".into(),
            args: vec!["-c".into(), line.into()],
        },
        cache_dir: folder.path().join("cache"),
        metrics: Arc::new(PluginMetrics::new()),
        instances: 4,
    });
    let plugin = plugin("any");
    let loaded = runtime.unwrap().load(&of_request("", LOG), &plugin, &plugin.config);
    loaded.map(|_| "a filter").unwrap_err()
}

#[test]
fn a_compiler_that_panics_or_answers_nonsense_is_refused_with_its_last_words() {
    let read = "cat > /dev/null";
    for (line, words) in [
        // As a panic of Rust ends a process.
        (
            format!("{read}; echo \"thread 'main' panicked\" >&2; exit 101"),
            "exit status: 101: thread 'main' panicked",
        ),
        ("exit 101".to_owned(), "exit status: 101"),
        (format!("{read}; kill -ABRT $$"), "signal: 6"),
        // A frame that is longer than any, in letters and in bytes, one that is no reply, and half of one.
        (format!("{read}; printf nonsense"), "nonsense: a frame is too long"),
        (
            format!(r"{read}; printf '\377\377\377\377\377\377\377\377'; exec sleep 60"),
            "nonsense: a frame is too long",
        ),
        (format!(r"{read}; printf '\003\0\0\0\0\0\0\0{{}}}}'"), "nonsense: "),
        (format!(r"{read}; printf '\010\0\0\0\0\0\0\0half'"), "the compiler process ended"),
        (read.to_owned(), "the compiler process ended"),
        (format!("{read}; exec >&-; exec sleep 60"), "nonsense: "),
    ] {
        match compiled_by(&line) {
            LoadError::Compile { detail } => assert!(detail.contains(words), "{line}: {detail}"),
            other => panic!("{line}: {other}"),
        }
    }
}
