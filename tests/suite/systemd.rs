//! What systemd gives to a service, and what it is told.

use std::os::unix::net::UnixDatagram;

use edgewit_harness::{DEADLINE, Setup};
use rustix::process::Signal;

const BODY: &str = "[routes.all]\nmatch = \"/\"\nrespond = { body = \"here\" }\n";

/// What systemd is told, message by message.
struct Systemd(UnixDatagram, tempfile::TempDir);

impl Systemd {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = UnixDatagram::bind(folder.path().join("notify")).unwrap();
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        Self(socket, folder)
    }

    fn address(&self) -> String {
        self.1.path().join("notify").display().to_string()
    }

    #[track_caller]
    fn wait_for(&self, words: &str) {
        let mut said = [0; 4_096];
        loop {
            let length = self.0.recv(&mut said).unwrap_or_else(|e| panic!("no `{words}`: {e}"));
            if String::from_utf8_lossy(&said[..length]).contains(words) {
                return;
            }
        }
    }
}

#[test]
fn systemd_is_told_of_start_reload_and_end() {
    let systemd = Systemd::new();
    let setup = Setup::new(BODY).server("workers = 1\ndrain-delay = \"10ms\"\n");
    let setup = setup.variable("NOTIFY_SOCKET", systemd.address());
    let mut gateway = setup.variable("WATCHDOG_USEC", "200000").start();
    systemd.wait_for("READY=1");
    systemd.wait_for("WATCHDOG=1");
    systemd.wait_for("WATCHDOG=1");
    gateway.signal(Signal::HUP);
    systemd.wait_for("RELOADING=1");
    systemd.wait_for("READY=1");
    gateway.signal(Signal::TERM);
    systemd.wait_for("STOPPING=1");
    assert!(gateway.wait().success());
}

#[test]
fn after_an_upgrade_systemd_knows_the_new_process() {
    let systemd = Systemd::new();
    let setup = Setup::new(BODY).variable("NOTIFY_SOCKET", systemd.address());
    let mut gateway = setup.argument("--pid-file").argument("pid").start();
    systemd.wait_for("READY=1");
    gateway.upgrade();
    systemd.wait_for(&format!("MAINPID={}", gateway.pid().as_raw_nonzero()));
}
