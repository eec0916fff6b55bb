//! What systemd gives to a service, and what it is told.

use std::{
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::{fs::PermissionsExt, net::UnixDatagram},
};

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

/// systemd starts a service with its sockets from descriptor 3 on, and says so to the very process.
const LIKE_SYSTEMD: &str = "#!/bin/sh
export LISTEN_FDS=1 LISTEN_FDNAMES=front LISTEN_PID=$$
exec PROGRAM \"$@\"
";

const FRONT: &str = "[listeners.web]\nlisten = \"fd:front\"\n";

/// A gateway that is started as systemd starts a service with this socket.
fn activated_by(socket: &TcpListener) -> Setup {
    let program = edgewit_harness::program::path().display().to_string();
    let script = LIKE_SYSTEMD.replace("PROGRAM", &program);
    let setup = Setup::new(BODY).listeners(FRONT).file("start", script).program("start");
    let start = setup.path().join("start");
    fs::set_permissions(start, fs::Permissions::from_mode(0o755)).unwrap();
    setup.pass(socket.try_clone().unwrap())
}

#[test]
fn a_listener_takes_the_socket_of_systemd_and_hands_it_on() {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let setup = activated_by(&socket).argument("--pid-file").argument("pid");
    let mut gateway = setup.start();
    assert_eq!(gateway.address(), socket.local_addr().unwrap());
    assert_eq!(gateway.get("/").text(), "here");
    gateway.reload();
    assert_eq!(gateway.get("/").text(), "here", "a reload keeps the socket");
    gateway.upgrade();
    assert_eq!(gateway.get("/").text(), "here", "so does an upgrade");
}

#[test]
fn a_socket_that_systemd_does_not_give_is_named() {
    let outcome = Setup::new(BODY).listeners(FRONT).run(&["run"]);
    assert!(outcome.failed().contains("front"));
}

#[test]
fn connections_that_came_before_the_start_are_answered() {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut early = TcpStream::connect(socket.local_addr().unwrap()).unwrap();
    early.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").unwrap();
    let _gateway = activated_by(&socket).start();
    early.set_read_timeout(Some(DEADLINE)).unwrap();
    let mut answer = String::new();
    early.read_to_string(&mut answer).unwrap();
    assert!(answer.contains("here"), "{answer}");
}
