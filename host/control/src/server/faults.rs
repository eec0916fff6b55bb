//! Faults of our own, injected: what a change panics in, and what is right again after it.
//!
//! Whatever changes something tells the log, so the log of these tests panics where a line names what they want to break.
//! Nothing of this is in the program itself.

use std::{
    fmt, fs,
    sync::{Once, atomic::AtomicUsize},
};

use tracing::{Event, Metadata, Subscriber, field, span};

use super::tests::{Site, body, route};
use super::*;
use crate::versions::State;

/// What a line has to name.
const FAULT: &str = "fault-here";
/// Another word in the name of a file that cannot be a plugin.
const UNNAMED: &str = "No Name";
/// How often a look has panicked over such a file.
static LOOKS: AtomicUsize = AtomicUsize::new(0);
/// What a version that serves now is told with.
const SWAPPED: &str = "plugin swapped";
/// How often an exchange has panicked.
static EXCHANGES: AtomicUsize = AtomicUsize::new(0);

/// A log that panics.
struct Faulty;

impl Subscriber for Faulty {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut text = Text(String::new());
        event.record(&mut text);
        if text.0.contains(UNNAMED) {
            LOOKS.fetch_add(1, Ordering::Relaxed);
        }
        if text.0.contains(SWAPPED) && text.0.contains(FAULT) {
            EXCHANGES.fetch_add(1, Ordering::Relaxed);
        }
        assert!(!text.0.contains(FAULT), "injected: {}", text.0);
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

struct Text(String);

impl field::Visit for Text {
    fn record_debug(&mut self, _: &field::Field, value: &dyn fmt::Debug) {
        self.0 += &format!("{value:?} ");
    }
}

/// All tests of the process have this log; only those below name the fault.
fn inject() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| tracing::subscriber::set_global_default(Faulty).expect("there is no other"));
}

#[tokio::test]
async fn a_panic_in_a_reload_leaves_everything_whole() {
    inject();
    let site = Site::new(&route("a", "one"));
    let running = site.start(false).await.unwrap();
    // It panics while it tells of its success: the new routes serve.
    site.write(&(route("a", "two") + &route(FAULT, "new")));
    assert!(matches!(running.reload().await, Err(ChangeError::Fault)));
    assert_eq!(body(&running, "/a").await, "two");
    // It panics while it tells what is wrong: nothing has changed.
    site.write(&(route("a", "three") + &format!("[routes.c]\nmatch = '/c'\nupstream = '{FAULT}'")));
    assert!(matches!(running.reload().await, Err(ChangeError::Fault)));
    assert_eq!(body(&running, "/a").await, "two");
    let before = running.status().generation;
    site.write(&route("a", "four"));
    let changed = running.reload().await;
    assert!(matches!(changed, Err(ChangeError::Fault)), "`-routes.{FAULT}` is named, too");
    site.write(&route("a", "five"));
    let changed = running.reload().await.unwrap();
    assert_eq!(body(&running, "/a").await, "five");
    assert!(changed.generation > before);
    assert_eq!(running.status().generation, changed.generation);
    assert!(running.metrics().text().contains("edgewit_config_last_reload_successful 1"));
}

#[tokio::test]
async fn a_panic_over_a_plugin_or_in_the_look_for_it_does_not_end_watching() {
    inject();
    let site = Site::new(&route("a", "one"));
    let plugins = site.folder.path().join("plugins");
    fs::create_dir(&plugins).unwrap();
    let running = site.start(true).await.unwrap();
    let refused = async |name: &str| {
        until(|| running.versions().list().iter().any(|(plugin, _)| plugin.as_str() == name)).await;
    };
    fs::write(plugins.join("first.wasm"), "no wasm").unwrap();
    refused("first").await;
    // The change panics when it tells that this one is refused.
    fs::write(plugins.join(format!("{FAULT}.wasm")), "no wasm").unwrap();
    fs::write(plugins.join("second.wasm"), "no wasm").unwrap();
    refused("second").await;
    fs::remove_file(plugins.join(format!("{FAULT}.wasm"))).unwrap();
    // The look panics when it tells that this is no name, again and again.
    let unnamed = plugins.join(format!("{UNNAMED} {FAULT}.wasm"));
    fs::write(&unnamed, "").unwrap();
    fs::write(plugins.join("third.wasm"), "no wasm").unwrap();
    until(|| LOOKS.load(Ordering::Relaxed) >= 2).await;
    fs::remove_file(unnamed).unwrap();
    refused("third").await;
    // So is a change of the configuration.
    site.write(&route("a", "two"));
    until(|| running.status().generation == 2).await;
    assert_eq!(body(&running, "/a").await, "two");
}

/// A filter that lets every request through; another number makes another version.
fn version(number: u8) -> Vec<u8> {
    let wat = format!(
        r#"(module
            (memory (export "memory") 1)
            (data (i32.const 512) "{number}")
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024))
            (func (export "edgewit:filter/request@0.1.0#on-request")
                (param i32 i32 i32 i32 i32 i32) (result i32) (i32.const 0)))"#
    );
    edgewit_harness::component::of_wat("with-request", &wat)
}

#[tokio::test]
async fn a_panic_in_an_exchange_of_versions_leaves_one_of_them_whole() {
    inject();
    let site = Site::new("");
    let plugins = site.folder.path().join("plugins");
    fs::create_dir(&plugins).unwrap();
    let file = plugins.join(format!("{FAULT}.wasm"));
    let put = |number: u8| {
        fs::write(plugins.join("next"), version(number)).unwrap();
        fs::rename(plugins.join("next"), &file).unwrap();
    };
    put(1);
    site.write(&(route("a", "one") + &format!("filters = ['{FAULT}']\n")));
    let running = site.start(true).await.unwrap();
    assert_eq!(body(&running, "/a").await, "one");
    let serving = || {
        let versions = running.versions().list();
        let of_it = versions.into_iter().find(|(plugin, _)| plugin.as_str() == FAULT);
        let of_it = of_it.map(|(_, versions)| versions).unwrap_or_default();
        let active = of_it.iter().filter(|version| version.state == State::Active);
        active.map(|version| version.digest).collect::<Vec<_>>()
    };
    for (told, number) in (2..=3).enumerate() {
        let before = serving();
        assert_eq!(before.len(), 1, "{before:?}");
        // The exchange panics when it tells of its success, which names the plugin.
        put(number);
        until(|| EXCHANGES.load(Ordering::Relaxed) > told && serving() != before).await;
        assert_eq!(serving().len(), 1, "one of them serves");
        assert_eq!(body(&running, "/a").await, "one");
        assert_eq!(running.status().generation, u64::from(number));
    }
    // What comes afterwards finds everything whole.
    let now = serving();
    let changed = running.reload().await.unwrap();
    assert!(changed.changed.is_empty(), "{:?}", changed.changed);
    assert_eq!(serving(), now);
    fs::write(plugins.join("second.wasm"), "no wasm").unwrap();
    until(|| running.versions().list().iter().any(|(plugin, _)| plugin.as_str() == "second")).await;
    assert_eq!(body(&running, "/a").await, "one");
}

async fn until(mut look: impl FnMut() -> bool) {
    let looks = async {
        while !look() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), looks).await.expect("it comes in time");
}
