//! What may lie in the plugin folder beside components, while traffic runs: each costs one line of log, and the rest serves.

use std::{
    fs,
    os::unix::{
        fs::{PermissionsExt, symlink},
        net::UnixListener,
    },
    path::PathBuf,
    thread::sleep,
    time::{Duration, Instant},
};

use edgewit_harness::{
    Gateway, Load, Origin, Protocol, Reply, Setup, artifact, component, get, program, until,
    until_or_tell,
};
use rustix::{
    fs::{CWD, FileType, Mode, mknodat},
    process::Signal,
};

use crate::common::{plugin, through};
use crate::guest;

/// A plugin `version` that a route uses, and clients that use the route all the time.
struct Site {
    gateway: Gateway,
    load: Load,
    _origin: Origin,
}

/// For all of them at once, while others compile components. Each by itself: [`REFUSED_WITHIN`].
const SOON: Duration = Duration::from_secs(30);

impl Site {
    fn start(more: &str, prepare: impl FnOnce(Setup) -> Setup) -> Self {
        let origin = Origin::echo();
        let toml = through(&origin, "\"version\"") + more + "[telemetry]\naccess-log = \"off\"\n";
        let setup = Setup::new(toml).guest_as(guest::VERSION_ONE, "version");
        let gateway = prepare(setup).start();
        let load = Load::start(gateway.address(), Protocol::H1, 1, get("/"), one_version);
        load.let_pass(10);
        Self { gateway, load, _origin: origin }
    }

    fn at(&self, file: &str) -> PathBuf {
        self.gateway.setup().path().join("plugins").join(file)
    }

    #[track_caller]
    fn wait_for_version(&self, version: &str) {
        until(&format!("version {version}"), || {
            (self.gateway.get("/").header("x-response-version") == version).then_some(())
        });
    }

    /// Lines that tell of a plugin's refusal.
    fn refusals(&self, plugin: &str) -> Vec<String> {
        self.gateway.log.with(&["plugin refused: ", &format!("\"plugin\":\"{plugin}\"")])
    }

    /// A file that follows everything is taken, and no request has noticed anything.
    fn serves_on(self) {
        self.gateway.put_guest(guest::VERSION_TWO, "version");
        self.wait_for_version("2");
        self.load.let_pass(10);
        let loaded = self.load.stop();
        assert!(loaded.failed.is_empty(), "{:#?}", loaded.failed);
    }
}

fn one_version(reply: &Reply) -> Result<(), String> {
    let (request, response) =
        (reply.echoed("x-request-version"), reply.header("x-response-version"));
    match request.as_str() {
        "1" | "2" if request == response => Ok(()),
        _ => Err(format!("{} {request:?} {response:?}", reply.status)),
    }
}

fn version_one() -> Vec<u8> {
    fs::read(artifact::guest(guest::VERSION_ONE)).unwrap()
}

/// A component with a custom section behind it.
fn with_section(mut component: Vec<u8>, size: usize) -> Vec<u8> {
    component.push(0);
    let mut left = size + 2;
    while left >= 0x80 {
        component.push(left as u8 | 0x80);
        left >>= 7;
    }
    component.extend_from_slice(&[left as u8, 1, b'x']);
    component.resize(component.len() + size, b'.');
    component
}

#[test]
fn what_is_no_component_costs_one_line_and_the_rest_serves() {
    let elsewhere = plugin("elsewhere", "source.file = \"real.wasm\"");
    let real = version_one();
    let site = Site::start(&elsewhere, |setup| setup.file("real.wasm", real));
    let memory = site.gateway.memory();
    let begun = Instant::now();
    let mode = Mode::RUSR | Mode::WUSR;
    mknodat(CWD, site.at("pipe.wasm"), FileType::Fifo, mode, 0).unwrap();
    let _socket = UnixListener::bind(site.at("socket.wasm")).unwrap();
    fs::create_dir(site.at("folder.wasm")).unwrap();
    symlink("/dev/zero", site.at("device.wasm")).unwrap();
    symlink("nowhere", site.at("dangling.wasm")).unwrap();
    symlink("looped.wasm", site.at("looped.wasm")).unwrap();
    fs::File::create(site.at("sparse.wasm")).unwrap().set_len(2 << 30).unwrap();
    fs::write(site.at("section.wasm"), with_section(version_one(), 64 << 20)).unwrap();
    fs::write(site.at("text.wasm"), "hello").unwrap();
    fs::write(site.at("core.wasm"), component::module("(module)")).unwrap();
    fs::write(site.at("cut.wasm"), &version_one()[..1_000]).unwrap();
    // Names that collide with others, or are none.
    fs::write(site.at("elsewhere.wasm"), version_one()).unwrap();
    fs::write(site.at("Version.wasm"), version_one()).unwrap();
    fs::create_dir(site.at("sub")).unwrap();
    fs::copy(artifact::guest(guest::VERSION_TWO), site.at("sub/version.wasm")).unwrap();
    let cases = [
        ("pipe", "it is a pipe, not a file"),
        ("socket", "it is a socket, not a file"),
        ("folder", "it is a folder, not a file"),
        ("device", "it is a device, not a file"),
        ("dangling", "it is a link that leads nowhere"),
        ("looped", "it cannot be read: Too many levels of symbolic links"),
        ("sparse", "the file has 2147483648 bytes, more than 16MiB"),
        ("section", "bytes, more than 16MiB"),
        ("text", "it is no WebAssembly component"),
        ("core", "it is a core module, not a component"),
        ("cut", "the file is not complete: it ends after 1000 bytes"),
    ];
    for (plugin, words) in cases {
        site.gateway.log.wait_for(&["plugin refused: ", plugin, words]);
    }
    site.gateway.log.wait_for(&["elsewhere.wasm", "the configuration names another file"]);
    site.gateway.log.wait_for(&["Version.wasm", "the file's stem is no plugin name"]);
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    assert!(site.gateway.memory() < memory + (64 << 20), "no such file is taken into memory");
    // Neither later looks nor a reload tell the same again.
    site.gateway.reload();
    assert_eq!(
        site.gateway.get("/").header("x-response-version"),
        "1",
        "sub-folders are not looked at"
    );
    for (plugin, _) in cases {
        let refusals = site.refusals(plugin);
        assert_eq!(refusals.len(), 1, "{refusals:#?}");
    }
    assert_eq!(site.gateway.log.with(&["the configuration names another file"]).len(), 1);
    site.serves_on();
}

#[test]
fn links_that_flip_settle_and_links_that_lead_nowhere_change_nothing() {
    let site = Site::start("", |setup| setup);
    for (file, guest) in [("one", guest::VERSION_ONE), ("two", guest::VERSION_TWO)] {
        fs::copy(artifact::guest(guest), site.at(file)).unwrap();
    }
    let point_to = |target: &str| {
        symlink(target, site.at("aside")).unwrap();
        fs::rename(site.at("aside"), site.at("version.wasm")).unwrap();
    };
    for n in 0..1_000 {
        point_to(if n % 2 == 0 { "one" } else { "two" });
    }
    site.wait_for_version("2");
    // Another one for a moment, about the time when what was there before counts as at rest and is taken in.
    for rest in 40..75 {
        let files = ["one", "two"];
        let (now, other) = (files[rest % 2], files[(rest + 1) % 2]);
        point_to(now);
        sleep(Duration::from_millis(rest as u64));
        point_to(other);
        sleep(Duration::from_millis(3));
        point_to(now);
        site.wait_for_version(if now == "one" { "1" } else { "2" });
    }
    site.gateway.put_guest(guest::VERSION_TWO, "version");
    site.wait_for_version("2");
    for (target, words) in [("nowhere", "leads nowhere"), ("version.wasm", "Too many levels")] {
        point_to(target);
        site.gateway.log.wait_for(&["plugin refused: ", words]);
        assert_eq!(site.gateway.get("/").header("x-response-version"), "2", "it serves on");
    }
    point_to("one");
    site.wait_for_version("1");
    site.serves_on();
}

/// A program for whose user permissions count: the superuser's do not, unless it gives up that power.
fn bound_by_permissions(setup: Setup) -> Setup {
    if !rustix::process::geteuid().is_root() {
        return setup;
    }
    let script = format!(
        "#!/bin/sh\nexec setpriv --bounding-set=-dac_override,-dac_read_search -- {} \"$@\"\n",
        program::path().display()
    );
    let setup = setup.file("bound", script).program("bound");
    fs::set_permissions(setup.path().join("bound"), fs::Permissions::from_mode(0o755)).unwrap();
    setup
}

#[test]
fn a_file_that_may_not_be_read_is_told_and_serves_once_it_may() {
    let site = Site::start("", bound_by_permissions);
    let file = site.at("version.wasm");
    let permit = |mode| fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
    let aside = site.at("aside");
    fs::copy(artifact::guest(guest::VERSION_TWO), &aside).unwrap();
    fs::set_permissions(&aside, fs::Permissions::from_mode(0o000)).unwrap();
    fs::rename(aside, &file).unwrap();
    site.gateway.log.wait_for(&["plugin refused: ", "this user may not read it"]);
    assert_eq!(site.gateway.get("/").header("x-response-version"), "1");
    permit(0o644);
    site.wait_for_version("2");
    site.gateway.put_guest(guest::VERSION_ONE, "version");
    site.wait_for_version("1");
    site.serves_on();
}

#[test]
fn thousands_of_files_do_not_hide_the_one_that_is_used() {
    let site = Site::start("", |setup| setup);
    // They are there at once: a look while they come could see one and not those before it, or one without its content.
    site.gateway.signal(Signal::STOP);
    for n in 0..3_000 {
        fs::write(site.at(&format!("junk-{n:04}.wasm")), format!("junk {n}")).unwrap();
    }
    site.gateway.signal(Signal::CONT);
    let refused = || site.gateway.log.with(&["plugin refused: ", "junk-"]).len();
    site.gateway.log.wait_for(&["the plugin folder holds too many files"]);
    until_or_tell(|| format!("refusals: {}", refused()), || (refused() >= 999).then_some(()));
    site.gateway.put_guest(guest::VERSION_TWO, "version");
    site.wait_for_version("2");
    assert_eq!(refused(), 999, "with the one that is used that makes a thousand");
    assert_eq!(site.gateway.log.with(&["too many files"]).len(), 1);
    for n in 0..3_000 {
        fs::remove_file(site.at(&format!("junk-{n:04}.wasm"))).unwrap();
    }
    site.gateway.put_guest(guest::VERSION_ONE, "version");
    site.wait_for_version("1");
    site.serves_on();
}

#[test]
fn components_that_are_cut_at_any_percent_are_refused() {
    let site = Site::start("", |setup| setup);
    let whole = version_one();
    for percent in 1..100 {
        let part = &whole[..whole.len() * percent / 100];
        fs::write(site.at(&format!("cut-{percent:02}.wasm")), part).unwrap();
    }
    for percent in 1..100 {
        let name = format!("cut-{percent:02}");
        until(&name, || (!site.refusals(&name).is_empty()).then_some(()));
        assert_eq!(site.refusals(&name).len(), 1, "{name}");
    }
    site.serves_on();
}

/// From the moment that a bad file is there to the line about it (C14).
const REFUSED_WITHIN: Duration = Duration::from_secs(1);
/// The best of so many tries counts, since other tests have the processors, too.
const TRIES: usize = 10;

#[test]
fn each_bad_file_is_refused_within_a_second() {
    let site = Site::start("", |setup| setup);
    let aside = site.at("aside");
    let whole = version_one();
    let write = |bytes: &[u8]| fs::write(&aside, bytes).unwrap();
    let pipe = || mknodat(CWD, &aside, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let sparse = || fs::File::create(&aside).unwrap().set_len(2 << 30).unwrap();
    let section = with_section(whole.clone(), 64 << 20);
    let mut flipped = whole.clone();
    flipped[2] ^= 1;
    let core = component::module("(module)");
    let mut cases: Vec<(String, Box<dyn Fn()>)> = vec![
        ("pipe".to_owned(), Box::new(pipe)),
        ("device".to_owned(), Box::new(|| symlink("/dev/zero", &aside).unwrap())),
        ("dangling".to_owned(), Box::new(|| symlink("nowhere", &aside).unwrap())),
        ("sparse".to_owned(), Box::new(sparse)),
        ("section".to_owned(), Box::new(|| write(&section))),
        ("flipped".to_owned(), Box::new(|| write(&flipped))),
        ("core".to_owned(), Box::new(|| write(&core))),
        ("text".to_owned(), Box::new(|| write(b"hello"))),
    ];
    for percent in (1..100).step_by(14) {
        let part = &whole[..whole.len() * percent / 100];
        cases.push((format!("cut-{percent}"), Box::new(move || write(part))));
    }
    for (kind, make) in &cases {
        let took = |n| {
            let name = format!("{kind}-{n}");
            make();
            let begun = Instant::now();
            fs::rename(&aside, site.at(&format!("{name}.wasm"))).unwrap();
            until(&name, || (!site.refusals(&name).is_empty()).then_some(()));
            begun.elapsed()
        };
        let mut tried = Vec::new();
        while tried.last().is_none_or(|took| *took >= REFUSED_WITHIN) {
            assert!(tried.len() < TRIES, "{kind}: {tried:?}");
            tried.push(took(tried.len()));
        }
    }
    site.serves_on();
}

/// Bits that are flipped, one in each file.
const FLIPS: usize = 12;

#[test]
fn flipped_bits_are_refused_or_make_a_component_of_their_own() {
    let site = Site::start("", |setup| setup);
    let whole = version_one();
    for n in 0..FLIPS {
        let mut flipped = whole.clone();
        flipped[whole.len() * n / FLIPS + 7 * n] ^= 1 << (n % 8);
        let aside = site.at("aside");
        fs::write(&aside, flipped).unwrap();
        fs::rename(aside, site.at(&format!("flip-{n:02}.wasm"))).unwrap();
    }
    for n in 0..FLIPS {
        let name = format!("\"plugin\":\"flip-{n:02}\"");
        let told = || {
            let (refused, loaded) = (&["plugin refused: ", &name], &["plugin loaded", &name]);
            site.gateway.log.with(refused).len() + site.gateway.log.with(loaded).len()
        };
        until(&name, || (told() > 0).then_some(()));
        assert_eq!(told(), 1, "{name}");
    }
    site.serves_on();
}

#[test]
fn a_folder_that_goes_and_comes_again_is_watched_again() {
    let site = Site::start("", |setup| setup);
    let folder = site.gateway.setup().path().join("plugins");
    fs::rename(&folder, folder.with_file_name("away")).unwrap();
    site.gateway.log.wait_for(&["the file is gone; the loaded version serves on"]);
    assert_eq!(site.gateway.get("/").header("x-response-version"), "1");
    fs::create_dir(&folder).unwrap();
    site.gateway.put_guest(guest::VERSION_TWO, "version");
    site.wait_for_version("2");
    // Something else has its name now.
    fs::remove_dir_all(&folder).unwrap();
    fs::write(&folder, "no folder").unwrap();
    until("the loss to be told again", || {
        (site.gateway.log.with(&["the file is gone"]).len() >= 2).then_some(())
    });
    assert_eq!(site.gateway.get("/").header("x-response-version"), "2");
    fs::remove_file(&folder).unwrap();
    fs::create_dir(&folder).unwrap();
    site.gateway.put_guest(guest::VERSION_ONE, "version");
    site.wait_for_version("1");
    site.serves_on();
}
