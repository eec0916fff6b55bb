//! The machine gives less than is needed.

use std::{fs, net::TcpStream, os::unix::fs::PermissionsExt};

use edgewit_harness::{Connection, Protocol, Setup, block_on, get, program, until};

#[test]
fn without_file_descriptors_it_waits_and_serves_on() {
    let setup = Setup::new("[routes.all]\nmatch = \"/\"\nrespond = { body = \"here\" }\n");
    let script = format!("#!/bin/sh\nulimit -n 64\nexec {} \"$@\"\n", program::path().display());
    let setup = setup.file("few-files", script).program("few-files");
    let few = setup.path().join("few-files");
    fs::set_permissions(few, fs::Permissions::from_mode(0o755)).unwrap();
    let mut gateway = setup.start();
    assert_eq!(gateway.get("/").text(), "here");
    let connect = |_| TcpStream::connect(gateway.address()).expect("the kernel takes it");
    let many: Vec<_> = (0..200).map(connect).collect();
    gateway.log.wait_for(&["could not accept"]);
    assert!(!gateway.has_ended());
    drop(many);
    until("it to serve again", || {
        let mut client = block_on(Connection::try_open(gateway.address(), Protocol::H1)).ok()?;
        let reply = block_on(client.try_send(get("/"))).ok()?;
        (reply.status == 200).then_some(())
    });
    assert_eq!(gateway.get("/").text(), "here");
    assert_eq!(gateway.ask_admin("/livez").status, 200);
}
